//! What can be known of an expression without evaluating it: its names, its type, whether its text is harmless.

use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};

use crate::diagnostic::suggest;

use super::engine;
use super::error::TemplateError;
use super::reference::{Comparison, Reference};
use super::value::Type;

/// What the analysis of one expression found.
#[derive(Debug, Clone)]
pub(crate) struct Analysis {
    pub(crate) references: Vec<Reference>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) static_type: Option<Type>,
    pub(crate) plain: PlainShape,
    /// `| raw` is the last filter.
    pub(crate) raw: bool,
}

/// Of what an expression's text is made, to tell whether it can hold anything but `A-Za-z0-9@%_+=:,./-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlainShape {
    /// It can't: a number, a boolean, a literal.
    Always,
    /// It may.
    Never,
    /// As the reference with this index.
    Reference(usize),
    /// As long as none of these can.
    All(Vec<Self>),
}

/// Tells whether a text holds nothing that any shell or program would take for more than a literal.
pub(crate) fn is_plain_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@%_+=:,./-".contains(&byte))
}

pub(crate) fn analyse(source: &str, expression: &Expr<'_>) -> Result<Analysis, Vec<TemplateError>> {
    let mut walk = Walk { source, references: Vec::new(), comparisons: Vec::new(), errors: Vec::new() };
    let (inner, raw) = match expression {
        Expr::Filter(filter) if filter.name == "raw" && filter.args.is_empty() => {
            (filter.expr.as_ref(), true)
        }
        other => (Some(other), false),
    };
    let plain = inner.map_or(PlainShape::Never, |inner| walk.visit(inner, Follows::Nothing));
    if !walk.errors.is_empty() {
        return Err(walk.errors);
    }
    let static_type = inner.and_then(type_of);
    Ok(Analysis { references: walk.references, comparisons: walk.comparisons, static_type, plain, raw })
}

/// What directly follows a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follows {
    Default,
    Nothing,
}

struct Walk<'s> {
    source: &'s str,
    references: Vec<Reference>,
    comparisons: Vec<Comparison>,
    errors: Vec<TemplateError>,
}

