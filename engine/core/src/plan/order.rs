//! What waits for what: the rule of `needs` (language.md §2), circles, and the order in which steps are shown and started.
//!
//! A step without `needs` waits for every step above it. Written out that would be a quadratic number of edges, so it needs only
//! those above that no other step above needs. That is the same: a step starts, or is skipped by `when`, only when everything that it
//! needs has passed, so where it has passed, all of them have; and where one of them did not pass, it is `blocked`, which is no
//! passing either.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::report::Report;
use crate::document::model::Step;
use crate::source::Span;

/// The order of a runbook's steps. Indexes are those of declaration: `steps`, then `finally`.
pub(super) struct Order {
    /// For each step those that it waits for, ascending, without duplicates.
    pub(super) needs: Vec<Vec<usize>>,
    /// The steps so that each comes after what it needs and otherwise stays where the author put it; those of `finally` last. Steps
    /// in a circle, and below one, are left out.
    pub(super) sequence: Vec<usize>,
    /// The place of each step in `sequence`.
    pub(super) position: Vec<Option<usize>>,
    /// How many steps there are before `finally`.
    pub(super) main_count: usize,
    /// For each step whether it waits for all above it in its list.
    waits_for_all_above: Vec<bool>,
    search: RefCell<Search>,
}

/// How many steps are looked at on the way up before all that waits for a step is worked out: most references name a step close by.
const NEARBY: usize = 64;
/// How much is kept of what was worked out, in steps.
const KEPT_MAX: usize = 256 << 20;

/// A search for an ancestor, its memory kept from one to the next.
#[derive(Default)]
struct Search {
    seen: Vec<u32>,
    round: u32,
    open: Vec<usize>,
    /// For a step the places in the sequence, from its own on, of those that wait for it: a bit each.
    waiting: HashMap<usize, Vec<u64>>,
}

impl Order {
    /// Orders steps and reports what is wrong with their `needs`.
    pub(super) fn of(main: &[Step], finally: &[Step], report: &mut Report) -> Self {
        let count = main.len() + finally.len();
        let mut needs = Vec::with_capacity(count);
        let lists = Lists { main: index_of(main), finally: index_of(finally) };
        resolve_list(main, 0, &lists, false, &mut needs, report);
        resolve_list(finally, main.len(), &lists, true, &mut needs, report);
        let steps: Vec<&Step> = main.iter().chain(finally).collect();
        let mut sequence = Vec::with_capacity(count);
        sort(&needs, 0..main.len(), &mut sequence);
        sort(&needs, main.len()..count, &mut sequence);
        let mut position = vec![None; count];
        for (place, index) in sequence.iter().enumerate() {
            position[*index] = Some(place);
        }
        report_circles(&steps, &needs, &position, report);
        Self {
            needs,
            sequence,
            position,
            main_count: main.len(),
            waits_for_all_above: steps.iter().map(|step| step.needs.is_none()).collect(),
            search: RefCell::default(),
        }
    }

    /// Whether `earlier` is surely over when `later` starts. Of steps in a circle, or below one, it is said of everything, so that one
    /// mistake is not reported as many.
    pub(super) fn is_finished_before(&self, earlier: usize, later: usize) -> bool {
        if later >= self.main_count && earlier < self.main_count {
            return true;
        }
        if earlier >= self.main_count && later < self.main_count {
            return false;
        }
        let (Some(target), Some(_)) = (self.position[earlier], self.position[later]) else {
            return earlier != later;
        };
        if self.position[later] <= Some(target) {
            return false;
        }
        self.find_ancestor(earlier, target, later)
    }

