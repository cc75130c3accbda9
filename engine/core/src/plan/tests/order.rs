//! What waits for what.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::{plan, plan_with};
use crate::plan::Plan;

/// Each step with what it needs, in the plan's order.
fn order(plan: &Plan) -> Vec<(String, Vec<String>)> {
    let id = |index: &usize| plan.steps[*index].id.to_string();
    plan.steps.iter().map(|step| (step.id.to_string(), step.needs.iter().map(id).collect())).collect()
}

#[test]
fn the_rule_of_needs() {
    for (text, expected) in [
        // One after the other.
        ("[{id: a, run: x}, {id: b, run: x}, {id: c, run: x}]", "a() b(a) c(b)"),
        // Two beside each other, and one that waits for both.
        (
            "[{id: a, run: x}, {id: b, needs: [a], run: x}, {id: c, needs: [a], run: x}, {id: d, run: x}]",
            "a() b(a) c(a) d(b c)",
        ),
        // One that starts at once still holds up what comes after.
        ("[{id: a, run: x}, {id: b, needs: [], run: x}, {id: c, run: x}]", "a() b() c(a b)"),
        // What stands below can be needed; the order stays the author's otherwise.
        (
            "[{id: a, needs: [c], run: x}, {id: b, needs: [], run: x}, {id: c, needs: [], run: x}, {id: d, run: x}]",
            "b() c() a(c) d(b a)",
        ),
        // A step that is needed from above isn't needed once more.
        ("[{id: a, needs: [b], run: x}, {id: b, needs: [], run: x}, {id: c, run: x}]", "b() a(b) c(a)"),
    ] {
        let plan = plan(&format!("steps: {text}\n"));
        let shown: Vec<String> =
            order(&plan).into_iter().map(|(id, needs)| format!("{id}({})", needs.join(" "))).collect();
        assert_eq!(shown.join(" "), expected, "{text}");
    }
}

#[test]
fn finally_is_a_list_of_its_own() {
    let plan = plan(
        "steps:\n- {id: a, run: x}\nfinally:\n- {id: f, run: x}\n- {id: g, needs: [], run: x}\n- {id: h, run: x}\n",
    );
    let found = order(&plan);
    assert_eq!(
        found[1..],
        [
            ("f".to_owned(), vec![]),
            ("g".to_owned(), vec![]),
            ("h".to_owned(), vec!["f".to_owned(), "g".to_owned()])
        ]
    );
    assert_eq!(plan.steps.iter().map(|step| step.finally).collect::<Vec<_>>(), [false, true, true, true]);
}

/// For each step what it waits for, directly or not, by the rule as the language page has it: every step above is an edge.
fn ancestors_by_the_rule(needs: &[Option<Vec<usize>>]) -> Option<Vec<BTreeSet<usize>>> {
    let edges: Vec<Vec<usize>> = needs
        .iter()
        .enumerate()
        .map(|(index, needs)| needs.clone().unwrap_or_else(|| (0..index).collect()))
        .collect();
    let mut ancestors = vec![BTreeSet::new(); needs.len()];
    // As often as there are steps is often enough for every path.
    for _ in 0..needs.len() {
        for (index, own) in edges.iter().enumerate() {
            let mut all: BTreeSet<usize> = own.iter().copied().collect();
            for need in own {
                all.extend(ancestors[*need].iter().copied());
            }
            ancestors[index] = all;
        }
    }
    let circle = ancestors.iter().enumerate().any(|(index, all)| all.contains(&index));
    (!circle).then_some(ancestors)
}

fn runbook(needs: &[Option<Vec<usize>>], named: Option<(usize, usize)>) -> String {
    let mut text = "steps:\n".to_owned();
    for (index, needs) in needs.iter().enumerate() {
        let needs = needs.as_ref().map_or_else(String::new, |needs| {
            let names: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
            format!("needs: [{}], ", names.join(", "))
        });
        let uses = named.filter(|(later, _)| *later == index);
        let uses =
            uses.map_or_else(String::new, |(_, earlier)| format!("when: steps.s{earlier}.succeeded, "));
        let _ = writeln!(text, "- {{id: s{index}, {needs}{uses}run: x}}");
    }
    text
}

