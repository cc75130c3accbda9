//! A compiled script: the text with references to variables in it, and the expressions that are their values.

use minijinja::Value;

use super::checks::{Checks, Hole, refused};
use super::quote::{escape_expanded, quote_for_display};
use super::reader::{Reader, Unclear, Unit};
use super::tree::Place;
use crate::template::analysis::is_plain_text;
use crate::template::context::Context;
use crate::template::error::{RenderError, TemplateError};
use crate::template::reference::Reference;
use crate::template::text::{self as template, Part, Template};
use crate::template::value::preview;

const OTHER_HELP: &str =
    "pass it by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and use that variable in the script";
const BIG_VALUE_HELP: &str =
    "give it to the command by `stdin:`, or let an earlier step write it to a file in `run.dir`";

/// How long one rendered value may be, in bytes: what the system allows for one environment variable.
pub const VALUE_BYTES_MAX: usize = 128 * 1024;
/// How long all rendered values of a script may be together, in bytes.
pub const VALUES_BYTES_MAX: usize = 1024 * 1024;

/// What reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `sh`, `dash`, `ash`, or any shell that is known to be POSIX.
    Posix,
    /// `bash`.
    Bash,
    /// Anything else (`fish`, `zsh`, `python`): no `{{ }}` can be placed safely in it.
    Other,
}

/// A `run` script in which every `{{ }}` has its place.
#[derive(Debug, Clone)]
pub struct ShellScript {
    template: Template,
    /// What the names of the variables start with.
    prefix: String,
    /// One for each `{{ }}`, in order.
    places: Vec<Placed>,
}

/// One `{{ }}` of a script.
#[derive(Debug, Clone, Copy)]
struct Placed {
    place: Place,
    /// It is allowed here because it holds no characters but `A-Za-z0-9@%_+=:,./-`; its value is held to that.
    must_be_plain: bool,
    /// In front of a program it would be an option of that program.
    no_dash: bool,
}

/// A script that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedScript {
    /// The text for the shell.
    pub script: String,
    /// The environment variables that hold the values, by name.
    pub variables: Vec<(String, String)>,
    /// The script with the values in place, quoted as the place needs: what people are shown. Not yet sanitised or masked.
    pub display: String,
}

impl ShellScript {
    /// Finds the place of every `{{ }}` of a script and refuses those where something would read the value again as a program.
    ///
    /// `is_plain` tells of a reference whether its value is an integer, number or boolean, or a parameter whose `choices` or
    /// `pattern` admit no characters but `A-Za-z0-9@%_+=:,./-`.
    ///
    /// # Errors
    /// Every refused place, with the fix.
    pub fn compile(
        template: &Template,
        dialect: Dialect,
        is_plain: &dyn Fn(&Reference) -> bool,
    ) -> Result<Self, Vec<TemplateError>> {
        let holes: Vec<Hole> = template
            .holes()
            .map(|hole| Hole {
                range: hole.range.clone(),
                source: hole.expression.source().trim().to_owned(),
                plain: hole.expression.is_plain(is_plain),
                raw: hole.expression.is_raw(),
            })
            .collect();
        let prefix = variable_prefix(template);
        if holes.iter().all(|hole| hole.raw) {
            let placed = Placed { place: Place::Bare, must_be_plain: false, no_dash: false };
            return Ok(Self { template: template.clone(), prefix, places: vec![placed; holes.len()] });
        }
        if dialect == Dialect::Other {
            let other = |hole: &Hole| {
                refused(hole, "shell-other", "in a script for a shell that is not POSIX", OTHER_HELP)
            };
            return Err(holes.iter().filter(|hole| !hole.raw).map(other).collect());
        }
        let mut reader = Reader::new(units(template), holes.len(), dialect);
        let list = reader.script().map_err(|unclear| vec![unclear_error(template.source(), &unclear)])?;
        let mut errors = reader
            .refused(&mut |hole, refusal| refused(&holes[hole], refusal.code, refusal.place, refusal.help));
        errors.retain(|error| holes.iter().any(|hole| hole.range == error.range && !hole.raw));
        let mut checks = Checks::new(&holes, &reader.bodies);
        checks.script(&list);
        for error in std::mem::take(&mut checks.errors) {
            if errors.iter().all(|known| known.range != error.range) {
                errors.push(error);
            }
        }
        if !errors.is_empty() {
            errors.sort_by_key(|error| error.range.start);
            return Err(errors);
        }
        let place = |(hole, place): (usize, &Place)| Placed {
            place: *place,
            must_be_plain: checks.relied_on_plain.contains(&hole),
            no_dash: checks.no_dash.contains(&hole),
        };
        let places = reader.places.iter().enumerate().map(place).collect();
        Ok(Self { template: template.clone(), prefix, places })
    }

    /// Tells whether `| raw` inserts text into the program, which `lint` reports.
    #[must_use]
    pub fn uses_raw(&self) -> bool {
        self.template.holes().any(|hole| hole.expression.is_raw())
    }

