//! What the system must let the process have, looked at before anything is done.

use std::fs;

use super::exit::{Exit, Failure};

/// Fewest files and connections that a command needs at a time: ledger and journals, sources, rejects, and some
/// connections.
const FILES_MIN: u64 = 64;

/// Whether the process may open enough files.
///
/// # Errors
///
/// It may not; nothing was done. Where the system doesn't tell, there is none.
pub(super) fn suffices() -> Result<(), Failure> {
    let limits = match fs::read_to_string("/proc/self/limits") {
        Ok(limits) => limits,
        // EMFILE: not even this one.
        Err(error) if error.raw_os_error() == Some(24) => return Err(too_few("hardly any file")),
        Err(_) => return Ok(()),
    };
    match files_max(&limits) {
        Some(max) if max < FILES_MIN => Err(too_few(&format!("{max} files"))),
        Some(_) | None => Ok(()),
    }
}

fn too_few(may_open: &str) -> Failure {
    Failure::new(Exit::Config, format!("the process may open {may_open} at a time, and needs {FILES_MIN}"))
        .hint("say `ulimit -n 1024` before it, or LimitNOFILE=1024 in its systemd unit; nothing was done")
}

/// The soft limit; none where there is none.
fn files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_as_the_system_writes_it() {
        let limits = |of: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\nMax processes             5  5  processes\nMax open files            {of}                 524288               files\n"
            )
        };
        assert_eq!(files_max(&limits("16")), Some(16));
        assert_eq!(files_max(&limits("unlimited")), None);
        assert_eq!(files_max(""), None);
    }
}
