//! The JSON Schema is true: it takes what the reader takes, names every key, and its defaults are those that hold.

use serde_json::{Map, Value, json};
use toml_edit::{Document, Item, TableLike};

use super::super::json_schema;
use super::{JWT_SECRET, SOUND, changed, settings, told};

/// As far as our schema goes: does it accept a value?
fn accepts(schema: &Value, value: &Value) -> bool {
    let is_type = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(other) => panic!("no type `{other}` here"),
        None => true,
    };
    let bound = |name: &str, kept: fn(f64, f64) -> bool| {
        schema[name].as_f64().zip(value.as_f64()).is_none_or(|(bound, number)| kept(number, bound))
    };
    let in_bounds =
        bound("minimum", |number, min| number >= min) && bound("maximum", |number, max| number <= max);
    let any = schema["anyOf"].as_array().is_none_or(|some| some.iter().any(|schema| accepts(schema, value)));
    let is_listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    let fits = schema["pattern"].is_null() || value.as_str().is_some_and(|text| text.contains("${"));
    let items = value.as_array().is_none_or(|items| {
        items.len() as u64 >= schema["minItems"].as_u64().unwrap_or(0)
            && items.iter().all(|item| accepts(&schema["items"], item))
    });
    let keys = value.as_object().is_none_or(|table| {
        let required = schema["required"].as_array().into_iter().flatten();
        let takes = |(key, value): (&String, &Value)| match &schema["properties"][key] {
            Value::Null if schema["additionalProperties"] == json!(false) => false,
            Value::Null => accepts(&schema["additionalProperties"], value),
            schema => accepts(schema, value),
        };
        required.into_iter().all(|key| table.contains_key(key.as_str().unwrap())) && table.iter().all(takes)
    });
    is_type && in_bounds && any && is_listed && fits && items && keys
}

/// A TOML text as an editor hands it to a schema.
fn as_json(text: &str) -> Value {
    fn table(table: &dyn TableLike) -> Value {
        Value::Object(table.iter().map(|(key, item)| (key.to_owned(), of_item(item))).collect::<Map<_, _>>())
    }
    fn of_item(item: &Item) -> Value {
        match item {
            Item::None => Value::Null,
            Item::Table(inner) => table(inner),
            Item::ArrayOfTables(tables) => tables.iter().map(|inner| table(inner)).collect(),
            Item::Value(value) => of_value(value),
        }
    }
    fn of_value(value: &toml_edit::Value) -> Value {
        match value {
            toml_edit::Value::String(text) => json!(text.value()),
            toml_edit::Value::Integer(number) => json!(number.value()),
            toml_edit::Value::Float(number) => json!(number.value()),
            toml_edit::Value::Boolean(flag) => json!(flag.value()),
            toml_edit::Value::Datetime(date) => json!(date.value().to_string()),
            toml_edit::Value::Array(array) => array.iter().map(of_value).collect(),
            toml_edit::Value::InlineTable(inner) => table(inner),
        }
    }
    table(Document::parse(text).unwrap().as_table())
}

#[test]
fn it_accepts_every_shipped_file() {
    let schema = json_schema();
    assert!(accepts(&schema, &as_json(SOUND)));
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = file.unwrap().path();
        if !path.ends_with("prices.toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(accepts(&schema, &as_json(&text)), "{}", path.display());
        }
    }
}

#[test]
fn what_it_refuses_the_reader_refuses_too() {
    let schema = json_schema();
    for (from, to) in [
        ("[server]\n", "[sever]\n"),
        ("[server]\n", "[server]\nlisen = \"0.0.0.0:1\"\n"),
        ("[storage]\n", "[storage]\ndata_dri = \"x\"\n"),
        ("[quota]\n", "[quota]\nlaese = \"1m\"\n"),
        ("[plans.free]\n", "[plans.free]\nmodel = [\"*\"]\n"),
        ("name = \"pool\"\n", "name = \"pool\"\nmxa = 1\n"),
        ("name = \"chat\"\n", "name = \"chat\"\naudence = \"x\"\n"),
        ("claims = { user", "claims = { usr = \"id\", user"),
        ("name = \"claude\"\n", "name = \"claude\"\nbaseurl = \"x\"\n"),
        ("timeouts = { connect", "timeouts = { conect = \"1s\", connect"),
        ("default_plan = \"free\"\n", ""),
        ("name = \"claude\"\n", ""),
        ("max = 5000", "max = -1"),
        ("max = 5000", "max = \"5000\""),
        ("scope = \"team\"", "scope = \"org\""),
        ("migrate = false", "migrate = \"no\""),
        ("models = [\"gpt-*\"]", "models = []"),
        ("models = [\"gpt-*\"]", "models = \"gpt-*\""),
    ] {
        let text = changed(from, to);
        assert!(!accepts(&schema, &as_json(&text)), "the schema takes `{to}`");
        assert_ne!(told(&text), "nothing", "the reader takes `{to}`");
    }
    assert!(accepts(&schema, &as_json(&changed("scope = \"team\"", "scope = \"${SCOPE:-team}\""))));
}

