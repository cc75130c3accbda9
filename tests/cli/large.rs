//! A thousand steps whose order only their `needs` give (language.md §2), at every width.

use std::collections::{BTreeSet, HashMap};

use crate::helpers::TestEnvironment;

const STEPS: usize = 1000;
/// Every so many steps one really runs a command; the others let no time pass.
const REAL_EVERY: usize = 3;

/// Random numbers that are the same every day (Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn id(step: usize) -> String {
    format!("s{step}")
}

/// What each step needs: none for one that waits for all above it, which `needs` leaves unsaid.
fn needs(dice: &mut Dice) -> Vec<Option<BTreeSet<usize>>> {
    let of = |step: usize, dice: &mut Dice| match dice.roll(100) {
        0 => None,
        1..=5 => Some(BTreeSet::new()),
        _ => {
            let count = 1 + dice.roll(3);
            Some((0..count).filter(|_| step > 0).map(|_| step - 1 - dice.roll(step.min(60))).collect())
        }
    };
    (0..STEPS).map(|step| of(step, dice)).collect()
}

fn runbook(needs: &[Option<BTreeSet<usize>>]) -> String {
    let mut text = String::from("\nsteps:\n");
    for (step, needed) in needs.iter().enumerate() {
        let needed = needed.as_ref().map_or_else(String::new, |needed| {
            let ids: Vec<String> = needed.iter().map(|step| id(*step)).collect();
            format!("needs: [{}], ", ids.join(", "))
        });
        let id = id(step);
        let action = if step.is_multiple_of(REAL_EVERY) {
            format!("run: [sh, -c, 'echo {id} >> \"$LEDGER\"']")
        } else {
            "wait: 0s".to_owned()
        };
        text.push_str(&format!("  - {{id: {id}, {needed}{action}}}\n"));
    }
    text
}

fn in_right_order_at(max_parallel: usize) {
    let needs = needs(&mut Dice(42));
    let test = TestEnvironment::with(&runbook(&needs));
    let width = max_parallel.to_string();
    let run = test.runbook(&["run", "main", "--max-parallel", &width, "-q"]).succeeds().run_id();
    let journal = test.journal(&run);

    let mut ended: HashMap<String, usize> = HashMap::new();
    let mut started: BTreeSet<String> = BTreeSet::new();
    let (mut running, mut most) = (0, 0);
    for (at, event) in journal.events.iter().enumerate() {
        let Some(step) = event["step"].as_str() else { continue };
        let number: usize = step[1..].parse().unwrap();
        let is_real = number.is_multiple_of(REAL_EVERY);
        match event["kind"].as_str().unwrap() {
            "step_started" => {
                assert!(started.insert(step.to_owned()), "{step} starts twice");
                let above = || (0..number).collect::<BTreeSet<usize>>();
                for needed in needs[number].clone().unwrap_or_else(above) {
                    assert!(ended.contains_key(&id(needed)), "{step} starts before {} is over", id(needed));
                }
                running += usize::from(is_real);
                most = most.max(running);
            }
            "step_finished" => {
                assert_eq!(event["outcome"], "succeeded", "{event}");
                ended.insert(step.to_owned(), at);
                running -= usize::from(is_real);
            }
            _ => {}
        }
    }
    assert_eq!(ended.len(), STEPS);
    assert!(most <= max_parallel, "{most} run at a time, {max_parallel} may");
    assert!(max_parallel == 1 || most > 1, "they run beside each other");

    // The witness outside: each step that ran stands behind all real ones that it waits for, directly or not.
    let ledger = test.ledger();
    let place: HashMap<&str, usize> =
        ledger.iter().enumerate().map(|(at, line)| (line.as_str(), at)).collect();
    let real: Vec<usize> = (0..STEPS).step_by(REAL_EVERY).collect();
    assert_eq!((ledger.len(), place.len()), (real.len(), real.len()), "each once");
    let mut latest: Vec<Option<usize>> = Vec::new();
    for (step, needed) in needs.iter().enumerate() {
        let before = match needed {
            Some(needed) => needed.iter().filter_map(|step| latest[*step]).max(),
            None => latest.iter().flatten().max().copied(),
        };
        let own = step.is_multiple_of(REAL_EVERY).then(|| place[id(step).as_str()]);
        if let (Some(own), Some(before)) = (own, before) {
            assert!(before < own, "{} stands before {}", id(step), ledger[before]);
        }
        latest.push(own.max(before));
    }
}

#[test]
fn a_thousand_steps_run_in_order_one_at_a_time() {
    in_right_order_at(1);
}

#[test]
fn a_thousand_steps_run_in_order_four_at_a_time() {
    in_right_order_at(4);
}

#[test]
fn a_thousand_steps_run_in_order_sixty_four_at_a_time() {
    in_right_order_at(64);
}
