//! What goes out of a step beside its command: what the command reads, and what a request sends.

use serde_json::Value;

use super::model::{Action, HttpRequest};

/// Renders a text as far as it is known.
type Shown<'t> = &'t mut dyn FnMut(&str) -> String;

/// The standard input of a command.
pub(super) fn read_by(action: &Action, text: Shown<'_>) -> Option<String> {
    match action {
        Action::Run(run) => run.stdin.as_deref().map(text),
        _ => None,
    }
}

/// The body of a request.
pub(super) fn sent_by(action: &Action, text: Shown<'_>) -> Option<String> {
    let Action::Http(http) = action else { return None };
    match &http.request {
        HttpRequest { json: Some(json), .. } => Some(rendered(json, text).to_string()),
        HttpRequest { body: Some(body), .. } => Some(text(body)),
        _ => None,
    }
}

/// The same value with its texts rendered.
fn rendered(value: &Value, text: Shown<'_>) -> Value {
    match value {
        Value::String(written) => text(written).into(),
        Value::Array(items) => items.iter().map(|item| rendered(item, &mut *text)).collect(),
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (key.clone(), rendered(value, &mut *text))).collect()
        }
        other => other.clone(),
    }
}
