//! Groups, called runbooks and steps with items: their steps in their place in the plan.

use std::mem;
use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::items::each;
use super::params::plain_params;
use super::step::{Inherited, Resolver};
use crate::document::model::{self as document, Step};
use crate::document::text::{Data, Expression, Map, Text};
use crate::plan::build::{LOST_STEP, skeleton};
use crate::plan::guards::Guards;
use crate::plan::input::CalledRunbook;
use crate::plan::model::{Action, SecretSource, Step as Resolved};
use crate::plan::names::{Declared, Environment, Place, Reach};
use crate::plan::order::Order;
use crate::plan::report::Report;
use crate::plan::structure::{Binding, Call, Group, Items, Repeat};
use crate::plan::unsupported;
use crate::template::{Scope, SecretUse, Template};

/// A step and, behind it, those that it holds. `needs` and `group` point into the block.
type Block = Vec<Resolved>;

impl<'d> Resolver<'d> {
    /// The steps of the list in hand, in their order, each followed by those that it holds.
    pub(in crate::plan) fn list(&mut self) -> Vec<Resolved> {
        let order = Rc::clone(&self.checker.declared.order);
        let count = order.needs.len();
        let mut blocks: Vec<Option<Block>> =
            (0..count).map(|index| self.block(index, index >= order.main_count)).collect();
        // Whoever planned a document that was read with errors must not get a plan without the steps that have them.
        if let Some(lost) =
            blocks.iter().position(Option::is_none).filter(|_| !self.checker.report.has_errors())
        {
            let span = self.checker.declared.steps[lost].id.span();
            self.checker.report.error(LOST_STEP, span, "this step has mistakes");
        }
        let mut starts: Vec<Option<usize>> = vec![None; count];
        let mut placed = Vec::new();
        for index in &order.sequence {
            let Some(block) = blocks[*index].take() else { continue };
            let start = placed.len();
            starts[*index] = Some(start);
            for (place, mut step) in block.into_iter().enumerate() {
                if place == 0 {
                    step.needs = order.needs[*index].iter().filter_map(|need| starts[*need]).collect();
                    step.needs.sort_unstable();
                } else {
                    shift(&mut step, start);
                }
                placed.push(step);
            }
        }
        placed
    }

    /// One step of the list in hand with all that it holds; `last` where it stands under `finally`.
    fn block(&mut self, index: usize, last: bool) -> Option<Block> {
        let step = self.checker.declared.steps[index];
        let finally = self.finally || (last && !self.in_call);
        let was_finally = mem::replace(&mut self.finally, finally);
        let items = step.for_each.as_ref().map(|for_each| self.items(for_each, index));
        let has_item = self.has_item || items.is_some();
        let had_item = mem::replace(&mut self.has_item, has_item);
        let mut held = Vec::new();
        let resolved = self.step(index, finally).map(|mut resolved| {
            match &step.action {
                document::Action::Steps(group) => {
                    held = self.group(index, step, group, &mut resolved);
                }
                document::Action::Call(call) => {
                    if let Some((called, steps)) = self.call(index, step, call, &mut resolved) {
                        resolved.action = Action::Call(Box::new(called));
                        held = steps;
                    }
                }
                _ => {}
            }
            resolved
        });
        self.has_item = had_item;
        self.finally = was_finally;
        let mut first = resolved?;
        first.cleanup = last && self.in_call;
        if first.is_container() {
            // An approval in it stays in, whatever the tags: each step inside has them.
            first.guards.left_out = None;
        }
        let block = around(first, held);
        Some(match items {
            None => block,
            Some(items) => vec![each(step, items, block)],
        })
    }

