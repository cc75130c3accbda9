//! From nodes to types, collecting every mistake on the way.
//!
//! A [`Decode`] never stops at the first mistake: it reports and reads on, and gives `None` only where no value can be made.
//! Types with keys are written once, with [`record!`](super::record), which makes the struct, its decoder and its JSON Schema.

use std::num::NonZeroU32;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::node::{Kind, Node, Scalar, Value, crop};
use super::text::{ByteSize, Data, Expression, Map, OneOrMany, Spanned, Text, is_name};
use crate::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::duration::Duration;
use crate::source::{Source, Span};

/// How many known words a message may list.
const MAXIMUM_LISTED: usize = 16;

/// What decoding goes on in: the name of the file, and the mistakes found so far.
pub struct Decoder {
    source: Source,
    file: Arc<str>,
    diagnostics: Diagnostics,
}

impl Decoder {
    /// A decoder of what stands in `source`.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self { source: source.clone(), file: source.shared_name(), diagnostics: Diagnostics::new() }
    }

    /// All mistakes found.
    #[must_use]
    pub fn into_diagnostics(self) -> Diagnostics {
        self.diagnostics
    }

    pub(crate) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(&self.file, code, span, message));
    }

    pub(crate) fn error_with_help(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::error(&self.file, code, span, message).with_help(help));
    }

    /// An error at the second of two, naming the place of the first.
    pub(crate) fn duplicate(&mut self, code: &'static str, span: Span, message: &str, first: Span) {
        let line = self.source.location(first.start).line;
        let message = format!("{message} (the first one is in line {line})");
        self.diagnostics.push(
            Diagnostic::error(&self.file, code, span, message).with_related(first, "the first one is here"),
        );
    }

    /// An error with the nearest candidate as help, else with all of them when they are few.
    pub(crate) fn unknown(
        &mut self,
        code: &'static str,
        span: Span,
        message: String,
        word: &str,
        candidates: &[&'static str],
    ) {
        let help = match suggest(word, candidates.iter().copied()) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => Some(format!("known here: {}", candidates.join(", ")))
                .filter(|_| candidates.len() <= MAXIMUM_LISTED),
        };
        let diagnostic = Diagnostic::error(&self.file, code, span, message);
        self.diagnostics.push(match help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str) {
        self.error("wrong-type", node.span, format!("expected {expected}, found {}", node.found()));
    }
}

/// A type that can be read from a node.
pub trait Decode: Sized {
    /// The value, with every mistake reported; `None` when none can be made of the node.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self>;
}

/// A type that is made of keys of a map, alone or among the keys of another.
pub trait Record: Sized {
    /// What it is called in messages, as in "a step".
    const WHAT: &'static str;

    /// Takes its keys out of a map.
    fn take(fields: &mut Fields<'_>, decoder: &mut Decoder) -> Option<Self>;

    /// Adds its keys to a schema's `properties` and `required`.
    fn describe(properties: &mut Properties, generator: &mut SchemaGenerator);
}

/// The keys of a map while a record takes what it knows.
pub struct Fields<'n> {
    /// The map's own place.
    pub(crate) span: Span,
    entries: &'n [(Node, Node)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
    missing: Vec<Missing>,
}

/// What is not there: reported at the end, unless an unknown key is what was meant.
struct Missing {
    code: &'static str,
    /// Any of these keys would do.
    names: Vec<&'static str>,
    message: String,
    help: Option<String>,
}

