//! Parameters and the fields of gates: what a value may be (language.md §1 "Parameters").

use std::fmt;

use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::gate::report_duplicates;
use crate::document::decode::{Decode, Decoder, inline_schema};
use crate::document::node::{Node, Value, crop};
use crate::document::record::{record, words};
use crate::document::text::{Data, Expression, Spanned, Text};
use crate::duration::Duration;

words! {
    /// The type of a parameter.
    pub enum ParamKind: "a type of parameter" {
        /// Any text.
        String = "string",
        /// A whole number of 64 bits.
        Integer = "integer",
        /// A finite number.
        Number = "number",
        /// `true` or `false`.
        Boolean = "boolean",
        /// As in `1h30m`; its value is the text.
        Duration = "duration",
        /// A list of texts.
        List = "list",
    }
}

/// The value of a parameter or field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// None was given and none is required.
    None,
    /// Of type `boolean`.
    Boolean(bool),
    /// Of type `integer`.
    Integer(i64),
    /// Of type `number`; finite.
    Number(f64),
    /// Of type `string` or `duration`.
    String(String),
    /// Of type `list`.
    List(Vec<String>),
}

impl fmt::Display for ParamValue {
    /// As it stands in a text: a list with commas.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.pad("none"),
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Number(value) => write!(formatter, "{value}"),
            Self::String(value) => formatter.pad(value),
            Self::List(values) => formatter.pad(&values.join(", ")),
        }
    }
}

/// The allowed values of a parameter or field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choices {
    /// Written out.
    List(Vec<Text>),
    /// An expression that gives them; only in fields of gates.
    Expression(Expression),
}

impl Decode for Choices {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if !matches!(node.value, Value::Sequence(_)) {
            return Expression::decode(node, decoder).map(Self::Expression);
        }
        let list = Vec::<Text>::decode(node, decoder)?;
        report_duplicates(&list, decoder);
        if list.is_empty() {
            decoder.error("invalid-value", node.span, "`choices` needs at least one value");
        }
        Some(Self::List(list))
    }
}

inline_schema!(Choices, |generator| {
    let text = generator.subschema_for::<Text>();
    json_schema!({"anyOf": [{"type": "array", "items": text, "minItems": 1}, {"type": "string"}]})
});

record! {
    /// A parameter in its long form.
    pub struct ParamDefinition: "a parameter" {
        /// The type; `string` unless set.
        default kind as "type": ParamKind = ParamKind::String,
        /// The value when none is given. It is no template.
        optional default: Spanned<Data>,
        /// What it is, for who gives it.
        optional description: Text,
        /// A regular expression that must match the whole value; `\\d` and `\\w` are ASCII.
        optional pattern: Text,
        /// The allowed values; in a gate's field also an expression that gives them.
        optional choices: Choices,
        /// The smallest allowed number or duration.
        optional min: Text,
        /// The largest allowed number or duration.
        optional max: Text,
        /// Whether a value must be given; without one and without default the value is `none`.
        optional required: bool,
    }
}

/// A parameter, or a field of a gate: its type and what its value may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// The type.
    pub kind: ParamKind,
    /// What it is, for who gives it.
    pub description: Option<Text>,
    /// A regular expression that must match the whole value, or each value of a list.
    pub pattern: Option<Text>,
    /// The allowed values.
    pub choices: Option<Choices>,
    /// The smallest allowed value: an integer, a number or a duration as text.
    pub min: Option<ParamValue>,
    /// The largest allowed value.
    pub max: Option<ParamValue>,
    /// The value when none is given.
    pub default: Option<ParamValue>,
    /// Whether a value must be given where there is no default; otherwise it is `none`.
    pub required: bool,
}

impl ParamSpec {
    /// A parameter of a type that must be given and may be anything.
    #[must_use]
    pub fn of(kind: ParamKind) -> Self {
        Self {
            kind,
            description: None,
            pattern: None,
            choices: None,
            min: None,
            max: None,
            default: None,
            required: true,
        }
    }

