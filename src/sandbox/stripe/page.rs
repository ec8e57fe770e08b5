//! Lists: newest first, a page at a time.

use serde_json::{Value, json};

use super::objects::Listed;
use super::params::Params;
use super::refusal::Refusal;

/// Rows of a page that names no limit (API reference, 2026).
const LIMIT_DEFAULT: i64 = 10;
/// Rows of the largest page (API reference, 2026).
const LIMIT_MAX: i64 = 100;

/// What of a list is asked for.
pub(super) struct Paging {
    limit: usize,
    starting_after: Option<String>,
}

impl Paging {
    pub fn read(params: &mut Params) -> Result<Self, Refusal> {
        let limit = params.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let message = format!("This value must be between 1 and {LIMIT_MAX}");
            return Err(Refusal::request(Some("parameter_invalid_integer"), Some("limit"), message));
        }
        Ok(Self { limit: usize::try_from(limit).unwrap_or(1), starting_after: params.text("starting_after") })
    }

    /// The page among those of `all` that match.
    pub fn page<T: Listed>(
        &self,
        all: &[T],
        kind: &str,
        url: &str,
        matches: impl Fn(&T) -> bool,
    ) -> Result<Value, Refusal> {
        let mut rows: Vec<&T> = all.iter().collect();
        rows.sort_by(|one, other| (other.created(), other.id()).cmp(&(one.created(), one.id())));
        let begin = match &self.starting_after {
            None => 0,
            Some(id) => {
                let at = rows.iter().position(|row| row.id() == id);
                at.ok_or_else(|| Refusal::missing(kind, "starting_after", id))? + 1
            }
        };
        let mut rest = rows[begin..].iter().filter(|row| matches(row));
        let data: Vec<Value> = rest.by_ref().take(self.limit).map(|row| row.shown()).collect();
        Ok(json!({ "object": "list", "url": url, "has_more": rest.next().is_some(), "data": data }))
    }
}
