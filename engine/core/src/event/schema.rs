//! The JSON Schema of a line of the journal.

use serde_json::Value;

use super::EventKind;

/// The schema of a line of the journal, and of `--format json`: draft-07.
#[must_use]
pub fn event_schema() -> Value {
    let kinds: Value = schemars::generate::SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<EventKind>()
        .into();
    let mut schema = kinds;
    schema["title"] = "Event".into();
    schema["description"] =
        "One line of a run's journal. Fields and kinds may be added; those that are here stay as they are."
            .into();
    schema["type"] = "object".into();
    schema["required"] = serde_json::json!(["seq", "at", "run", "kind"]);
    schema["properties"] = serde_json::json!({
        "seq": {"type": "integer", "minimum": 1, "description": "Position in the run's journal, without gaps."},
        "at": {"type": "string", "format": "date-time", "description": "When it was decided; UTC with milliseconds."},
        "run": {"type": "string", "description": "The run's id."},
        "kind": {"type": "string", "description": "What happened."},
        "prev": {"type": "string", "description": "The hash of the line before; 64 zeros in the very first."},
        "hash": {"type": "string", "description": "SHA-256 over the bytes of this line before its last `,\"hash\"`."},
    });
    schema
}
