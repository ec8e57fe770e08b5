//! Reading only what has changed: when a step's mark is trusted, and how far it moves.
//!
//! A mark is a value of the source's `changed` column. It says that every row before it was read
//! and settled, by this source and this mapping. Three rules keep that true:
//!
//! 1. A run that reads everything forgets the mark before it sends anything.
//! 2. The mark moves at the end of a step that was read to its end and left nothing open, and at
//!    most to before the first row whose record the API refused.
//! 3. A batch of an earlier run whose records did not come again stays open, and the next run
//!    reads everything.
//!
//! A row that was rejected does not hold the mark: it is in the rejects file, and comes again when
//! it changes or when the mapping does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;

use crate::ledger::{Ledger, LedgerError, Scope, StepMark};
use crate::mapping::MappingFile;
use crate::record::Origin;
use crate::source::{self, Mark, Rows, SourceError, SqlOptions};

/// A source that can leave out what has not changed.
pub trait ChangesSource: Send + Sync {
    /// Names what is read, all but its rows; no secret in it.
    fn identity(&self) -> String;

    /// Rows that were changed at the mark or later, in the order of their changes, in batches with marks.
    fn open_since<'a>(&'a self, mark: &'a str) -> BoxFuture<'a, Result<Rows, SourceError>>;
}

/// A query or table with a `changed` column.
pub(super) struct SqlChanges {
    pub name: String,
    pub options: SqlOptions,
}

impl ChangesSource for SqlChanges {
    fn identity(&self) -> String {
        self.options.identity()
    }

    fn open_since<'a>(&'a self, mark: &'a str) -> BoxFuture<'a, Result<Rows, SourceError>> {
        let options = SqlOptions { since: Some(Mark(mark.to_owned())), ..self.options.clone() };
        Box::pin(async move { source::open_sql(&self.name, &options).await })
    }
}

/// Names a source, a mapping and this version of the program: what made the records before a mark.
pub(super) fn identity(source: &dyn ChangesSource, mapping: &MappingFile) -> String {
    let made_by = format!("{}\0{:x}\0{}", env!("CARGO_PKG_VERSION"), mapping.fingerprint().0, source.identity());
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(made_by.as_bytes()))
}

/// Why a step that could read its changes reads everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeBecause {
    /// It was asked for.
    Asked,
    /// No mark is there: the first run, or an earlier one that read everything did not come to its end.
    NoMark,
    /// The query, its database, the mapping or this program are not those that the mark is of.
    OtherIdentity,
    /// Another step of the entity left records open; their rows may lie before the mark.
    OpenElsewhere,
}

impl fmt::Display for WholeBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "--full was given",
            Self::NoMark => "no run of this step has come to its end yet",
            Self::OtherIdentity => "its source or mapping, or this program, is not the one that ran before",
            Self::OpenElsewhere => "another step left records of this kind open",
        })
    }
}

/// What a step reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    /// Rows at this mark and later.
    Since(String),
    /// All rows.
    Whole(WholeBecause),
}

/// Decides what a step reads; changes nothing.
pub(super) async fn extent(
    ledger: &dyn Ledger,
    scope: &Scope,
    step: &str,
    identity: &str,
    full: bool,
) -> Result<Extent, LedgerError> {
    if full {
        return Ok(Extent::Whole(WholeBecause::Asked));
    }
    let Some(mark) = ledger.mark(scope, step).await? else { return Ok(Extent::Whole(WholeBecause::NoMark)) };
    if mark.identity != identity {
        return Ok(Extent::Whole(WholeBecause::OtherIdentity));
    }
    if ledger.open_batches(scope).await?.iter().any(|batch| batch.step != step) {
        return Ok(Extent::Whole(WholeBecause::OpenElsewhere));
    }
    Ok(Extent::Since(mark.value))
}

/// Rows from the mark on, in the columns that the mapping was compiled for; or why there are none.
pub(super) async fn reopened(
    source: &dyn ChangesSource,
    mark: &str,
    columns: &Arc<[Box<str>]>,
) -> Result<Rows, String> {
    let rows = source.open_since(mark).await.map_err(|error| super::with_causes(&error))?;
    if rows.columns() != columns {
        return Err("its columns changed while the run went on".to_owned());
    }
    Ok(rows)
}

/// After a step that settled all that it read: moves the mark if there is a later one, and forgets it
/// where `closed` says that something before it is still open.
pub(super) async fn settled(
    ledger: &dyn Ledger,
    scope: &Scope,
    step: &str,
    mark: Option<StepMark>,
    closed: bool,
) -> Result<(), LedgerError> {
    match (closed, mark) {
        (true, None) => Ok(()),
        (true, Some(mark)) => ledger.set_mark(scope, step, Some(&mark)).await,
        (false, _) => ledger.set_mark(scope, step, None).await,
    }
}

/// The first row whose record the API refused: the mark stays before it.
#[derive(Debug, Default)]
pub(super) struct HeldBack(Mutex<Option<(u64, Option<String>)>>);

impl HeldBack {
    /// Takes in that the record of `origin` was refused.
    pub(super) fn refused(&self, origin: &Origin) {
        let record = origin.place().record;
        let before = match origin {
            // Rows that were never changed, as far as is known, are read each time.
            Origin::Row { rows, .. } if rows.mark().is_none() => return,
            Origin::Row { rows, .. } => rows.mark_before().map(str::to_owned),
            // A step that reads changes has neither groups nor totals.
            Origin::Group(_) | Origin::Total(_) => None,
        };
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|(known, _)| record < *known) {
            *first = Some((record, before));
        }
    }

    /// How far the mark may move, where reading came to `mark`; none: it stays where it is.
    pub(super) fn up_to(&self, mark: Option<String>) -> Option<String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((_, before)) => before.clone(),
            None => mark,
        }
    }
}
