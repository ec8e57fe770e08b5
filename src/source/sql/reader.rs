//! Reads a database: opens a session, looks at the columns, then reads all at once or in pages.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use jiff::ToSpan;
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use super::cells::Cells;
use super::driver::{Driver, Order, Session, Statement, Value};
use super::failure::{Failure, Words};
use super::fill::{Fill, Ready};
use super::margin;
use super::options::SqlOptions;
use super::wanted::{Walk, Wanted};
use crate::problem::did_you_mean;
use crate::record::Place;
use crate::source::Message;
use crate::source::error::{OpenProblem, SourceError};

/// How far ahead of today a change may be dated and still be a mark, in days: zones differ by
/// 26 hours at most.
const AHEAD_DAYS_MAX: i32 = 3;

/// Reads to the end; says how it went through `ready` and `messages`.
pub(super) async fn read<D: Driver>(
    source: Arc<str>,
    options: SqlOptions,
    words: Words,
    messages: mpsc::Sender<Message>,
    ready: oneshot::Sender<Result<Ready, SourceError>>,
) {
    let session = Session {
        url: options.url.clone(),
        statement_timeout: options.statement_timeout,
        paged: options.key.is_some(),
        rows_ahead: if options.key.is_some() { options.page_rows + 1 } else { options.batch_rows * 4 },
    };
    let opened = async {
        let mut driver = connect::<D>(&session, &options).await.map_err(|failure| words.at_connect(failure))?;
        let wanted = look(&mut driver, &options).await.map_err(|failure| words.at_query(failure))?;
        Ok((driver, wanted))
    };
    let (driver, wanted) = match opened.await {
        Ok(opened) => opened,
        // Nobody waits any more if this can't be sent.
        Err(problem) => return drop(ready.send(Err(SourceError::open(&source, problem)))),
    };
    let columns = wanted.names.iter().map(|name| Box::from(name.as_str())).collect();
    let day_after = (jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date())
        .saturating_add(AHEAD_DAYS_MAX.days())
        .to_string();
    let fill = Fill::new(source.clone(), columns, &options, &messages, ready, day_after);
    let mut reader = Reader { session, options: &options, wanted, driver: Some(driver), fill };
    let failure = match if options.key.is_some() { reader.pages().await } else { reader.all().await } {
        Ok(()) => match reader.fill.finish().await {
            Ok(()) | Err(_) => return,
        },
        Err(failure) => failure,
    };
    let unheard = reader.fill.stop().await;
    let place = Place { source: source.clone(), record: reader.fill.record(), line: 0 };
    match unheard {
        Some(ready) => drop(ready.send(Err(SourceError::open(&source, words.at_query(failure))))),
        None => {
            if let Some(problem) = words.part_way(failure) {
                let _ = messages.send(Message::Failed(SourceError::Broke { place, problem })).await;
            }
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    time::timeout(limit, work).await.unwrap_or(Err(Failure::Timeout(limit)))
}

async fn connect<D: Driver>(session: &Session, options: &SqlOptions) -> Result<D, Failure> {
    within(options.connect_timeout, D::connect(session)).await
}

/// Finds out what the query gives, and whether it can be read as it's meant to.
async fn look<D: Driver>(driver: &mut D, options: &SqlOptions) -> Result<Wanted<D>, Failure> {
    let mut wanted = Wanted::<D>::new(&options.query);
    let limit = options.statement_timeout;
    let columns = within(limit, driver.describe(&wanted.bare)).await?;
    if columns.is_empty() {
        return Err(Failure::Data(OpenProblem::Query("it gives no columns; it has to be a `select`".to_owned())));
    }
    if columns.len() > options.limits.columns_max {
        let problem = format!("it gives {} columns; the limit is {}", columns.len(), options.limits.columns_max);
        return Err(Failure::Data(OpenProblem::Query(problem)));
    }
    let wrong =
        |name: &str, problem: String| Err(Failure::Data(OpenProblem::Column { name: name.to_owned(), problem }));
    for column in columns {
        if column.name.chars().count() > options.limits.name_chars_max {
            let problem = format!("has a name of more than {} characters, the limit", options.limits.name_chars_max);
            return wrong(&column.name, problem);
        }
        if wanted.names.contains(&column.name) {
            return wrong(&column.name, "is there more than once; give one of them another name with `as`".to_owned());
        }
        match column.kind {
            Ok(kind) => wanted.kinds.push(kind),
            Err(problem) => return wrong(&column.name, problem),
        }
        wanted.names.push(column.name);
    }
    wanted.key = ordered(&wanted, options.key.as_deref(), "key")?;
    wanted.changed = ordered(&wanted, options.changed.as_deref(), "changed")?;
    if let Some(changed) = wanted.changed {
        let kind = wanted.kinds[changed].clone();
        wanted.upper = first::<D>(driver, &wanted.largest(changed), &kind, limit).await?.and_then(|(_, value)| value);
        if let (Some(since), Some(upper)) = (&options.since, &wanted.upper) {
            let order = D::order(&kind).expect("it was looked at");
            let text = margin::before(&since.0, order, upper, options.changed_margin);
            wanted.lower = Some(D::value_of(&kind, &text, upper));
        }
    }
    if let Some(key) = wanted.key {
        let kind = wanted.kinds[key].clone();
        if first::<D>(driver, &wanted.null_key(key), &kind, limit).await?.is_some() {
            return wrong(&wanted.names[key], "is NULL in a row; a key has a value in every row".to_owned());
        }
    }
    Ok(wanted)
}

/// The column of that name, by which rows can be ordered.
fn ordered<D: Driver>(wanted: &Wanted<D>, name: Option<&str>, role: &str) -> Result<Option<usize>, Failure> {
    let Some(name) = name else { return Ok(None) };
    let problem = match wanted.names.iter().position(|known| known == name) {
        Some(at) if D::order(&wanted.kinds[at]).is_some() => return Ok(Some(at)),
        Some(_) => format!(
            "can't be the `{role}` column: rows are read in the order of integers, decimals, texts, uuids, dates and timestamps"
        ),
        None => {
            let meant = did_you_mean(name, wanted.names.iter().map(String::as_str));
            let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            format!("is named as `{role}`, but the query doesn't give it{hint}")
        }
    };
    Err(Failure::Data(OpenProblem::Column { name: name.to_owned(), problem }))
}

/// The only cell of a statement's first row, and the value that it is.
async fn first<D: Driver>(
    driver: &mut D,
    statement: &Statement,
    kind: &D::Kind,
    limit: Duration,
) -> Result<Option<(Option<String>, Option<Value>)>, Failure> {
    within(limit, async {
        driver.begin().await?;
        let row = {
            let mut rows = driver.rows(statement);
            let row = rows.try_next().await?;
            // To the end, so that the connection is free again.
            while rows.try_next().await?.is_some() {}
            row
        };
        driver.end().await?;
        row.map(|row| {
            let mut cells = Cells::default();
            D::read(&row, std::slice::from_ref(kind), &mut cells)?;
            Ok((cells.get(0).map(str::to_owned), D::value(&row, kind, 0)?))
        })
        .transpose()
    })
    .await
}

struct Reader<'a, D: Driver> {
    session: Session,
    options: &'a SqlOptions,
    wanted: Wanted<D>,
    /// `None` once it's lost.
    driver: Option<D>,
    fill: Fill<'a>,
}

/// What a statement gave.
struct Pulled {
    rows: usize,
    /// Whether it was left before its end.
    cut: bool,
    /// Where it came to.
    at: Option<Vec<Value>>,
}

impl<D: Driver> Reader<'_, D> {
    /// One statement for all rows.
    async fn all(&mut self) -> Result<(), Failure> {
        let statement = self.wanted.all();
        let driver = self.driver.as_mut().expect("it was just connected");
        pull(driver, &statement, &self.wanted, &[], false, &mut self.fill, self.options).await?;
        Ok(())
    }

    /// A statement for each page.
    async fn pages(&mut self) -> Result<(), Failure> {
        for walk in self.wanted.walks() {
            let mut at: Option<Vec<Value>> = None;
            let mut rows_max = self.options.page_rows;
            loop {
                // The row at the position comes again.
                let asked = rows_max + usize::from(at.is_some());
                let page = self.page(*walk, at.as_deref(), asked).await?;
                self.fill.end_page().await?;
                if !page.cut && page.rows < asked {
                    break;
                }
                at = page.at;
                if page.cut {
                    // What is still on its way would have to be read before the next page.
                    self.driver = None;
                    rows_max = page.rows.max(1);
                } else {
                    rows_max = (rows_max * 2).min(self.options.page_rows);
                }
            }
        }
        Ok(())
    }

    /// One page. A lost connection is made again; its page starts again then.
    async fn page(&mut self, walk: Walk, at: Option<&[Value]>, rows: usize) -> Result<Pulled, Failure> {
        let statement = self.wanted.page(walk, at, rows);
        let position = self.wanted.position(walk);
        let mut tries = 0;
        loop {
            self.fill.begin_page();
            let pulled = async {
                if self.driver.is_none() {
                    self.driver = Some(connect(&self.session, self.options).await?);
                }
                let driver = self.driver.as_mut().expect("it was just connected");
                pull(driver, &statement, &self.wanted, &position, at.is_some(), &mut self.fill, self.options).await
            };
            match pulled.await {
                Err(failure) if failure.is_lost_connection() && tries < self.options.reconnects_max => {
                    self.fill.drop_page();
                    self.driver = None;
                    tracing::debug!(tries, "the connection to the database is lost; making a new one");
                    time::sleep(Duration::from_secs(u64::from(tries))).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }
}

/// Runs a statement and takes its rows. `again`: its last item says whether a row is the one at
/// the position.
async fn pull<D: Driver>(
    driver: &mut D,
    statement: &Statement,
    wanted: &Wanted<D>,
    position: &[usize],
    again: bool,
    fill: &mut Fill<'_>,
    options: &SqlOptions,
) -> Result<Pulled, Failure> {
    let limit = options.statement_timeout;
    within(limit, driver.begin()).await?;
    let mut pulled = Pulled { rows: 0, cut: false, at: None };
    let mut last: Option<D::Row> = None;
    {
        let mut rows = driver.rows(statement);
        let mut seen_again = false;
        loop {
            let ended = within(limit, async {
                while !fill.is_full() {
                    let Some(row) = rows.try_next().await? else { return Ok(true) };
                    pulled.rows += 1;
                    if again && D::is_one(&row, wanted.kinds.len())? {
                        if std::mem::replace(&mut seen_again, true) {
                            return Err(fill.twice());
                        }
                    } else {
                        fill.row::<D>(&row, &wanted.kinds)?;
                    }
                    last = Some(row);
                }
                Ok(false)
            })
            .await?;
            if ended {
                break;
            }
            // Without a limit: where the rows go straight on, it takes as long as the API throttles.
            fill.flush().await?;
            if fill.page_is_full() {
                pulled.cut = true;
                break;
            }
        }
    }
    if !pulled.cut {
        within(limit, driver.end()).await?;
    }
    if let Some(row) = last {
        let at = position.iter().map(|column| D::value(&row, &wanted.kinds[*column], *column));
        pulled.at = at.collect::<Result<Option<Vec<_>>, _>>()?;
    }
    Ok(pulled)
}

impl Order {
    /// Whether a value of that order counts in units.
    pub(super) fn is_number(self, like: &Value) -> bool {
        match self {
            Self::Number => true,
            Self::Time | Self::Text => false,
            Self::Any => !matches!(like, Value::Text(_)),
        }
    }
}
