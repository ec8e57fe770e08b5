//! The statements that ask for rows: all at once, or page by page.

use super::driver::{Driver, Statement, Value};
use super::options::{SqlQuery, text_of};

/// Name of the sub-select.
const INNER: &str = "stigg_import_rows";

/// Which rows a walk of pages is over, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// All, by key.
    Key,
    /// Those that were never changed, as far as is known, by key.
    Unchanged,
    /// Those that were changed, by time of change and key.
    Changed,
}

/// What is asked for.
pub(super) struct Wanted<D: Driver> {
    /// What stands after `from`.
    from: String,
    /// The query as the user wrote it, or one for the table.
    pub(super) bare: String,
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<D::Kind>,
    /// Position of the key column.
    pub(super) key: Option<usize>,
    /// Position of the changed column.
    pub(super) changed: Option<usize>,
    /// Rows that were changed before it are left out.
    pub(super) lower: Option<Value>,
    /// The largest change when reading started; what comes later is the next run's. Nothing was
    /// ever changed where it's `None`.
    pub(super) upper: Option<Value>,
}

/// Puts a statement together.
struct Text<D: Driver> {
    statement: Statement,
    driver: std::marker::PhantomData<D>,
}

impl<D: Driver> Text<D> {
    fn value(&mut self, value: &Value, kind: &D::Kind) -> String {
        self.statement.values.push(value.clone());
        D::place(self.statement.values.len(), kind)
    }
}

impl<D: Driver> Wanted<D> {
    pub(super) fn new(query: &SqlQuery) -> Self {
        let text = text_of(query);
        let (from, bare) = match query {
            // A comment may end the query, so the parenthesis has a line of its own.
            SqlQuery::Query(_) => (format!("(\n{text}\n) AS {INNER}"), text.to_owned()),
            SqlQuery::Table(_) => {
                let table = text.split('.').map(quoted::<D>).collect::<Vec<_>>().join(".");
                (format!("{table} AS {INNER}"), format!("SELECT * FROM {table}"))
            }
        };
        Self { from, bare, names: Vec::new(), kinds: Vec::new(), key: None, changed: None, lower: None, upper: None }
    }

    fn column(&self, at: usize) -> String {
        format!("{INNER}.{}", quoted::<D>(&self.names[at]))
    }

    fn items(&self) -> String {
        let items = (0..self.names.len()).map(|at| D::item(&self.column(at), &self.kinds[at]));
        items.collect::<Vec<_>>().join(", ")
    }

    /// Asks whether a key is NULL.
    pub(super) fn null_key(&self, key: usize) -> Statement {
        let (item, column) = (D::item(&self.column(key), &self.kinds[key]), self.column(key));
        Statement::plain(format!("SELECT {item} FROM {} WHERE {column} IS NULL LIMIT 1", self.from))
    }

    /// Asks for the largest change.
    pub(super) fn largest(&self, changed: usize) -> Statement {
        let item = D::item(&format!("max({})", self.column(changed)), &self.kinds[changed]);
        Statement::plain(format!("SELECT {item} FROM {}", self.from))
    }

    /// Asks for all rows at once.
    pub(super) fn all(&self) -> Statement {
        let Some(changed) = self.changed else {
            return Statement::plain(if D::BY_COLUMN {
                format!("SELECT {} FROM {}", self.items(), self.from)
            } else {
                self.bare.clone()
            });
        };
        let mut text = Text::<D> { statement: Statement::plain(String::new()), driver: std::marker::PhantomData };
        let column = self.column(changed);
        let between = self.between(&mut text, changed).unwrap_or_else(|| "1 = 0".to_owned());
        text.statement.sql = format!(
            "SELECT {} FROM {} WHERE {column} IS NULL OR ({between}) ORDER BY {column}",
            self.items(),
            self.from
        );
        text.statement
    }

    /// The walks that together are all rows.
    pub(super) fn walks(&self) -> &'static [Walk] {
        match (self.changed, &self.upper) {
            (None, _) => &[Walk::Key],
            (Some(_), None) => &[Walk::Unchanged],
            (Some(_), Some(_)) => &[Walk::Unchanged, Walk::Changed],
        }
    }

    /// The columns that say where a walk has come to.
    pub(super) fn position(&self, walk: Walk) -> Vec<usize> {
        match walk {
            Walk::Key | Walk::Unchanged => self.key.into_iter().collect(),
            Walk::Changed => self.changed.into_iter().chain(self.key).collect(),
        }
    }

    /// Asks for the next `rows` rows of a walk: those from its position `at` on, the row at the
    /// position included. With a position, a further item says of each row whether it's at it (`1`):
    /// where two are, the key isn't unique, and rows would be lost between pages.
    pub(super) fn page(&self, walk: Walk, at: Option<&[Value]>, rows: usize) -> Statement {
        let mut text = Text::<D> { statement: Statement::plain(String::new()), driver: std::marker::PhantomData };
        let position = self.position(walk);
        let mut items = self.items();
        let mut conditions = Vec::new();
        if let Some(at) = at {
            let same: Vec<_> = position
                .iter()
                .zip(at)
                .map(|(column, value)| {
                    format!("{} = {}", self.column(*column), text.value(value, &self.kinds[*column]))
                })
                .collect();
            items += &format!(", CASE WHEN {} THEN '1' ELSE '0' END", same.join(" AND "));
        }
        match (walk, self.changed) {
            (Walk::Unchanged, Some(changed)) => conditions.push(format!("{} IS NULL", self.column(changed))),
            (Walk::Changed, Some(changed)) => conditions.extend(self.between(&mut text, changed)),
            _ => {}
        }
        if let Some(at) = at {
            conditions.push(self.not_before(&mut text, &position, at));
        }
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let order = position.iter().map(|column| self.column(*column)).collect::<Vec<_>>().join(", ");
        text.statement.sql = format!("SELECT {items} FROM {}{filter} ORDER BY {order} LIMIT {rows}", self.from);
        text.statement
    }

    fn between(&self, text: &mut Text<D>, changed: usize) -> Option<String> {
        let (column, kind) = (self.column(changed), &self.kinds[changed]);
        let upper = self.upper.as_ref()?;
        Some(match &self.lower {
            Some(lower) => {
                let lower = text.value(lower, kind);
                format!("{column} >= {lower} AND {column} <= {}", text.value(upper, kind))
            }
            None => format!("{column} <= {}", text.value(upper, kind)),
        })
    }

    fn not_before(&self, text: &mut Text<D>, position: &[usize], at: &[Value]) -> String {
        let mut side = |n: usize| (self.column(position[n]), text.value(&at[n], &self.kinds[position[n]]));
        match position.len() {
            1 => {
                let (key, value) = side(0);
                format!("{key} >= {value}")
            }
            _ if D::TUPLES => {
                let ((changed, mark), (key, value)) = (side(0), side(1));
                format!("({changed}, {key}) >= ({mark}, {value})")
            }
            _ => {
                let ((changed, at_least), (_, more), (key, value)) = (side(0), side(0), side(1));
                format!("{changed} >= {at_least} AND ({changed} > {more} OR {key} >= {value})")
            }
        }
    }
}

fn quoted<D: Driver>(name: &str) -> String {
    let quote = D::QUOTE;
    format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
}
