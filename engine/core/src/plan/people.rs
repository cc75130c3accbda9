//! Who is who, and who is told when: the part of `project.yaml` that a plan's questions use, frozen with it.
//!
//! A person is all her users and keys; a user in no entry is a person of that name (language.md §9). Two answers are of distinct
//! people where the persons differ, whatever users and keys they came by.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::input::ProjectInput;
use super::model::Step;
use super::question::Question;
use super::report::Report;
use crate::diagnostic::Diagnostics;
use crate::document::model::{self as document, Project};
use crate::document::text::Text;
use crate::duration::Duration;

/// What a name of a group begins with, wherever people are named.
const GROUP: &str = "group:";

/// One rung of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// How long after the start, or after the opening of the question.
    pub after: Duration,
    /// The channel that is told.
    pub notify: String,
}

/// A person: all her users and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// User names of the operating system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Public keys in OpenSSH's form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
}

/// The people and groups that a plan's questions can mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// By name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub people: IndexMap<String, Person>,
    /// Members by the group's name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub groups: IndexMap<String, Vec<String>>,
}

impl People {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.groups.is_empty()
    }

    /// The person that an operating system's user is.
    #[must_use]
    pub fn person_of_user<'a>(&'a self, user: &'a str) -> &'a str {
        let entry = self.people.iter().find(|(_, person)| person.users.iter().any(|known| known == user));
        entry.map_or(user, |(name, _)| name)
    }

    /// The person that a name in `from` or in a group means: an entry of that name, else the person of the user of that name.
    fn person_of_name<'a>(&'a self, name: &'a str) -> &'a str {
        if self.people.contains_key(name) { name } else { self.person_of_user(name) }
    }

    /// Everybody whom these names and groups mean; nobody in particular where there are none.
    #[must_use]
    pub fn members<'a>(&'a self, from: &'a [String]) -> BTreeSet<&'a str> {
        let mut members = BTreeSet::new();
        for name in from {
            match name.strip_prefix(GROUP) {
                Some(group) => {
                    let of_group = self.groups.get(group).into_iter().flatten();
                    members.extend(of_group.map(|name| self.person_of_name(name)));
                }
                None => {
                    members.insert(self.person_of_name(name));
                }
            }
        }
        members
    }

    /// Whether a person may answer a question with this `from`.
    #[must_use]
    pub fn may_answer(&self, from: &[String], person: &str) -> bool {
        from.is_empty() || self.members(from).contains(person)
    }
}

/// All people and groups of a project.
pub(super) fn everyone(project: &Project) -> People {
    People {
        people: project
            .people
            .iter()
            .map(|(name, person)| {
                let texts = |list: &[Text]| list.iter().map(Text::to_string).collect();
                let person = Person { users: texts(&person.users), ssh_keys: texts(&person.ssh_keys) };
                (name.to_string(), person)
            })
            .collect(),
        groups: project
            .groups
            .iter()
            .map(|(name, members)| (name.to_string(), members.iter().map(Text::to_string).collect()))
            .collect(),
    }
}

/// The part of a project that the questions of these steps use.
pub(super) fn frozen(project: &Project, steps: &[Step]) -> People {
    let questions = questions(steps);
    if questions.is_empty() {
        return People::default();
    }
    let all = everyone(project);
    let used_groups: BTreeSet<&str> = questions
        .iter()
        .flat_map(|question| &question.from)
        .filter_map(|name| name.strip_prefix(GROUP))
        .collect();
    // Where anyone may answer, everyone's users and keys tell people apart.
    let anyone = questions.iter().any(|question| question.from.is_empty());
    let named: BTreeSet<String> =
        questions.iter().flat_map(|question| all.members(&question.from)).map(str::to_owned).collect();
    let People { mut people, mut groups } = all;
    people.retain(|name, _| anyone || named.contains(name));
    groups.retain(|name, _| used_groups.contains(name.as_str()));
    People { people, groups }
}

/// Every question of these steps, those of items included.
fn questions<'p>(steps: impl IntoIterator<Item = &'p Step>) -> Vec<&'p Question> {
    let of_step = |step: &'p Step| {
        let own = step.action.question().map(|(_, question)| question);
        let undo = step.undo.as_deref().and_then(|undo| undo.action.question()).map(|(_, question)| question);
        let asked = own.into_iter().chain(undo).chain(step.ask.as_deref());
        asked.chain(questions(step.held_back())).collect::<Vec<_>>()
    };
    steps.into_iter().flat_map(of_step).collect()
}