    /// Reads a value that was typed as text (`-p k=v`, an answer), and checks it. A list is written `[a, b]` or `a, b`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse_text(&self, text: &str) -> Result<ParamValue, String> {
        let value = self.read_text(text)?;
        self.check(&value)?;
        Ok(value)
    }

    /// Reads a value from a YAML or JSON file or a call's `with`, and checks it. Where a text is expected, a number is the text that
    /// was written.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn accept(&self, data: &Data) -> Result<ParamValue, String> {
        let value = self.read_data(data)?;
        self.check(&value)?;
        Ok(value)
    }

    /// Checks a value against everything that the parameter says. Choices by expression are not known here and not checked.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn check(&self, value: &ParamValue) -> Result<(), String> {
        match (self.kind, value) {
            (_, ParamValue::None) if !self.required => return Ok(()),
            (ParamKind::String, ParamValue::String(text)) => self.check_text(text)?,
            (ParamKind::List, ParamValue::List(items)) => {
                items.iter().try_for_each(|item| self.check_text(item))?;
            }
            (ParamKind::Duration, ParamValue::String(text)) => {
                text.parse::<Duration>().map_err(|error| error.to_string())?;
            }
            (ParamKind::Number, ParamValue::Number(number)) if !number.is_finite() => {
                return Err("expected a finite number".to_owned());
            }
            (ParamKind::Number, ParamValue::Number(_) | ParamValue::Integer(_))
            | (ParamKind::Integer, ParamValue::Integer(_))
            | (ParamKind::Boolean, ParamValue::Boolean(_)) => {}
            _ => return Err(format!("expected {}", self.expected())),
        }
        self.check_bounds(value)?;
        self.check_choices(value)
    }

    /// The pattern as a regular expression that matches whole values.
    ///
    /// # Errors
    /// The pattern does not compile.
    pub fn pattern_regex(&self) -> Option<Result<Regex, String>> {
        self.pattern.as_ref().map(|pattern| whole_value_regex(pattern))
    }

    const fn expected(&self) -> &'static str {
        match self.kind {
            ParamKind::String => "a text",
            ParamKind::Integer => "a whole number",
            ParamKind::Number => "a number",
            ParamKind::Boolean => "`true` or `false`",
            ParamKind::Duration => "a duration like `30s`",
            ParamKind::List => "a list of texts",
        }
    }

    fn read_text(&self, text: &str) -> Result<ParamValue, String> {
        let refused = || format!("expected {}, found `{}`", self.expected(), crop(text));
        Ok(match self.kind {
            ParamKind::String | ParamKind::Duration => ParamValue::String(text.to_owned()),
            ParamKind::Integer => ParamValue::Integer(text.parse().map_err(|_| refused())?),
            ParamKind::Number => {
                let numeric = text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
                let number = text.parse::<f64>().ok().filter(|number| numeric && number.is_finite());
                text.parse()
                    .map(ParamValue::Integer)
                    .or_else(|_| number.map(ParamValue::Number).ok_or_else(refused))?
            }
            ParamKind::Boolean => ParamValue::Boolean(text.parse().map_err(|_| refused())?),
            ParamKind::List if text.trim_start().starts_with('[') => {
                self.read_data(&crate::document::parse_value(text)?)?
            }
            ParamKind::List if text.trim().is_empty() => ParamValue::List(Vec::new()),
            ParamKind::List => ParamValue::List(text.split(',').map(|item| item.trim().to_owned()).collect()),
        })
    }

    fn read_data(&self, data: &Data) -> Result<ParamValue, String> {
        Ok(match (self.kind, data) {
            (_, Data::Null) if !self.required => ParamValue::None,
            (ParamKind::Integer, Data::Integer(value, _)) | (ParamKind::Number, Data::Integer(value, _)) => {
                ParamValue::Integer(*value)
            }
            (ParamKind::Number, Data::Number(value, _)) => ParamValue::Number(*value),
            (ParamKind::Boolean, Data::Boolean(value)) => ParamValue::Boolean(*value),
            (ParamKind::List, Data::List(items)) => {
                let texts = items.iter().map(written_text).collect::<Option<_>>();
                ParamValue::List(texts.ok_or("expected a list of texts, found something else in it")?)
            }
            (ParamKind::String | ParamKind::Duration, data) => ParamValue::String(
                written_text(data)
                    .ok_or_else(|| format!("expected {}, found {}", self.expected(), found(data)))?,
            ),
            _ => return Err(format!("expected {}, found {}", self.expected(), found(data))),
        })
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("a value can't hold NUL".to_owned());
        }
        let (Some(regex), Some(pattern)) = (self.pattern_regex().transpose()?, &self.pattern) else {
            return Ok(());
        };
        if regex.is_match(text) {
            Ok(())
        } else {
            Err(format!("`{}` does not match the pattern `{pattern}`", crop(text)))
        }
    }

    fn check_bounds(&self, value: &ParamValue) -> Result<(), String> {
        if let Some(least) =
            self.min.as_ref().filter(|least| compare(value, least).is_some_and(std::cmp::Ordering::is_lt))
        {
            return Err(format!("`{value}` is too small: at least {least}"));
        }
        if let Some(most) =
            self.max.as_ref().filter(|most| compare(value, most).is_some_and(std::cmp::Ordering::is_gt))
        {
            return Err(format!("`{value}` is too large: at most {most}"));
        }
        Ok(())
    }

    fn check_choices(&self, value: &ParamValue) -> Result<(), String> {
        let Some(Choices::List(choices)) = &self.choices else { return Ok(()) };
        let given = match value {
            ParamValue::List(items) => items.clone(),
            other => vec![other.to_string()],
        };
        let same = |choice: &Text, item: &str| {
            choice == item
                || compare(&self.read_text(choice).unwrap_or(ParamValue::None), value)
                    .is_some_and(std::cmp::Ordering::is_eq)
        };
        match given.iter().find(|item| !choices.iter().any(|choice| same(choice, item))) {
            None => Ok(()),
            Some(refused) => {
                let known: Vec<&str> = choices.iter().map(Text::as_str).collect();
                let near = crate::diagnostic::suggest(refused, known.iter().copied());
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                Err(format!("`{}` is none of the choices {}{hint}", crop(refused), known.join(", ")))
            }
        }
    }
}

