//! A mapping's fields as they are written, for whoever asks how a value came to be.

use super::MappingFile;
use super::spec::{FieldSpec, NodeSpec, Span, ValueSpec};

impl MappingFile {
    /// Each field's path and what the file says of it, in the order in which they are sent; entries of lists have their
    /// position in the path. Of several records from one row, the fields of all.
    pub fn fields_as_written(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for shape in &self.shapes {
            self.walk("", &shape.fields, &mut out);
        }
        out.dedup();
        out
    }

    fn walk(&self, prefix: &str, fields: &[FieldSpec], out: &mut Vec<(String, String)>) {
        for field in fields {
            let path = format!("{prefix}{}", field.field.name);
            match &field.node {
                NodeSpec::Value(value) | NodeSpec::Json(value) => out.push((path, self.slice(&value.span))),
                NodeSpec::Object(fields) => self.walk(&format!("{path}."), fields, out),
                NodeSpec::Map { entries, matching } => {
                    let entry =
                        |(name, value): &(String, ValueSpec)| (format!("{path}.{name}"), self.slice(&value.span));
                    out.extend(entries.iter().map(entry));
                    if !matching.is_empty() {
                        out.push((format!("{path}.*"), self.slice(&field.span)));
                    }
                }
                NodeSpec::Texts(values) => {
                    let written: Vec<String> = values.iter().map(|value| self.slice(&value.span)).collect();
                    out.push((path, written.join(", ")));
                }
                NodeSpec::List(entries) => {
                    for (at, entry) in entries.iter().enumerate() {
                        self.walk(&format!("{path}.{at}."), &entry.fields, out);
                    }
                }
            }
        }
    }

    /// On one line.
    fn slice(&self, span: &Span) -> String {
        self.text.get(span.clone()).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::mapping;

    #[test]
    fn fields_come_with_their_paths_and_their_text() {
        let text = "entity = \"subscription\"\n[fields]\nsubscriptionId = \"id\"\ncustomerId = { column  = \"c\" }\n\
            planId = { const = \"plan-a\" }\nadditionalMetaData.legacy = \"id\"\n[[fields.addons]]\naddonId = \"addon\"\n";
        let file = mapping::parse("m.toml", text, Path::new("")).expect("it holds");
        let written = file.fields_as_written();
        let pairs: Vec<_> = written.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("subscriptionId", "\"id\""),
                ("customerId", "{ column = \"c\" }"),
                ("planId", "{ const = \"plan-a\" }"),
                ("addons.0.addonId", "\"addon\""),
                ("additionalMetaData.legacy", "\"id\""),
            ]
        );
    }
}
