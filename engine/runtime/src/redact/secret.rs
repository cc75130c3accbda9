//! The values of secrets, in types that have no way to show them by accident: no `Display`, no `Serialize`, no clear `Debug`.

use std::fmt;

use zeroize::Zeroizing;

/// A secret of fewer characters would be masked in places where it is mere chance, and be guessed from where it isn't.
pub const SECRET_CHARACTERS_MIN: usize = 6;

/// A value that can't be kept secret by masking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// Nothing is there to keep.
    #[error("secret `{name}` is empty")]
    Empty {
        /// The declared name.
        name: String,
    },
    /// Fewer than [`SECRET_CHARACTERS_MIN`] characters.
    #[error(
        "secret `{name}` has only {characters} characters: one shorter than {SECRET_CHARACTERS_MIN} can't be masked, since it would turn up by chance in ordinary output"
    )]
    TooShort {
        /// The declared name.
        name: String,
        /// How many characters the value has.
        characters: usize,
    },
}

/// One secret: its declared name and its value, which is overwritten when dropped.
#[derive(Clone)]
pub struct SecretValue {
    name: String,
    value: Zeroizing<Vec<u8>>,
}

impl SecretValue {
    /// Takes a value over.
    ///
    /// # Errors
    /// A value too short to be masked (engine.md §5).
    pub fn new(name: impl Into<String>, value: Vec<u8>) -> Result<Self, WeakSecret> {
        let name = name.into();
        let value = Zeroizing::new(value);
        let characters = characters(&value);
        if value.is_empty() {
            return Err(WeakSecret::Empty { name });
        }
        if characters < SECRET_CHARACTERS_MIN {
            return Err(WeakSecret::TooShort { name, characters });
        }
        Ok(Self { name, value })
    }

    /// The declared name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value in clear. Give it to a request or an environment, to nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.value
    }

    /// The value in clear as text, where it is UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }
}

/// Bytes that are not UTF-8 count one each.
pub(super) fn characters(value: &[u8]) -> usize {
    String::from_utf8_lossy(value).chars().count()
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretValue({}, masked)", self.name)
    }
}

/// All secrets of a run, in the order of their declaration.
#[derive(Clone, Default)]
pub struct Secrets {
    values: Vec<SecretValue>,
}

impl Secrets {
    /// Secrets from names and values, as they come to a keeper over its socket.
    ///
    /// # Errors
    /// The first value too short to be masked.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, WeakSecret> {
        let values =
            pairs.into_iter().map(|(name, value)| SecretValue::new(name, value)).collect::<Result<_, _>>()?;
        Ok(Self { values })
    }

    /// Adds one.
    pub fn push(&mut self, secret: SecretValue) {
        self.values.push(secret);
    }

    /// The secret of that name.
    pub fn get(&self, name: &str) -> Option<&SecretValue> {
        self.values.iter().find(|secret| secret.name == name)
    }

    /// The value itself of the secret of that name, where it is a text: what templates put where it may stand.
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.get(name)?.expose_text().map(str::to_owned)
    }

    /// All of them, in the order of their declaration.
    pub fn iter(&self) -> std::slice::Iter<'_, SecretValue> {
        self.values.iter()
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl<'a> IntoIterator for &'a Secrets {
    type Item = &'a SecretValue;
    type IntoIter = std::slice::Iter<'a, SecretValue>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<SecretValue> for Secrets {
    fn from_iter<I: IntoIterator<Item = SecretValue>>(values: I) -> Self {
        Self { values: values.into_iter().collect() }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.values).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_short_to_mask_is_refused_by_characters_not_bytes() {
        let table: [(&[u8], Result<(), WeakSecret>); 5] = [
            (b"hunter", Ok(())),
            (b"hunte", Err(WeakSecret::TooShort { name: "x".into(), characters: 5 })),
            ("äöüäö".as_bytes(), Err(WeakSecret::TooShort { name: "x".into(), characters: 5 })),
            (b"\xff\xfe\xfd\xfc\xfb\xfa", Ok(())),
            (b"", Err(WeakSecret::Empty { name: "x".into() })),
        ];
        for (value, expected) in table {
            assert_eq!(SecretValue::new("x", value.to_vec()).map(|_| ()), expected, "{value:?}");
        }
    }

    #[test]
    fn debug_shows_the_name_and_never_the_value() {
        let secrets = Secrets::from_pairs([("db".to_owned(), b"hunter22".to_vec())]).expect("long enough");
        let shown = format!("{secrets:?} {:#?}", secrets.get("db"));
        assert!(shown.contains("db") && !shown.contains("hunter") && !shown.contains("104"), "{shown}");
    }
}