impl Walk<'_> {
    /// Collects what is in `expression` and returns of what its text is made.
    fn visit(&mut self, expression: &Expr<'_>, follows: Follows) -> PlainShape {
        if let Some(path) = written_path(expression) {
            return self.reference(range_of(expression), path, follows);
        }
        match expression {
            Expr::Var(_) => PlainShape::Never,
            Expr::Const(constant) => match constant.value.as_str() {
                Some(text) if !is_plain_text(text) => PlainShape::Never,
                _ => PlainShape::Always,
            },
            Expr::Slice(slice) => {
                let plain = self.visit(&slice.expr, Follows::Nothing);
                for part in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.visit(part, Follows::Nothing);
                }
                plain
            }
            Expr::UnaryOp(operation) => {
                let plain = self.visit(&operation.expr, Follows::Nothing);
                match operation.op {
                    UnaryOpKind::Not => PlainShape::Always,
                    UnaryOpKind::Neg => plain,
                }
            }
            Expr::BinOp(operation) => self.binary(operation.op, &operation.left, &operation.right),
            Expr::Compare(chain) => {
                self.visit(&chain.expr, Follows::Nothing);
                let mut left = &chain.expr;
                for step in &chain.ops {
                    self.visit(&step.expr, Follows::Nothing);
                    match step.op {
                        CompareOpKind::Eq | CompareOpKind::Ne => self.compare(left, &step.expr),
                        CompareOpKind::In | CompareOpKind::NotIn => self.compare_with_list(left, &step.expr),
                        CompareOpKind::Lt | CompareOpKind::Lte | CompareOpKind::Gt | CompareOpKind::Gte => {}
                    }
                    left = &step.expr;
                }
                PlainShape::Always
            }
            Expr::IfExpr(choice) => {
                self.visit(&choice.test_expr, Follows::Nothing);
                let mut branches = vec![self.visit(&choice.true_expr, Follows::Nothing)];
                match &choice.false_expr {
                    Some(otherwise) => branches.push(self.visit(otherwise, Follows::Nothing)),
                    None => self.error(
                        range_of(expression),
                        "template-syntax",
                        "`if` without `else` has no value when the condition is false",
                        "write `a if condition else b`",
                    ),
                }
                PlainShape::All(branches)
            }
            Expr::Filter(filter) => self.filter(expression, filter.name, filter.expr.as_ref(), &filter.args),
            Expr::Test(test) => {
                let follows = if matches!(test.name, "defined" | "undefined") {
                    Follows::Default
                } else {
                    Follows::Nothing
                };
                self.visit(&test.expr, follows);
                self.arguments(&test.args);
                let name: String = test.name.split_ascii_whitespace().collect();
                if !engine::TESTS.contains(&name.as_str()) {
                    self.unknown(range_of(expression), "test", &name, engine::TESTS);
                }
                PlainShape::Always
            }
            Expr::GetAttr(access) => {
                self.visit(&access.expr, Follows::Nothing);
                PlainShape::Never
            }
            Expr::GetItem(access) => {
                self.visit(&access.expr, Follows::Nothing);
                self.visit(&access.subscript_expr, Follows::Nothing);
                PlainShape::Never
            }
            Expr::Call(call) => {
                self.arguments(&call.args);
                self.call(expression, &call.expr);
                PlainShape::Never
            }
            Expr::List(list) => self.all(&list.items),
            Expr::Tuple(tuple) => self.all(&tuple.items),
            Expr::Map(map) => {
                self.all(&map.keys);
                self.all(&map.values)
            }
        }
    }

    fn all(&mut self, items: &[Expr<'_>]) -> PlainShape {
        for item in items {
            self.visit(item, Follows::Nothing);
        }
        PlainShape::Never
    }

    fn reference(&mut self, range: Range<usize>, path: Vec<String>, follows: Follows) -> PlainShape {
        self.references.push(Reference { range, path, defaulted: follows == Follows::Default });
        PlainShape::Reference(self.references.len() - 1)
    }

    fn binary(&mut self, operator: BinOpKind, left: &Expr<'_>, right: &Expr<'_>) -> PlainShape {
        if matches!(operator, BinOpKind::Sub) && self.dashed_step_name(left) {
            return PlainShape::Never;
        }
        let sides = vec![self.visit(left, Follows::Nothing), self.visit(right, Follows::Nothing)];
        match operator {
            BinOpKind::Eq | BinOpKind::Ne => self.compare(left, right),
            BinOpKind::In => self.compare_with_list(left, right),
            _ => {}
        }
        match operator {
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::In => PlainShape::Always,
            // What is plain stays plain when it is added, repeated or joined, and so does one of two plain values.
            BinOpKind::ScAnd
            | BinOpKind::ScOr
            | BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Mul
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow
            | BinOpKind::Concat => PlainShape::All(sides),
        }
    }

    /// `steps.smoke-tests` is a subtraction to the parser; nobody means it, since a step is no number.
    fn dashed_step_name(&mut self, left: &Expr<'_>) -> bool {
        let Some(path) = written_path(left).filter(|path| path.len() == 2 && path[0] == "steps") else {
            return false;
        };
        let range = range_of(left);
        let rest = self.source.get(range.end..).unwrap_or_default();
        let tail: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        if !tail.starts_with('-') {
            return false;
        }
        let id = format!("{}{}", path[1], tail.trim_end_matches('-'));
        self.error(
            range.start..range.end + tail.len(),
            "template-dash",
            format!("`steps.{id}` is read as a subtraction"),
            format!("write `steps.{}` or `steps[\"{id}\"]`", id.replace('-', "_")),
        );
        true
    }

    fn compare(&mut self, left: &Expr<'_>, right: &Expr<'_>) {
        for (name, literal) in [(left, right), (right, left)] {
            if let (Some(path), Expr::Const(constant)) = (written_path(name), literal)
                && let Some(text) = constant.value.as_str()
            {
                self.comparisons.push(Comparison {
                    range: range_of(literal),
                    path,
                    literal: text.to_owned(),
                });
            }
        }
    }

    fn compare_with_list(&mut self, left: &Expr<'_>, right: &Expr<'_>) {
        let items = match right {
            Expr::List(list) => &list.items,
            Expr::Tuple(tuple) => &tuple.items,
            _ => return,
        };
        for item in items {
            if matches!(item, Expr::Const(_)) {
                self.compare(left, item);
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => {
                    self.visit(value, Follows::Nothing);
                }
            }
        }
    }

    fn filter(
        &mut self,
        whole: &Expr<'_>,
        name: &str,
        inner: Option<&Expr<'_>>,
        arguments: &[CallArg<'_>],
    ) -> PlainShape {
        let name: String = name.split_ascii_whitespace().collect();
        let follows =
            if matches!(name.as_str(), "default" | "d") { Follows::Default } else { Follows::Nothing };
        let plain = inner.map_or(PlainShape::Never, |inner| self.visit(inner, follows));
        self.arguments(arguments);
        if name == "raw" {
            self.error(
                range_of(whole),
                "template-raw",
                "`| raw` must be the last filter and stand alone",
                "write `{{ value | raw }}`",
            );
        } else if !engine::FILTERS.contains(&name.as_str()) {
            self.unknown(range_of(whole), "filter", &name, engine::FILTERS);
        }
        match (name.as_str(), arguments) {
            ("int" | "float" | "number" | "length" | "count" | "abs" | "round" | "bool", _) => {
                PlainShape::Always
            }
            ("trim" | "lower" | "upper" | "string" | "basename" | "dirname" | "first" | "last", []) => plain,
            ("default" | "d", [CallArg::Pos(Expr::Const(other))]) => match other.value.as_str() {
                Some(text) if !is_plain_text(text) => PlainShape::Never,
                _ => plain,
            },
            // The parts of a date are digits and names; what stands between them is written in the format.
            ("date", [CallArg::Pos(Expr::Const(format)), ..])
                if format.value.as_str().is_some_and(is_plain_date_format) =>
            {
                PlainShape::Always
            }
            _ => PlainShape::Never,
        }
    }

    fn call(&mut self, whole: &Expr<'_>, callee: &Expr<'_>) {
        match callee {
            Expr::Var(variable) if engine::FUNCTIONS.contains(&variable.id) => {}
            Expr::Var(variable) => self.unknown(range_of(whole), "function", variable.id, engine::FUNCTIONS),
            Expr::GetAttr(method) => {
                self.visit(&method.expr, Follows::Nothing);
                self.error(
                    range_of(whole),
                    "template-method",
                    format!("values have no methods: `.{}(…)`", method.name),
                    format!(
                        "filters do that work: write `value | {}`, if there is such a filter",
                        method.name
                    ),
                );
            }
            other => {
                self.visit(other, Follows::Nothing);
                self.error(
                    range_of(whole),
                    "template-call",
                    "only functions can be called",
                    "the functions are `range` and `dict`",
                );
            }
        }
    }

    fn unknown(&mut self, range: Range<usize>, kind: &str, name: &str, known: &[&str]) {
        let help = match suggest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        self.error(range, "template-unknown", format!("there is no {kind} `{name}`"), help);
    }

    fn error(
        &mut self,
        range: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(TemplateError::new(range, code, message).with_help(help));
    }
}

pub(crate) fn is_plain_date_format(format: &str) -> bool {
    // Those of strftime whose text holds blanks (`%c`, `%e`, …) or comes from a locale are left out.
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            '%' => characters
                .next()
                .is_some_and(|directive| "YmdHMSyjFTsVGuwIlpabAB%".contains(directive) && directive != 'l'),
            other => is_plain_text(other.encode_utf8(&mut [0; 4])),
        };
        if !plain {
            return false;
        }
    }
    true
}

