//! JSON records as a sample: each value under the path by which a mapping reads it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::sample::{ColumnSample, Sample};
use crate::record::RowBatch;

/// Levels that are looked into; what lies deeper is seen as the JSON of its object.
const DEPTH_MAX: usize = 8;

/// Most columns. Objects whose keys are ids have a new one in each record, and none of those is a field.
const COLUMNS_MAX: usize = 500;

/// A sample whose columns are found in the records.
///
/// A text, number or truth is a column of its path (`owner.email`, `items[0].price`, `data["a.b"]`); an object or an array
/// is one, too, whose cells are its JSON. Of an array of objects the first is looked into.
#[derive(Debug, Clone, Default)]
pub struct JsonSample {
    sample: Sample,
    at: BTreeMap<String, usize>,
}

impl JsonSample {
    /// A sample of no records yet.
    pub fn new() -> Self {
        Self { sample: Sample { is_json: true, ..Sample::default() }, at: BTreeMap::new() }
    }

    /// Takes rows in, `rows_max` in all. The first cell is a whole record as JSON, further ones are columns as they are.
    pub fn add(&mut self, rows: &RowBatch, rows_max: u64) {
        let left = usize::try_from(rows_max.saturating_sub(self.sample.rows)).unwrap_or(usize::MAX);
        for row in rows.rows().take(left) {
            self.sample.rows += 1;
            let mut cells = row.cells();
            if let Some(Ok(Value::Object(record))) = cells.next().flatten().map(serde_json::from_str) {
                record.iter().for_each(|(key, value)| self.value(key, value, 1));
            }
            for (name, cell) in rows.columns().iter().skip(1).zip(cells) {
                self.cell(name, cell);
            }
        }
    }

    /// Rows that were looked at.
    pub fn rows(&self) -> u64 {
        self.sample.rows
    }

    /// The sample.
    pub fn into_sample(self) -> Sample {
        self.sample
    }

    fn value(&mut self, path: &str, value: &Value, depth: usize) {
        match value {
            Value::Null => self.cell(path, None),
            Value::Bool(truth) => self.cell(path, Some(if *truth { "true" } else { "false" })),
            Value::Number(number) => self.cell(path, Some(&number.to_string())),
            Value::String(text) => self.cell(path, Some(text)),
            Value::Object(inside) => {
                self.cell(path, Some(&value.to_string()));
                if depth < DEPTH_MAX && (depth > 1 || leads_inside(path)) {
                    inside.iter().for_each(|(key, value)| self.value(&step(path, key), value, depth + 1));
                }
            }
            Value::Array(items) => {
                self.cell(path, Some(&value.to_string()));
                if let Some(first @ Value::Object(_)) = items.first()
                    && depth < DEPTH_MAX
                    && (depth > 1 || leads_inside(path))
                {
                    self.value(&format!("{path}[0]"), first, depth + 1);
                }
            }
        }
    }

    fn cell(&mut self, path: &str, cell: Option<&str>) {
        let at = match self.at.get(path) {
            Some(at) => *at,
            None if self.at.len() == COLUMNS_MAX => return,
            None => {
                self.sample.columns.push(ColumnSample { name: path.to_owned(), ..ColumnSample::default() });
                self.at.insert(path.to_owned(), self.sample.columns.len() - 1);
                self.sample.columns.len() - 1
            }
        };
        if let Some(cell) = cell {
            self.sample.columns[at].add(cell);
        }
    }
}

/// Whether a record's own key can begin a path: one with a dot or a bracket is only read as a whole.
fn leads_inside(key: &str) -> bool {
    !key.is_empty() && !key.contains(['.', '['])
}

/// The path of a key inside an object.
fn step(path: &str, key: &str) -> String {
    if leads_inside(key) { format!("{path}.{key}") } else { format!("{path}[{}]", Value::from(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(records: &[&str]) -> Sample {
        let mut rows = RowBatch::new("a.json".into(), ["_json".into()].into());
        (1..).zip(records).for_each(|(number, record)| rows.push(number, number, [Some(*record)]));
        let mut sample = JsonSample::new();
        sample.add(&rows, 2);
        sample.into_sample()
    }

    #[test]
    fn values_stand_under_the_paths_by_which_they_are_read() {
        let sample = sample(&[
            r#"{"id":7,"owner":{"mail":"a@b.c","a.b":true},"items":[{"sku":"x"},{"sku":"y"}],"odd.key":{"in":1},"none":null}"#,
            r#"{"id":8.50,"tags":["p","q"]}"#,
            r#"{"id":"the third is too many"}"#,
        ]);
        let columns: Vec<(&str, Vec<&str>)> = sample
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.cells.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            columns,
            [
                ("id", vec!["7", "8.5"]),
                ("owner", vec![r#"{"mail":"a@b.c","a.b":true}"#]),
                ("owner.mail", vec!["a@b.c"]),
                (r#"owner["a.b"]"#, vec!["true"]),
                ("items", vec![r#"[{"sku":"x"},{"sku":"y"}]"#]),
                ("items[0]", vec![r#"{"sku":"x"}"#]),
                ("items[0].sku", vec!["x"]),
                ("odd.key", vec![r#"{"in":1}"#]),
                ("none", vec![]),
                ("tags", vec![r#"["p","q"]"#]),
            ]
        );
        assert_eq!(sample.rows, 2);
    }

    #[test]
    fn keys_that_are_ids_make_no_endless_columns() {
        let records: Vec<String> = (0..2)
            .map(|n| format!("{{{}}}", (0..400).map(|key| format!("\"k{n}-{key}\":1")).collect::<Vec<_>>().join(",")))
            .collect();
        let sample = sample(&records.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(sample.columns.len(), COLUMNS_MAX);
    }
}