/// Every table of the schema, with its path.
fn tables(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    for inner in [&schema["items"], &schema["additionalProperties"]] {
        tables_of(path, inner, found);
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        tables_of(&format!("{path}.{key}"), inner, found);
    }
}

fn tables_of(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    if schema["properties"].is_object() {
        found.push((path.to_owned(), schema.clone()));
    }
    if schema.is_object() {
        tables(path, schema, found);
    }
}

#[test]
fn every_key_has_a_description() {
    let mut all = Vec::new();
    tables_of("", &json_schema(), &mut all);
    assert!(all.len() >= 16, "only {} tables", all.len());
    for (path, table) in &all {
        for (key, schema) in table["properties"].as_object().unwrap() {
            let text = schema["description"].as_str().unwrap_or_default();
            assert!(text.len() > 10 && text.trim() == text, "{path}.{key}: {text:?}");
        }
    }
}

#[test]
fn its_defaults_are_those_that_hold() {
    let mut all = Vec::new();
    tables_of("", &json_schema(), &mut all);
    // the keys of a table that have a default, written out, one a line or within braces
    let written = |path: &str, between: &str| {
        let (_, table) = all.iter().find(|(known, _)| known == path).unwrap();
        let keys = table["properties"].as_object().unwrap();
        let line = |(key, schema): (&String, &Value)| match &schema["default"] {
            Value::Null => None,
            default => Some(format!("{key} = {default}")),
        };
        keys.iter().filter_map(line).collect::<Vec<_>>().join(between)
    };
    let text = |defaults: bool| {
        let lines = |path: &str| if defaults { written(path, "\n") } else { String::new() };
        let table = |key: &str, path: &str, first: &str| {
            let inner = written(path, ", ");
            if defaults {
                format!("{key} = {{ {first}{inner} }}")
            } else {
                format!("{key} = {{ {} }}", first.trim_end_matches(", "))
            }
        };
        format!(
            "[server]\n{}\n[storage]\n{}\n[quota]\ndefault_plan = \"a\"\n{}\n[plans.a]\nmodels = [\"*\"]\n\
             [[plans.a.limits]]\nname = \"l\"\nmeter = \"messages\"\nmax = 1\nper = \"day\"\n{}\n\
             [[issuers]]\nname = \"i\"\nalgorithms = [\"RS256\"]\njwks_url = \"https://h/k\"\n{}\n{}\n\
             [[apps]]\nname = \"c\"\nsecret = \"{JWT_SECRET}\"\n{}\n\
             [[upstreams]]\nname = \"u\"\nbase_url = \"http://h\"\nmodels = [\"*\"]\nserves = {{ openai = \"/\" }}\n{}\n{}\n{}\n\
             [[webhooks]]\nname = \"w\"\nurl = \"https://h/\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n{}\n",
            lines(".server"),
            lines(".storage"),
            lines(".quota"),
            lines(".plans.limits"),
            lines(".issuers"),
            table("claims", ".issuers.claims", ""),
            if defaults { "leeway = \"30s\"\ntrusted = false" } else { "" },
            lines(".upstreams"),
            table("timeouts", ".upstreams.timeouts", ""),
            table("health_check", ".upstreams.health_check", "path = \"/h\", "),
            lines(".webhooks"),
        )
    };
    assert_eq!(format!("{:?}", settings(&text(true))), format!("{:?}", settings(&text(false))));
    let drains = |bounds: &str| {
        settings(&changed(
            "models = [\"gpt-*\"]",
            &format!("models = [\"gpt-*\"]\non_disconnect = \"drain\"\n{bounds}"),
        ))
        .upstreams
    };
    assert_eq!(
        format!("{:?}", drains(&format!("drain = {{ {} }}", written(".upstreams.drain", ", ")))),
        format!("{:?}", drains(""))
    );
}