    /// Walks up from `later`, leaving out what comes before the target and so can't need it.
    fn find_ancestor(&self, earlier: usize, target: usize, later: usize) -> bool {
        let mut search = self.search.borrow_mut();
        let Search { seen, round, open, waiting } = &mut *search;
        if !waiting.contains_key(&earlier) {
            seen.resize(self.needs.len(), 0);
            *round += 1;
            open.clear();
            open.push(later);
            let mut looked_at = 0;
            while let Some(step) = open.pop().filter(|_| looked_at < NEARBY) {
                looked_at += 1;
                let covers =
                    self.waits_for_all_above[step] && earlier < step && self.same_list(earlier, step);
                if covers || self.needs[step].binary_search(&earlier).is_ok() {
                    return true;
                }
                for need in &self.needs[step] {
                    if seen[*need] != *round && self.position[*need] > Some(target) {
                        seen[*need] = *round;
                        open.push(*need);
                    }
                }
            }
            if looked_at < NEARBY {
                return false;
            }
            if (waiting.len() + 1).saturating_mul(self.needs.len()) > KEPT_MAX {
                waiting.clear();
            }
        }
        let waiting = waiting.entry(earlier).or_insert_with(|| self.waiting_for(target));
        self.position[later].is_some_and(|place| has_bit(waiting, place - target))
    }

    /// All that wait for the step at a place of the sequence.
    fn waiting_for(&self, target: usize) -> Vec<u64> {
        let mut waiting = vec![0; (self.sequence.len() - target).div_ceil(64)];
        waiting[0] |= 1;
        for (distance, step) in self.sequence[target..].iter().enumerate().skip(1) {
            let waits = self.needs[*step].iter().any(|need| {
                let place = self.position[*need].filter(|place| *place >= target);
                place.is_some_and(|place| has_bit(&waiting, place - target))
            });
            if waits {
                waiting[distance / 64] |= 1 << (distance % 64);
            }
        }
        waiting
    }

    fn same_list(&self, left: usize, right: usize) -> bool {
        (left < self.main_count) == (right < self.main_count)
    }
}

fn has_bit(bits: &[u64], index: usize) -> bool {
    bits.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
}

/// The steps of both lists by id.
struct Lists<'d> {
    main: HashMap<&'d str, usize>,
    finally: HashMap<&'d str, usize>,
}

fn index_of(steps: &[Step]) -> HashMap<&str, usize> {
    let mut index = HashMap::with_capacity(steps.len());
    for (place, step) in steps.iter().enumerate() {
        // Of two with one id, which is reported where the document is read, the first counts.
        index.entry(step.id.as_str()).or_insert(place);
    }
    index
}

/// Adds what each step of one list waits for.
fn resolve_list(
    steps: &[Step],
    offset: usize,
    lists: &Lists<'_>,
    finally: bool,
    needs: &mut Vec<Vec<usize>>,
    report: &mut Report,
) {
    // Steps above that no step above needs, and steps that one above needs although they stand below it.
    let mut open: std::collections::BTreeSet<usize> = std::collections::BTreeSet::new();
    let mut covered = vec![false; steps.len()];
    for (place, step) in steps.iter().enumerate() {
        let own = match &step.needs {
            None => std::mem::take(&mut open).into_iter().collect(),
            Some(_) => named_needs(steps, place, lists, finally, report),
        };
        for need in &own {
            open.remove(need);
            covered[*need] = true;
        }
        if !covered[place] {
            open.insert(place);
        }
        needs.push(own.into_iter().map(|need| need + offset).collect());
    }
}

/// The steps that a step names, by their place in its list.
fn named_needs(
    steps: &[Step],
    place: usize,
    lists: &Lists<'_>,
    finally: bool,
    report: &mut Report,
) -> Vec<usize> {
    let step = &steps[place];
    let (here, elsewhere) =
        if finally { (&lists.finally, &lists.main) } else { (&lists.main, &lists.finally) };
    let mut own = std::collections::BTreeSet::new();
    for name in step.needs.iter().flatten() {
        let id = name.as_str();
        match here.get(id) {
            Some(need) if *need == place || steps[*need].id.as_str() == step.id.as_str() => {
                report.error("cycle", name.span(), format!("`{id}` needs itself"));
            }
            Some(need) => {
                if !own.insert(*need) {
                    report.error("duplicate-need", name.span(), format!("`{id}` stands twice in `needs`"));
                }
            }
            None if elsewhere.contains_key(id) => {
                let message = if finally {
                    format!("the steps of `finally` start when all others are over: none can need `{id}`")
                } else {
                    format!("`{id}` stands under `finally`, which runs last: no step above can need it")
                };
                report.error("unknown-need", name.span(), message);
            }
            None => {
                let message = format!("there is no step `{}` to need", crate::document::node::crop(id));
                let candidates = steps.iter().map(|step| step.id.as_str());
                report.unknown("unknown-need", name.span(), message, id, candidates);
            }
        }
    }
    own.into_iter().collect()
}