/// A scalar as the text that was written; `None` for null, lists and maps.
fn written_text(data: &Data) -> Option<String> {
    match data {
        Data::Text(text) | Data::Integer(_, text) | Data::Number(_, text) => Some(text.to_string()),
        Data::Boolean(value) => Some(value.to_string()),
        Data::Null | Data::List(_) | Data::Map(_) => None,
    }
}

fn found(data: &Data) -> String {
    match data {
        Data::Null => "nothing (null)".to_owned(),
        Data::Boolean(value) => format!("the boolean `{value}`"),
        Data::Integer(_, text) | Data::Number(_, text) => format!("the number `{}`", crop(text)),
        Data::Text(text) => format!("the text `{}`", crop(text)),
        Data::List(_) => "a list".to_owned(),
        Data::Map(_) => "a map".to_owned(),
    }
}

/// The order of two numbers or two durations; of anything else none.
fn compare(left: &ParamValue, right: &ParamValue) -> Option<std::cmp::Ordering> {
    #[expect(clippy::cast_precision_loss, reason = "only used where one side has a fraction")]
    match (left, right) {
        (ParamValue::Integer(left), ParamValue::Integer(right)) => Some(left.cmp(right)),
        (ParamValue::Number(left), ParamValue::Number(right)) => left.partial_cmp(right),
        (ParamValue::Integer(left), ParamValue::Number(right)) => (*left as f64).partial_cmp(right),
        (ParamValue::Number(left), ParamValue::Integer(right)) => left.partial_cmp(&(*right as f64)),
        (ParamValue::String(left), ParamValue::String(right)) => {
            Some(left.parse::<Duration>().ok()?.cmp(&right.parse::<Duration>().ok()?))
        }
        _ => None,
    }
}

/// The pattern of an author as a regular expression that matches whole values, with `\d` and `\w` ASCII.
fn whole_value_regex(pattern: &str) -> Result<Regex, String> {
    let message = |error: regex::Error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        format!("the pattern is no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
    };
    // Alone first: `a)|(b` must not become two halves of the anchored one.
    let ascii = ascii_classes(pattern);
    Regex::new(&ascii).map_err(message)?;
    // The line break ends a comment that the author's own `(?x)` may have begun.
    Regex::new(&format!("\\A(?:{ascii}\n)\\z"))
        .ok()
        .filter(|_| ascii.contains("(?x"))
        .map_or_else(|| Regex::new(&format!("\\A(?:{ascii})\\z")).map_err(message), Ok)
}

/// Writes `\d \D \w \W` out as ASCII classes, which are allowed inside brackets as well.
fn ascii_classes(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            written.push(character);
            continue;
        }
        match characters.next() {
            Some('d') => written.push_str("[0-9]"),
            Some('D') => written.push_str("[^0-9]"),
            Some('w') => written.push_str("[0-9A-Za-z_]"),
            Some('W') => written.push_str("[^0-9A-Za-z_]"),
            Some(other) => written.extend(['\\', other]),
            None => written.push('\\'),
        }
    }
    written
}

impl Decode for ParamSpec {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if matches!(node.value, Value::Mapping(_)) {
            let definition = ParamDefinition::decode(node, decoder)?;
            return Some(from_definition(definition, decoder));
        }
        let data = Data::decode(node, decoder)?;
        let kind = match &data {
            Data::Null => {
                let help = "write `{}` for one that must be given, or `{required: false}`";
                decoder.error_with_help(
                    "wrong-type",
                    node.span,
                    "a parameter needs a default or a definition, found nothing (null)",
                    help,
                );
                return Some(Self::of(ParamKind::String));
            }
            Data::Boolean(_) => ParamKind::Boolean,
            Data::Integer(_, text) => {
                refuse_lost_zeros(text, decoder);
                ParamKind::Integer
            }
            Data::Number(..) => ParamKind::Number,
            Data::List(_) => ParamKind::List,
            Data::Text(_) | Data::Map(_) => ParamKind::String,
        };
        let mut spec = Self::of(kind);
        match spec.accept(&data) {
            Ok(value) => spec.default = Some(value),
            Err(message) => decoder.error("invalid-default", node.span, message),
        }
        Some(spec)
    }
}

