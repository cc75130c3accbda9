//! Properties of the masker: nothing of a secret comes through, everything else does, wherever the stream is cut.

use base64::Engine as _;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Masker, StreamMasker, forms, mask_of};

fn masker(pairs: &[(&str, &[u8])]) -> Masker {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
    Masker::from_pairs(pairs).expect("secrets of the tests are long enough")
}

/// `input` through a stream, cut after each of the lengths in `cuts`, over and over.
fn in_pieces(masker: &Masker, input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let (mut out, mut rest, mut stream) = (Vec::new(), input, masker.stream());
    for &cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at(cut.min(rest.len()));
        stream.push(piece, &mut out);
        rest = later;
    }
    stream.finish(&mut out);
    out
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn without_secrets_everything_passes_at_once() {
    let masker = Masker::default();
    assert!(masker.is_empty());
    let mut out = Vec::new();
    let mut stream = masker.stream();
    stream.push(b"\xff hunter2", &mut out);
    assert_eq!(out, b"\xff hunter2");
    assert_eq!(masker.text("hunter2"), "hunter2");
    assert_eq!(masker.holds_secret("hunter2"), None);
}

#[test]
fn every_spelling_is_masked() {
    let masker = masker(&[("db", b"p@ss'w \"d/\xc3\xa9$<1")]);
    let table = [
        "p@ss'w \"d/é$<1",
        "p%40ss%27w%20%22d%2F%C3%A9%24%3C1",
        "p%40ss%27w%20%22d%2f%c3%a9%24%3c1",
        "p%40ss%27w+%22d%2F%C3%A9%24%3C1",
        "p%40ss'w%20%22d%2F%C3%A9%24%3C1",
        "p%40ss%27w%20%22d/%C3%A9%24%3C1",
        "7040737327772022642fc3a9243c31",
        "7040737327772022642FC3A9243C31",
        r#"p@ss'w \"d/é$<1"#,
        r#"p@ss'w \"d\/é$<1"#,
        r#"p@ss'w \"d/\u00e9$<1"#,
        r#"p@ss'w \"d/é$\u003c1"#,
        r#"p@ss'w \\\"d/é$<1"#,
        r#"p@ss'\''w "d/é$<1"#,
        r#"p@ss'w \"d/é\$<1"#,
        r#"p@ss\'w\ \"d/é\$\<1"#,
        r#"p@ss\'w "d/\303\251$<1"#,
    ];
    for spelling in table {
        assert_eq!(masker.text(&format!("a={spelling};")), "a=‹secrets.db›;", "{spelling}");
        assert_eq!(masker.holds_secret(spelling), Some("db"), "{spelling}");
    }
}

