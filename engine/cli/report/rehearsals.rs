//! What came of scenarios: for people a line each, with what was expected beside what was seen where they differ; JSON; JUnit.

use std::fmt::Write as _;

use runbook_core::diagnostic::Diagnostic;
use runbook_core::scenario::{Mismatch, Report};
use runbook_core::source::{Source, Span};
use serde_json::json;
use unicode_width::UnicodeWidthStr as _;

use super::junit::{escape, seconds};
use super::wording::{Signs, count, harmless, millis, pad};
use crate::console::{BAD, DIM, GOOD, STRONG, styled};
use crate::context::Context;
use crate::diagnostics::to_text;
use crate::options::Format;

/// The widest that a column of a table may be; what is longer stands below each other.
const COLUMN_MAX: usize = 44;

/// A scenario of a runbook, rehearsed.
pub(crate) struct Rehearsed {
    /// The runbook's name.
    pub(crate) runbook: String,
    /// Where it is written down.
    pub(crate) source: Source,
    /// Where its name stands.
    pub(crate) at: Span,
    /// What came of it.
    pub(crate) report: Report,
}

/// All of them in the form that was asked for.
pub(crate) fn text(context: &Context, rehearsed: &[Rehearsed]) -> String {
    match context.global.format {
        Format::Json => format!("{}\n", as_json(rehearsed)),
        Format::Text | Format::Gitlab => {
            for_people(rehearsed, Signs::new(context.console.plain), context.console.quiet)
        }
        Format::Github => {
            let failed = rehearsed.iter().filter(|rehearsed| !rehearsed.report.passed());
            let annotations: String = failed
                .map(|rehearsed| {
                    let file = rehearsed.source.shared_name();
                    let found =
                        Diagnostic::error(&file, "scenario-failed", rehearsed.at, in_short(rehearsed));
                    to_text(&[(rehearsed.source.clone(), found)], Format::Github)
                })
                .collect();
            let text = for_people(rehearsed, Signs::new(context.console.plain), context.console.quiet);
            format!("{text}{annotations}")
        }
    }
}

fn failures(report: &Report) -> Vec<String> {
    let mismatches = report
        .mismatches
        .iter()
        .map(|Mismatch { key, expected, seen }| format!("{key}: expected {expected}, saw {seen}"));
    report.errors.iter().cloned().chain(mismatches).collect()
}

fn in_short(rehearsed: &Rehearsed) -> String {
    format!("{}: {}", rehearsed.report.name, failures(&rehearsed.report).join("; "))
}

fn for_people(rehearsed: &[Rehearsed], signs: Signs, quiet: bool) -> String {
    let mut text = String::new();
    for Rehearsed { runbook, report, .. } in rehearsed {
        let (sign, colour) = if report.passed() { (signs.good, GOOD) } else { (signs.bad, BAD) };
        if report.passed() && quiet {
            continue;
        }
        let took = styled(DIM, format!("({}, {})", report.outcome, millis(report.duration_ms)));
        let name = harmless(&report.name);
        let _ =
            writeln!(text, "{} {}: {name} {took}", styled(colour, sign), styled(STRONG, harmless(runbook)));
        if !report.passed() {
            text.push_str(&why(report));
        }
    }
    let failed = rehearsed.iter().filter(|rehearsed| !rehearsed.report.passed()).count();
    let passed = rehearsed.len() - failed;
    if failed > 0 {
        let _ = writeln!(text, "{} of {} failed", failed, count(rehearsed.len(), "scenario"));
    } else if !quiet {
        let _ = writeln!(text, "{} passed", count(passed, "scenario"));
    }
    text
}

/// Why a scenario failed: what it lacks, what was expected beside what was seen, and what happened.
fn why(report: &Report) -> String {
    let mut text = String::new();
    for error in &report.errors {
        let _ = writeln!(text, "    {}", harmless(error));
    }
    text.push_str(&beside(&report.mismatches));
    let steps = report.timeline.iter().filter_map(|happened| happened.step.as_deref());
    let width = steps.map(|step| step.width()).max().unwrap_or(0).min(COLUMN_MAX);
    text.push_str("    what happened:\n");
    for happened in &report.timeline {
        let after = pad(&format!("+{}", millis(happened.after_ms)), 8);
        let step = pad(&harmless(happened.step.as_deref().unwrap_or_default()), width);
        let _ = writeln!(text, "      {} {step}  {}", styled(DIM, after), harmless(&happened.what));
    }
    text
}

