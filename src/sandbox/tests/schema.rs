//! Every type that the sandbox shows is the API's.

use apollo_compiler::schema::{ExtendedType, Schema};

use super::Api;

const OFFICIAL: &str = include_str!("../../../tests/stigg/schema.graphql");

/// Differences of `own` from `official`, where only what `own` has is looked at.
fn differences(own: &Schema, official: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    for (name, own_type) in &own.types {
        if own_type.is_built_in() {
            continue;
        }
        let Some(official_type) = official.types.get(name) else {
            found.push(format!("{name} is not in the API"));
            continue;
        };
        match (own_type, official_type) {
            (ExtendedType::Scalar(_), ExtendedType::Scalar(_)) => {}
            (ExtendedType::Object(own), ExtendedType::Object(official)) => {
                for (field, definition) in &own.fields {
                    let Some(other) = official.fields.get(field) else {
                        found.push(format!("{name}.{field} is not in the API"));
                        continue;
                    };
                    if definition.ty != other.ty {
                        found.push(format!("{name}.{field} is {}, in the API {}", definition.ty, other.ty));
                    }
                    for argument in &definition.arguments {
                        match other.arguments.iter().find(|other| other.name == argument.name) {
                            None => found.push(format!("{name}.{field}({}) is not in the API", argument.name)),
                            Some(other) if !same_argument(&argument.ty, &other.ty, other.default_value.is_some()) => {
                                let what = format!("{name}.{field}({})", argument.name);
                                found.push(format!("{what} is {}, in the API {}", argument.ty, other.ty));
                            }
                            Some(_) => {}
                        }
                    }
                    for argument in other.arguments.iter().filter(|argument| argument.is_required()) {
                        if !definition.arguments.iter().any(|own| own.name == argument.name) {
                            found.push(format!("{name}.{field} lacks the argument {}", argument.name));
                        }
                    }
                }
            }
            (ExtendedType::InputObject(own), ExtendedType::InputObject(official)) => {
                for (field, definition) in &own.fields {
                    match official.fields.get(field) {
                        None => found.push(format!("{name}.{field} is not in the API")),
                        Some(other) if definition.ty != other.ty => {
                            found.push(format!("{name}.{field} is {}, in the API {}", definition.ty, other.ty));
                        }
                        Some(_) => {}
                    }
                }
                for (field, definition) in &official.fields {
                    // What a mutation takes must be whole; of a filter or an order, a part will do.
                    let part_will_do = ["Filter", "Comparison", "Sort"].iter().any(|word| name.contains(word));
                    if !own.fields.contains_key(field) && (!part_will_do || definition.is_required()) {
                        found.push(format!("{name} lacks {field}"));
                    }
                }
            }
            (ExtendedType::Enum(own), ExtendedType::Enum(official)) => {
                for value in own.values.keys().filter(|value| !official.values.contains_key(*value)) {
                    found.push(format!("{name}.{value} is not in the API"));
                }
                for value in official.values.keys().filter(|value| !own.values.contains_key(*value)) {
                    if !name.ends_with("SortFields") {
                        found.push(format!("{name} lacks {value}"));
                    }
                }
            }
            (ExtendedType::Union(own), ExtendedType::Union(official)) => {
                let names = |members: &apollo_compiler::schema::UnionType| {
                    let mut names: Vec<String> = members.members.iter().map(ToString::to_string).collect();
                    names.sort();
                    names
                };
                if names(own) != names(official) {
                    found.push(format!("{name} has {:?}, in the API {:?}", names(own), names(official)));
                }
            }
            _ => found.push(format!("{name} is another kind of type in the API")),
        }
    }
    found
}

/// The same type; where the API has a default, ours may say so by being nullable.
fn same_argument(own: &apollo_compiler::ast::Type, official: &apollo_compiler::ast::Type, has_default: bool) -> bool {
    own == official || (has_default && own.clone().non_null() == official.clone().non_null())
}

#[tokio::test]
async fn every_type_field_and_enum_member_is_the_apis() {
    let official = Schema::parse(OFFICIAL, "schema.graphql").unwrap();
    let own = Schema::parse(Api::plain().sandbox.schema_sdl(), "sandbox.graphql").unwrap();

    let found = differences(&own, &official);

    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_difference_is_found() {
    let official = Schema::parse("type Query { a: String! b(c: Int!): Int }", "a").unwrap();
    let own = Schema::parse("type Query { a: String b: Int d: Int }", "b").unwrap();

    assert_eq!(differences(&own, &official).len(), 3);
}

#[test]
fn every_error_code_is_the_apis() {
    let official = Schema::parse(OFFICIAL, "schema.graphql").unwrap();
    let Some(ExtendedType::Enum(codes)) = official.types.get("ErrorCode") else { panic!("no ErrorCode") };
    let source = include_str!("../error.rs");
    let used: Vec<&str> =
        source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split('"').nth(1)).collect();

    assert!(used.len() > 20);
    for code in used {
        assert!(codes.values.keys().any(|value| value.as_str() == code), "{code}");
    }
}
