//! Whether every node sees every node, and who misses whom when not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// How many nodes an error text names.
const NAMED_MAX: usize = 10;

/// The nodes that do not see `size` members alive, by the counts that they told. A node that told nothing yet is behind.
#[must_use]
pub fn behind<'a>(size: u32, nodes: impl IntoIterator<Item = &'a str>, alive: &BTreeMap<String, u32>) -> Vec<&'a str> {
    nodes.into_iter().filter(|name| alive.get(*name) != Some(&size)).collect()
}

/// Says who misses whom: `nodes` maps all names to gossip addresses, `behind` are the nodes that saw too few or too many,
/// `views` holds the lists that these told.
///
/// Names at most ten nodes and, of each, at most ten that it misses.
#[must_use]
pub fn explain(
    nodes: &BTreeMap<String, SocketAddr>,
    behind: &[String],
    views: &BTreeMap<String, Vec<SocketAddr>>,
) -> String {
    let everybody: BTreeSet<SocketAddr> = nodes.values().copied().collect();
    let mut complaints = Vec::new();
    for name in behind {
        let Some(view) = views.get(name) else {
            complaints.push(format!("{name} did not tell whom it sees"));
            continue;
        };
        let seen: BTreeSet<SocketAddr> = view.iter().copied().collect();
        let missing: Vec<&str> =
            nodes.iter().filter(|(_, addr)| !seen.contains(addr)).map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() {
            complaints.push(format!("{name} misses {}", list(&missing)));
        }
        let strange: Vec<String> = seen.difference(&everybody).map(ToString::to_string).collect();
        if !strange.is_empty() {
            complaints.push(format!(
                "{name} sees {}, which is no node of this cluster",
                list(&strange.iter().map(String::as_str).collect::<Vec<_>>())
            ));
        }
    }
    if complaints.is_empty() {
        return "by now every node sees every node: it only took longer than the limit".to_owned();
    }
    let more = complaints.len().saturating_sub(NAMED_MAX);
    complaints.truncate(NAMED_MAX);
    let mut text = complaints.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// `a, b, c`, cut after ten with the number of the others.
#[must_use]
pub fn list(names: &[&str]) -> String {
    if names.len() <= NAMED_MAX {
        return names.join(", ");
    }
    format!("{} and {} more", names[..NAMED_MAX].join(", "), names.len() - NAMED_MAX)
}

#[cfg(test)]
mod tests {
    use event_log::plan::node_name;

    use super::*;

    fn addr(index: u32) -> SocketAddr {
        SocketAddr::from(([10, 77, 0, u8::try_from(index + 1).expect("small")], 7400))
    }

    fn nodes(count: u32) -> BTreeMap<String, SocketAddr> {
        (0..count).map(|index| (node_name(index), addr(index))).collect()
    }

    fn names(count: u32) -> Vec<String> {
        (0..count).map(node_name).collect()
    }

    #[test]
    fn a_node_is_behind_when_it_sees_too_few_too_many_or_did_not_tell() {
        let alive = BTreeMap::from([("n001".to_owned(), 4), ("n002".to_owned(), 3), ("n003".to_owned(), 5)]);
        assert_eq!(behind(4, ["n001", "n002", "n003", "n004"], &alive), ["n002", "n003", "n004"]);
    }

    #[test]
    fn the_explanation_names_who_misses_whom() {
        let views = BTreeMap::from([
            ("n001".to_owned(), vec![addr(0), addr(1), addr(2)]),
            ("n002".to_owned(), vec![addr(1)]),
            ("n004".to_owned(), vec![addr(0), addr(1), addr(2), addr(3), addr(9)]),
        ]);
        assert_eq!(
            explain(&nodes(4), &names(4), &views),
            "n001 misses n004; n002 misses n001, n003, n004; n003 did not tell whom it sees; \
             n004 sees 10.77.0.10:7400, which is no node of this cluster"
        );
    }

    #[test]
    fn the_explanation_stays_short_in_a_large_cluster() {
        let views = (0..100).map(|index| (node_name(index), vec![addr(index)])).collect();
        let text = explain(&nodes(100), &names(100), &views);
        assert!(text.contains("n001 misses n002, n003, n004, n005, n006, n007, n008, n009, n010, n011 and 89 more; "));
        assert!(text.ends_with("; and 90 more"), "{text}");
    }

    #[test]
    fn a_late_convergence_is_told_apart() {
        let all: Vec<SocketAddr> = (0..3).map(addr).collect();
        let views = (0..3).map(|index| (node_name(index), all.clone())).collect();
        assert!(explain(&nodes(3), &names(3), &views).starts_with("by now every node sees"));
    }
}