#[test]
fn the_longest_of_overlapping_secrets_gives_the_mask_and_the_contained_one_is_masked_elsewhere() {
    let masker = masker(&[("short", b"abcdef"), ("long", b"xxabcdefyy"), ("tail", b"defyyzzz")]);
    let table = [
        ("abcdef", "‹secrets.short›"),
        ("xxabcdefyy", "‹secrets.long›"),
        ("xxabcdefy", "xx‹secrets.short›y"),
        ("xxabcdefyyzzz.", "‹secrets.long›."),
        ("abcdefyyzzz", "‹secrets.tail›"),
        ("abcdefabcdef", "‹secrets.short›‹secrets.short›"),
    ];
    for (text, expected) in table {
        assert_eq!(masker.text(text), expected, "{text}");
        for cut in 1..text.len() {
            assert_eq!(
                printed(&in_pieces(&masker, text.as_bytes(), &[cut])),
                expected,
                "{text} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_multi_line_secret_is_masked_as_a_whole_and_by_line() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n}\n-----END KEY-----\n";
    let masker = masker(&[("key", key.as_bytes())]);
    let table = [
        (key, "‹secrets.key›"),
        (key.trim_end(), "‹secrets.key›"),
        ("MIIEvQIBADANBgkq", "‹secrets.key›"),
        ("hkiG9w0BAQEFAASC", "‹secrets.key›"),
        ("TUlJRXZRSUJBREFOQmdrcQ==", "‹secrets.key›"),
        ("}", "}"),
    ];
    for (text, expected) in table {
        assert_eq!(masker.text(text), expected, "{text}");
    }
    // As a terminal prints it.
    assert_eq!(masker.text(&key.replace('\n', "\r\n")), "‹secrets.key›");
    let encoded = base64::engine::general_purpose::STANDARD.encode(key);
    let wrapped = format!("{}\n{}\n", &encoded[..76], &encoded[76..]);
    assert_eq!(masker.text(&wrapped), "‹secrets.key›\n");
}

#[test]
fn a_masked_text_is_not_masked_again_even_where_the_secret_is_part_of_a_mask() {
    let masker = masker(&[("password", b"password"), ("other", b"secrets")]);
    let once = masker.text("password secrets.password");
    assert_eq!(once, "‹secrets.password› ‹secrets.other›.‹secrets.password›");
    assert_eq!(masker.text(&once), once);
    assert_eq!(masker.holds_secret("‹secrets.password›"), None);
    assert_eq!(masker.holds_secret("‹secrets.password› secrets"), Some("other"));
}

#[test]
fn only_what_may_begin_a_secret_is_held_back() {
    let masker = masker(&[("db", b"hunter22")]);
    let mut out = Vec::new();
    let mut stream: StreamMasker = masker.stream();
    stream.push(b"Password for hunt", &mut out);
    assert_eq!((printed(&out).as_str(), stream.held_len()), ("Password for ", 4));
    stream.push(b"ing: ", &mut out);
    assert_eq!((printed(&out).as_str(), stream.held_len()), ("Password for hunting: ", 0));
    stream.push(b"hunter2", &mut out);
    stream.finish(&mut out);
    assert_eq!(printed(&out), "Password for hunting: hunter2");
    stream.push(b"2", &mut out);
    stream.finish(&mut out);
    assert_eq!(printed(&out), "Password for hunting: hunter22", "finish begins a new stream");
}

#[test]
fn an_endless_overlap_needs_no_memory() {
    let masker = masker(&[("a", b"aaaaaaaa")]);
    let mut out = Vec::new();
    let mut stream = masker.stream();
    for _ in 0..1000 {
        stream.push(&[b'a'; 100], &mut out);
        assert!(stream.held_len() <= 64 && out.is_empty());
    }
    stream.push(b".", &mut out);
    assert_eq!(printed(&out), "‹secrets.a›.");
}

#[test]
fn json_is_masked_in_keys_strings_and_numbers() {
    let masker = masker(&[("pin", b"123456"), ("db", b"hunter22")]);
    let value = serde_json::json!({"hunter22": ["x hunter22", 123456, 1234, null, true]});
    let expected = serde_json::json!({"‹secrets.db›": ["x ‹secrets.db›", "‹secrets.pin›", 1234, null, true]});
    assert_eq!(masker.json(&value), expected);
}

#[test]
fn nothing_shows_a_secret_by_debug() {
    let masker = masker(&[("db", b"hunter22")]);
    assert_eq!(format!("{masker:?}"), r#"Masker { secrets: ["db"], .. }"#);
}

/// What bash itself prints is the reference for its quoting.
#[test]
fn what_bash_quotes_is_masked() {
    let values = [
        "it's a \"test\" $HOME `x` !{a,b}",
        "~#tab\there\nnew",
        "naïve*?[x] ü",
        "a=~b:~c#d\\e^f",
        "\x1b[31m\x07red",
    ];
    for value in values {
        let masker = masker(&[("x", value.as_bytes())]);
        for locale in ["C", "C.UTF-8"] {
            let output = std::process::Command::new("bash")
                .args(["-c", r#"printf '%q\n' "$S"; printf '%s\n' "${S@Q}"; declare -p S; set -x; : "$S""#])
                .env("S", value)
                .env("LC_ALL", locale)
                .output()
                .expect("bash runs");
            let printed = masker.text(&printed(&[output.stdout, output.stderr].concat()));
            let bare = printed.replace("$'", "'").replace(['\'', '"'], "");
            let expected = "‹secrets.x›\n‹secrets.x›\ndeclare -x S=‹secrets.x›\n+ : ‹secrets.x›\n";
            assert_eq!(bare, expected, "{value:?} in {locale}");
        }
    }
}

/// All occurrences of all spellings, the slow and plain way; those that overlap are one.
fn reference(secrets: &[Vec<u8>], input: &[u8]) -> Vec<u8> {
    let mut occurrences = Vec::new();
    for (index, secret) in secrets.iter().enumerate() {
        for spelling in forms::of(secret) {
            for start in 0..input.len() {
                if input[start..].starts_with(&spelling) {
                    occurrences.push((start, start + spelling.len(), index));
                }
            }
        }
    }
    occurrences.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end, _) in occurrences {
        match merged.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    let mut out = Vec::new();
    let mut at = 0;
    for (start, end) in merged {
        out.extend_from_slice(&input[at..start]);
        out.push(b'#');
        at = end;
    }
    out.extend_from_slice(&input[at..]);
    out
}

/// Masks of any name as `#`.
fn nameless(out: &[u8], count: usize) -> Vec<u8> {
    let text = (0..count).fold(printed(out), |text, index| text.replace(&mask_of(&format!("s{index}")), "#"));
    text.into_bytes()
}

fn named(secrets: &[Vec<u8>]) -> Masker {
    let pairs = secrets.iter().enumerate().map(|(index, value)| (format!("s{index}"), value.clone()));
    Masker::from_pairs(pairs).expect("generated long enough")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Few letters, so that secrets overlap themselves and each other all the time.
    #[test]
    fn overlapping_secrets_are_masked_as_the_plain_way_does(
        secrets in vec(vec(prop::sample::select(b"ab".to_vec()), 6..12), 1..4),
        input in vec(prop::sample::select(b"aaabbb.".to_vec()), 0..200),
        cuts in vec(1_usize..20, 1..10),
    ) {
        let masker = named(&secrets);
        let out = in_pieces(&masker, &input, &cuts);
        prop_assert_eq!(printed(&nameless(&out, secrets.len())), printed(&reference(&secrets, &input)));
        prop_assert_eq!(out, masker.bytes(&input));
    }

    /// Any spelling in noise that can't be part of it: exactly the spelling is replaced.
    #[test]
    fn exactly_the_spelling_is_replaced(
        secret in "[ -~é√]{6,40}",
        before in vec(1_u8..5, 0..40),
        after in vec(1_u8..5, 0..40),
        way in 0_usize..7,
        cuts in vec(1_usize..9, 1..10),
    ) {
        use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        let spelled = match way {
            0 => secret.clone(),
            1 => secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
            2 => secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
            3 => percent_encode(secret.as_bytes(), RESERVED).to_string(),
            4 => serde_json::to_string(&secret).expect("a string").trim_matches('"').to_owned(),
            5 => secret.replace('\'', r"'\''"),
            _ => base64::engine::general_purpose::STANDARD.encode(&secret),
        };
        // The quotes that end a JSON text were trimmed, an escaped one at the end may be with them.
        prop_assume!(way != 4 || !secret.contains('"'));
        let masker = named(&[secret.into_bytes()]);
        let input = [&before[..], spelled.as_bytes(), &after].concat();
        let expected = [&before[..], mask_of("s0").as_bytes(), &after].concat();
        prop_assert_eq!(printed(&in_pieces(&masker, &input, &cuts)), printed(&expected), "{}", spelled);
    }

    /// Base64 of a longer text: each character that tells bits of the secret alone is gone, each other is there.
    #[test]
    fn base64_is_masked_at_every_alignment(
        secret in vec(any::<u8>(), 6..40),
        before in vec(any::<u8>(), 0..7),
        after in vec(any::<u8>(), 1..7),
        url_safe in any::<bool>(),
        cuts in vec(1_usize..9, 1..10),
    ) {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        let encode = |text: &[u8]| if url_safe { URL_SAFE.encode(text) } else { STANDARD.encode(text) };
        prop_assume!(String::from_utf8_lossy(&secret).chars().count() >= 6);
        let encoded = encode(&[&before[..], &secret, &after].concat());
        let certain: Vec<bool> = (0..encoded.len())
            .map(|index| index * 6 >= before.len() * 8 && index * 6 + 6 <= (before.len() + secret.len()) * 8)
            .collect();
        let from = certain.iter().position(|&certain| certain).expect("six bytes fill some characters");
        let to = certain.iter().rposition(|&certain| certain).expect("as above") + 1;
        let masker = named(&[secret]);
        let out = printed(&in_pieces(&masker, encoded.as_bytes(), &cuts));
        // By chance the next character is as at the end of a text: then it is masked with the rest.
        let rest = &encoded[to..];
        let expected = format!("{}‹secrets.s0›", &encoded[..from]);
        prop_assert!(out.starts_with(&expected), "{} in {}", out, encoded);
        let shown = &out[expected.len()..];
        prop_assert!(shown == rest || rest.strip_prefix(|_: char| true) == Some(shown), "{} in {}", out, encoded);
    }

    /// Real output is long and mostly noise: the filter that jumps over it misses nothing.
    #[test]
    fn a_secret_in_a_long_noise_is_found_at_any_place(
        secret in "[a-zA-Z0-9/+=_-]{6,30}",
        noise in vec("[ -~\n]{0,60}", 0..20),
        cut in 1_usize..3000,
    ) {
        prop_assume!(noise.iter().all(|text| !text.contains(&secret)));
        let masker = named(&[secret.clone().into_bytes()]);
        let input = noise.join(&format!("\x01{secret}\x02"));
        let expected = noise.join("\x01‹secrets.s0›\x02");
        prop_assert_eq!(printed(&in_pieces(&masker, input.as_bytes(), &[cut])), expected);
    }
}