impl<'n> Fields<'n> {
    /// The keys of a node; reports a node that is no map.
    pub(crate) fn open(node: &'n Node, what: &str, decoder: &mut Decoder) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            decoder.wrong_type(node, &format!("a map ({what})"));
            return None;
        };
        Some(Self {
            span: node.span,
            entries,
            taken: vec![false; entries.len()],
            known: Vec::with_capacity(16),
            missing: Vec::new(),
        })
    }

    /// The key and value under a name, without taking it.
    pub(crate) fn peek(&self, name: &str) -> Option<(&'n Node, &'n Node)> {
        let found =
            self.entries.iter().find(|(key, _)| key.scalar().is_some_and(|key| &*key.text == name))?;
        Some((&found.0, &found.1))
    }

    /// The value under a name; from now on the name is known here.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        let index =
            self.entries.iter().position(|(key, _)| key.scalar().is_some_and(|key| &*key.text == name))?;
        self.taken[index] = true;
        Some(&self.entries[index].1)
    }

    pub(crate) fn optional<T: Decode>(&mut self, name: &'static str, decoder: &mut Decoder) -> Option<T> {
        self.take(name).and_then(|node| T::decode(node, decoder))
    }

    pub(crate) fn required<T: Decode>(
        &mut self,
        name: &'static str,
        what: &str,
        decoder: &mut Decoder,
    ) -> Option<T> {
        let Some(node) = self.take(name) else {
            self.missing("missing-key", &[name], format!("{what} needs the key `{name}`"), None);
            return None;
        };
        T::decode(node, decoder)
    }

    /// Says that any of these keys should be there.
    pub(crate) fn missing(
        &mut self,
        code: &'static str,
        names: &[&'static str],
        message: String,
        help: Option<String>,
    ) {
        self.missing.push(Missing { code, names: names.to_vec(), message, help });
    }

    /// Reports every key that nobody took, and what is missing.
    pub(crate) fn finish(mut self, what: &str, decoder: &mut Decoder) {
        for ((key, _), taken) in self.entries.iter().zip(&self.taken) {
            if *taken {
                continue;
            }
            let Some(scalar) = key.scalar() else {
                decoder.wrong_type(key, "a key");
                continue;
            };
            let message = format!("unknown key `{}` in {what}", crop(&scalar.text));
            decoder.unknown("unknown-key", key.span, message, &scalar.text, &self.known);
            // One slip of the pen is one mistake.
            let meant = suggest(&scalar.text, self.known.iter().copied());
            self.missing.retain(|missing| !meant.is_some_and(|meant| missing.names.contains(&meant)));
        }
        self.report_missing(decoder);
    }

    /// Reports what is missing.
    pub(crate) fn report_missing(self, decoder: &mut Decoder) {
        for missing in self.missing {
            let diagnostic = Diagnostic::error(&decoder.file, missing.code, self.span, missing.message);
            decoder.diagnostics.push(Diagnostic { help: missing.help, ..diagnostic });
        }
    }
}

/// The `properties` and `required` of a schema while records describe themselves.
#[derive(Default)]
pub struct Properties {
    properties: serde_json::Map<String, serde_json::Value>,
    required: Vec<serde_json::Value>,
    one_of: Vec<serde_json::Value>,
}

impl Properties {
    /// Adds a key of type `T` with its hover text.
    pub(crate) fn add<T: JsonSchema>(
        &mut self,
        name: &str,
        description: &str,
        required: bool,
        generator: &mut SchemaGenerator,
    ) {
        let schema = serde_json::Value::from(generator.subschema_for::<T>());
        // draft-07 ignores what stands beside a `$ref`.
        let mut schema = match schema {
            serde_json::Value::Object(object) if !object.contains_key("$ref") => object,
            reference => serde_json::Map::from_iter([("allOf".to_owned(), serde_json::json!([reference]))]),
        };
        schema.insert("description".to_owned(), tidy(description).into());
        self.properties.insert(name.to_owned(), schema.into());
        if required {
            self.required.push(name.into());
        }
    }

    /// Asks for exactly one of these keys, even where a record described one as required.
    pub(crate) fn exactly_one(&mut self, names: &[&str]) {
        self.required.retain(|required| !names.iter().any(|name| required == name));
        self.one_of = names.iter().map(|name| serde_json::json!({"required": [name]})).collect();
    }

    /// The schema of a map with just these keys.
    pub(crate) fn into_schema(self, description: &str) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": tidy(description),
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), self.required.into());
        }
        if !self.one_of.is_empty() {
            schema.insert("oneOf".to_owned(), self.one_of.into());
        }
        schema
    }
}

