//! One memory for all threads of a process that runs for long.
//!
//! glibc lets threads have memory of their own, "arenas", and keeps what each of them ever needed. The threads of a run end with it, and
//! the next run's get other arenas: from run to run, each arena grows to what the largest thread needs. With one arena for all
//! of them the process is as large after two hundred runs as after twenty (`benches/sync_memory.sh`), and imports take the same time
//! within what can be measured. Only a variable that is there when the process begins can say that.

use std::ffi::OsStr;
use std::io;

/// glibc's: how many arenas there may be (`mallopt(3)`, `M_ARENA_MAX`). Other C libraries don't know it.
const ARENAS_MAX: &str = "MALLOC_ARENA_MAX";

/// glibc's newer way to say the same, and more.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// Begins the same process again with one arena, unless somebody has said how many there shall be. Returns where that is not needed,
/// or not to be had: then memory is a few MiB more.
pub(in crate::cli) fn begin_again() {
    if !is_wanted(|name| std::env::var_os(name).is_some()) {
        return;
    }
    if let Err(error) = replace() {
        tracing::debug!(%error, "the process could not begin again with one arena for its memory");
    }
}

fn is_wanted(is_set: impl Fn(&str) -> bool) -> bool {
    cfg!(all(target_os = "linux", target_env = "gnu")) && !is_set(ARENAS_MAX) && !is_set(TUNABLES)
}

/// The same program with the same arguments, under the same process id. Returns only where that failed.
#[cfg(unix)]
fn replace() -> io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut command = std::process::Command::new(std::env::current_exe()?);
    Err(command.arg0(name).args(arguments).env(ARENAS_MAX, OsStr::new("1")).exec())
}

#[cfg(not(unix))]
fn replace() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_said_of_arenas_stays() {
        assert!(!is_wanted(|name| name == ARENAS_MAX));
        assert!(!is_wanted(|name| name == TUNABLES));
        assert_eq!(is_wanted(|_| false), cfg!(all(target_os = "linux", target_env = "gnu")));
    }
}
