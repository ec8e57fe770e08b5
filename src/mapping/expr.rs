//! Expressions over a row: minijinja's expression language, with cells looked up when asked for.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value};
use minijinja::{Environment, Error, ErrorKind, Expression, State, UndefinedBehavior};

use crate::entity::plain_decimal;
use crate::record::RowBatch;

use super::fault::Fault;
use super::spec::Span;
use super::time::{Format, TimeRule, Zone};

/// Most steps of one evaluation, about as many as operations; beyond it the row is a reject.
const FUEL: u64 = 20_000;

/// Most operators of one expression: each may be a level of the engine's own recursion, and a thread's stack of 2 MiB holds
/// a thousand levels without optimisation.
const OPERATORS_MAX: usize = 500;

/// Most characters of an evaluation's failure that a reject shows.
const REASON_CHARS_MAX: usize = 200;

/// A column that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub name: String,
    /// Read by `row.get(…)`: it need not exist.
    pub optional: bool,
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expr {
    pub span: Span,
    pub references: Vec<Reference>,
    /// Whether it reads `now`, and so gives something else in each run.
    pub reads_now: bool,
    compiled: Expression<'static, 'static>,
}

impl Expr {
    /// Compiles `source`, which stands at `span`.
    ///
    /// # Errors
    ///
    /// One clause: why it is no expression.
    pub fn compile(source: &str, span: Span) -> Result<Self, String> {
        let operators = operators(source);
        if operators > OPERATORS_MAX {
            return Err(format!("it has {operators} operators and brackets, and may have {OPERATORS_MAX}"));
        }
        let compiled = environment().compile_expression_owned(source.to_owned()).map_err(|error| brief(&error))?;
        let mut references = literal_references(source);
        let mut names: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
        names.sort();
        let reads_now = names.iter().any(|name| name == "now");
        for name in names {
            let mut parts = name.split('.');
            let (first, second) = (parts.next().unwrap_or(""), parts.next());
            let name = match (first, second) {
                ("row", Some("get") | None) => continue,
                ("row", Some(column)) => column,
                (name, _) if is_reserved(name) => continue,
                (name, _) => name,
            };
            references.push(Reference { name: name.to_owned(), optional: false });
        }
        Ok(Self { span, references, reads_now, compiled })
    }

    fn eval(&self, scope: &Value) -> Result<Value, Box<Fault>> {
        self.compiled.eval(scope.clone()).map_err(|error| {
            let reason: String = format!("an expression failed: {}", brief(&error));
            Fault::new(reason.chars().take(REASON_CHARS_MAX).collect::<String>())
        })
    }

    /// Whether it holds.
    pub fn test(&self, scope: &Value) -> Result<bool, Box<Fault>> {
        Ok(self.eval(scope)?.is_true())
    }

    /// Its value as text. `None`: it has none.
    pub fn text(&self, scope: &Value) -> Result<Option<String>, Box<Fault>> {
        let value = self.eval(scope)?;
        if value.is_undefined() || value.is_none() {
            return Ok(None);
        }
        match value.as_str() {
            Some(text) => Ok(Some(text.to_owned())),
            None if value.is_number() || value.as_object().is_none() => Ok(Some(value.to_string())),
            None => Err(Fault::new("an expression gives a list or an object where text is needed")),
        }
    }
}

fn brief(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

/// Names that mean something else than a column; such columns are read with `row["…"]`.
fn is_reserved(name: &str) -> bool {
    matches!(name, "row" | "now") || environment().globals().any(|(known, _)| known == name)
}

/// Columns named in `row["…"]` and `row.get("…")`.
fn literal_references(source: &str) -> Vec<Reference> {
    let mut references = Vec::new();
    let mut rest = source;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if c == '"' || c == '\'' {
            let (_, tail) = literal(rest);
            (rest, before) = (tail, c);
            continue;
        }
        let word = rest.strip_prefix("row").filter(|_| !before.is_alphanumeric() && !matches!(before, '_' | '.'));
        if let Some(tail) = word {
            let tail = tail.trim_start();
            let opened = match tail.strip_prefix('[') {
                Some(inner) => Some((inner, false)),
                None => tail
                    .strip_prefix('.')
                    .and_then(|tail| tail.trim_start().strip_prefix("get"))
                    .and_then(|tail| tail.trim_start().strip_prefix('('))
                    .map(|inner| (inner, true)),
            };
            if let Some((inner, optional)) = opened {
                let inner = inner.trim_start();
                if inner.starts_with(['"', '\'']) {
                    let (name, tail) = literal(inner);
                    references.push(Reference { name, optional });
                    (rest, before) = (tail, '"');
                    continue;
                }
            }
        }
        before = c;
        rest = &rest[c.len_utf8()..];
    }
    references
}

