//! Checks variables against the API's own schema, for tests: unknown fields, missing ones, enum members, scalars.

use std::sync::OnceLock;

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use serde_json::Value;

/// The API's schema.
pub fn schema() -> &'static Valid<Schema> {
    static SCHEMA: OnceLock<Valid<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = include_str!("../../tests/stigg/schema.graphql");
        Schema::parse_and_validate(text, "schema.graphql").unwrap_or_else(|problems| panic!("{problems}"))
    })
}

/// What does not hold in a whole request body (`operationName`, `query`, `variables`); empty when all does.
pub fn check_request(body: &[u8]) -> Vec<String> {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return vec![format!("the body is not JSON: {error}")],
    };
    let query = body["query"].as_str().unwrap_or_default();
    let document = match apollo_compiler::ExecutableDocument::parse_and_validate(schema(), query, "request") {
        Ok(document) => document,
        Err(problems) => return vec![problems.to_string()],
    };
    let operation = match document.operations.get(body["operationName"].as_str()) {
        Ok(operation) => operation,
        Err(error) => return vec![format!("no such operation: {error:?}")],
    };
    let mut problems = Vec::new();
    let no_variables = Value::Object(serde_json::Map::new());
    let given = if body["variables"].is_null() { &no_variables } else { &body["variables"] };
    let Some(given) = given.as_object() else { return vec!["variables are no object".to_owned()] };
    for name in given.keys() {
        if !operation.variables.iter().any(|variable| variable.name == name.as_str()) {
            problems.push(format!("${name}: not a variable"));
        }
    }
    for variable in &operation.variables {
        let value = given.get(variable.name.as_str()).unwrap_or(&Value::Null);
        check_value(&variable.ty, value, &format!("${}", variable.name), &mut problems);
    }
    problems
}

/// What does not hold in `value` as a value of the named input type.
pub fn check_input(type_name: &str, value: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    check_named(type_name, value, type_name, &mut problems);
    problems
}

fn check_value(ty: &Type, value: &Value, at: &str, problems: &mut Vec<String>) {
    if value.is_null() {
        if ty.is_non_null() {
            problems.push(format!("{at}: missing or null"));
        }
        return;
    }
    match ty {
        Type::Named(name) | Type::NonNullNamed(name) => check_named(name, value, at, problems),
        Type::List(inner) | Type::NonNullList(inner) => match value {
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    check_value(inner, value, &format!("{at}[{index}]"), problems);
                }
            }
            _ => problems.push(format!("{at}: no list")),
        },
    }
}

fn check_named(name: &str, value: &Value, at: &str, problems: &mut Vec<String>) {
    match schema().types.get(name) {
        Some(ExtendedType::InputObject(input)) => {
            let Some(object) = value.as_object() else {
                problems.push(format!("{at}: no object of {name}"));
                return;
            };
            for key in object.keys() {
                if !input.fields.contains_key(key.as_str()) {
                    problems.push(format!("{at}.{key}: {name} has no such field"));
                }
            }
            for (field, definition) in &input.fields {
                match object.get(field.as_str()) {
                    Some(value) => check_value(&definition.ty, value, &format!("{at}.{field}"), problems),
                    None if definition.is_required() => problems.push(format!("{at}.{field}: missing")),
                    None => {}
                }
            }
        }
        Some(ExtendedType::Enum(members)) => {
            if !value.as_str().is_some_and(|text| members.values.contains_key(text)) {
                problems.push(format!("{at}: {value} is no member of {name}"));
            }
        }
        Some(ExtendedType::Scalar(_)) => {
            let holds = match name {
                "String" | "ConnectionCursor" => value.is_string(),
                "ID" => value.is_string() || value.is_i64(),
                "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                "Float" => value.is_number(),
                "Boolean" => value.is_boolean(),
                "JSON" => true,
                "JSONObject" => value.is_object(),
                "UUID" => value.as_str().is_some_and(|text| text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()),
                "DateTime" => value.as_str().is_some_and(is_date_time),
                _ => false,
            };
            if !holds {
                problems.push(format!("{at}: {value} is no {name}"));
            }
        }
        _ => problems.push(format!("{at}: {name} is no input type")),
    }
}

/// `2022-01-01T00:00:00.000Z`, the form of the vendor's import guide.
fn is_date_time(text: &str) -> bool {
    text.len() == 24 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_schema_would_refuse_is_found() {
        let usage = |row: Value| check_input("ReportUsageBulkInput", &json!({ "usages": [row] }));
        let good = json!({"customerId": "a", "featureId": "f", "value": 1, "updateBehavior": "SET"});
        assert_eq!(usage(good.clone()), Vec::<String>::new());
        let with = |key: &str, value: Value| {
            let mut row = good.clone();
            row[key] = value;
            usage(row)
        };
        assert_eq!(with("colour", json!("red")).len(), 1);
        assert_eq!(with("updateBehavior", json!("ADD")).len(), 1);
        assert_eq!(with("value", json!("1")).len(), 1);
        assert_eq!(with("customerId", Value::Null).len(), 1);
        assert_eq!(with("createdAt", json!("2022-01-01")).len(), 1);
        assert_eq!(usage(json!({"customerId": "a"})).len(), 2);
        assert_eq!(check_input("ReportUsageBulkInput", &json!({})).len(), 1);
    }
}