/// Kahn's algorithm with the author's order as priority.
fn sort(needs: &[Vec<usize>], list: std::ops::Range<usize>, sequence: &mut Vec<usize>) {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); list.len()];
    let mut waits_for: Vec<usize> = Vec::with_capacity(list.len());
    for index in list.clone() {
        waits_for.push(needs[index].len());
        for need in &needs[index] {
            dependents[need - list.start].push(index);
        }
    }
    let ready = list.clone().filter(|index| waits_for[index - list.start] == 0).map(Reverse);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.collect();
    while let Some(Reverse(index)) = ready.pop() {
        sequence.push(index);
        for dependent in &dependents[index - list.start] {
            let left = &mut waits_for[dependent - list.start];
            *left -= 1;
            if *left == 0 {
                ready.push(Reverse(*dependent));
            }
        }
    }
}

/// Reports circles, each once and whole. Every step that could not be ordered needs one that could not, so whoever follows such needs
/// comes to a circle.
fn report_circles(steps: &[&Step], needs: &[Vec<usize>], position: &[Option<usize>], report: &mut Report) {
    const UNSEEN: usize = usize::MAX;
    let mut walked_from = vec![UNSEEN; steps.len()];
    for start in 0..steps.len() {
        if position[start].is_some() {
            continue;
        }
        let mut path = Vec::new();
        let mut at = start;
        while walked_from[at] == UNSEEN {
            walked_from[at] = start;
            path.push(at);
            // What the author wrote explains more than what follows from the rule, and what stands below more than what stands above.
            let Some(next) = needs[at].iter().copied().rev().find(|need| position[*need].is_none()) else {
                break;
            };
            at = next;
        }
        if walked_from[at] == start
            && let Some(begin) = path.iter().position(|step| *step == at)
        {
            report_circle(steps, &path[begin..], report);
        }
    }
}

fn report_circle(steps: &[&Step], circle: &[usize], report: &mut Report) {
    // Told from the first step that says what it needs.
    let begin = circle
        .iter()
        .enumerate()
        .filter(|(_, step)| steps[**step].needs.is_some())
        .min_by_key(|(_, step)| **step)
        .map_or(0, |(place, _)| place);
    let circle: Vec<usize> = circle[begin..].iter().chain(&circle[..begin]).copied().collect();
    let edges = circle.iter().zip(circle.iter().cycle().skip(1));
    let mut names: Vec<String> = circle.iter().map(|step| steps[*step].id.to_string()).collect();
    names.push(names[0].clone());
    let mut spans: Vec<(Span, String)> = edges.map(|(from, to)| edge(steps[*from], steps[*to])).collect();
    let (span, _) = spans[0];
    let implicit = circle.iter().find(|step| steps[**step].needs.is_none());
    let mut diagnostic =
        report.make("cycle", span, format!("these steps wait for each other: {}", names.join(" → ")));
    if let Some(step) = implicit {
        let id = &steps[*step].id.0;
        diagnostic = diagnostic.with_help(format!(
            "`{id}` has no `needs`, so it waits for every step above it: name what it needs, or move it up"
        ));
    }
    diagnostic.related = std::mem::take(&mut spans);
    report.push(diagnostic);
}

/// Where it is said that one step waits for another.
fn edge(from: &Step, to: &Step) -> (Span, String) {
    let written = from.needs.iter().flatten().find(|need| **need == *to.id.0);
    match written {
        Some(need) => (need.span(), format!("`{}` needs `{}`", from.id.0, to.id.0)),
        None => (
            from.id.span(),
            format!("`{}` has no `needs`: it waits for every step above it, so for `{}`", from.id.0, to.id.0),
        ),
    }
}