/// A doc comment as hover text: its lines joined, without the leading blanks.
fn tidy(description: &str) -> String {
    description.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The one scalar of a short form, as the map it stands for.
pub(crate) fn long_form(node: &Node, key: &'static str) -> Node {
    let name = Scalar {
        text: key.into(),
        style: super::node::Style::Plain,
        map: super::node::ScalarMap::Start(node.span.start),
    };
    Node {
        span: node.span,
        value: Value::Mapping(vec![(Node { span: node.span, value: Value::Scalar(name) }, node.clone())]),
    }
}

/// Decodes a record from a map, or from the scalar of its short form.
pub(crate) fn decode_record<T: Record>(
    node: &Node,
    short: Option<&'static str>,
    verify: impl FnOnce(&T, &Node, &mut Decoder),
    decoder: &mut Decoder,
) -> Option<T> {
    if let (Some(key), Value::Scalar(_)) = (short, &node.value) {
        if node.is_null() {
            decoder.wrong_type(node, &format!("{}, as a map or as `{key}` alone", T::WHAT));
            return None;
        }
        let long = long_form(node, key);
        let mut fields = Fields::open(&long, T::WHAT, decoder)?;
        let record = T::take(&mut fields, decoder);
        fields.report_missing(decoder);
        let record = record?;
        verify(&record, node, decoder);
        return Some(record);
    }
    let mut fields = Fields::open(node, T::WHAT, decoder)?;
    let record = T::take(&mut fields, decoder);
    fields.finish(T::WHAT, decoder);
    let record = record?;
    verify(&record, node, decoder);
    Some(record)
}

/// A scalar that is not null, for what is written as one word or text.
pub(crate) fn word<'n>(node: &'n Node, expected: &str, decoder: &mut Decoder) -> Option<&'n Scalar> {
    let scalar = node.scalar().filter(|scalar| scalar.kind() != Kind::Null);
    if scalar.is_none() {
        decoder.wrong_type(node, expected);
    }
    scalar
}

/// A scalar that some `FromStr` reads; its error is the message.
fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    node: &Node,
    expected: &str,
    decoder: &mut Decoder,
) -> Option<T> {
    match word(node, expected, decoder)?.text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            decoder.error("invalid-value", node.span, error.to_string());
            None
        }
    }
}

/// A whole number between two bounds.
pub(crate) fn bounded(node: &Node, least: i64, most: i64, decoder: &mut Decoder) -> Option<i64> {
    let Some(Kind::Integer(value)) = node.scalar().map(Scalar::kind) else {
        decoder.wrong_type(node, "a whole number");
        return None;
    };
    if value < least || value > most {
        let message = if value < least {
            format!("`{value}` is too small: at least {least}")
        } else {
            format!("`{value}` is too large: at most {most}")
        };
        decoder.error("invalid-value", node.span, message);
        return None;
    }
    Some(value)
}

impl Decode for Text {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        word(node, "a text", decoder).map(|scalar| Self::of(scalar, node.span))
    }
}

impl Decode for Expression {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = Self(Text::of(word(node, "an expression", decoder)?, node.span));
        let trimmed = text.trim();
        if let Some(inner) = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            let help = format!("write `{}`", inner.trim());
            decoder.error_with_help(
                "expression-braces",
                node.span,
                "an expression is written without `{{ }}`",
                help,
            );
        } else if trimmed.is_empty() {
            decoder.error("invalid-value", node.span, "an expression is missing");
        }
        Some(text)
    }
}

impl Decode for bool {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if let Some(Kind::Boolean(value)) = node.scalar().map(Scalar::kind) {
            return Some(value);
        }
        decoder.wrong_type(node, "`true` or `false`");
        None
    }
}

impl Decode for u32 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        bounded(node, 0, 1_000_000_000, decoder).and_then(|value| Self::try_from(value).ok())
    }
}

impl Decode for NonZeroU32 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        bounded(node, 1, 1_000_000_000, decoder)
            .and_then(|value| u32::try_from(value).ok())
            .and_then(Self::new)
    }
}

impl Decode for u8 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        bounded(node, 0, 255, decoder).and_then(|value| Self::try_from(value).ok())
    }
}

impl Decode for u16 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        bounded(node, 1, 65_535, decoder).and_then(|value| Self::try_from(value).ok())
    }
}

