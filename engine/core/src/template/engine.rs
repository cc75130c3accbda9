//! The one minijinja environment: strict, bounded, without includes, blocks or `debug()`.

use std::sync::OnceLock;

use minijinja::machinery::{Token, tokenize};
use minijinja::{Environment, UndefinedBehavior};

use super::error::TemplateError;
use super::filters;

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 16 * 1024;
/// How many operators one expression may have: each is a level of the compiler's recursion.
const OPERATOR_COUNT_MAX: usize = 200;
/// Instructions that one evaluation may take. An expression has no loops, so this is far more than any needs.
const FUEL: u64 = 100_000;

/// The names of all filters.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "b64decode",
    "b64encode",
    "basename",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "date",
    "default",
    "dictsort",
    "dirname",
    "duration",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "from_json",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "number",
    "pprint",
    "quote",
    "raw",
    "regex",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "to_json",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];
/// The names of all tests.
pub(crate) const TESTS: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];
/// The names of all functions.
pub(crate) const FUNCTIONS: &[&str] = &["range", "dict"];

/// Returns the environment that all expressions are compiled in.
pub(crate) fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(50);
        for name in ["debug", "namespace"] {
            environment.remove_global(name);
        }
        // Nothing is escaped here, so nothing can be marked as not needing it.
        environment.remove_filter("safe");
        environment.remove_test("safe");
        environment.remove_test("escaped");
        filters::add_to(&mut environment);
        environment
    })
}

/// Refuses an expression so long or so nested that compiling it would need more stack than there is.
pub(crate) fn check_size(source: &str) -> Result<(), TemplateError> {
    let refuse = |message: String| Err(TemplateError::new(0..source.len(), "template-too-long", message));
    if source.len() > EXPRESSION_BYTES_MAX {
        return refuse(format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    let flat = |token: &Token<'_>| {
        matches!(
            token,
            Token::Ident(_)
                | Token::Str(_)
                | Token::String(_)
                | Token::Int(_)
                | Token::Int128(_)
                | Token::Float(_)
                | Token::Comma
                | Token::Colon
        )
    };
    let word =
        |token: &Token<'_>| matches!(token, Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else"));
    let operators = tokenize(source, true, minijinja::syntax::SyntaxConfig::default())
        .map_while(Result::ok)
        .filter(|(token, _)| !flat(token) || word(token))
        .count();
    if operators > OPERATOR_COUNT_MAX {
        return refuse(format!("the expression has more than {OPERATOR_COUNT_MAX} operators"));
    }
    Ok(())
}