fn range_of(expression: &Expr<'_>) -> Range<usize> {
    let span = expression.span();
    // The span of an access starts at its dot or bracket where another access comes before it.
    let start = match expression {
        Expr::GetAttr(access) => range_of(&access.expr).start,
        Expr::GetItem(access) => range_of(&access.expr).start,
        Expr::Call(call) => range_of(&call.expr).start,
        _ => span.start_offset as usize,
    };
    start..(span.end_offset as usize).max(start)
}

/// Returns the name that an expression is, as far as all its parts are written out; `None` where it is none.
fn written_path(expression: &Expr<'_>) -> Option<Vec<String>> {
    match expression {
        Expr::Var(variable) => Some(vec![variable.id.to_owned()]),
        Expr::GetAttr(access) => {
            let mut path = written_path(&access.expr)?;
            path.push(access.name.to_owned());
            Some(path)
        }
        Expr::GetItem(access) => {
            let Expr::Const(key) = &access.subscript_expr else {
                return None;
            };
            let mut path = written_path(&access.expr)?;
            path.push(key.value.as_str()?.to_owned());
            Some(path)
        }
        _ => None,
    }
}

/// Returns the type of an expression where it is the same whatever the values are.
fn type_of(expression: &Expr<'_>) -> Option<Type> {
    match expression {
        Expr::Const(constant) => Type::of(&constant.value),
        Expr::UnaryOp(operation) => match operation.op {
            UnaryOpKind::Not => Some(Type::Boolean),
            UnaryOpKind::Neg => Some(Type::Number),
        },
        Expr::BinOp(operation) => match operation.op {
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::In => Some(Type::Boolean),
            // `a and b` is one of its sides, so it has a type only where both have the same.
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                type_of(&operation.left).filter(|left| type_of(&operation.right) == Some(*left))
            }
            BinOpKind::Sub | BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem | BinOpKind::Pow => {
                Some(Type::Number)
            }
            BinOpKind::Concat => Some(Type::String),
            BinOpKind::Add | BinOpKind::Mul => None,
        },
        Expr::Compare(_) | Expr::Test(_) => Some(Type::Boolean),
        Expr::IfExpr(choice) => {
            let other = choice.false_expr.as_ref().and_then(type_of);
            type_of(&choice.true_expr).filter(|chosen| other == Some(*chosen))
        }
        Expr::Filter(filter) => match filter.name {
            "bool" => Some(Type::Boolean),
            "length" | "count" | "int" => Some(Type::Integer),
            "float" | "abs" | "round" => Some(Type::Number),
            "lower" | "upper" | "trim" | "title" | "capitalize" | "replace" | "string" | "join"
            | "to_json" | "tojson" | "date" | "quote" | "b64encode" | "b64decode" | "basename"
            | "dirname" => Some(Type::String),
            "lines" | "split" | "list" => Some(Type::List),
            _ => None,
        },
        Expr::List(_) | Expr::Tuple(_) => Some(Type::List),
        Expr::Map(_) => Some(Type::Map),
        Expr::Var(_) | Expr::Slice(_) | Expr::GetAttr(_) | Expr::GetItem(_) | Expr::Call(_) => None,
    }
}
