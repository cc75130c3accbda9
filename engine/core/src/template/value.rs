//! Values: how they print, and what their types are called.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr, ValueKind};

/// The type of a value, or what is known of an expression's type before it is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Number,
    /// Text.
    String,
    /// A list.
    List,
    /// A map of names to values.
    Map,
    /// No value: a parameter that was not given.
    None,
}

impl Type {
    /// Returns the type of a value; `None` for an undefined one.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value.kind() {
            ValueKind::Bool => Self::Boolean,
            ValueKind::Number if value.is_integer() => Self::Integer,
            ValueKind::Number => Self::Number,
            ValueKind::None => Self::None,
            ValueKind::Seq | ValueKind::Iterable => Self::List,
            ValueKind::Map => Self::Map,
            ValueKind::Undefined | ValueKind::Invalid => return None,
            // `ValueKind` is non-exhaustive: what else there is (bytes, placeholders) prints as text.
            _ => Self::String,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Map => "a map",
            Self::None => "none",
        })
    }
}

/// Stands for a value that doesn't exist, in texts that are shown to people: `‹steps.x.stdout: skipped›`.
///
/// Whatever is looked up in it is the placeholder again, so that `steps.x.json.version` shows it too.
#[derive(Debug)]
pub(crate) struct Placeholder(pub(crate) String);

impl Object for Placeholder {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, _key: &Value) -> Option<Value> {
        Some(Value::from_dyn_object(Arc::clone(self)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a value has no text of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoText {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<&'static str>,
}

/// Prints a value the way the language does: `true` and `false`, whole numbers without a fraction, text as it is.
///
/// # Errors
/// `none`, lists, maps, undefined values and numbers that are infinite have no text.
pub(crate) fn text_of(value: &Value) -> Result<String, NoText> {
    let refuse = |code, message: String, help| Err(NoText { code, message, help });
    match value.kind() {
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number if value.is_integer() => Ok(value.to_string()),
        ValueKind::Number => {
            let number = f64::try_from(value.clone()).unwrap_or(f64::NAN);
            if number.is_finite() {
                Ok(number.to_string())
            } else {
                refuse("not-a-number", format!("the value is {number}, which is no number"), None)
            }
        }
        ValueKind::None => refuse(
            "none-in-text",
            "the value is none".to_owned(),
            Some("write `| default(\"…\", true)` to say what stands for it"),
        ),
        ValueKind::Seq | ValueKind::Iterable => refuse(
            "list-in-text",
            "a list has no text of its own".to_owned(),
            Some("write `| join(\" \")`, or `| to_json`"),
        ),
        ValueKind::Map => {
            refuse("map-in-text", "a map has no text of its own".to_owned(), Some("write `| to_json`"))
        }
        ValueKind::Undefined => refuse("undefined-value", "the value is not defined".to_owned(), None),
        ValueKind::Invalid => refuse("invalid-value", "the value could not be computed".to_owned(), None),
        _ => Ok(value.to_string()),
    }
}

/// Makes a value of JSON; whole numbers become integers, the order of maps is kept.
pub(crate) fn from_json_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(from_json_value).collect::<Vec<_>>().into(),
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.iter().map(|(key, value)| (key.as_str(), from_json_value(value))))
        }
    }
}

/// Shows a value inside a message: JSON-like, controls made visible, cut at 80 characters with its length.
pub(crate) fn preview(value: &Value) -> String {
    const SHOWN: usize = 80;
    let text = match value.kind() {
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value
                .try_iter()
                .map(|items| items.take(SHOWN).map(|item| preview(&item)).collect::<Vec<_>>());
            format!("[{}]", items.unwrap_or_default().join(", "))
        }
        ValueKind::Map => serde_json::to_string(value).unwrap_or_else(|_| "a map".to_owned()),
        ValueKind::None => "none".to_owned(),
        ValueKind::Undefined => "not defined".to_owned(),
        _ => text_of(value).unwrap_or_else(|problem| problem.message),
    };
    let visible: String = text.chars().flat_map(visible_character).collect();
    let count = visible.chars().count();
    if count <= SHOWN {
        return visible;
    }
    let start: String = visible.chars().take(SHOWN).collect();
    format!("{start}… ({count} characters)")
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
    )
}

/// Controls, bidirectional and zero-width characters become `\u{…}`: a value must not draw on the terminal.
fn visible_character(character: char) -> Vec<char> {
    let hidden = matches!(character,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    if character.is_control() || hidden { character.escape_unicode().collect() } else { vec![character] }
}
