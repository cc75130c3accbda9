//! Text with `{{ … }}` in it.

use std::ops::Range;

use minijinja::Value;

use super::context::Context;
use super::error::{RenderError, TemplateError};
use super::expression::Expression;
use super::reference::Reference;
use super::value::text_of;

/// How long a rendered text may be, in bytes: as long as an output that may be used in an expression.
pub const RENDERED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A text in which only `{{ … }}` is special (language.md §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
    references: Vec<Reference>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text that stays as it is: its bytes in the source.
    Text(Range<usize>),
    /// `{{ … }}`.
    Hole(Hole),
}

/// `{{ … }}` in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The braces and what is between them.
    pub(crate) range: Range<usize>,
    /// Where the expression starts in the source: what its own ranges count from.
    pub(crate) inner: usize,
    pub(crate) expression: Expression,
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// All mistakes in all its expressions, each with its place in `source`.
    pub fn parse(source: &str) -> Result<Self, Vec<TemplateError>> {
        let mut parts = Vec::new();
        let mut references = Vec::new();
        let mut errors = Vec::new();
        let mut at = 0;
        while let Some(found) = source[at..].find("{{") {
            let open = at + found;
            if open > at {
                parts.push(Part::Text(at..open));
            }
            match parse_hole(source, open) {
                Ok(hole) => {
                    at = hole.range.end;
                    references.extend(hole.expression.references().iter().map(|reference| Reference {
                        range: reference.range.start + hole.inner..reference.range.end + hole.inner,
                        ..reference.clone()
                    }));
                    parts.push(Part::Hole(hole));
                }
                Err((mut found, end)) => {
                    errors.append(&mut found);
                    at = end;
                }
            }
        }
        if at < source.len() {
            parts.push(Part::Text(at..source.len()));
        }
        if errors.is_empty() {
            Ok(Self { source: source.to_owned(), parts, references })
        } else {
            Err(errors)
        }
    }

    /// Returns the text that was parsed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Tells whether there is no `{{ … }}` in it.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.holes().next().is_none()
    }

    /// Returns the names that it uses, in the order in which they are written.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Returns its expressions, each with where it starts in the source.
    pub fn expressions(&self) -> impl Iterator<Item = (usize, &Expression)> {
        self.holes().map(|hole| (hole.inner, &hole.expression))
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }

    /// Renders the text, with values inserted as they are.
    ///
    /// # Errors
    /// What [`Expression::evaluate`] refuses, values without a text (`none`, lists, maps), and a result over [`RENDERED_BYTES_MAX`].
    pub fn render(&self, context: &Context) -> Result<String, RenderError> {
        let mut text = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(range) => text.push_str(&self.source[range.clone()]),
                Part::Hole(hole) => text.push_str(&hole.render(context)?),
            }
            if text.len() > RENDERED_BYTES_MAX {
                return Err(RenderError::new(
                    0..self.source.len(),
                    "value-too-long",
                    "the text is longer than 16 MiB when it is rendered",
                ));
            }
        }
        Ok(text)
    }

    /// Renders a text that is nothing but one `{{ … }}` as the value itself, a list or a number for instance; any other as a string.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_value(&self, context: &Context) -> Result<Value, RenderError> {
        match self.parts.as_slice() {
            [Part::Hole(hole)] => {
                hole.expression.evaluate(context).map_err(|error| error.moved_by(hole.inner))
            }
            _ => self.render(context).map(Value::from),
        }
    }
}

impl Hole {
    pub(crate) fn render(&self, context: &Context) -> Result<String, RenderError> {
        let value = self.expression.evaluate(context).map_err(|error| error.moved_by(self.inner))?;
        text_of(&value).map_err(|problem| {
            let source = self.expression.source().trim();
            let error = RenderError::new(
                self.range.clone(),
                problem.code,
                format!("`{source}`: {}", problem.message),
            );
            match problem.help {
                Some(help) => error.with_help(help),
                None => error,
            }
        })
    }
}

type HoleErrors = (Vec<TemplateError>, usize);

/// Parses the `{{ … }}` that starts at `open`; on errors also tells where to go on.
fn parse_hole(source: &str, open: usize) -> Result<Hole, HoleErrors> {
    let inner = open + 2;
    let Some(length) = expression_length(&source[inner..]) else {
        // Without an end the rest can't be told apart from the expression. Go tells: `}}` somewhere is better than nothing.
        let end = source[inner..].find("}}").map_or(source.len(), |found| inner + found + 2);
        let error = TemplateError::new(open..end, "template-open", "this `{{` is never closed")
            .with_help("close it with `}}`; to get the braces themselves write `{{ '{{' }}`");
        return Err((vec![error], end));
    };
    let end = inner + length + 2;
    let text = &source[inner..inner + length];
    if let Some(error) = go_template(text, open..end) {
        return Err((vec![error], end));
    }
    if text.starts_with('-') && !text.starts_with("- ") && text.trim_end().ends_with('-')
        || text.trim_end().len() > 1 && text.trim_end().ends_with('-')
    {
        let error = TemplateError::new(
            open..end,
            "template-syntax",
            "`-` beside the braces doesn't remove blanks here",
        )
        .with_help("write `{{ … }}`");
        return Err((vec![error], end));
    }
    match Expression::parse(text) {
        Ok(expression) => Ok(Hole { range: open..end, inner, expression }),
        Err(errors) => Err((errors.into_iter().map(|error| error.moved_by(inner)).collect(), end)),
    }
}

/// Finds the `}}` that ends an expression, which knows strings and nested braces.
fn expression_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while *bytes.get(at)? != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Recognises what is meant for another template engine (docker, kubectl and helm print with Go templates).
fn go_template(text: &str, range: Range<usize>) -> Option<TemplateError> {
    let trimmed = text.trim();
    let first = trimmed.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let keyword = matches!(
        first,
        "range"
            | "end"
            | "with"
            | "template"
            | "define"
            | "block"
            | "printf"
            | "println"
            | "index"
            | "len"
            | "json"
            | "join"
    );
    let looks = trimmed.starts_with(['.', '$'])
        || trimmed == "end"
        || keyword
            && trimmed[first.len()..].starts_with(' ')
            && trimmed[first.len()..].trim_start().starts_with(['.', '$', '"', '('])
        || trimmed.starts_with("if ") && trimmed[3..].trim_start().starts_with(['.', '$', '(']);
    looks.then(|| {
        let braces = format!("{{{{{text}}}}}");
        let quoted = if text.contains('\'') {
            format!("\"{}\"", braces.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            format!("'{}'", braces.replace('\\', "\\\\"))
        };
        TemplateError::new(
            range,
            "template-go",
            format!("`{braces}` is no expression of this language, but one of a Go template"),
        )
        .with_help(format!("to pass it on, write `{{{{ {quoted} }}}}`"))
    })
}