fn refuse_lost_zeros(text: &Text, decoder: &mut Decoder) {
    let digits = text.trim_start_matches(['+', '-']);
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{}` is a number to YAML and would lose its zeros", crop(text));
        decoder.error_with_help("invalid-value", text.span(), message, "quote it if a text is meant");
    }
}

/// The parameter of a long form; what contradicts itself is reported.
fn from_definition(definition: ParamDefinition, decoder: &mut Decoder) -> ParamSpec {
    let ParamDefinition { kind, default, description, pattern, choices, min, max, required } = definition;
    let mut spec = ParamSpec {
        description,
        pattern,
        choices,
        required: required.unwrap_or(true),
        ..ParamSpec::of(kind)
    };
    refuse_meaningless(&mut spec, decoder);
    if let Some(pattern) = &spec.pattern
        && let Err(message) = whole_value_regex(pattern)
    {
        decoder.error("invalid-pattern", pattern.span(), message);
        spec.pattern = None;
    }
    verify_choices(&spec, decoder);
    spec.min = read_bound(&spec, min.as_ref(), decoder);
    spec.max = read_bound(&spec, max.as_ref(), decoder);
    if let (Some(least), Some(most), Some(text)) = (&spec.min, &spec.max, &max)
        && compare(least, most).is_some_and(std::cmp::Ordering::is_gt)
    {
        decoder.error(
            "invalid-value",
            text.span(),
            format!("`max` is {most}, less than `min`, which is {least}"),
        );
    }
    if let Some(default) = default {
        let value = match &default.value {
            Data::Null => Err("a default can't be nothing (null); write `required: false`".to_owned()),
            data => spec.accept(data),
        };
        match value {
            Ok(value) => spec.default = Some(value),
            Err(message) => {
                decoder.error("invalid-default", default.span, format!("the default is refused: {message}"));
                // Whoever reads on should not miss a value as well.
                spec.required = false;
            }
        }
    }
    spec
}

fn refuse_meaningless(spec: &mut ParamSpec, decoder: &mut Decoder) {
    let text = matches!(spec.kind, ParamKind::String | ParamKind::List);
    if !text && let Some(pattern) = spec.pattern.take() {
        decoder.error(
            "meaningless-key",
            pattern.span(),
            format!("`pattern` has no meaning for the type `{}`", spec.kind),
        );
    }
}

fn verify_choices(spec: &ParamSpec, decoder: &mut Decoder) {
    let Some(Choices::List(choices)) = &spec.choices else { return };
    for choice in choices {
        let one = if spec.kind == ParamKind::List { ParamKind::String } else { spec.kind };
        let alone = ParamSpec { kind: one, choices: None, ..spec.clone() };
        if let Err(message) = alone.parse_text(choice) {
            decoder.error(
                "invalid-value",
                choice.span(),
                format!("this choice could never be made: {message}"),
            );
        }
    }
}

fn read_bound(spec: &ParamSpec, text: Option<&Text>, decoder: &mut Decoder) -> Option<ParamValue> {
    let text = text?;
    if !matches!(spec.kind, ParamKind::Integer | ParamKind::Number | ParamKind::Duration) {
        let message = format!("`min` and `max` have no meaning for the type `{}`", spec.kind);
        decoder.error("meaningless-key", text.span(), message);
        return None;
    }
    ParamSpec::of(spec.kind)
        .parse_text(text)
        .map_err(|message| decoder.error("invalid-value", text.span(), message))
        .ok()
}

/// Reports choices by expression, which only a gate's field may have.
pub(crate) fn refuse_expression_choices(spec: &ParamSpec, decoder: &mut Decoder) {
    if let Some(Choices::Expression(expression)) = &spec.choices {
        decoder.error(
            "wrong-type",
            expression.span(),
            "the choices of a parameter are a list; only those of a gate's field may be an expression",
        );
    }
}

impl JsonSchema for ParamSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Param".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (text, long) = (generator.subschema_for::<Text>(), generator.subschema_for::<ParamDefinition>());
        json_schema!({"anyOf": [text.clone(), {"type": "array", "items": text}, long]})
    }
}