/// The names under `from`, each checked against the project.
pub(super) fn from(names: &[Text], project: &Project, report: &mut Report) -> Vec<String> {
    for name in names {
        if name.contains("{{") {
            report.error(
                "template-place",
                name.span(),
                "`from` is no template: who may answer must be known before",
            );
            continue;
        }
        if name.trim().is_empty() {
            report.error("invalid-value", name.span(), "`from` names nobody here");
            continue;
        }
        let Some(group) = name.strip_prefix(GROUP) else {
            if project.groups.get(name).is_some() && project.people.get(name).is_none() {
                let error = report.make("unknown-person", name.span(), format!("`{name}` is a group"));
                report.push(error.with_help(format!("write `group:{name}`")));
            }
            continue;
        };
        if project.groups.get(group).is_none() {
            let known: Vec<&str> = project.groups.keys().map(|key| key.as_str()).collect();
            let message = if known.is_empty() {
                format!("there is no group `{group}`: `project.yaml` beside the runbooks has no `groups`")
            } else {
                format!("there is no group `{group}` in `project.yaml`")
            };
            report.unknown("unknown-group", name.span(), message, group, known.into_iter());
        }
    }
    names.iter().map(Text::to_string).collect()
}

/// An escalation, its policy looked up and its channels checked.
pub(super) fn escalation(
    escalate: Option<&document::Escalate>,
    project: &Project,
    report: &mut Report,
) -> Vec<Escalation> {
    let rungs = match escalate {
        None => return Vec::new(),
        Some(document::Escalate::Steps(rungs)) => {
            check_channels(rungs, project, report);
            rungs
        }
        Some(document::Escalate::Policy(name)) => {
            let Some(rungs) = project.escalation.get(name) else {
                let known: Vec<&str> = project.escalation.keys().map(|key| key.as_str()).collect();
                let message = if known.is_empty() {
                    format!(
                        "there is no escalation `{name}`: `project.yaml` beside the runbooks has no `escalation`"
                    )
                } else {
                    format!("there is no escalation `{name}` in `project.yaml`")
                };
                report.unknown("unknown-escalation", name.span(), message, name, known.into_iter());
                return Vec::new();
            };
            rungs
        }
    };
    let mut rungs: Vec<Escalation> =
        rungs.iter().map(|rung| Escalation { after: rung.after, notify: rung.notify.to_string() }).collect();
    rungs.sort_by_key(|rung| rung.after);
    rungs
}

fn check_channels(rungs: &[document::EscalationStep], project: &Project, report: &mut Report) {
    for rung in rungs {
        if project.channels.get(&rung.notify).is_none() {
            let known: Vec<&str> = project.channels.keys().map(|key| key.as_str()).collect();
            let message = if known.is_empty() {
                format!(
                    "there is no channel `{}`: `project.yaml` beside the runbooks has no `channels`",
                    rung.notify
                )
            } else {
                format!("there is no channel `{}` in `project.yaml`", rung.notify)
            };
            report.unknown("unknown-channel", rung.notify.span(), message, &rung.notify, known.into_iter());
        }
    }
}

/// What is wrong with the people, groups and escalations of a project by themselves.
pub(super) fn check_project(input: ProjectInput<'_>) -> Diagnostics {
    let project = input.project;
    let mut report = Report::new(input.source);
    let mut users: IndexMap<&str, &str> = IndexMap::new();
    let mut keys: IndexMap<String, &str> = IndexMap::new();
    for (name, person) in project.people.iter() {
        for user in &person.users {
            if let Some(other) = users.insert(user, name).filter(|other| *other != name.as_str()) {
                let message = format!("the user `{user}` is {other}'s already: a user is one person");
                report.error("duplicate-user", user.span(), message);
            }
        }
        for key in &person.ssh_keys {
            let Some(body) = key_body(key) else {
                let message = "this is no public key in OpenSSH's form".to_owned();
                let error = report.make("invalid-key", key.span(), message);
                report.push(error.with_help("write one line of a `.pub` file, as `ssh-ed25519 AAAA…`"));
                continue;
            };
            if let Some(other) = keys.insert(body, name).filter(|other| *other != name.as_str()) {
                let message = format!("this key is {other}'s already: a key is one person's");
                report.error("duplicate-key", key.span(), message);
            }
        }
    }
    for (_, members) in project.groups.iter() {
        for member in members.iter().filter(|member| member.starts_with(GROUP)) {
            report.error("invalid-value", member.span(), "a group holds people, not other groups");
        }
    }
    for (_, rungs) in project.escalation.iter() {
        check_channels(rungs, project, &mut report);
    }
    report.into_diagnostics()
}

/// The type and body of a public key, without its comment.
fn key_body(key: &str) -> Option<String> {
    let mut words = key.split_ascii_whitespace();
    let (kind, body) = (words.next()?, words.next()?);
    let known = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| kind.starts_with(start));
    (known && !key.contains(['\n', '\r', '\0'])).then(|| format!("{kind} {body}"))
}
