//! The JSON Schema of mapping files, for editors.

use serde_json::{Map, Value, json};

use crate::entity::{Field, Kind, Schema};

use super::read_json::takes_json;
use super::spec::How;

/// A JSON Schema (2020-12) of the mapping file. Editors complete and check with it; what it can't
/// say (columns, expressions, values that fit their field), `check` does.
pub fn json_schema() -> Value {
    let names: Vec<&str> = Schema::ALL.map(Schema::name).to_vec();
    let branches: Vec<Value> = Schema::ALL
        .into_iter()
        .map(|schema| {
            let fields = object(schema.fields(), false);
            let mut record = fields.clone();
            record["properties"]["when"] = reference("expression");
            json!({
                "if": { "properties": { "entity": { "const": schema.name() } } },
                "then": { "properties": {
                    "fields": fields,
                    "record": { "type": "array", "items": record }
                } }
            })
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stigg-import mapping",
        "type": "object",
        "additionalProperties": false,
        "required": ["entity"],
        "properties": {
            "$schema": { "type": "string" },
            "entity": { "enum": names, "description": "what the records are" },
            "description": { "type": "string" },
            "where": reference("expression"),
            "group": { "type": "string", "description": "consecutive rows with the same value here make one record" },
            "aggregate": aggregate(),
            "fields": { "type": "object", "description": "what each field is given" },
            "record": {
                "type": "array", "items": { "type": "object" },
                "description": "one record for each block; each adds to [fields]"
            },
            "checks": {
                "type": "object", "additionalProperties": reference("value"),
                "description": "values that are checked and not sent"
            },
            "reject": { "type": "array", "items": {
                "type": "object", "additionalProperties": false, "required": ["when", "because"],
                "properties": { "when": reference("expression"), "because": { "type": "string" } }
            } },
            "lookups": { "type": "object", "additionalProperties": {
                "type": "object",
                "properties": { "file": { "type": "string" }, "key": { "type": "string" }, "value": { "type": "string" } }
            } },
            "csv": { "type": "object", "additionalProperties": false, "properties": {
                "delimiter": { "type": "string", "maxLength": 1 },
                "quote": { "type": "string", "maxLength": 1 },
                "encoding": { "type": "string" }
            } },
            "example": { "type": "array", "items": {
                "type": "object", "additionalProperties": false,
                "properties": {
                    "row": { "type": "object" },
                    "rows": { "type": "array", "items": { "type": "object" } },
                    "gives": { "type": ["object", "array"] },
                    "rejects": { "type": "string" },
                    "filtered": { "const": true }
                }
            } }
        },
        "allOf": branches,
        "$defs": {
            "expression": { "type": "string", "description": "an expression over the row: 'Status == \"active\"'" },
            "value": value(),
            "json": json_value()
        }
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn aggregate() -> Value {
    json!({
        "description": "usage only: many events make one total for a customer, feature and resource",
        "oneOf": [
            { "enum": How::NAMES },
            { "type": "object", "additionalProperties": false, "required": ["how"], "properties": {
                "how": { "enum": How::NAMES },
                "distinct": { "type": "string", "description": "the column by which repeats of an event are known" },
                "order": reference("value")
            } }
        ]
    })
}

fn value() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    let flag = json!({ "type": "boolean" });
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let mut properties = Map::new();
    for key in super::read_value::KEYS.into_iter().filter(|key| *key != "json") {
        let schema = match key {
            "columns" | "first" | "null" | "one_of" | "time" => texts.clone(),
            "optional" | "required" | "trim" | "lower" | "upper" | "whole" => flag.clone(),
            "const" | "default" => scalar.clone(),
            "map" => json!({ "type": "object", "additionalProperties": scalar }),
            "scale" | "min" | "max" => json!({ "type": "integer" }),
            "decimal" | "thousands" => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            "type" => json!({ "enum": ["text", "number", "time", "bool", "email"] }),
            "expr" => reference("expression"),
            _ => text.clone(),
        };
        properties.insert(key.to_owned(), schema);
    }
    json!({ "oneOf": [
        { "type": "string", "description": "a column" },
        { "type": "object", "additionalProperties": false, "properties": properties }
    ] })
}

/// A cell whose JSON is all of a field: only where there is room for several values.
fn json_value() -> Value {
    let texts = json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    let mut properties = Map::new();
    for key in super::read_json::JSON_KEYS {
        let schema = match key {
            "json" => json!({ "const": true, "description": "the cell holds JSON, which is the whole field" }),
            "first" | "null" => texts.clone(),
            "optional" | "required" => json!({ "type": "boolean" }),
            "expr" => reference("expression"),
            _ => json!({ "type": "string" }),
        };
        properties.insert(key.to_owned(), schema);
    }
    json!({ "type": "object", "additionalProperties": false, "required": ["json"], "properties": properties })
}

fn object(fields: &[Field], entry: bool) -> Value {
    let mut properties = Map::new();
    if entry {
        properties.insert("when".to_owned(), reference("expression"));
    }
    for field in fields {
        let mut schema = match field.kind {
            Kind::Fixed(_) => continue,
            Kind::Object(inner) if takes_json(field.kind) => or_json(object(inner, false)),
            Kind::Object(inner) => object(inner, false),
            Kind::List { fields, .. } => or_json(json!({ "type": "array", "items": object(fields, true) })),
            Kind::TextMap | Kind::ScalarMap => or_json(json!({
                "type": "object",
                "properties": { "columns_matching": { "type": "string" } },
                "additionalProperties": reference("value")
            })),
            Kind::TextList => {
                or_json(json!({ "oneOf": [reference("value"), { "type": "array", "items": reference("value") }] }))
            }
            _ => reference("value"),
        };
        schema["description"] = field.doc.into();
        properties.insert(field.name.to_owned(), schema);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn or_json(written: Value) -> Value {
    json!({ "anyOf": [written, reference("json")] })
}
