//! Replaces every spelling of every secret by its mask, in whole texts and in streams cut at any byte.

use std::sync::Arc;

use aho_corasick::automaton::StateID;
use zeroize::{Zeroize, Zeroizing};

use super::forms;
use super::mask::mask_of;
use super::search::{Found, Search};
use super::secret::{Secrets, WeakSecret};

/// Knows every spelling of every secret. Cheap to clone; without secrets it hands everything through untouched.
#[derive(Clone, Default)]
pub struct Masker {
    /// `None` without secrets: the identity, at no cost.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    search: Search,
    names: Vec<String>,
    masks: Vec<String>,
    /// For each spelling that `search` knows: what it belongs to.
    spellings: Vec<Spelling>,
}

#[derive(Clone, Copy)]
struct Spelling {
    /// Index into `names` and `masks`.
    secret: usize,
    /// The mask itself is searched for too, and replaced by itself: so a value that is part of a mask's own text (`secrets`)
    /// does not tear the mask, and masking twice is the same as once.
    is_mask: bool,
}

impl Masker {
    /// Builds the search for all spellings of all secrets.
    pub fn new(secrets: &Secrets) -> Self {
        if secrets.is_empty() {
            return Self::default();
        }
        let mut texts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut spellings = Vec::new();
        let (mut names, mut masks) = (Vec::new(), Vec::new());
        for (index, secret) in secrets.iter().enumerate() {
            let mask = mask_of(secret.name());
            for text in forms::of(secret.expose()) {
                texts.push(text);
                spellings.push(Spelling { secret: index, is_mask: false });
            }
            texts.push(Zeroizing::new(mask.clone().into_bytes()));
            spellings.push(Spelling { secret: index, is_mask: true });
            names.push(secret.name().to_owned());
            masks.push(mask);
        }
        let search = Search::new(&texts);
        Self { inner: Some(Arc::new(Inner { search, names, masks, spellings })) }
    }

    /// The same from names and values, as they come to a keeper over its socket.
    ///
    /// # Errors
    /// A value too short to be masked; nothing may be printed with such a secret in play.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, WeakSecret> {
        Ok(Self::new(&Secrets::from_pairs(pairs)?))
    }

    /// Whether there are no secrets, so that nothing is ever changed.
    pub fn is_empty(&self) -> bool {
        self.inner.is_none()
    }

    /// `text` with every secret replaced by its mask.
    pub fn text(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        // A secret that is no UTF-8 may begin or end within a character; what is left of it can't stay.
        String::from_utf8(self.bytes(text.as_bytes()))
            .unwrap_or_else(|torn| String::from_utf8_lossy(torn.as_bytes()).into_owned())
    }

    /// `input` with every secret replaced by its mask.
    pub fn bytes(&self, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(input.len());
        let mut stream = self.stream();
        stream.push(input, &mut out);
        stream.finish(&mut out);
        out
    }

    /// `value` with every secret replaced by its mask, in keys, strings and (as a string then) numbers.
    pub fn json(&self, value: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        if self.is_empty() {
            return value.clone();
        }
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(number) => {
                let text = number.to_string();
                if self.holds_secret(&text).is_some() {
                    Value::String(self.text(&text))
                } else {
                    value.clone()
                }
            }
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.json(item)).collect()),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, item)| (self.text(key), self.json(item))).collect())
            }
        }
    }

    /// The name of the first secret that `text` holds in any spelling; a mask is none.
    ///
    /// A parameter that holds a secret's value is refused with it (language.md §7).
    pub fn holds_secret(&self, text: &str) -> Option<&str> {
        let inner = self.inner.as_deref()?;
        let mut regions = Vec::new();
        inner.search.run(&mut inner.search.start(), text.as_bytes(), |hit| add(&mut regions, &hit, 0));
        let spellings = regions.iter().map(|region| inner.spellings[region.spelling]);
        spellings
            .filter(|spelling| !spelling.is_mask)
            .map(|spelling| inner.names[spelling.secret].as_str())
            .next()
    }

    /// A masker for bytes that arrive in pieces.
    pub fn stream(&self) -> StreamMasker {
        let state = self.inner.as_deref().map(|inner| inner.search.start());
        StreamMasker { inner: self.inner.clone(), state, held: Vec::new(), regions: Vec::new() }
    }
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.inner.as_deref().map_or(&[][..], |inner| &inner.names);
        formatter.debug_struct("Masker").field("secrets", &names).finish_non_exhaustive()
    }
}