    /// A place of a step of the list in hand, before the step.
    fn place_of<'a>(&self, index: usize, env: &'a Environment) -> Place<'a> {
        Place {
            reach: Reach::Before(index),
            secrets: SecretUse::Refused,
            env,
            run: Scope::RUN_NAMES,
            bare: &[],
            item: self.has_item,
        }
    }

    fn items(&mut self, for_each: &document::ForEach, index: usize) -> Items {
        let env = self.default_env.clone();
        let place = self.place_of(index, &env);
        match for_each {
            document::ForEach::List(list) => {
                for item in list {
                    self.data(item, place);
                }
                Items::List(list.iter().map(Data::to_json).collect())
            }
            document::ForEach::Expression(expression) => {
                self.checker.expression(expression, place);
                Items::Expression(expression.to_string())
            }
        }
    }

    /// The steps of a group, and what they give.
    fn group(
        &mut self,
        index: usize,
        step: &'d Step,
        group: &'d document::Group,
        resolved: &mut Resolved,
    ) -> Vec<Resolved> {
        let order = Rc::new(Order::of(&group.steps, &[], &mut self.checker.report));
        let inner = self.checker.declared.inside(&group.steps, order);
        let outer = mem::replace(&mut self.checker.declared, inner);
        self.checker.declared.outer = Some((Box::new(outer), index));
        let length = self.prefix.len();
        self.prefix.push_str(&step.id);
        self.prefix.push('.');
        let inherited = self.inherited.clone();
        let environment = self.default_env.clone();
        self.enter(step);
        let was_in_call = mem::replace(&mut self.in_call, false);
        let steps = self.list();
        let env = self.default_env.clone();
        let place = Place { reach: Reach::Everything, ..self.place_of(0, &env) };
        for (_, expression) in step.outputs.iter() {
            self.checker.expression(expression, place);
        }
        resolved.outputs = texts(&step.outputs);
        let repeat = group.repeat.as_ref().map(|repeat| {
            self.checker.condition(&repeat.until, place);
            Repeat { until: repeat.until.to_string(), times: repeat.times.get() }
        });
        resolved.action = Action::Steps(Group { repeat });
        self.in_call = was_in_call;
        self.inherited = inherited;
        self.default_env = environment;
        self.prefix.truncate(length);
        if let Some((outer, _)) = self.checker.declared.outer.take() {
            self.checker.declared = *outer;
        }
        steps
    }

    /// A called runbook and its steps.
    fn call(
        &mut self,
        index: usize,
        step: &'d Step,
        call: &'d document::Call,
        resolved: &mut Resolved,
    ) -> Option<(Call, Vec<Resolved>)> {
        let env = self.default_env.clone();
        let place = self.place_of(index, &env);
        let (mut called, guards, steps) = self.inline(step, call, &step.id, place)?;
        let given: Vec<&str> = called.outputs.keys().map(String::as_str).collect();
        for (_, expression) in step.outputs.iter() {
            self.checker.expression(expression, Place { bare: &given, ..place });
        }
        self.refuse_twice("window", step, call, resolved.guards.window.is_some() && guards.window.is_some());
        self.refuse_twice("lock", step, call, resolved.guards.lock.is_some() && guards.lock.is_some());
        resolved.guards.window = resolved.guards.window.take().or(guards.window);
        called.has_own_lock &= resolved.guards.lock.is_none();
        resolved.guards.lock = resolved.guards.lock.take().or(guards.lock);
        Some((called, steps))
    }

    /// A call has one lock and one window: of two, one would not be held.
    fn refuse_twice(&mut self, key: &str, step: &Step, call: &document::Call, is_twice: bool) {
        if !is_twice {
            return;
        }
        let message = format!("`{key}` stands beside this call and in `{}`, which it calls", call.call);
        let diagnostic = self.checker.report.make("meaningless-key", step.id.span(), message);
        let help = format!("put the call into a group (`steps`) that has the `{key}`: then both count");
        self.checker.report.push(diagnostic.with_help(help));
    }

    /// What a step, or its undo, calls: the runbook, when it may run, and its steps. Their ids begin with the whole id of the step, which
    /// ends as `id` says.
    pub(super) fn inline(
        &mut self,
        step: &'d Step,
        call: &'d document::Call,
        id: &str,
        place: Place<'_>,
    ) -> Option<(Call, Guards, Vec<Resolved>)> {
        let caller = self.checker.report.file().to_owned();
        let called = match self.calls.find(&caller, &call.call) {
            Ok(called) => called,
            Err(error) => {
                let span = call.call.span();
                let diagnostic = self.checker.report.make("unknown-runbook", span, error.message);
                self.checker.report.push(match error.help {
                    Some(help) => diagnostic.with_help(help),
                    None => diagnostic,
                });
                return None;
            }
        };
        self.refuse_circle(call, &called)?;
        let params = self.bind(call, &called, place);
        let cwd = self.cwd_of_call(step);
        let mut report = Report::new(called.source);
        unsupported::refuse(called.document, &mut report);
        let order = Rc::new(Order::of(&called.document.steps, &called.document.finally, &mut report));
        let declared = Declared::new(called.document, None, order, self.calls, called.source.name())
            .with_project_of(&self.checker.declared);
        let mut plan = skeleton(called.document, called.stem, None);
        plan.params = params
            .iter()
            .filter_map(|(name, binding)| match binding {
                Binding::Value(value) => Some((name.clone(), value.clone())),
                Binding::Text(..) => None,
            })
            .collect();
        let secrets = self.called_secrets(&plan.secrets, id);
        for name in &plan.pass_env {
            if !self.pass_env.contains(name) {
                self.pass_env.push(name.clone());
            }
        }
        let outer_report = mem::replace(&mut self.checker.report, report);
        let outer_declared = mem::replace(&mut self.checker.declared, declared);
        let outer_plan = mem::replace(&mut self.plan, plan);
        let outer_environment = (self.env.clone(), self.default_env.clone());
        let mut tags = self.inherited.tags.clone();
        tags.extend(step.tags.iter().map(Text::to_string));
        let inherited = mem::replace(
            &mut self.inherited,
            Inherited { cwd, shell: step.shell.as_ref(), tags, ..Inherited::default() },
        );
        let was_in_call = mem::replace(&mut self.in_call, true);
        let had_item = mem::replace(&mut self.has_item, false);
        let length = self.prefix.len();
        self.prefix.push_str(id);
        self.prefix.push('.');
        self.stack.push((called.source.name().to_owned(), call.call.to_string()));
        self.top();
        let steps = self.list();
        self.stack.pop();
        self.prefix.truncate(length);
        self.has_item = had_item;
        self.in_call = was_in_call;
        self.inherited = inherited;
        (self.env, self.default_env) = outer_environment;
        let plan = mem::replace(&mut self.plan, outer_plan);
        self.checker.declared = outer_declared;
        let report = mem::replace(&mut self.checker.report, outer_report);
        let inner = report.into_diagnostics();
        self.foreign.extend(inner);
        let called = Call {
            runbook: plan.runbook,
            params,
            plain_params: plain_params(called.document),
            secrets,
            env: plan.env,
            outputs: plan.outputs,
            has_own_lock: plan.guards.lock.is_some(),
        };
        Some((called, plan.guards, steps))
    }

    /// Where a called runbook's commands run, where the call says so.
    fn cwd_of_call(&mut self, step: &Step) -> Option<Text> {
        let cwd = step.cwd.as_ref().or(self.inherited.cwd.as_ref())?;
        if !cwd.contains("{{") || self.files.is_none() || self.checker.report.has_errors() {
            return Some(cwd.clone());
        }
        match Template::parse(cwd).ok().map(|template| template.render(&self.known())) {
            Some(Ok(rendered)) => Some(Text::new(rendered)),
            _ => {
                let message =
                    "`cwd` beside a call must be known before the run: use only params and project.vars";
                self.checker.report.error("call-cwd", cwd.span(), message);
                None
            }
        }
    }

    /// A runbook that calls itself, on whatever way, would have no end.
    fn refuse_circle(&mut self, call: &document::Call, called: &CalledRunbook<'_>) -> Option<()> {
        let file = called.source.name();
        let Some(begin) = self.stack.iter().position(|(known, _)| known == file) else { return Some(()) };
        let mut names: Vec<&str> = self.stack[begin..].iter().map(|(_, name)| name.as_str()).collect();
        names.push(names[0]);
        let message = format!("these runbooks call each other without end: {}", names.join(" → "));
        self.checker.report.error("recursion", call.call.span(), message);
        None
    }

    /// The plan's names of a called runbook's secrets, which become the plan's.
    fn called_secrets(
        &mut self,
        called: &IndexMap<String, SecretSource>,
        id: &str,
    ) -> IndexMap<String, String> {
        let mut names = IndexMap::new();
        for (name, source) in called {
            let known =
                self.secrets.iter().find(|(_, known)| *known == source).map(|(known, _)| known.clone());
            let of_plan = known.unwrap_or_else(|| {
                if self.secrets.contains_key(name) {
                    format!("{}{id}.{name}", self.prefix)
                } else {
                    name.clone()
                }
            });
            self.secrets.insert(of_plan.clone(), source.clone());
            names.insert(name.clone(), of_plan);
        }
        names
    }

    /// The values that a call gives to the parameters of what it calls.
    fn bind(
        &mut self,
        call: &document::Call,
        called: &CalledRunbook<'_>,
        place: Place<'_>,
    ) -> IndexMap<String, Binding> {
        let params = &called.document.params;
        for (name, _) in call.with.iter().filter(|(name, _)| params.get(name).is_none()) {
            let message = format!("`{}` has no parameter `{name}`", call.call);
            let known = params.keys().map(|known| known.as_str());
            self.checker.report.unknown("unknown-param", name.span(), message, name, known);
        }
        let mut bindings = IndexMap::new();
        for (name, spec) in params.iter() {
            let declared = {
                let at = called.source.location(name.span().start);
                format!("it is declared at {}:{}:{}", called.source.name(), at.line, at.column)
            };
            let written = call.with.iter().find(|(given, _)| *given == name);
            let binding = match written {
                Some((given, data)) => self.binding(given, data, spec, place, &declared),
                None if spec.required && spec.default.is_none() => {
                    let message = format!("`{}` needs a value for its parameter `{name}`", call.call);
                    let diagnostic = self.checker.report.make("missing-param", call.call.span(), message);
                    let help = format!("give it with `with: {{{name}: …}}`; {declared}");
                    self.checker.report.push(diagnostic.with_help(help));
                    None
                }
                None => {
                    let value = spec.default.clone().unwrap_or(document::ParamValue::None);
                    Some(Binding::Value(serde_json::to_value(value).unwrap_or(Json::Null)))
                }
            };
            if let Some(binding) = binding {
                bindings.insert(name.to_string(), binding);
            }
        }
        bindings
    }

    fn binding(
        &mut self,
        given: &Text,
        data: &Data,
        spec: &document::ParamSpec,
        place: Place<'_>,
        declared: &str,
    ) -> Option<Binding> {
        let accepted = match data {
            Data::Text(text) if text.contains("{{") => {
                let template = self.checker.text(text, place)?;
                let known = |name: &str| matches!(name, "params" | "project");
                let before = template
                    .references()
                    .iter()
                    .all(|reference| reference.path.first().is_some_and(|first| known(first)));
                if !before || self.files.is_none() || self.checker.report.has_errors() || self.is_unsure() {
                    return Some(Binding::Text(text.to_string(), Box::new(spec.clone())));
                }
                match template.render_value(&self.known()) {
                    Ok(value) => match serde_json::to_value(&value).unwrap_or(Json::Null) {
                        Json::String(text) => spec.parse_text(&text),
                        other => spec.accept(&other.into()),
                    },
                    Err(error) => Err(error.message),
                }
            }
            Data::Text(text) => spec.parse_text(text),
            other => spec.accept(other),
        };
        match accepted {
            Ok(value) => Some(Binding::Value(serde_json::to_value(value).unwrap_or(Json::Null))),
            Err(why) => {
                let message = format!("the parameter `{given}`: {why}");
                let diagnostic = self.checker.report.make("invalid-param", given.span(), message);
                self.checker.report.push(diagnostic.with_help(declared));
                None
            }
        }
    }

    /// Whether some parameter of the runbook in hand is only known in the run.
    fn is_unsure(&self) -> bool {
        self.plan.params.len() < self.checker.declared.runbook.params.len()
    }
}

/// A step and, behind it, those that it holds.
pub(super) fn around(first: Resolved, held: Vec<Resolved>) -> Block {
    let mut block = vec![first];
    for mut step in held {
        let outermost = step.group.is_none();
        shift(&mut step, 1);
        if outermost {
            step.group = Some(0);
        }
        block.push(step);
    }
    block
}

/// Moves a step to another place of a list.
fn shift(step: &mut Resolved, by: usize) {
    for need in &mut step.needs {
        *need += by;
    }
    step.group = step.group.map(|group| group + by);
}

fn texts<const NAMED: bool>(map: &Map<Expression, NAMED>) -> IndexMap<String, String> {
    map.iter().map(|(name, expression)| (name.to_string(), expression.to_string())).collect()
}
