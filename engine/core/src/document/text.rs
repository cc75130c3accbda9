//! The small values that a document is made of: texts that know where they stand, maps, untyped data, sizes.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::node::{Scalar, ScalarMap};
use crate::source::Span;

/// Any value with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the document's source.
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { value: T::deserialize(deserializer)?, span: Span::default() })
    }
}

/// A text that an author wrote, usually a template (language.md §7), not rendered. Cheap to clone. Two are equal when they read the same.
/// Serialized as a plain string: places are not kept.
#[derive(Clone)]
pub struct Text {
    value: Arc<str>,
    span: Span,
    map: ScalarMap,
}

impl Text {
    /// A text that stands in no source.
    #[must_use]
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self { value: value.into(), span: Span::default(), map: ScalarMap::Start(0) }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn of(scalar: &Scalar, span: Span) -> Self {
        Self { value: Arc::clone(&scalar.text), span, map: scalar.map.clone() }
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The text itself, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.value)
    }

    /// Where the whole stands, quotes included.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Where a byte range of the text stands in the source: exact in plain, one-line quoted and literal (`|`) scalars, else the whole.
    #[must_use]
    pub fn source_span(&self, range: Range<usize>) -> Span {
        self.map.source_span(&range, self.span)
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        &*self.value == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        &*self.value == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, formatter)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.value)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.value)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// An expression (language.md §7), written without braces, not yet parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expression(pub Text);

impl Deref for Expression {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.0
    }
}

/// One value, or a list of them; always a list once read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// A map in the author's order. With `NAMED`, every key is a name as templates can say it: `[A-Za-z_][A-Za-z0-9_]*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<T, const NAMED: bool = false>(pub Vec<(Text, T)>);

/// A map whose keys are names: `[A-Za-z_][A-Za-z0-9_]*`.
pub type Named<T> = Map<T, true>;

impl<T, const NAMED: bool> Default for Map<T, NAMED> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const NAMED: bool> Map<T, NAMED> {
    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// All keys with their values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &T)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Text> {
        self.0.iter().map(|(key, _)| key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize, const NAMED: bool> Serialize for Map<T, NAMED> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>, const NAMED: bool> Deserialize<'de> for Map<T, NAMED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = indexmap::IndexMap::<String, T>::deserialize(deserializer)?;
        Ok(Self(entries.into_iter().map(|(key, value)| (Text::new(key), value)).collect()))
    }
}

/// Data of any shape, as in `json:`, `with:`, `for_each:` and `vars:`; its texts are templates where the key says so.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number, with the text that was written.
    Integer(i64, Text),
    /// Another, finite number, with the text that was written.
    Number(f64, Text),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Map<Self>),
}

impl Data {
    /// The same as JSON, its texts as they were written.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
    }
}

impl From<serde_json::Value> for Data {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Boolean(value),
            Value::Number(number) => {
                let text = Text::new(number.to_string());
                match number.as_i64() {
                    Some(value) => Self::Integer(value, text),
                    None => Self::Number(number.as_f64().unwrap_or(f64::MAX), text),
                }
            }
            Value::String(text) => Self::Text(Text::new(text)),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(entries) => Self::Map(Map(entries
                .into_iter()
                .map(|(key, value)| (Text::new(key), Self::from(value)))
                .collect())),
        }
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Integer(value, _) => serializer.serialize_i64(*value),
            Self::Number(value, _) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}

/// A number of bytes, written `64KiB 64MiB 2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units of size, largest first.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let shown = super::node::crop(text);
        if number.is_empty() {
            return Err(format!("`{shown}` is no size; write it like `64KiB`, `64MiB` or `2GiB`"));
        }
        if unit.is_empty() {
            return Err(format!("`{shown}` has no unit; write `{shown}B`, or with KiB, MiB or GiB"));
        }
        let Some((_, factor)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim_start()) else {
            return Err(format!(
                "`{}` is no unit of size; the units are B KiB MiB GiB TiB",
                super::node::crop(unit)
            ));
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        bytes.filter(|bytes| *bytes <= 1 << 50).map(Self).ok_or_else(|| format!("`{shown}` is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.copied().unwrap_or(("B", 1));
        formatter.pad(&format!("{}{unit}", self.0 / factor))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a text is a name as templates can say it: `[A-Za-z_][A-Za-z0-9_]*`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
