//! What is asked of people: approvals, manual work, choices, and the question before a step.

use indexmap::IndexMap;

use super::step::Resolver;
use crate::document::model::{self as document, Choices, ParamSpec, Step};
use crate::document::text::{Named, Text};
use crate::plan::names::Place;
use crate::plan::people::{self, Escalation};
use crate::plan::question::{EvidenceRule, OnExpiry, Options, Question};

impl Resolver<'_> {
    pub(super) fn approve(&mut self, step: &Step, approve: &document::Approve, place: Place<'_>) -> Question {
        let question = Question {
            quorum: approve.quorum.get(),
            not_self: !approve.starter_counts(),
            signed: approve.signed,
            ..self.question(step, &approve.gate, place)
        };
        if approve.signed {
            self.somebody_can_sign(step, &question);
        }
        question
    }

    /// Where only signed answers count, somebody who may answer needs a key.
    fn somebody_can_sign(&mut self, step: &Step, question: &Question) {
        let people = people::everyone(&self.checker.declared.project);
        let somebody = people
            .people
            .iter()
            .any(|(name, person)| !person.ssh_keys.is_empty() && people.may_answer(&question.from, name));
        if !somebody {
            let message = "only signed answers count, and nobody who may answer has `ssh_keys`".to_owned();
            let error = self.checker.report.make("unknown-person", step.id.span(), message);
            let help = "list their public keys under `people` of `project.yaml` beside the runbooks";
            self.checker.report.push(error.with_help(help));
        }
    }

    pub(super) fn manual(&mut self, step: &Step, manual: &document::Manual, place: Place<'_>) -> Question {
        for item in &manual.checklist {
            self.checker.text(item, place);
        }
        Question {
            checklist: manual.checklist.iter().map(Text::to_string).collect(),
            evidence: match manual.evidence {
                document::Evidence::None => EvidenceRule::None,
                document::Evidence::Optional => EvidenceRule::Optional,
                document::Evidence::Required => EvidenceRule::Required,
            },
            ..self.question(step, &manual.gate, place)
        }
    }

    pub(super) fn choose(&mut self, step: &Step, choose: &document::Choose, place: Place<'_>) -> Question {
        let options = match &choose.options {
            document::Options::Named(options) => {
                for (name, meaning) in options.iter() {
                    self.checker.text(name, place);
                    self.checker.text(meaning, place);
                }
                Options::Named(
                    options.iter().map(|(name, meaning)| (name.to_string(), meaning.to_string())).collect(),
                )
            }
            document::Options::List(names) => {
                for name in names {
                    self.checker.text(name, place);
                }
                Options::Named(names.iter().map(|name| (name.to_string(), String::new())).collect())
            }
            document::Options::Expression(expression) => {
                self.checker.expression(expression, place);
                Options::Expression(expression.to_string())
            }
        };
        Question { options: Some(options), ..self.question(step, &choose.gate, place) }
    }

    /// The question before a step.
    pub(super) fn ask(&mut self, step: &Step, place: Place<'_>) -> Option<Box<Question>> {
        let ask = step.ask.as_ref()?;
        if matches!(step.action, document::Action::Approve(_)) {
            let span = ask.gate.prompt.as_ref().map_or(step.id.span(), Text::span);
            let message =
                "an approval passes only by its own answers, so `ask` can't pass over it".to_owned();
            let error = self.checker.report.make("meaningless-key", span, message);
            self.checker.report.push(error.with_help("use `when`, or a `choose` before it"));
        }
        Some(Box::new(self.question(step, &ask.gate, place)))
    }

    /// What every question has.
    fn question(&mut self, step: &Step, gate: &document::Gate, place: Place<'_>) -> Question {
        for text in [&gate.prompt, &gate.details].into_iter().flatten() {
            self.checker.text(text, place);
        }
        let prompt = gate.prompt.as_ref().or(step.title.as_ref()).unwrap_or(&step.id);
        let names = gate.from.as_deref().unwrap_or_default();
        let from = people::from(names, &self.checker.declared.project, &mut self.checker.report);
        let escalate = self.escalation(gate.escalate.as_ref());
        Question {
            prompt: prompt.to_string(),
            details: gate.details.as_ref().map(Text::to_string),
            confirm_typed: gate.confirm.is_some(),
            expires: gate.expires,
            on_expiry: match gate.on_expiry {
                document::OnExpiry::Reject => OnExpiry::Reject,
                document::OnExpiry::Fail => OnExpiry::Fail,
            },
            from,
            quorum: 1,
            fields: self.fields(&gate.fields, place),
            escalate,
            ..Question::default()
        }
    }

    fn channel_named(&self, name: &str) -> Option<Text> {
        let mut names = self.checker.declared.project.channels.iter().map(|(name, _)| name);
        names.find(|known| known.as_str() == name).cloned()
    }

    /// An escalation, with the channels that it tells taken into the plan.
    pub(super) fn escalation(&mut self, escalate: Option<&document::Escalate>) -> Vec<Escalation> {
        let project = &self.checker.declared.project;
        let rungs = people::escalation(escalate, project, &mut self.checker.report);
        for rung in &rungs {
            // One that isn't there has been reported where it is named.
            let named = self.channel_named(&rung.notify);
            if let Some(name) = named {
                self.use_channel(&name);
            }
        }
        rungs
    }

    fn fields(&mut self, fields: &Named<ParamSpec>, place: Place<'_>) -> IndexMap<String, ParamSpec> {
        for (_, spec) in fields.iter() {
            if let Some(Choices::Expression(choices)) = &spec.choices {
                self.checker.expression(choices, place);
            }
        }
        fields.iter().map(|(name, spec)| (name.to_string(), spec.clone())).collect()
    }
}
