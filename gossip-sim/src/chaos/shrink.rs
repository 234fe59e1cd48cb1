//! A smaller plan that still fails: delta debugging (Zeller, Hildebrandt, IEEE TSE 28, 2002) over acts, nodes, spans and the
//! configuration, again and again until nothing more can go.

use core::time::Duration;

use super::plan::{Act, Plan, What, span};
use crate::addresses::NodeId;

/// Shrinks a plan for as long as `fails` says that a smaller one still does; calls it `runs` times at most.
pub fn shrink(plan: &Plan, runs: usize, mut fails: impl FnMut(&Plan) -> bool) -> Plan {
    let mut best = plan.clone();
    let mut left = runs;
    let mut test = |plan: &Plan| {
        left = left.saturating_sub(1);
        (left > 0).then(|| plan.check().is_ok() && fails(plan))
    };
    loop {
        let before = best.clone();
        let ended = fewer_acts(&mut best, &mut test).is_none()
            || passes(&mut best, fewer_nodes, &mut test).is_none()
            || passes(&mut best, shorter, &mut test).is_none()
            || passes(&mut best, simpler, &mut test).is_none();
        if ended || best == before {
            return best;
        }
    }
}

/// Leaves out acts: halves, quarters, and at last single ones. `None` when there are no runs left.
fn fewer_acts(best: &mut Plan, test: &mut impl FnMut(&Plan) -> Option<bool>) -> Option<()> {
    let mut size = best.acts.len().div_ceil(2);
    while size > 0 {
        let mut begin = 0;
        while begin < best.acts.len() {
            let mut acts = best.acts.clone();
            acts.drain(begin..(begin + size).min(best.acts.len()));
            let candidate = Plan { acts, ..best.clone() };
            if test(&candidate)? {
                *best = candidate;
            } else {
                begin += size;
            }
        }
        size /= 2;
    }
    Some(())
}

/// Tries all that is a step smaller, and begins anew with each that still fails.
fn passes(
    best: &mut Plan,
    smaller: fn(&Plan) -> Vec<Plan>,
    test: &mut impl FnMut(&Plan) -> Option<bool>,
) -> Option<()> {
    let mut from = 0;
    loop {
        let candidates = smaller(best);
        let Some(at) = (from..candidates.len()).find_map(|at| match test(&candidates[at]) {
            Some(false) => None,
            found => Some(found.map(|_| at)),
        }) else {
            return Some(());
        };
        // What failed to be smaller before it will most likely fail again: go on from there.
        from = at?;
        *best = candidates[from].clone();
    }
}

fn fewer_nodes(plan: &Plan) -> Vec<Plan> {
    let hosts: Vec<NodeId> = plan.hosts().into_iter().rev().collect();
    hosts.into_iter().filter(|&node| node > 0).map(|node| without_node(plan, node)).collect()
}

/// The plan without a node, and those above it numbered anew.
fn without_node(plan: &Plan, gone: NodeId) -> Plan {
    let renumber = |node: NodeId| if node > gone { node - 1 } else { node };
    let acts = plan.acts.iter().filter_map(|act| {
        let what = act.what.without(gone)?.renumbered(renumber);
        Some(Act { what, ..act.clone() })
    });
    Plan { nodes: plan.nodes - u32::from(gone < plan.nodes), acts: acts.collect(), ..plan.clone() }
}

fn shorter(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let half = plan.span.get() / 2;
    let last = plan.acts.iter().map(|act| act.at.get()).max().unwrap_or_default();
    for end in [half, last + Duration::from_secs(1)] {
        if end >= last && span(end) < plan.span {
            all.push(Plan { span: span(end), ..plan.clone() });
        }
    }
    for (place, act) in plan.acts.iter().enumerate() {
        let with = |act: Act| {
            let mut acts = plan.acts.clone();
            acts[place] = act;
            Plan { acts, ..plan.clone() }
        };
        if act.lasts.get() >= Duration::from_millis(20) {
            all.push(with(Act { lasts: span(act.lasts.get() / 2), ..act.clone() }));
        }
        for what in fewer_of(&act.what) {
            all.push(with(Act { what, ..act.clone() }));
        }
    }
    all
}

fn fewer_of(what: &What) -> Vec<What> {
    match what {
        What::Events { count, .. } | What::Messages { count, .. } if *count > 1 => [1, count / 2, count - 1]
            .into_iter()
            .map(|fewer| {
                let mut what = what.clone();
                if let What::Events { count, .. } | What::Messages { count, .. } = &mut what {
                    *count = fewer;
                }
                what
            })
            .collect(),
        What::Block { .. } | What::Partition { .. } | What::Swizzle { .. } | What::Reconfigure { .. } => {
            what.nodes().into_iter().filter_map(|node| what.without(node)).collect()
        }
        _ => Vec::new(),
    }
}

fn simpler(plan: &Plan) -> Vec<Plan> {
    let mut all = vec![
        Plan { loss_per_mille: 0, ..plan.clone() },
        Plan { drift_ppm: Vec::new(), ..plan.clone() },
        Plan { metadata: Vec::new(), ..plan.clone() },
        Plan { rejoin: false, ..plan.clone() },
        Plan { latency: [span(Duration::from_millis(1)); 2], ..plan.clone() },
    ];
    if !plan.acts.iter().any(|act| matches!(act.what, What::Rotate { .. })) {
        all.push(Plan { key: 0, ..plan.clone() });
    }
    let table = toml::Table::try_from(&plan.protocol).expect("a protocol is a table");
    for name in table.keys() {
        let mut fewer = table.clone();
        fewer.remove(name);
        if let Ok(protocol) = fewer.try_into() {
            all.push(Plan { protocol, ..plan.clone() });
        }
    }
    all.retain(|smaller| smaller != plan);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::plan_of;

    #[test]
    fn what_does_not_matter_goes_and_what_does_stays() {
        // Whatever holds a pause and a loss fails.
        let plan = (0..).map(plan_of).find(|plan| fails(plan) && plan.acts.len() > 8 && plan.nodes > 5).unwrap();
        let small = shrink(&plan, 10_000, fails);
        assert!(fails(&small) && small.acts.len() == 2, "{}", small.to_text());
        assert_eq!((small.rejoin, small.loss_per_mille, small.key, small.drift_ppm.len()), (false, 0, 0, 0));
        assert_eq!(small.protocol, event_log::protocol::Protocol::default(), "{}", small.to_text());
        assert!(small.nodes <= 2 && small.check().is_ok(), "{}", small.to_text());
        assert!(small.acts.iter().all(|act| act.lasts.get() < Duration::from_millis(20)));
    }

    fn fails(plan: &Plan) -> bool {
        let is = |name: &str| plan.acts.iter().any(|act| act.what.name() == name);
        is("pause") && is("loss")
    }

    #[test]
    fn a_run_that_is_not_allowed_any_more_ends_with_the_best_so_far() {
        let plan = plan_of(3);
        let mut calls = 0;
        let small = shrink(&plan, 5, |_| {
            calls += 1;
            true
        });
        assert!((1..=5).contains(&calls), "{calls} runs");
        assert!(small.acts.len() < plan.acts.len());
    }

    #[test]
    fn nodes_are_numbered_anew_when_one_goes() {
        let plan = plan_of(11);
        for &gone in plan.hosts().iter().skip(1) {
            let fewer = without_node(&plan, gone);
            assert_eq!(fewer.check(), Ok(()), "without {gone}");
            assert_eq!(fewer.hosts().len() + 1, plan.hosts().len());
        }
    }
}
