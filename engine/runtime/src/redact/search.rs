//! Finds every occurrence of every spelling, overlapping ones included, in a stream.
//!
//! An Aho-Corasick automaton alone looks at every byte and reaches some 0.3 GB/s. Ordinary output holds no secret, so a filter
//! stands before it: every spelling has at least [`SPELLING_LEN_MIN`] bytes, so of any [`STRIDE`] neighbouring positions one
//! shows a three-byte sequence (gram) out of its first bytes. Where a sample of every fourth position hits none of the known
//! grams, no spelling begins, and the automaton is not needed.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use zeroize::Zeroizing;

/// No spelling is shorter: a secret has six characters, and no encoding shortens them.
pub(super) const SPELLING_LEN_MIN: usize = 6;
const GRAM_LEN: usize = 3;
const STRIDE: usize = SPELLING_LEN_MIN - GRAM_LEN + 1;

/// An occurrence: `input[end - len..end]`, where a beginning before the input's first byte lies in an earlier piece.
pub(super) struct Found {
    pub(super) spelling: usize,
    pub(super) len: usize,
    pub(super) end: usize,
}

pub(super) struct Search {
    automaton: NFA,
    start: StateID,
    /// How many of the last bytes a state stands for: so many may be the beginning of a spelling.
    /// Indexed by state; a table, because a hash map took more time to fill than the automaton to build.
    depths: Vec<u32>,
    grams: Grams,
}

impl Search {
    /// `spellings` are numbered by their order; of equal ones the first is reported.
    pub(super) fn new(spellings: &[Zeroizing<Vec<u8>>]) -> Self {
        debug_assert!(spellings.iter().all(|spelling| spelling.len() >= SPELLING_LEN_MIN));
        // Without a prefilter of its own and with all matches, not the leftmost only: of two secrets that overlap in the text
        // neither may be left standing in part.
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(spellings.iter().map(|spelling| spelling.as_slice()))
            .expect("spellings are bounded: far below 2^31 states");
        let start = automaton.start_state(Anchored::No).expect("built for unanchored searches");
        let depths = depths(&automaton, start, spellings);
        Self { automaton, start, depths, grams: Grams::new(spellings) }
    }

    pub(super) fn start(&self) -> StateID {
        self.start
    }

    /// How many of the bytes read last may be the beginning of a spelling.
    pub(super) fn depth(&self, state: StateID) -> usize {
        self.depths.get(state.as_usize()).map_or(0, |&depth| depth as usize)
    }

    /// Reads `input` on from `state`; occurrences are reported in the order of their ends, at each end the longest alone.
    pub(super) fn run(&self, state: &mut StateID, input: &[u8], mut found: impl FnMut(Found)) {
        let mut at = 0;
        while at < input.len() {
            let mut at_least = at;
            if *state == self.start {
                (at, at_least) = self.grams.skip(input, at);
            }
            while at < input.len() {
                *state = self.automaton.next_state(Anchored::No, *state, input[at]);
                at += 1;
                if self.automaton.is_match(*state) {
                    let (spelling, len) = self.longest(*state);
                    found(Found { spelling, len, end: at });
                }
                if *state == self.start && at > at_least {
                    break;
                }
            }
        }
    }

    fn longest(&self, state: StateID) -> (usize, usize) {
        let matches =
            (0..self.automaton.match_len(state)).map(|index| self.automaton.match_pattern(state, index));
        let mut longest = (0, 0);
        for pattern in matches {
            let len = self.automaton.pattern_len(pattern);
            if len > longest.1 {
                longest = (pattern.as_usize(), len);
            }
        }
        longest
    }
}

/// Following a spelling from the start goes through the very states that stand for its beginnings.
fn depths(automaton: &NFA, start: StateID, spellings: &[Zeroizing<Vec<u8>>]) -> Vec<u32> {
    let mut depths = Vec::new();
    for spelling in spellings {
        let mut state = start;
        for (&byte, depth) in spelling.iter().zip(1..) {
            state = automaton.next_state(Anchored::No, state, byte);
            let index = state.as_usize();
            if index >= depths.len() {
                depths.resize(index + 1, 0);
            }
            depths[index] = depth;
        }
    }
    depths
}

/// The set of three-byte sequences at the beginning of a spelling, by hash: it may say yes wrongly, never no.
struct Grams {
    bits: Vec<u64>,
    shift: u32,
}

impl Grams {
    fn new(spellings: &[Zeroizing<Vec<u8>>]) -> Self {
        // 64 bits a gram keep wrong answers near 1 in 64 of random text; between 8 KiB, a quarter of the first cache, and 256 KiB.
        let wanted = (spellings.len() * STRIDE * 64).next_power_of_two().ilog2().clamp(16, 21);
        let mut grams = Self { bits: vec![0; 1 << (wanted - 6)], shift: 32 - wanted };
        for spelling in spellings {
            for gram in spelling[..SPELLING_LEN_MIN].windows(GRAM_LEN) {
                let slot = grams.slot(u32::from_le_bytes([gram[0], gram[1], gram[2], 0]));
                grams.bits[slot / 64] |= 1 << (slot % 64);
            }
        }
        grams
    }

    #[inline]
    fn slot(&self, gram: u32) -> usize {
        (gram.wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    /// From `at`, before which nothing begins: where the next spelling may begin, and the position that must be passed before
    /// sampling makes sense again.
    fn skip(&self, input: &[u8], at: usize) -> (usize, usize) {
        let mut sample = at + STRIDE - 1;
        while let Some(bytes) = input.get(sample..sample + 4) {
            let word = u32::from_le_bytes(bytes.try_into().expect("a slice of four"));
            let slot = self.slot(word & 0x00FF_FFFF);
            if self.bits[slot / 64] >> (slot % 64) & 1 == 1 {
                break;
            }
            sample += STRIDE;
        }
        // Samples that missed rule out every beginning up to themselves.
        let from = (sample + 1 - STRIDE).min(input.len());
        (from, sample)
    }
}
