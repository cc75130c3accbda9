//! JSON Schemas of the language, draft-07, for editors and for other programs.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::model::{Project, Runbook, Scenarios};

/// The schema of a runbook.
#[must_use]
pub fn runbook_schema() -> Value {
    schema_of::<Runbook>()
}

/// The schema of `project.yaml`.
#[must_use]
pub fn project_schema() -> Value {
    schema_of::<Project>()
}

/// The schema of `NAME.test.yaml`.
#[must_use]
pub fn scenario_schema() -> Value {
    schema_of::<Scenarios>()
}

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft07().into_generator().into_root_schema_for::<T>().into()
}

/// A record's schema beside that of the scalar that stands for it.
pub(crate) fn or_short_form(long: Schema, key: &str) -> Schema {
    let mut long = Value::from(long);
    let description = long.get("description").cloned();
    let mut short = long["properties"][key].clone();
    if let Some(short) = short.as_object_mut() {
        short.remove("description");
    }
    if let Some(object) = long.as_object_mut() {
        object.remove("description");
    }
    let mut schema = schemars::json_schema!({"anyOf": [short, long]});
    if let Some(description) = description {
        schema.insert("description".to_owned(), description);
    }
    schema
}
