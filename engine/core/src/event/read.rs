//! Reading an event: the kind first, then its fields straight into their places.
//!
//! serde reads an enum whose tag stands among the fields by collecting all of
//! them, and reading what was collected a second time. A resume reads thousands
//! of lines in which the kind stands before its fields: here each is read once.
//! Lines that have it elsewhere are understood all the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde_json::Value;

use super::{ByKind, EventKind};

/// What stands before the kind in every line: no kind has a field of such a name.
pub(super) const ENVELOPE: [&str; 3] = ["seq", "at", "run"];

/// Defines the kinds twice from one text: as they are written, with the kind
/// among the fields, and as they are read, with the kind known.
macro_rules! kinds {
    ($(#[$attribute:meta])* pub enum EventKind { $($kinds:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum EventKind { $($kinds)* }

        #[derive(Deserialize)]
        #[serde(remote = "EventKind", rename_all = "snake_case")]
        enum ByKind { $($kinds)* }

        /// serde's own way, which the tests compare with.
        #[cfg(test)]
        #[derive(Deserialize)]
        #[serde(remote = "EventKind", tag = "kind", rename_all = "snake_case")]
        pub(super) enum Collected { $($kinds)* }
    };
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Line;
        impl<'de> Visitor<'de> for Line {
            type Value = EventKind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the `kind` of an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventKind, A::Error> {
                let mut before = Vec::new();
                let kind = loop {
                    let Some(Text(name)) = map.next_key()? else { return Err(A::Error::missing_field(KIND)) };
                    match &*name {
                        KIND => break map.next_value::<Text<'de>>()?.0,
                        name if ENVELOPE.contains(&name) => {
                            map.next_value::<Unwanted>()?;
                        }
                        _ => before.push((name, map.next_value()?)),
                    }
                };
                ByKind::deserialize(Known { kind, before, rest: map })
            }
        }
        deserializer.deserialize_map(Line)
    }
}

const KIND: &str = "kind";

/// A name, borrowed where it stands in the line as it is.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowing)
    }
}

/// An event whose kind is known: what stood before the kind, and what follows.
struct Known<'de, A> {
    kind: Cow<'de, str>,
    before: Vec<(Cow<'de, str>, Value)>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Known<'de, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Known<'de, A> {
    type Error = A::Error;
    type Variant = Fields<'de, A>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let kind = seed.deserialize(StrDeserializer::new(&self.kind))?;
        Ok((kind, Fields { names: &[], before: self.before.into_iter(), value: None, rest: self.rest }))
    }
}

/// The fields of an event in the order in which they stand, without what its
/// kind doesn't have.
struct Fields<'de, A> {
    names: &'static [&'static str],
    before: std::vec::IntoIter<(Cow<'de, str>, Value)>,
    /// Of the field that was named last, where it stood before the kind.
    value: Option<Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Fields<'de, A> {
    type Error = A::Error;

    fn struct_variant<V: Visitor<'de>>(
        self,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Self { names, ..self })
    }

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(A::Error::invalid_type(de::Unexpected::UnitVariant, &FIELDS))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, A::Error> {
        Err(A::Error::invalid_type(de::Unexpected::NewtypeVariant, &FIELDS))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(de::Unexpected::TupleVariant, &FIELDS))
    }
}

/// What every kind has.
const FIELDS: &str = "a kind with named fields";

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        for (name, value) in self.before.by_ref() {
            if self.names.contains(&&*name) {
                self.value = Some(value);
                return seed.deserialize(StrDeserializer::new(&name)).map(Some);
            }
        }
        while let Some(Text(name)) = self.rest.next_key()? {
            if self.names.contains(&&*name) {
                return match name {
                    Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
                    Cow::Owned(name) => seed.deserialize(StrDeserializer::new(&name)),
                }
                .map(Some);
            }
            if name == KIND {
                return Err(A::Error::duplicate_field(KIND));
            }
            self.rest.next_value::<Unwanted>()?;
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(A::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}

/// A value of which nothing is kept, read as strictly as those that are: what
/// can't be read is damage wherever it stands.
struct Unwanted;

impl<'de> Deserialize<'de> for Unwanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unwanted {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}
