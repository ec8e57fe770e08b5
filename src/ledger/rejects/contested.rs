//! Which keys a run could not decide on: it had two records of each.

use std::path::Path;

use super::{Reader, RejectsError, Why};
use crate::entity::KEY_SEPARATOR;
use crate::record::KeyHash;

/// The keys of the rows of a file that were rejected because another record has their key, as a file has them: with spaces
/// between the parts of a key. Where that could be two keys, both are among them.
///
/// # Errors
///
/// [`RejectsError`] of opening and reading. A damaged line is left out: it can't be run again either.
pub fn contested(path: &Path) -> Result<Vec<KeyHash>, RejectsError> {
    let mut keys = Vec::new();
    for entry in Reader::open(path)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(RejectsError::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        if let Why::Rejected { field: Some(field), value: Some(value), .. } = entry.why
            && field == "key"
        {
            let parts = value.replace(' ', &KEY_SEPARATOR.to_string());
            // The last part of a key may be empty, see `entity`.
            keys.extend([KeyHash::of(&value), KeyHash::of(&parts), KeyHash::of(&format!("{parts}{KEY_SEPARATOR}"))]);
        }
    }
    Ok(keys)
}
