//! The schemas say what the decoder does.

use serde_json::{Value, json};

use crate::document::decode::{Decode, Decoder};
use crate::document::schema::{project_schema, runbook_schema, scenario_schema};
use crate::document::text::Data;
use crate::source::Source;

fn as_json(yaml: &str) -> Value {
    let source = Source::new("a.yaml", yaml);
    let root = crate::document::yaml::read(&source, &mut crate::diagnostic::Diagnostics::new()).root;
    Data::decode(&root.expect("the examples are not empty"), &mut Decoder::new(&source))
        .expect("any value is data")
        .to_json()
}

fn problems(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::draft7::new(schema).expect("it is a schema");
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_examples_are_valid() {
    for (schema, yaml) in [
        (runbook_schema(), include_str!("whole.yaml")),
        (runbook_schema(), include_str!("everything.yaml")),
        (project_schema(), include_str!("project.yaml")),
        (scenario_schema(), include_str!("scenarios.yaml")),
    ] {
        assert_eq!(problems(&schema, &as_json(yaml)), Vec::<String>::new());
    }
}

#[test]
fn the_schemas_are_draft_07() {
    for schema in [runbook_schema(), project_schema(), scenario_schema()] {
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(jsonschema::meta::is_valid(&schema));
    }
}

#[test]
fn mistakes_are_not_valid() {
    let schema = runbook_schema();
    let good = json!({"steps": [{"id": "a", "run": "true"}]});
    assert_eq!(problems(&schema, &good), Vec::<String>::new());
    for (pointer, key, value) in [
        ("", "stepz", json!([])),
        ("", "version", json!("one")),
        ("", "params", json!({"a b": 1})),
        ("", "params", json!({"a": {"typ": "string"}})),
        ("/steps/0", "timout", json!("5s")),
        ("/steps/0", "timeout", json!(5)),
        ("/steps/0", "timeout", json!("5 minutes")),
        ("/steps/0", "id", json!("A")),
        ("/steps/0", "needs", json!("b")),
        ("/steps/0", "retry", json!({"time": 1})),
        ("/steps/0", "retry", json!("often")),
        ("/steps/0", "check", json!("true")),
        ("/steps/0", "on_failure", json!("explode")),
        ("/steps/0", "undo", json!({"wait": "5s"})),
        ("/steps/0", "done_when", json!({"tcp": "a:1", "udp": "b:2"})),
        ("/steps/0", "batches", json!(["110%"])),
        ("/steps/0", "log_limit", json!(5)),
        ("/steps/0", "escalate", json!([{"after": "5m"}])),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer)
            .and_then(Value::as_object_mut)
            .expect("it is there")
            .insert(key.to_owned(), value);
        assert!(!problems(&schema, &bad).is_empty(), "{bad}");
    }
    assert!(!problems(&schema, &json!({"name": "a"})).is_empty());
    assert!(!problems(&schema, &json!({"steps": [{"id": "a"}]})).is_empty());
    assert!(!problems(&project_schema(), &json!({"chanels": {}})).is_empty());
    assert!(
        !problems(&project_schema(), &json!({"channels": {"a": {"slack": {"url": "x"}, "command": ["y"]}}}))
            .is_empty()
    );
}

#[test]
fn every_key_has_a_hover_text() {
    fn bare(path: &str, schema: &Value, found: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (key, value) in properties {
                let described =
                    value.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
                if !described {
                    found.push(format!("{path}.{key}"));
                }
            }
        }
        if let Some(object) = schema.as_object() {
            for (key, value) in object.iter().filter(|(key, _)| *key != "properties") {
                bare(&format!("{path}/{key}"), value, found);
            }
        }
    }
    let mut found = Vec::new();
    bare("", &runbook_schema(), &mut found);
    found.retain(|path| !path.contains("Secret") && !path.contains("properties"));
    let known = ["secrets", "/anyOf"];
    found.retain(|path| !known.iter().any(|known| path.contains(known)));
    assert_eq!(found, Vec::<String>::new());
}