impl Decode for f64 {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.scalar().map(Scalar::kind) {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a number the author wrote where fractions are meant"
            )]
            Some(Kind::Integer(value)) => Some(value as Self),
            Some(Kind::Float(value)) if value.is_finite() => Some(value),
            _ => {
                decoder.wrong_type(node, "a number");
                None
            }
        }
    }
}

impl Decode for Duration {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        parsed(node, "a duration like `30s`", decoder)
    }
}

impl Decode for ByteSize {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        parsed(node, "a size like `64MiB`", decoder)
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        T::decode(node, decoder).map(|value| Self { value, span: node.span })
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        T::decode(node, decoder).map(Self::new)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Sequence(items) => {
                Some(items.iter().filter_map(|item| T::decode(item, decoder)).collect())
            }
            Value::Scalar(scalar) if scalar.kind() != Kind::Null && !scalar.text.contains('\n') => {
                let help = format!("write `[{}]`", crop(&scalar.text));
                decoder.error_with_help(
                    "wrong-type",
                    node.span,
                    format!("expected a list, found {}", node.found()),
                    help,
                );
                None
            }
            _ => {
                decoder.wrong_type(node, "a list");
                None
            }
        }
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if matches!(node.value, Value::Sequence(_)) {
            return Vec::decode(node, decoder).map(Self);
        }
        T::decode(node, decoder).map(|value| Self(vec![value]))
    }
}

impl<T: Decode, const NAMED: bool> Decode for Map<T, NAMED> {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            decoder.wrong_type(node, "a map");
            return None;
        };
        let mut map = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = word(key, "a name", decoder).map(|scalar| Text::of(scalar, key.span));
            if let Some(name) = name.as_ref().filter(|name| NAMED && !is_name(name)) {
                let message = format!("`{}` is no name", crop(name));
                decoder.error_with_help(
                    "invalid-name",
                    key.span,
                    message,
                    "a name has letters, digits and `_` and begins with no digit",
                );
            }
            let value = T::decode(value, decoder);
            if let (Some(name), Some(value)) = (name, value) {
                map.push((name, value));
            }
        }
        Some(Self(map))
    }
}

impl Decode for Data {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        Some(match &node.value {
            Value::Sequence(items) => {
                Self::List(items.iter().filter_map(|item| Self::decode(item, decoder)).collect())
            }
            Value::Mapping(_) => Self::Map(Map::decode(node, decoder)?),
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => Self::Null,
                Kind::Boolean(value) => Self::Boolean(value),
                Kind::Integer(value) => Self::Integer(value, Text::of(scalar, node.span)),
                Kind::Float(value) if value.is_finite() => Self::Number(value, Text::of(scalar, node.span)),
                Kind::Float(_) | Kind::Text => Self::Text(Text::of(scalar, node.span)),
            },
        })
    }
}

/// A schema that stands where it is used, under no name of its own.
macro_rules! inline_schema {
    ($(@[$($generics:tt)*])? $type:ty, |$generator:ident| $schema:expr) => {
        impl $(<$($generics)*>)? schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}
pub(crate) use inline_schema;

// A number or boolean where a text is expected is taken as the author wrote it.
inline_schema!(Text, |_generator| json_schema!({"type": ["string", "number", "boolean"]}));
inline_schema!(Expression, |_generator| json_schema!({"type": ["string", "number", "boolean"]}));
inline_schema!(ByteSize, |_generator| json_schema!({"type": "string", "pattern": "^[0-9]+ *([KMGT]i)?B$"}));
inline_schema!(Data, |_generator| json_schema!({}));
inline_schema!(@[T: JsonSchema] Spanned<T>, |generator| T::json_schema(generator));
inline_schema!(@[T: JsonSchema] OneOrMany<T>, |generator| {
    let one = generator.subschema_for::<T>();
    json_schema!({"anyOf": [one.clone(), {"type": "array", "items": one}]})
});
inline_schema!(@[T: JsonSchema, const NAMED: bool] Map<T, NAMED>, |generator| {
    let values = generator.subschema_for::<T>();
    if NAMED {
        json_schema!({"type": "object", "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}, "additionalProperties": values})
    } else {
        json_schema!({"type": "object", "additionalProperties": values})
    }
});
