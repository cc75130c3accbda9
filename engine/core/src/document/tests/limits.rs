//! What is refused whatever it says: characters, sizes, depths, bombs.

use std::fmt::Write as _;

use super::{good, mistakes};
use crate::document::yaml::{MAXIMUM_BYTES, source_of_bytes};

#[test]
fn characters_that_deceive() {
    for (character, expected) in [
        ('\u{7}', "control character U+0007 is not allowed"),
        ('\0', "control character U+0000 is not allowed"),
        ('\u{7f}', "control character U+007F is not allowed"),
        ('\u{85}', "line separator U+0085 is not allowed"),
        ('\u{9b}', "control character U+009B is not allowed"),
        ('\u{2028}', "line separator U+2028 is not allowed"),
        ('\u{2029}', "line separator U+2029 is not allowed"),
        ('\u{202e}', "bidirectional character U+202E is not allowed"),
        ('\u{2066}', "bidirectional character U+2066 is not allowed"),
        ('\u{61c}', "bidirectional character U+061C is not allowed"),
        ('\u{200f}', "bidirectional character U+200F is not allowed"),
    ] {
        let help = "(remove it; in double quotes it can be written as an escape)";
        for (before, place) in [("steps: [{id: a, run: x}] # ä", "1:29"), ("title: ü", "1:9")] {
            let rest = if before.starts_with('t') { "\nsteps: [{id: a, run: x}]" } else { "" };
            let text = format!("{before}{character}y{rest}");
            assert_eq!(
                mistakes(&text),
                [format!("forbidden-character {place} {expected} {help}")],
                "{text:?}"
            );
        }
    }
    let carriage = mistakes("title: a\rb\nsteps: [{id: a, run: x}]");
    assert_eq!(carriage.len(), 1);
    assert!(
        carriage[0].starts_with("forbidden-character 1:9 carriage return without a line feed"),
        "{carriage:?}"
    );
    good("title: \"\\u202e \\x07\"\nowner: äöü 日本 😀 \u{200d}\nsteps:\t[{id: a, run: x}]\r\n");
}

#[test]
fn what_is_not_utf_8_has_a_place() {
    let (source, diagnostic) =
        *source_of_bytes("a.yaml", b"name: a\ntitle: \xc3\xa4 \xff").expect_err("0xff is not UTF-8");
    let place = source.location(diagnostic.span.start);
    assert_eq!((place.line, place.column, diagnostic.code), (2, 10, "encoding"));
    assert_eq!(diagnostic.message, "the file is not UTF-8: byte 0xff at offset 18");
}

#[test]
fn sizes_and_depths() {
    let (_, diagnostic) =
        *source_of_bytes("a.yaml", &vec![b' '; MAXIMUM_BYTES + 1]).expect_err("it is too long");
    assert_eq!(diagnostic.code, "too-large");
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!("{}x{}", "[".repeat(65), "]".repeat(65)),
    ] {
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.starts_with("too-large 1:")), "{found:?}");
    }
    let found =
        mistakes(&format!("triggers: {}1{}\nsteps: [{{id: a, run: x}}]", "[".repeat(63), "]".repeat(63)));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_bomb_is_an_error() {
    let mut text = "triggers:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "  - &a{level} [{aliases}]").expect("a string takes it");
    }
    let found = mistakes(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("too-large 6:"), "{found:?}");
    let nested: String = (1..70).map(|level| format!("  - &b{level} [*b{}]\n", level - 1)).collect();
    let found = mistakes(&format!("triggers:\n  - &b0 [x]\n{nested}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("nested deeper than 64"), "{found:?}");
}

#[test]
fn ten_thousand_steps_fit() {
    let mut text = "steps:\n".to_owned();
    for index in 0..10_000 {
        let needs = (1..=3)
            .filter(|back| *back <= index)
            .map(|back| format!("s{}", index - back))
            .collect::<Vec<_>>()
            .join(", ");
        writeln!(text, "  - id: s{index}\n    title: Step number {index} of many\n    needs: [{needs}]\n    run: |\n      echo {index}\n    env: {{A: b}}").expect("a string takes it");
    }
    assert_eq!(good(&text).steps.len(), 10_000);
}