/// How many operators and brackets there are, at least as many as levels; commas and what is between them make none.
fn operators(source: &str) -> usize {
    let (mut rest, mut count) = (source, 0);
    while let Some(c) = rest.chars().next() {
        if c == '"' || c == '\'' {
            rest = literal(rest).1;
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            count += usize::from(matches!(&rest[..end], "not" | "and" | "or" | "in" | "is" | "if" | "else"));
            rest = &rest[end..];
        } else {
            count += usize::from(!c.is_whitespace() && c != ',');
            rest = &rest[c.len_utf8()..];
        }
    }
    count
}

/// Reads the quoted text at the start, and what comes after it.
fn literal(text: &str) -> (String, &str) {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    let mut name = String::new();
    while let Some((at, c)) = chars.next() {
        if Some(c) == quote {
            return (name, &text[at + c.len_utf8()..]);
        }
        if c == '\\' {
            if let Some((_, escaped)) = chars.next() {
                name.push(escaped);
            }
        } else {
            name.push(c);
        }
    }
    (name, "")
}

/// One environment for all expressions: it holds no data.
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.add_function("number", number);
        environment.add_function("time", time);
        environment
    })
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

fn number(value: Value) -> Result<Value, Error> {
    if value.is_number() {
        return Ok(value);
    }
    let text = value.as_str().unwrap_or("").trim();
    if !plain_decimal(text) {
        return Err(invalid("number() was given no number".to_owned()));
    }
    match text.parse::<i64>() {
        Ok(whole) => Ok(Value::from(whole)),
        Err(_) => text.parse::<f64>().map(Value::from).map_err(|_| invalid("number() was given no number".to_owned())),
    }
}

/// Milliseconds since 1970, to compare and subtract.
fn time(text: &str, format: Option<&str>, zone: Option<&str>) -> Result<i64, Error> {
    /// Formats in use; expressions have few.
    const KNOWN_MAX: usize = 64;
    static KNOWN: Mutex<Vec<(String, String, Arc<TimeRule>)>> = Mutex::new(Vec::new());
    let (format, zone) = (format.unwrap_or("iso"), zone.unwrap_or("UTC"));
    let rule = {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|(f, z, _)| f == format && z == zone) {
            Some((_, _, rule)) => rule.clone(),
            None => {
                let rule = Arc::new(TimeRule {
                    formats: vec![Format::parse(format).map_err(invalid)?],
                    zone: Some(Zone::of_name(zone).ok_or_else(|| invalid(format!("no time zone `{zone}`")))?),
                });
                if known.len() == KNOWN_MAX {
                    known.remove(0);
                }
                known.push((format.to_owned(), zone.to_owned(), rule.clone()));
                rule
            }
        }
    };
    rule.convert(text).map(|civil| civil.unix_ms()).map_err(|fault| invalid(format!("time(): {}", fault.reason)))
}

/// The columns of a source, by name.
pub(super) type Names = HashMap<Box<str>, u32>;

/// What expressions see: the rows of one batch, one at a time.
#[derive(Clone)]
pub(super) struct Scope {
    cells: Arc<Cells>,
    value: Value,
}

impl Scope {
    /// A scope over `rows`; `now_ms` is what `now` says.
    pub fn new(rows: &Arc<RowBatch>, names: &Arc<Names>, now_ms: i64) -> Self {
        let cells = Arc::new(Cells { rows: rows.clone(), index: AtomicU32::new(0), names: names.clone(), now_ms });
        let value = Value::from_object(Root(cells.clone()));
        Self { cells, value }
    }

    /// The scope at a row. The same value again: nothing is allocated.
    pub fn at(&self, index: usize) -> &Value {
        self.cells.index.store(u32::try_from(index).expect("a batch has fewer than 2^32 rows"), Ordering::Relaxed);
        &self.value
    }
}

struct Cells {
    rows: Arc<RowBatch>,
    index: AtomicU32,
    names: Arc<Names>,
    now_ms: i64,
}

impl Cells {
    /// A cell as text; NULL is the empty text, so that a mapping holds for CSV and SQL alike.
    fn cell(&self, name: &str) -> Option<Value> {
        let column = *self.names.get(name)?;
        let row = self.rows.row(self.index.load(Ordering::Relaxed) as usize);
        Some(Value::from(row.cell(column as usize).unwrap_or("")))
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cells are customers' data.
        f.write_str("row")
    }
}

impl Object for Cells {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.cell(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.cell(key)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }

