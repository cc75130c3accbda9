//! What holds for any text, however broken.

use proptest::prelude::*;

use crate::document::node::{Node, Value};
use crate::document::{parse, parse_params_file, parse_project, parse_scenarios};
use crate::source::{Source, Span};

const EXAMPLES: [&str; 4] = [
    include_str!("whole.yaml"),
    include_str!("everything.yaml"),
    include_str!("project.yaml"),
    include_str!("scenarios.yaml"),
];

fn is_inside(source: &Source, span: Span) -> bool {
    let text = source.text();
    span.start <= span.end
        && text.is_char_boundary(span.start as usize)
        && text.is_char_boundary(span.end as usize)
}

fn nodes_are_inside(source: &Source, node: &Node) -> bool {
    let children = match &node.value {
        Value::Scalar(scalar) => {
            let mut ends = scalar.text.char_indices().map(|(offset, _)| offset).chain([scalar.text.len()]);
            return is_inside(source, node.span)
                && ends.all(|offset| {
                    let at = node.source_offset(offset);
                    node.span.start <= at
                        && at <= node.span.end
                        && source.text().is_char_boundary(at as usize)
                });
        }
        Value::Sequence(items) => items.iter().all(|item| nodes_are_inside(source, item)),
        Value::Mapping(entries) => entries
            .iter()
            .all(|(key, value)| nodes_are_inside(source, key) && nodes_are_inside(source, value)),
    };
    children && is_inside(source, node.span)
}

fn judged(text: &str) -> Result<(), TestCaseError> {
    let source = Source::new("a.yaml", text);
    let mut diagnostics = crate::diagnostic::Diagnostics::new();
    if let Some(root) = crate::document::yaml::read(&source, &mut diagnostics).root {
        prop_assert!(nodes_are_inside(&source, &root));
    }
    let (document, found) = parse(&source);
    prop_assert!(document.is_some() || found.has_errors(), "nothing read and nothing said");
    for other in [found, parse_project(&source).1, parse_scenarios(&source).1, parse_params_file(&source).1] {
        for diagnostic in other.into_sorted() {
            prop_assert!(is_inside(&source, diagnostic.span), "{diagnostic:?}");
            prop_assert!(diagnostic.related.iter().all(|(span, _)| is_inside(&source, *span)));
            let rendered = crate::diagnostic::render(&diagnostic, &source);
            prop_assert!(
                !rendered.chars().any(|character| character != '\n' && character.is_control()),
                "{rendered:?}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,80}|[-a-z:{}\\[\\]\"'|>&*!#?%@ \\n\\t\\r0-9ä\u{202e}]{0,120}") {
        judged(&text)?;
    }

    #[test]
    fn mutated_examples(
        example in 0..EXAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, "[-a-z:{}\\[\\]\"'|>&*! \\n\\t0-9ä\u{85}]{0,6}"), 1..6),
    ) {
        let mut text = EXAMPLES[example].to_owned();
        for (place, removed, added) in edits {
            let floor = |text: &str, at: usize| (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let start = floor(&text, place.index(text.len() + 1));
            let end = floor(&text, (start + removed).min(text.len())).max(start);
            text.replace_range(start..end, &added);
        }
        judged(&text)?;
    }
}
