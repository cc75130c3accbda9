//! What options are given, as it is typed.

use runbook_core::event::AheadAnswer;
use runbook_core::id::StepId;

/// `STEP=WORD[:REASON]`.
pub(crate) fn ahead_answer(text: &str) -> Result<AheadAnswer, String> {
    let (step, answer) = text.split_once('=').ok_or("write STEP=WORD or STEP=WORD:REASON")?;
    let (word, reason) = match answer.split_once(':') {
        Some((word, reason)) => (word, Some(reason.to_owned()).filter(|reason| !reason.trim().is_empty())),
        None => (answer, None),
    };
    if word.is_empty() {
        return Err("write STEP=WORD or STEP=WORD:REASON".into());
    }
    Ok(AheadAnswer { step: step_id(step)?, word: word.to_owned(), reason, by: None })
}

/// `STEP=REASON`, short for `STEP=approve:REASON`.
pub(crate) fn ahead_approval(text: &str) -> Result<AheadAnswer, String> {
    let (step, reason) = step_reason(text)?;
    Ok(AheadAnswer { step, word: "approve".into(), reason: Some(reason), by: None })
}

/// A step's id.
pub(crate) fn step_id(text: &str) -> Result<StepId, String> {
    text.parse().map_err(|error: runbook_core::id::InvalidId| error.to_string())
}

/// `STEP=REASON`, with a reason.
pub(crate) fn step_reason(text: &str) -> Result<(StepId, String), String> {
    match text.split_once('=') {
        Some((step, reason)) if !reason.trim().is_empty() => Ok((step_id(step)?, reason.to_owned())),
        _ => Err("write STEP=REASON".into()),
    }
}

/// A reason that says something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".into()) } else { Ok(text.to_owned()) }
}

/// `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_ahead_are_read() {
        let table = [
            ("gate=approve", Some(("gate", "approve", None))),
            ("gate=approve:looked at it", Some(("gate", "approve", Some("looked at it")))),
            ("gate=reject:a: b", Some(("gate", "reject", Some("a: b")))),
            ("gate=approve:", Some(("gate", "approve", None))),
            ("gate=", None),
            ("gate", None),
            ("Not A Step=approve", None),
        ];
        for (text, expected) in table {
            let read = ahead_answer(text).ok();
            let read = read
                .as_ref()
                .map(|answer| (answer.step.as_str(), answer.word.as_str(), answer.reason.as_deref()));
            assert_eq!(read, expected, "{text}");
        }
        assert!(ahead_approval("gate=").is_err());
        assert_eq!(ahead_approval("gate=fine").map(|answer| answer.word), Ok("approve".into()));
    }
}
