//! The JSON Schema of pipeline files.

use serde_json::{Value, json};

use crate::sink::Operation;

/// The schema, for editors (`stigg-import schema pipeline`).
pub fn json_schema() -> Value {
    let limits: serde_json::Map<String, Value> = Operation::ALL
        .iter()
        .map(|operation| {
            let rate = operation.rate();
            let about = format!("requests a minute; {} ({})", rate.per_minute, rate.source);
            (operation.root_field().to_owned(), json!({ "type": "integer", "minimum": 1, "description": about }))
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "stigg-import pipeline",
        "type": "object",
        "additionalProperties": false,
        "required": ["step"],
        "properties": {
            "$schema": { "type": "string" },
            "target": {
                "type": "object",
                "additionalProperties": false,
                "description": "where the records go; the key comes from the environment variable STIGG_API_KEY",
                "properties": {
                    "url": { "type": "string", "format": "uri", "default": "https://api.stigg.io/graphql" }
                }
            },
            "limits": {
                "type": "object",
                "additionalProperties": false,
                "description": "rates that replace the published ones, for a key with its own limits",
                "properties": limits
            },
            "max_rejects": {
                "description": "stop after this many rejects, or this share of the rows",
                "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.]+ ?%$" }]
            },
            "notify": {
                "type": "object",
                "additionalProperties": false,
                "required": ["url"],
                "description": "a webhook that `sync` tells of runs that failed",
                "properties": {
                    "url": {
                        "type": "string",
                        "description": "gets a POST with a JSON object; ${NAME} stands for an environment variable"
                    },
                    "rejects_above": {
                        "description": "it is told, too, when more than this was rejected or refused",
                        "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.]+ ?%$" }]
                    }
                }
            },
            "step": {
                "type": "array",
                "minItems": 1,
                "description": "run in order; each is settled before the next begins",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "mapping", "source"],
                    "properties": {
                        "name": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" },
                        "mapping": { "type": "string", "description": "a mapping file, from this file's folder" },
                        "source": source()
                    }
                }
            }
        }
    })
}

fn source() -> Value {
    let files = json!({
        "description": "a file, a pattern, or - for standard input; or a list of them",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }]
    });
    let encoding = json!({ "type": "string", "examples": ["utf-8", "utf-16le", "windows-1252"] });
    let database = |kind: &str, about: &str| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": [kind],
            "oneOf": [{ "required": ["query"] }, { "required": ["table"] }],
            "properties": {
                kind: { "type": "string", "description": about },
                "query": { "type": "string" },
                "table": { "type": "string" },
                "key": { "type": "string", "description": "a unique column; rows are read in pages by it" },
                "changed": { "type": "string", "description": "a column that grows with each change; a run reads what has changed since the last one" },
                "changed_margin": { "type": "integer", "minimum": 0, "default": 60, "description": "how far before the last mark rows are read again: seconds, or the column's own unit" }
            }
        })
    };
    let url = "the database's URL; ${NAME} is an environment variable, and passwords belong into one";
    json!({
        "oneOf": [
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["csv"],
                "properties": {
                    "csv": files,
                    "delimiter": { "type": "string", "minLength": 1, "maxLength": 1 },
                    "quote": { "type": "string", "description": "one character, or none" },
                    "encoding": encoding
                }
            },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["json"],
                "properties": {
                    "json": files,
                    "array": { "type": "string", "description": "the array that holds the records, in an object" },
                    "each": { "type": "string", "description": "one row for each entry of this object or array" },
                    "encoding": encoding
                }
            },
            database("postgres", url),
            database("mysql", url),
            database("mariadb", url),
            database("sqlite", "the database's file"),
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["stripe"],
                "properties": {
                    "stripe": { "enum": ["customers", "subscriptions"], "description": "a list of Stripe's API; the key comes from the environment variable STRIPE_API_KEY" },
                    "url": { "type": "string", "format": "uri", "default": "https://api.stripe.com" }
                }
            }
        ]
    })
}