/// Masks a stream, whatever the sizes of its pieces: the output does not depend on where it was cut.
///
/// Of what was pushed, only the longest suffix that may be the beginning of a secret is held back, nothing else: a prompt without a
/// newline is out at once. Memory is bounded by the longest spelling of a secret and the piece at hand.
pub struct StreamMasker {
    inner: Option<Arc<Inner>>,
    state: Option<StateID>,
    /// Bytes that were read and not written yet. All offsets below count from its first byte.
    held: Vec<u8>,
    /// Found and not written yet, apart from each other, in order. The first may begin before `held` does (its first bytes are
    /// gone, its mask is still to be written); it is then cut to begin at 0.
    regions: Vec<Region>,
}

/// Bytes that are covered by one secret, or by several that overlap: then the longest gives the mask.
#[derive(Clone, Copy)]
struct Region {
    start: usize,
    end: usize,
    longest: usize,
    /// Index into [`Inner::spellings`]: the longest.
    spelling: usize,
}

impl StreamMasker {
    /// Takes `input` in, and appends to `out` what surely is no part of a secret.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let (Some(inner), Some(state)) = (self.inner.clone(), &mut self.state) else {
            out.extend_from_slice(input);
            return;
        };
        let before = self.held.len();
        let regions = &mut self.regions;
        inner.search.run(state, input, |hit| add(regions, &hit, before));
        let total = before + input.len();
        let settled = total - inner.search.depth(*state);
        self.write(settled, input, &inner, out);
    }

    /// Ends the stream: appends what was held back. The masker can then be used for another stream.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let (Some(inner), Some(state)) = (self.inner.clone(), &mut self.state) else {
            return;
        };
        *state = inner.search.start();
        self.write(self.held.len(), &[], &inner, out);
    }

    /// How many bytes are held back at the moment.
    pub fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Writes all that lies before `settled`, where no later match can begin any more, and keeps the rest.
    fn write(&mut self, settled: usize, input: &[u8], inner: &Inner, out: &mut Vec<u8>) {
        let mut written = 0;
        let mut kept_from = 0;
        for region in &mut self.regions {
            if region.start >= settled && region.end > settled {
                break;
            }
            copy(&self.held, input, written, region.start, out);
            if region.end > settled {
                // A later match may still overlap its end: the mask waits, the bytes need not.
                region.start = settled;
                written = settled;
                break;
            }
            let secret = inner.spellings[region.spelling].secret;
            out.extend_from_slice(inner.masks[secret].as_bytes());
            written = region.end;
            kept_from += 1;
        }
        copy(&self.held, input, written, settled, out);
        self.regions.drain(..kept_from);
        for region in &mut self.regions {
            region.start -= settled;
            region.end -= settled;
        }
        self.keep_from(settled, input);
    }

    fn keep_from(&mut self, settled: usize, input: &[u8]) {
        let before = self.held.len();
        if settled >= before {
            self.held.zeroize();
            self.held.extend_from_slice(&input[settled - before..]);
        } else {
            self.held.drain(..settled);
            self.held.extend_from_slice(input);
        }
    }
}

impl Drop for StreamMasker {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

/// Joins a match with all regions that it overlaps. Matches come ordered by their end, so these are the last ones.
fn add(regions: &mut Vec<Region>, hit: &Found, before: usize) {
    let end = before + hit.end;
    let start = end - hit.len;
    let mut joined = Region { start, end, longest: hit.len, spelling: hit.spelling };
    while let Some(last) = regions.pop_if(|last| last.end > start) {
        joined.start = joined.start.min(last.start);
        if last.longest >= joined.longest {
            (joined.longest, joined.spelling) = (last.longest, last.spelling);
        }
    }
    regions.push(joined);
}

/// Appends the bytes `from..to` of `held` followed by `input`.
fn copy(held: &[u8], input: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
    if from >= to {
        return;
    }
    let seam = held.len();
    if from < seam {
        out.extend_from_slice(&held[from..to.min(seam)]);
    }
    if to > seam {
        out.extend_from_slice(&input[from.max(seam) - seam..to - seam]);
    }
}
