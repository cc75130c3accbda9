//! The names of things, as types that can only hold well-formed ones.
//!
//! No path and no command line is ever built from an identifier that has not
//! been through one of these constructors (`engine.md` §5).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest that one part of a step's id may be, in bytes (`language.md` §3).
pub const STEP_PART_LENGTH_MAX: usize = 64;
/// The longest that a whole dotted step id may be, in bytes (`engine.md` §5).
pub const STEP_ID_LENGTH_MAX: usize = 200;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {expected}")]
pub struct InvalidId {
    what: &'static str,
    text: String,
    expected: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, text: text.chars().take(80).collect(), expected: $expected })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "description": $expected})
            }

            fn inline_schema() -> bool {
                true
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Checked;
                impl serde::de::Visitor<'_> for Checked {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Checked)
            }
        }
    };
}

id!(
    /// A run's id: the UTC time it was created and four random characters,
    /// `20261120T071203-k3f9`. Sorts by time.
    RunId,
    "run id",
    "it looks like 20261120T071203-k3f9",
    |text| {
        let bytes = text.as_bytes();
        bytes.len() == 20
            && bytes[8] == b'T'
            && bytes[15] == b'-'
            && bytes[..8].iter().chain(&bytes[9..15]).all(u8::is_ascii_digit)
            && bytes[16..].iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
    }
);

id!(
    /// A step's id: parts of `[a-z][a-z0-9_-]*` joined by dots, each with an
    /// optional item index, as in `stage[0].step`; a host is added as `@host`.
    StepId,
    "step id",
    "parts of a-z, 0-9, _ and - that begin with a letter, joined by dots",
    |text| text.len() <= STEP_ID_LENGTH_MAX && text.split('.').all(is_step_part)
);

/// Whether a text is one part of a dotted step id.
fn is_step_part(part: &str) -> bool {
    let part = part.split_once('@').map_or(part, |(name, _host)| name);
    let name = match part.split_once('[') {
        None => part,
        Some((name, rest)) => match rest.strip_suffix(']') {
            Some(index) if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => return false,
        },
    };
    is_step_name(name)
}

/// Whether a text may stand as `id:` in a runbook: `[a-z][a-z0-9_-]*`, up to 64.
#[must_use]
pub fn is_step_name(name: &str) -> bool {
    name.len() <= STEP_PART_LENGTH_MAX
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl StepId {
    /// The stem of this step's files: `[0]` is written `.0`, so that no shell
    /// needs quotes for it.
    #[must_use]
    pub fn file_stem(&self) -> String {
        self.0.replace('[', ".").replace([']', '@'], "")
    }

    /// The name of the files of this step's undo: no step can have it, as it has
    /// an empty part.
    #[must_use]
    pub fn of_undo(&self) -> Self {
        Self(format!("{}..undo", self.0).into())
    }

    /// The id of the call that undoes a step, with which those of the called steps begin: `ID.undo`. Scenarios name any undo so.
    #[must_use]
    pub fn undo_call(&self) -> Self {
        Self(format!("{}.undo", self.0).into())
    }
}

impl RunId {
    /// Builds an id from the moment of creation and four random characters.
    ///
    /// `randomness` is taken modulo the alphabet, so any numbers will do.
    #[must_use]
    pub fn new(created_at: jiff::Timestamp, randomness: [u8; 4]) -> Self {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let tail: String =
            randomness.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect();
        let zoned = created_at.to_zoned(jiff::tz::TimeZone::UTC);
        Self(format!("{}-{tail}", zoned.strftime("%Y%m%dT%H%M%S")).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_ids_are_checked() {
        for good in ["a", "smoke-tests", "backup.dump", "stage[0].step", "x_1", "deploy[12]"] {
            assert!(good.parse::<StepId>().is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "A", "1a", "a..b", "a[", "a[]", "a[x]", "../a", "a/b", "a b", ".a", long.as_str()] {
            assert!(bad.parse::<StepId>().is_err(), "{bad}");
        }
        assert_eq!("stage[0].step".parse::<StepId>().map(|id| id.file_stem()), Ok("stage.0.step".to_owned()));
    }

    #[test]
    fn run_ids_round_trip() {
        let id = RunId::new("2026-11-20T07:12:03Z".parse().expect("a timestamp"), [0, 1, 31, 32]);
        assert_eq!(id.as_str(), "20261120T071203-ab9a");
        assert_eq!(id.as_str().parse::<RunId>().as_ref(), Ok(&id));
        for bad in ["", "20261120T071203-k3f", "20261120T071203_k3f9", "../../../../etc/pass"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }
}
