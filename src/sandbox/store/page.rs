//! Cursor pages over records in the order of their creation: a page costs its own length, not the list's.

use crate::sandbox::error::{Code, Refusal};
use crate::sandbox::wire::filters::CursorPaging;
use crate::sandbox::wire::scalars::ConnectionCursor;

/// Rows of a page that asks for none in particular. Contract 8.
const PAGE_SIZE_DEFAULT: usize = 10;

/// A page that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub ascending: bool,
    pub backwards: bool,
    pub count: usize,
    pub bound: Option<u32>,
}

impl Ask {
    /// Reads `paging`; a page over `size_max` is refused.
    pub fn new(paging: Option<CursorPaging>, ascending: bool, size_max: usize) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::new(Code::BadUserInput, message);
        let paging = paging.unwrap_or_default();
        let backwards = paging.last.is_some() || paging.before.is_some();
        if backwards && (paging.first.is_some() || paging.after.is_some()) {
            return Err(bad(String::from("paging takes first and after, or last and before")));
        }
        let (count, cursor) = if backwards { (paging.last, paging.before) } else { (paging.first, paging.after) };
        let count = count.map_or(Ok(PAGE_SIZE_DEFAULT), |count| {
            usize::try_from(count).map_err(|_| bad(String::from("a page's size must not be negative")))
        })?;
        if count > size_max {
            return Err(bad(format!("a page's size must not be over {size_max}")));
        }
        let bound = cursor
            .map(|ConnectionCursor(text)| {
                let hex = text.strip_prefix("row-").and_then(|hex| u32::from_str_radix(hex, 16).ok());
                hex.ok_or_else(|| bad(String::from("not a cursor of this list")))
            })
            .transpose()?;
        Ok(Self { ascending, backwards, count, bound })
    }
}

/// The cursor of a position.
pub(crate) fn cursor(position: u32) -> ConnectionCursor {
    ConnectionCursor(format!("row-{position:x}"))
}

/// The positions on a page, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub positions: Vec<u32>,
    pub has_next: bool,
    pub has_previous: bool,
}

/// The rows that a list is taken from.
#[derive(Debug)]
pub(crate) enum Among {
    /// All positions below this one.
    All(u32),
    /// These, ascending.
    Some(Vec<u32>),
}

impl Among {
    /// These positions, once each.
    pub fn these(mut positions: Vec<u32>) -> Self {
        positions.sort_unstable();
        positions.dedup();
        Self::Some(positions)
    }

    /// How many pass.
    pub fn count(&self, pass: impl Fn(u32) -> bool) -> usize {
        match self {
            Self::All(end) => (0..*end).filter(|position| pass(*position)).count(),
            Self::Some(list) => list.iter().filter(|position| pass(**position)).count(),
        }
    }

    /// The page of those that pass. Stops at the first row after the page.
    pub fn page(&self, ask: Ask, pass: impl Fn(u32) -> bool) -> Page {
        let upwards = ask.ascending != ask.backwards;
        let beyond = |position: &u32| match (ask.bound, upwards) {
            (None, _) => true,
            (Some(bound), true) => *position > bound,
            (Some(bound), false) => *position < bound,
        };
        let mut walk: Box<dyn Iterator<Item = u32> + '_> = match (self, upwards) {
            (Self::All(end), true) => Box::new(ask.bound.map_or(0, |bound| bound.saturating_add(1))..*end),
            (Self::All(end), false) => Box::new((0..ask.bound.map_or(*end, |bound| bound.min(*end))).rev()),
            (Self::Some(list), true) => Box::new(list.iter().copied().filter(move |p| beyond(p))),
            (Self::Some(list), false) => Box::new(list.iter().rev().copied().filter(move |p| beyond(p))),
        };
        let mut positions: Vec<u32> = walk.by_ref().filter(|position| pass(*position)).take(ask.count).collect();
        let more = walk.any(pass);
        let (mut has_next, mut has_previous) = (more, ask.bound.is_some());
        if ask.backwards {
            positions.reverse();
            (has_next, has_previous) = (has_previous, has_next);
        }
        Page { positions, has_next, has_previous }
    }
}