    fn call_method(self: &Arc<Self>, _state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match (method, args) {
            ("get", [name]) => Ok(self.get_value(name).unwrap_or_else(|| Value::from(""))),
            ("get", [name, default]) => Ok(self.get_value(name).unwrap_or_else(|| default.clone())),
            ("get", _) => Err(invalid("row.get() takes a column and perhaps a default".to_owned())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

struct Root(Arc<Cells>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("row")
    }
}

impl Object for Root {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "row" => Some(Value::from_dyn_object(DynObject::new(self.0.clone()))),
            "now" => Some(Value::from(self.0.now_ms)),
            "number" | "time" => None,
            name => self.0.cell(name),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(source: &str) -> Vec<(String, bool)> {
        let expr = Expr::compile(source, 0..0).unwrap();
        let mut names: Vec<_> = expr.references.iter().map(|r| (r.name.clone(), r.optional)).collect();
        names.sort();
        names
    }

    #[test]
    fn columns_are_found_wherever_they_stand() {
        assert_eq!(
            names_of(
                r#"Status in ["active", "row['no']"] and row["Customer ID"] != row.get('Ended At', "") and row.Plan"#
            ),
            [("Customer ID", false), ("Ended At", true), ("Plan", false), ("Status", false)]
                .map(|(name, optional)| (name.to_owned(), optional))
        );
        assert_eq!(names_of("number(Quantity) > 1 and time(At, 'unix') < now").len(), 2);
    }

    fn row(cells: &[(&str, Option<&str>)]) -> Scope {
        let columns: Arc<[Box<str>]> = cells.iter().map(|(name, _)| Box::from(*name)).collect();
        let names = Arc::new(columns.iter().zip(0..).map(|(name, at)| (name.clone(), at)).collect());
        let mut rows = RowBatch::new("test".into(), columns);
        rows.push(1, 2, cells.iter().map(|(_, cell)| *cell));
        Scope::new(&Arc::new(rows), &names, 1_000)
    }

    #[test]
    fn cells_are_text_and_null_is_empty() {
        let scope = row(&[("Quantity", Some("12")), ("a b", Some("x")), ("gone", None), ("time", Some("t"))]);
        for holds in [
            "Quantity == '12'",
            "number(Quantity) > 9",
            "row['a b'] == 'x'",
            "gone == ''",
            "row.get('missing') == ''",
            "row.get('missing', 'y') == 'y'",
            "row['time'] == 't'",
            "now == 1000",
            "time('1970-01-01T00:00:01Z') == 1000",
            "time('02.01.1970', '%d.%m.%Y') == 86400000",
        ] {
            let expr = Expr::compile(holds, 0..0).unwrap();
            assert_eq!(expr.test(scope.at(0)), Ok(true), "{holds}");
        }
    }

    #[test]
    fn what_fails_at_a_row_is_a_fault_and_not_false() {
        let scope = row(&[("Quantity", Some("many"))]);
        for fails in
            ["number(Quantity) > 1", "row['nope'] == ''", "time(Quantity)", "range(10000)|map('upper')|list|length > 0"]
        {
            assert!(Expr::compile(fails, 0..0).unwrap().test(scope.at(0)).is_err(), "{fails}");
        }
    }

    #[test]
    fn operators_are_bounded_before_anything_recurses_and_lists_may_be_long() {
        for (first, each, last) in [
            ("", "-", "x"),
            ("", "not ", "x"),
            ("x", ".a", ""),
            ("x", "[0]", ""),
            ("x", " + 1", ""),
            ("x", " ~ x", ""),
            ("x", "|lower", ""),
            ("x", " and x", ""),
            ("x", " if x else x", ""),
            ("x", " is defined", ""),
            ("", "(", "x"),
            ("", "[", "x"),
            ("'it\\'s' ~ ", "-", "x"),
            ("x ~ '", "' ~ '", "'"),
        ] {
            let of = |times: usize| format!("{first}{}{last}", each.repeat(times));
            let error = Expr::compile(&of(100_000), 0..0).unwrap_err();
            assert!(error.ends_with("operators and brackets, and may have 500"), "{each}: {error}");
            // As many as may be, on the smallest stack that reads mappings: no overflow.
            let most = (1..=OPERATORS_MAX).rev().map(of).find(|text| operators(text) <= OPERATORS_MAX).unwrap();
            drop(Expr::compile(&most, 0..0).map(|expr| expr.test(row(&[("x", Some("y"))]).at(0))));
        }
        let long = format!("x in [{}]", vec!["'y-(z)'"; 5_000].join(", "));
        assert!(Expr::compile(&long, 0..0).unwrap().test(row(&[("x", Some("y-(z)"))]).at(0)).unwrap());
    }

    #[test]
    fn an_endless_computation_ends() {
        let scope = row(&[("x", Some("y"))]);
        let expr = Expr::compile("(('x' * 100000) ~ ('x' * 100000000))|length > 0", 0..0).unwrap();
        assert!(expr.test(scope.at(0)).is_err());
    }
}
