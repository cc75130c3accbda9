//! Mistakes of authors as they are shown: to people with the line and a mark under it, to programs as a list.

use runbook_core::diagnostic::{Diagnostic, Diagnostics, Located, Severity, render};
use runbook_core::source::Source;

use crate::console::{ATTENTION, BAD, DIM, styled};
use crate::options::Format;
use crate::planning::Findings;

/// Mistakes, each with the text that it is in.
pub(crate) type Found = [(Source, Diagnostic)];

/// All findings, file by file in the order of their places, each once.
pub(crate) fn all_of(findings: Findings) -> Vec<(Source, Diagnostic)> {
    let mut files: Vec<(Source, Diagnostics)> = Vec::new();
    for (source, found) in findings {
        match files.iter_mut().find(|(known, _)| known.name() == source.name()) {
            Some((_, known)) => known.extend(found),
            None => files.push((source, found)),
        }
    }
    let sorted = |(source, found): (Source, Diagnostics)| {
        found.into_sorted().into_iter().map(move |diagnostic| (source.clone(), diagnostic))
    };
    files.into_iter().flat_map(sorted).collect()
}

/// All of them in a form.
pub(crate) fn to_text(found: &Found, format: Format) -> String {
    match format {
        Format::Json => {
            let located: Vec<Located> =
                found.iter().map(|(source, diagnostic)| diagnostic.located(source)).collect();
            let json = serde_json::to_string(&located).unwrap_or_else(|_| "[]".into());
            format!("{json}\n")
        }
        Format::Text | Format::Gitlab => {
            found.iter().map(|(source, diagnostic)| for_people(source, diagnostic)).collect()
        }
        Format::Github => found.iter().map(|(source, diagnostic)| annotation(source, diagnostic)).collect(),
    }
}

/// One of them, its kind in colour.
fn for_people(source: &Source, diagnostic: &Diagnostic) -> String {
    let text = render(diagnostic, source);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let colour = match diagnostic.severity {
        Severity::Error => BAD,
        Severity::Warning => ATTENTION,
    };
    let word = diagnostic.severity.as_str();
    let first = first
        .strip_prefix(word)
        .map_or_else(|| first.to_owned(), |rest| format!("{}{rest}", styled(colour, word)));
    let place = rest.lines().next().unwrap_or_default();
    let more = rest.get(place.len()..).unwrap_or_default();
    format!("{first}\n{}{more}\n", styled(DIM, place))
}

/// One of them as GitHub shows it beside the line.
fn annotation(source: &Source, diagnostic: &Diagnostic) -> String {
    let Located { file, line, column, severity, message, .. } = diagnostic.located(source);
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let file = escape(&file).replace(':', "%3A").replace(',', "%2C");
    format!("::{} file={file},line={line},col={column}::{}\n", severity.as_str(), escape(&message))
}

#[cfg(test)]
mod tests {
    use runbook_core::source::Span;

    use super::*;

    #[test]
    fn a_mistake_is_shown_in_every_form() {
        let source = Source::new("runbooks/deploy.yaml", "steps:\n  - id: a\n    runs: true\n");
        let diagnostic =
            Diagnostic::error(&source.shared_name(), "unknown-key", Span::new(23, 27), "unknown key `runs`")
                .with_help("did you mean `run`?");
        let found = [(source, diagnostic)];
        let mut all = String::new();
        for format in [Format::Text, Format::Json, Format::Github] {
            let text = to_text(&found, format);
            all.push_str(&format!("--- {format:?}\n{}", anstream::adapter::strip_str(&text)));
        }
        insta::assert_snapshot!(all);
    }
}
