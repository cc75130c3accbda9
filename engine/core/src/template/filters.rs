//! The filters beside minijinja's (language.md §7).

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::strtime;
use jiff::{SignedDuration, Timestamp, Zoned};
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use regex::{Regex, RegexBuilder};

use super::shell::quote_for_display;
use super::value::{from_json_value, preview, text_of};

/// The most memory that a compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

pub(crate) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("date", date);
    environment.add_filter("from_json", from_json);
    environment.add_filter("to_json", to_json);
    // Minijinja's own escapes for HTML.
    environment.add_filter("tojson", to_json);
    environment.add_filter("regex", regex);
    environment.add_filter("quote", quote);
    environment.add_filter("raw", raw);
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("lines", lines);
    environment.add_filter("number", number);
    environment.add_filter("duration", duration);
    environment.add_filter("basename", basename);
    environment.add_filter("dirname", dirname);
    // These two print values, so they print them as the language does.
    environment.add_filter("join", join);
    environment.add_filter("string", text);
}

fn fail(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Returns the text of a filter's input; undefined values keep their own kind of error, so that the reason is found.
fn text(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    text_of(value).map_err(|problem| fail(problem.message))
}

/// Formats a moment, given as RFC 3339 or as seconds since 1970, in a time zone.
#[expect(clippy::needless_pass_by_value, reason = "minijinja gives named arguments by value")]
fn date(value: &Value, format: &str, zone: Option<&str>, named: Kwargs) -> Result<String, Error> {
    let named_zone: Option<String> = named.get("tz")?;
    named.assert_all_used()?;
    let zone = zone.map(str::to_owned).or(named_zone).unwrap_or_else(|| "UTC".to_owned());
    let moment = moment(value)?;
    let zoned = moment.in_tz(&zone).map_err(|_| {
        fail(format!("`date`: there is no time zone `{zone}`; write one like `Europe/Berlin`"))
    })?;
    strtime::format(format, &zoned)
        .map_err(|error| fail(format!("`date`: the format `{format}` is wrong: {error}")))
}

fn moment(value: &Value) -> Result<Timestamp, Error> {
    let wrong = || {
        fail(format!(
            "`date` needs a moment like `2026-11-22T02:30:00Z` or seconds since 1970, not {}",
            preview(value)
        ))
    };
    if value.kind() == ValueKind::Number {
        let seconds = f64::try_from(value.clone()).map_err(|_| wrong())?;
        let offset = SignedDuration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        return Timestamp::from_duration(offset).map_err(|_| wrong());
    }
    let text = text(value)?;
    text.parse::<Timestamp>()
        .or_else(|_| text.parse::<Zoned>().map(|zoned| zoned.timestamp()))
        .map_err(|_| wrong())
}

fn from_json(value: &Value) -> Result<Value, Error> {
    let text = text(value)?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| fail(format!("`from_json`: no valid JSON: {error}")))?;
    Ok(from_json_value(&json))
}

#[expect(clippy::needless_pass_by_value, reason = "minijinja gives named arguments by value")]
fn to_json(value: &Value, indent: Option<bool>, named: Kwargs) -> Result<String, Error> {
    let named_indent: Option<bool> = named.get("indent")?;
    named.assert_all_used()?;
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let json = if indent.or(named_indent).unwrap_or(false) {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    json.map_err(|error| fail(format!("`to_json`: {error}")))
}

/// Searches a text and returns the match or one of its groups (by number or name); none where nothing matches.
#[expect(clippy::needless_pass_by_value, reason = "minijinja gives named arguments by value")]
fn regex(value: &Value, pattern: &str, group: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let named_group: Option<Value> = named.get("group")?;
    named.assert_all_used()?;
    let text = text(value)?;
    let expression = compiled(pattern)?;
    let group = group.or(named_group).unwrap_or_else(|| Value::from(0));
    let Some(captures) = expression.captures(&text) else {
        return Ok(Value::from(()));
    };
    let found = match (group.as_usize(), group.as_str()) {
        (Some(index), _) if index < expression.captures_len() => captures.get(index),
        (_, Some(name)) if expression.capture_names().flatten().any(|known| known == name) => {
            captures.name(name)
        }
        _ => return Err(fail(format!("`regex`: the pattern `{pattern}` has no group {}", preview(&group)))),
    };
    Ok(found.map_or_else(|| Value::from(()), |found| Value::from(found.as_str())))
}

/// Compiles a pattern, with `\d`, `\w` and `\s` ASCII as everywhere in the language; the last few are kept.
fn compiled(pattern: &str) -> Result<Regex, Error> {
    static RECENT: OnceLock<Mutex<Vec<(String, Regex)>>> = OnceLock::new();
    let recent = RECENT.get_or_init(Mutex::default);
    let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, regex)) = recent.iter().find(|(known, _)| known == pattern) {
        return Ok(regex.clone());
    }
    let regex = RegexBuilder::new(&ascii_classes(pattern)).size_limit(PATTERN_BYTES_MAX).build().map_err(
        |error| {
            fail(format!(
                "`regex`: the pattern `{pattern}` is wrong: {}",
                error.to_string().lines().last().unwrap_or_default()
            ))
        },
    )?;
    if recent.len() >= 16 {
        recent.remove(0);
    }
    recent.push((pattern.to_owned(), regex.clone()));
    Ok(regex)
}