prop_compose! {
    /// Steps without `needs`, and with some that mostly stand above.
    fn needs()(count in 1..14_usize)(
        picks in prop::collection::vec((any::<bool>(), prop::collection::btree_set(0..200_usize, 0..4), 0..20_u8), count)
    ) -> Vec<Option<Vec<usize>>> {
        let count = picks.len();
        picks.into_iter().enumerate().map(|(index, (implicit, picks, below))| {
            let limit = if below == 0 { count } else { index };
            let named: BTreeSet<usize> =
                picks.into_iter().filter(|_| limit > 0).map(|pick| pick % limit).filter(|pick| *pick != index).collect();
            if implicit { None } else { Some(named.into_iter().collect()) }
        }).collect()
    }
}

proptest! {
    #[test]
    fn fewer_edges_mean_the_same(needs in needs()) {
        let expected = ancestors_by_the_rule(&needs);
        let found = plan_with(&runbook(&needs, None), &[], "");
        let Some(expected) = expected else {
            let mistakes = found.expect_err("there is a circle");
            prop_assert!(mistakes.iter().all(|mistake| mistake.starts_with("cycle ")), "{mistakes:?}");
            return Ok(());
        };
        let plan = found.expect("there is no circle");
        let number = |index: usize| plan.steps[index].id.as_str()[1..].parse::<usize>().expect("`s` and a number");
        let mut ancestors = vec![BTreeSet::new(); needs.len()];
        for (place, step) in plan.steps.iter().enumerate() {
            let mut all = BTreeSet::new();
            for need in &step.needs {
                prop_assert!(*need < place, "a step comes after what it needs");
                all.insert(number(*need));
                all.extend(ancestors[number(*need)].iter().copied());
            }
            ancestors[number(place)] = all;
        }
        prop_assert_eq!(&ancestors, &expected);
        // Of two steps of which none waits for the other, what holds the second back is never another one's place alone.
        for pair in plan.steps.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            let (first_number, second_number) =
                (first.id.as_str()[1..].parse::<usize>(), second.id.as_str()[1..].parse::<usize>());
            let (first_number, second_number) = (first_number.expect("a number"), second_number.expect("a number"));
            prop_assert!(first_number < second_number || ancestors[second_number].contains(&first_number));
        }
    }

    #[test]
    fn a_step_can_name_just_those_that_are_over(needs in needs(), later in 0..14_usize, earlier in 0..14_usize) {
        let (later, earlier) = (later % needs.len(), earlier % needs.len());
        let Some(ancestors) = ancestors_by_the_rule(&needs) else { return Ok(()) };
        let found = plan_with(&runbook(&needs, Some((later, earlier))), &[], "");
        prop_assert_eq!(found.is_ok(), ancestors[later].contains(&earlier), "{:?}", found.err());
    }

    #[test]
    fn circles_are_shown_whole(needs in needs()) {
        if ancestors_by_the_rule(&needs).is_some() {
            return Ok(());
        }
        for mistake in plan_with(&runbook(&needs, None), &[], "").expect_err("there is a circle") {
            let (_, circle) = mistake.split_once("each other: ").expect("a circle is named");
            let circle = circle.split(" (").next().unwrap_or_default();
            let steps: Vec<usize> =
                circle.split(" → ").map(|id| id[1..].parse().expect("`s` and a number")).collect();
            prop_assert_eq!(steps.first(), steps.last());
            for pair in steps.windows(2) {
                let waits = needs[pair[0]].as_ref().map_or(pair[1] < pair[0], |needs| needs.contains(&pair[1]));
                prop_assert!(waits, "{mistake}");
            }
        }
    }
}

/// Far apart, with many steps between them that wait for neither: what the walk up gives up on.
#[test]
fn steps_far_above_are_found() {
    let needs: Vec<Option<Vec<usize>>> = (0..400_usize)
        .map(|index| Some(index.checked_sub(2).into_iter().chain(index.checked_sub(4)).collect()))
        .collect();
    let ancestors = ancestors_by_the_rule_once(&needs);
    for (later, earlier) in [(399, 1), (399, 0), (398, 0), (398, 1), (300, 2), (300, 3), (5, 399), (399, 397)]
    {
        let found = plan_with(&runbook(&needs, Some((later, earlier))), &[], "");
        assert_eq!(found.is_ok(), ancestors[later].contains(&earlier), "{later} {earlier}");
    }
}

/// The same as [`ancestors_by_the_rule`] where every step names steps above it alone.
fn ancestors_by_the_rule_once(needs: &[Option<Vec<usize>>]) -> Vec<BTreeSet<usize>> {
    let mut ancestors: Vec<BTreeSet<usize>> = Vec::new();
    for needs in needs {
        let direct = needs.iter().flatten().copied();
        let all = direct.clone().chain(direct.flat_map(|need| ancestors[need].clone()));
        ancestors.push(all.collect());
    }
    ancestors
}