fn beside(mismatches: &[Mismatch]) -> String {
    let mut text = String::new();
    let wide = |value: &str| value.contains('\n') || value.width() > COLUMN_MAX;
    let (stacked, table): (Vec<&Mismatch>, Vec<&Mismatch>) =
        mismatches.iter().partition(|mismatch| wide(&mismatch.expected) || wide(&mismatch.seen));
    if !table.is_empty() {
        let rows: Vec<[String; 3]> = std::iter::once(["".into(), "expected".into(), "seen".into()])
            .chain(table.iter().map(|row| [harmless(&row.key), harmless(&row.expected), harmless(&row.seen)]))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for [key, expected, seen] in &rows {
            let _ = writeln!(text, "    {}  {}  {seen}", pad(key, first), pad(expected, second));
        }
    }
    for Mismatch { key, expected, seen } in stacked {
        let _ = writeln!(text, "    {}", harmless(key));
        for (title, value) in [("expected", expected), ("seen", seen)] {
            for (index, line) in value.lines().enumerate() {
                let title = if index == 0 { title } else { "" };
                let _ = writeln!(text, "      {}  {}", pad(title, 8), harmless(line));
            }
        }
    }
    text
}

fn as_json(rehearsed: &[Rehearsed]) -> serde_json::Value {
    let failed = rehearsed.iter().filter(|rehearsed| !rehearsed.report.passed()).count();
    let scenarios: Vec<serde_json::Value> = rehearsed
        .iter()
        .map(|Rehearsed { runbook, source, at, report }| {
            let place = source.location(at.start);
            let mismatches: Vec<serde_json::Value> = report
                .mismatches
                .iter()
                .map(|mismatch| {
                    json!({"key": mismatch.key, "expected": mismatch.expected, "seen": mismatch.seen})
                })
                .collect();
            let timeline: Vec<serde_json::Value> = report
                .timeline
                .iter()
                .map(|happened| {
                    json!({"after_ms": happened.after_ms, "step": happened.step, "what": happened.what})
                })
                .collect();
            json!({
                "runbook": runbook,
                "name": report.name,
                "file": source.name(),
                "line": place.line,
                "passed": report.passed(),
                "outcome": report.outcome,
                "duration_ms": report.duration_ms,
                "ran": report.ran,
                "errors": report.errors,
                "mismatches": mismatches,
                "timeline": timeline,
            })
        })
        .collect();
    json!({"passed": rehearsed.len() - failed, "failed": failed, "scenarios": scenarios})
}

/// JUnit's XML: a suite a runbook, a case a scenario.
pub(crate) fn junit(rehearsed: &[Rehearsed]) -> String {
    let mut suites = String::new();
    for suite in rehearsed.chunk_by(|a, b| a.runbook == b.runbook) {
        let mut cases = String::new();
        for Rehearsed { runbook, report, .. } in suite {
            let _ = write!(
                cases,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
                escape(runbook),
                escape(&report.name),
                seconds(report.duration_ms)
            );
            if report.passed() {
                cases.push_str("/>\n");
                continue;
            }
            let message = escape(&failures(report).join("; "));
            let story = anstream::adapter::strip_str(&why(report)).to_string();
            let _ = writeln!(
                cases,
                ">\n      <failure type=\"scenario\" message=\"{message}\">{}</failure>\n    </testcase>",
                escape(&story)
            );
        }
        let _ = write!(
            suites,
            "  <testsuite name=\"{}\" {}>\n{cases}  </testsuite>\n",
            suite.first().map_or_else(String::new, |first| escape(&first.runbook)),
            numbers(suite)
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"runbook test\" {}>\n{suites}</testsuites>\n",
        numbers(rehearsed)
    )
}

fn numbers(suite: &[Rehearsed]) -> String {
    let failed = suite.iter().filter(|rehearsed| !rehearsed.report.passed()).count();
    let time = suite.iter().map(|rehearsed| rehearsed.report.duration_ms).sum();
    format!("tests=\"{}\" failures=\"{failed}\" skipped=\"0\" time=\"{}\"", suite.len(), seconds(time))
}