/// Rewrites `\d \w \s \b` and their opposites to ASCII: turning Unicode off as a whole would let `.` match half a character.
pub(crate) fn ascii_classes(pattern: &str) -> String {
    let mut rewritten = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    let mut class_depth = 0_usize;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('d') => rewritten.push_str("[0-9]"),
                Some('D') => rewritten.push_str("[^0-9]"),
                Some('w') => rewritten.push_str("[0-9A-Za-z_]"),
                Some('W') => rewritten.push_str("[^0-9A-Za-z_]"),
                Some('s') => rewritten.push_str("[ \\t\\n\\r\\x0b\\x0c]"),
                Some('S') => rewritten.push_str("[^ \\t\\n\\r\\x0b\\x0c]"),
                Some('b') if class_depth == 0 => rewritten.push_str("(?-u:\\b)"),
                Some(other) => rewritten.extend(['\\', other]),
                None => rewritten.push('\\'),
            },
            '[' => {
                class_depth += 1;
                rewritten.push('[');
            }
            ']' => {
                class_depth = class_depth.saturating_sub(1);
                rewritten.push(']');
            }
            other => rewritten.push(other),
        }
    }
    rewritten
}

/// Quotes a value for a shell; a list becomes its quoted items with blanks between them.
fn quote(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Result<Vec<String>, Error> =
                value.try_iter()?.map(|item| Ok(quote_for_display(&text(&item)?))).collect();
            Ok(items?.join(" "))
        }
        _ => Ok(quote_for_display(&text(value)?)),
    }
}

/// Changes nothing: where values are kept apart from a program's text, the last `raw` is what inserts them into it.
fn raw(value: Value) -> Result<Value, Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(value) }
}

fn b64encode(value: &Value) -> Result<String, Error> {
    match value.as_bytes() {
        Some(bytes) => Ok(STANDARD.encode(bytes)),
        None => Ok(STANDARD.encode(text(value)?)),
    }
}

/// Decodes base64; what is not UTF-8 becomes U+FFFD, as in the output of a command.
fn b64decode(value: &Value) -> Result<String, Error> {
    let text: String = text(value)?.split_ascii_whitespace().collect();
    let bytes =
        STANDARD.decode(text).map_err(|error| fail(format!("`b64decode`: no valid base64: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lines(value: &Value) -> Result<Vec<String>, Error> {
    Ok(text(value)?.lines().map(str::to_owned).collect())
}

/// Reads a number; whole ones become integers.
fn number(value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::Number {
        return Ok(value.clone());
    }
    let text = text(value)?;
    parse_number(&text).ok_or_else(|| fail(format!("`number`: {} is no number", preview(&Value::from(text)))))
}

/// Reads a number as people write it: `3`, `-0.5`, `1e3`; an integer where it is whole.
pub(crate) fn parse_number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    // Up to 2^53 every whole number has an exact f64.
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        return Some(Value::from(number as i64));
    }
    Some(Value::from(number))
}

/// Turns `1h30m` into seconds, and seconds into `1h30m`.
fn duration(value: &Value) -> Result<Value, Error> {
    if value.kind() == ValueKind::Number {
        let seconds = f64::try_from(value.clone()).unwrap_or(f64::NAN);
        let span = Duration::try_from_secs_f64(seconds)
            .map_err(|_| fail("`duration`: the number of seconds is negative or too large"))?;
        return Ok(Value::from(duration_text(span)));
    }
    let text = text(value)?;
    match parse_duration(&text) {
        Some(span) if span.subsec_nanos() == 0 => Ok(Value::from(span.as_secs())),
        Some(span) => Ok(Value::from(span.as_secs_f64())),
        None => Err(fail(format!(
            "`duration`: {} is no duration like `500ms`, `30s`, `1h30m`",
            preview(&Value::from(text))
        ))),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor_ms: u64 = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(amount.checked_mul(factor_ms)?))?;
        rest = &rest[unit..];
    }
    Some(total)
}

fn duration_text(span: Duration) -> String {
    let mut rest = span.as_millis();
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest >= size {
            text.push_str(&(rest / size).to_string());
            text.push_str(unit);
            rest %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The last part of a path, as `basename` gives it.
fn basename(value: &Value) -> Result<String, Error> {
    let path = text(value)?;
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return Ok(if path.is_empty() { String::new() } else { "/".to_owned() });
    }
    Ok(trimmed.rsplit('/').next().unwrap_or_default().to_owned())
}

/// All of a path but its last part, as `dirname` gives it.
fn dirname(value: &Value) -> Result<String, Error> {
    let path = text(value)?;
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return Ok(if path.is_empty() { "." } else { "/" }.to_owned());
    }
    Ok(match trimmed.rsplit_once('/') {
        None => ".".to_owned(),
        Some((folder, _)) => match folder.trim_end_matches('/') {
            "" => "/".to_owned(),
            folder => folder.to_owned(),
        },
    })
}

fn join(value: &Value, separator: Option<&str>) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if value.kind() == ValueKind::String {
        let text = text(value)?;
        return Ok(text.chars().map(String::from).collect::<Vec<_>>().join(separator.unwrap_or_default()));
    }
    let items: Result<Vec<String>, Error> = value.try_iter()?.map(|item| text(&item)).collect();
    Ok(items?.join(separator.unwrap_or_default()))
}
