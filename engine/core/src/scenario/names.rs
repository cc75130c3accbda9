//! Steps as scenarios name them: by dotted id, or without the index for all items.

use crate::plan::{Action, Plan, Step};

/// What a scenario says about a step: of all entries that fit, the one that names it most exactly.
pub(super) fn best<'a, T>(entries: impl Iterator<Item = (&'a str, T)>, id: &str) -> Option<T> {
    let fitting = entries.filter_map(|(name, entry)| fit(name, id).map(|exactness| (exactness, entry)));
    // The first of several that fit alike.
    fitting.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, entry)| entry)
}

/// How many parts of the id are named with their index or host; none where the name means another step.
fn fit(name: &str, id: &str) -> Option<usize> {
    let (names, parts): (Vec<&str>, Vec<&str>) = (name.split('.').collect(), id.split('.').collect());
    if names.len() != parts.len() {
        return None;
    }
    let mut exact = 0;
    for (name, part) in names.into_iter().zip(parts) {
        if name == part {
            exact += usize::from(bare(part).len() < part.len());
        } else if name != bare(part) {
            return None;
        }
    }
    Some(exact)
}

/// One part of an id without index and host.
fn bare(part: &str) -> &str {
    part.find(['[', '@']).map_or(part, |at| &part[..at])
}

/// A whole id without indexes and hosts.
pub(super) fn plain(id: &str) -> String {
    id.split('.').map(bare).collect::<Vec<_>>().join(".")
}

/// All ids that a scenario may name, without indexes: also of steps that only the run makes, for each item or to undo one; `ID.undo` is
/// what undoes a step.
pub(super) fn known(plan: &Plan) -> Vec<String> {
    fn add(steps: &[Step], known: &mut Vec<String>) {
        for step in steps.iter().filter(|step| !step.is_added()) {
            let id = plain(step.id.as_str());
            if !known.contains(&id) {
                known.push(id);
            }
            if let Action::Each(each) = &step.action {
                add(&each.body, known);
            }
            if let Some(undo) = &step.undo {
                known.push(plain(step.id.undo_call().as_str()));
                add(&undo.steps, known);
            }
        }
    }
    let mut known = Vec::new();
    add(&plan.steps, &mut known);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_name_counts() {
        let entries =
            [("deploy", 0), ("deploy[1]", 1), ("stage.x", 2), ("stage[0].x", 3), ("stage[0].x[2]", 4)];
        for (id, expected) in [
            ("deploy", Some(0)),
            ("deploy[0]", Some(0)),
            ("deploy[1]", Some(1)),
            ("deploy@web1", Some(0)),
            ("stage[1].x", Some(2)),
            ("stage[0].x[1]", Some(3)),
            ("stage[0].x[2]", Some(4)),
            ("stage", None),
            ("x", None),
        ] {
            assert_eq!(best(entries.into_iter(), id), expected, "{id}");
        }
    }
}
