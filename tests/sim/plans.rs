//! Plans, made by hand.

use indexmap::IndexMap;
use runbook_core::duration::Duration;
use runbook_core::id::StepId;
use runbook_core::plan::{
    Action, Call, Check, Command, Each, Group, Guards, Inputs, Items, OnFailure, OnInterrupt, PLAN_FORMAT,
    Plan, Probe, Question, Repeat, Retry, Role, Rollback, Run, Step, Undo, Wait,
};
use serde_json::json;

pub(crate) fn id(text: &str) -> StepId {
    text.parse().expect("a step id")
}

pub(crate) fn run() -> Action {
    Action::Run(Run {
        command: Command::Argv(vec!["true".into()]),
        stdin: None,
        expect: Vec::new(),
        background: None,
        interactive: false,
    })
}

pub(crate) fn background() -> Action {
    Action::Run(Run {
        command: Command::Argv(vec!["serve".into()]),
        stdin: None,
        expect: Vec::new(),
        background: Some(probe()),
        interactive: false,
    })
}

pub(crate) fn check() -> Action {
    Action::Check(probe())
}

pub(crate) fn probe() -> Check {
    Check {
        probe: Probe::Tcp("localhost:1".into()),
        expect: Vec::new(),
        expect_success: true,
        warn: Vec::new(),
        within: None,
        every: Duration::from_secs(5),
        hold: None,
        max_failures: 0,
    }
}

pub(crate) fn question() -> Question {
    Question {
        prompt: "Go on?".into(),
        details: None,
        checklist: Vec::new(),
        evidence: runbook_core::plan::EvidenceRule::None,
        confirm_typed: false,
        expires: None,
        on_expiry: runbook_core::plan::OnExpiry::Reject,
        ..Question::default()
    }
}

pub(crate) fn approve() -> Action {
    Action::Approve(question())
}

pub(crate) fn manual(items: &[&str]) -> Action {
    Action::Manual(Question {
        checklist: items.iter().map(|item| (*item).to_owned()).collect(),
        ..question()
    })
}

pub(crate) fn wait() -> Action {
    Action::Wait(Wait::For(Duration::from_secs(300)))
}

pub(crate) fn retry(times: u32, exit_codes: &[i32]) -> Retry {
    Retry {
        times,
        delay: Duration::from_secs(1),
        backoff: 2.0,
        max_delay: Duration::from_secs(60),
        jitter: false,
        exit_codes: exit_codes.to_vec(),
    }
}

/// A step that needs those before it which are named, with every key at its default.
pub(crate) fn step(name: &str, needs: &[usize], action: Action) -> Step {
    Step {
        id: id(name),
        title: None,
        description: None,
        needs: needs.to_vec(),
        finally: false,
        group: None,
        cleanup: false,
        item: None,
        when: None,
        guards: Guards::default(),
        ask: None,
        deadline: None,
        escalate: Vec::new(),
        done_when: None,
        action,
        timeout: None,
        grace: Duration::from_secs(10),
        retry: None,
        on_failure: OnFailure::Stop,
        on_interrupt: OnInterrupt::Ask,
        env: IndexMap::new(),
        cwd: None,
        shell: vec!["bash".into()],
        outputs: IndexMap::new(),
        inputs: Inputs::default(),
        artifacts: Vec::new(),
        log_limit: 1 << 26,
        source: None,
        undo: None,
        role: Role::Declared,
    }
}

pub(crate) fn finally(name: &str, needs: &[usize]) -> Step {
    Step { finally: true, ..step(name, needs, run()) }
}

pub(crate) fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        format: PLAN_FORMAT,
        runbook: "sim".into(),
        title: "sim".into(),
        description: None,
        params: IndexMap::new(),
        plain_params: Vec::new(),
        project_vars: IndexMap::new(),
        secrets: IndexMap::new(),
        env: IndexMap::new(),
        pass_env: Vec::new(),
        guards: Guards::default(),
        channels: IndexMap::new(),
        people: runbook_core::plan::People::default(),
        max_parallel: 16,
        outputs: IndexMap::new(),
        rollback: Rollback::Manual,
        steps,
    }
}

/// What undoes a step.
pub(crate) fn undo(action: Action, always: bool) -> Option<Box<Undo>> {
    Some(Box::new(Undo { action, steps: Vec::new(), timeout: None, env: IndexMap::new(), always }))
}

/// What undoes a step by calling a runbook: its steps' `needs` and `group` point into the list, of which the call is the first.
pub(crate) fn undo_by_call(id: &str, inner: Vec<Step>) -> Option<Box<Undo>> {
    let mut steps = vec![step(id, &[], call())];
    steps.extend(inner.into_iter().map(|step| Step { group: Some(0), ..step }));
    Some(Box::new(Undo { action: group(None), steps, timeout: None, env: IndexMap::new(), always: false }))
}

/// The call of a runbook.
pub(crate) fn call() -> Action {
    Action::Call(Box::new(Call {
        runbook: "called".into(),
        has_own_lock: false,
        params: IndexMap::new(),
        plain_params: Vec::new(),
        secrets: IndexMap::new(),
        env: IndexMap::new(),
        outputs: IndexMap::new(),
    }))
}

/// A group, and how many rounds of it there are at most.
pub(crate) fn group(times: Option<u32>) -> Action {
    Action::Steps(Group { repeat: times.map(|times| Repeat { until: "steps.x".into(), times }) })
}

/// A step with so many items, one after the other, of which so many may fail.
pub(crate) fn each(items: usize, max_failures: u32, body: Vec<Step>) -> Action {
    Action::Each(Box::new(Each {
        items: Items::List((0..items).map(|item| json!(item)).collect()),
        max_parallel: 1,
        max_failures,
        batches: Vec::new(),
        body,
    }))
}