    /// Renders the values.
    ///
    /// # Errors
    /// As [`Template::render`]; and a value that holds NUL, is longer than [`VALUE_BYTES_MAX`], or all together longer than [`VALUES_BYTES_MAX`].
    pub fn render(&self, context: &Context) -> Result<RenderedScript, RenderError> {
        let mut rendered =
            RenderedScript { script: String::new(), variables: Vec::new(), display: String::new() };
        let mut places = self.places.iter();
        let mut bytes = 0;
        for part in self.template.parts() {
            let hole = match part {
                Part::Text(range) => {
                    let text = &self.template.source()[range.clone()];
                    rendered.script.push_str(text);
                    rendered.display.push_str(text);
                    continue;
                }
                Part::Hole(hole) => hole,
            };
            let placed = places.next().expect("every hole was given a place in compile");
            let value = hole.render(context)?;
            if hole.expression.is_raw() {
                rendered.script.push_str(&value);
                rendered.display.push_str(&value);
                continue;
            }
            bytes += value.len();
            placed.check(hole, &value, bytes)?;
            let name = format!("{}{}", self.prefix, rendered.variables.len() + 1);
            rendered.script.push_str(&placed.place.reference(&name));
            rendered.display.push_str(&placed.place.shown(&value));
            rendered.variables.push((name, value));
        }
        Ok(rendered)
    }
}

impl Placed {
    fn check(self, hole: &template::Hole, value: &str, bytes: usize) -> Result<(), RenderError> {
        let source = hole.expression.source().trim();
        let refuse = |code, problem: String, help: &str| {
            Err(RenderError::new(hole.range.clone(), code, format!("`{{{{ {source} }}}}` {problem}"))
                .with_help(help))
        };
        if value.contains('\0') {
            return refuse(
                "value-nul",
                "holds a NUL character, which no variable of a command can hold".to_owned(),
                BIG_VALUE_HELP,
            );
        }
        if value.len() > VALUE_BYTES_MAX {
            return refuse(
                "value-too-long",
                format!("is {} bytes long; a command takes up to 128 KiB in one variable", value.len()),
                BIG_VALUE_HELP,
            );
        }
        if bytes > VALUES_BYTES_MAX {
            return refuse(
                "value-too-long",
                "makes the values of this command longer than 1 MiB together".to_owned(),
                BIG_VALUE_HELP,
            );
        }
        if self.must_be_plain && !is_plain_text(value) {
            let problem = format!(
                "is {}, but here it may only hold the characters A-Za-z0-9@%_+=:,./-",
                preview(&Value::from(value))
            );
            return refuse("value-not-plain", problem, "pass it by `env`");
        }
        if self.no_dash && value.starts_with('-') {
            let problem =
                format!("is {}, which the program would take for an option", preview(&Value::from(value)));
            return refuse(
                "value-is-option",
                problem,
                "write `--` before it, where the program knows that, or name the option that it belongs to",
            );
        }
        Ok(())
    }
}

impl Place {
    /// Refers to a variable in the way that fits the place.
    fn reference(self, name: &str) -> String {
        match self {
            Self::Bare => format!("\"${{{name}}}\""),
            Self::Double | Self::HereDocument | Self::Comment => format!("${{{name}}}"),
            Self::Single => format!("'\"${{{name}}}\"'"),
        }
    }

    /// Shows a value in the way that would mean the same in this place.
    fn shown(self, value: &str) -> String {
        match self {
            Self::Bare => quote_for_display(value),
            Self::Double => escape_expanded(value, true),
            Self::Single => value.replace('\'', "'\\''"),
            Self::HereDocument => escape_expanded(value, false),
            Self::Comment => value.replace(['\n', '\r'], " "),
        }
    }
}

/// Takes the script apart into characters and holes, each with its byte in the source.
pub(super) fn units(template: &Template) -> Vec<(Unit, usize)> {
    let mut units = Vec::with_capacity(template.source().len());
    let mut hole_count = 0;
    for part in template.parts() {
        match part {
            Part::Text(range) => {
                let text = &template.source()[range.clone()];
                units.extend(
                    text.char_indices().map(|(at, character)| (Unit::Char(character), range.start + at)),
                );
            }
            Part::Hole(hole) => {
                units.push((Unit::Hole(hole_count), hole.range.start));
                hole_count += 1;
            }
        }
    }
    units
}

/// The variables are `RB_1` and so on; where the script itself speaks of such names, others are taken.
fn variable_prefix(template: &Template) -> String {
    let mut prefix = "RB_".to_owned();
    while template.source().contains(&prefix) {
        prefix.push('_');
    }
    prefix
}

fn unclear_error(source: &str, unclear: &Unclear) -> TemplateError {
    let start = unclear.at.min(source.len());
    let end = source[start..].chars().next().map_or(start, |character| start + character.len_utf8());
    TemplateError::new(
        start..end,
        "shell-unclear",
        format!("the places of `{{{{ }}}}` in this script are not certain: {}", unclear.message),
    )
    .with_help(
        "pass the values by `env`, as in `env: {VALUE: \"{{ … }}\"}`, and write \"$VALUE\" in the script",
    )
}
