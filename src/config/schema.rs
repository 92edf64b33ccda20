//! The JSON Schema of the configuration (draft 2020-12), for editors.
//!
//! Owns how a description is said in JSON Schema. Must not know which keys there are.

use serde_json::{Map, Value, json};

use super::keys;
use super::kind::{KeySpec, TableSpec, ValueKind};

/// The schema of a configuration file. What it refuses, the reader refuses too; the reader also checks what no schema
/// can say, such as names that must be known.
pub fn json_schema() -> Value {
    let mut schema = of_table(&keys::ROOT);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("tollgate");
    schema
}

fn of_kind(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Text(_) | ValueKind::Secret(_) | ValueKind::Span(..) | ValueKind::Size(..) => {
            json!({ "type": "string" })
        }
        // a variable can stand for any of the words
        ValueKind::Word(words, _) => {
            json!({ "type": "string", "anyOf": [{ "enum": words() }, { "pattern": "\\$\\{" }] })
        }
        ValueKind::Whole(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ValueKind::Number(_) => json!({ "type": "number" }),
        ValueKind::Flag => json!({ "type": "boolean" }),
        // editors hand a TOML date on as a string or as an object of their own
        ValueKind::Day => json!({}),
        ValueKind::List(allowed, element) => {
            json!({ "type": "array", "items": of_kind(*element), "minItems": u8::from(!allowed.is_empty()) })
        }
        ValueKind::Table(table) => of_table(table),
        ValueKind::Tables(table) => json!({ "type": "array", "items": of_table(table) }),
        ValueKind::Map(value) => json!({ "type": "object", "additionalProperties": of_kind(*value) }),
    }
}

fn of_table(table: &TableSpec) -> Value {
    let mut properties = Map::new();
    for key in table.all() {
        properties.insert(key.name.to_owned(), of_key(key));
        if let ValueKind::Secret(_) = key.kind {
            let description = format!("A file that holds `{}`, and nothing else.", key.name);
            let file = json!({ "type": "string", "description": description });
            properties.insert(format!("{}_file", key.name), file);
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": table.required,
        "additionalProperties": false,
    })
}

fn of_key(key: &KeySpec) -> Value {
    let mut schema = of_kind(key.kind);
    let doc = key.doc.trim();
    schema["description"] = match key.kind {
        ValueKind::Table(_)
        | ValueKind::Tables(_)
        | ValueKind::Map(_)
        | ValueKind::Flag
        | ValueKind::Word(..) => {
            json!(doc)
        }
        kind => json!(format!("{doc} Allowed: {}.", kind.allowed())),
    };
    if let Some(default) = key.default {
        schema["default"] = match key.kind {
            ValueKind::Flag | ValueKind::Whole(..) | ValueKind::List(..) => {
                serde_json::from_str(default).unwrap_or_default()
            }
            _ => json!(default),
        };
    }
    schema
}
