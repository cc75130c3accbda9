//! JUnit's XML: a test case a step.

use std::fmt::Write as _;

use runbook_core::event::Outcome;
use runbook_core::id::RunId;
use runbook_runtime::run::View;

/// The document for a run as it stands.
pub(super) fn document(view: View<'_>, run: &RunId) -> String {
    let mut cases = String::new();
    let (mut failures, mut skipped, mut total_ms) = (0, 0, 0);
    for (step, known) in view.plan.declared().map(|(index, step)| (step, &view.state.steps[index])) {
        let time = known.result.duration_ms;
        total_ms += time;
        let _ = write!(
            cases,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
            escape(&view.plan.runbook),
            escape(step.id.as_str()),
            seconds(time)
        );
        let reason = escape(known.result.reason.as_deref().unwrap_or_default());
        let outcome = known.outcome().map_or("not finished", Outcome::as_str);
        let inner = match known.outcome() {
            Some(Outcome::Succeeded) => None,
            Some(Outcome::Failed | Outcome::Rejected | Outcome::Interrupted) => {
                failures += 1;
                Some(format!("<failure type=\"{outcome}\" message=\"{reason}\"/>"))
            }
            Some(Outcome::Skipped | Outcome::Blocked | Outcome::Cancelled) | None => {
                skipped += 1;
                let why = if reason.is_empty() { outcome.to_owned() } else { format!("{outcome}: {reason}") };
                Some(format!("<skipped message=\"{why}\"/>"))
            }
        };
        match inner {
            Some(inner) => {
                let _ = writeln!(cases, ">\n      {inner}\n    </testcase>");
            }
            None => cases.push_str("/>\n"),
        }
    }
    let name = escape(&view.plan.runbook);
    let tests = view.plan.declared().count();
    let numbers = format!(
        "tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{}\"",
        seconds(total_ms)
    );
    let started = view
        .state
        .created
        .as_ref()
        .map_or_else(String::new, |created| format!(" timestamp=\"{}\"", created.at));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" {numbers}>\n  \
         <testsuite name=\"{name}\" id=\"{run}\"{started} {numbers}>\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

pub(super) fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// A text in an attribute. What XML can't hold at all becomes U+FFFD.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Story, run_id};

    #[test]
    fn a_case_a_step() {
        insta::assert_snapshot!(document(Story::failed().view(), &run_id()));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escape("a<b> & \"c\"\n\x1b"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}");
    }
}
