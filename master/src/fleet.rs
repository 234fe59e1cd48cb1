//! Who is there, and in which state.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::time::Instant;

use crate::collector::Link;

/// Where a node stands, as the master knows it (it ordered most of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Its process was started, or is about to be.
    Starting,
    /// It has said Hello and was told to join, but not every node sees every node yet.
    Joining,
    /// A member like the others.
    Alive,
    /// A fault makes it neither send nor receive, until the given instant.
    Asleep(Instant),
    /// A fault cuts it off from the others, until the given instant.
    CutOff(Instant),
    /// It said goodbye.
    Left,
    /// It was killed.
    Crashed,
}

impl State {
    /// The states' names, in the order of the table on the screen.
    pub const NAMES: [&'static str; 7] = ["starting", "joining", "alive", "asleep", "cut off", "left", "crashed"];

    /// Index into [`Self::NAMES`].
    #[must_use]
    pub fn row(self) -> usize {
        match self {
            Self::Starting => 0,
            Self::Joining => 1,
            Self::Alive => 2,
            Self::Asleep(_) => 3,
            Self::CutOff(_) => 4,
            Self::Left => 5,
            Self::Crashed => 6,
        }
    }
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its gossip address.
    pub addr: SocketAddr,
    /// Where it stands.
    pub state: State,
    /// Which of its lives, once it has said Hello.
    pub life: Option<u64>,
    /// Identity of its kernel, once it has said Hello.
    pub boot_id: String,
    /// How to reach it, while it is connected.
    pub link: Option<Link>,
    /// Since when it should be connected and is not.
    pub lost_since: Option<Instant>,
}

impl Node {
    /// True for a node that is part of the cluster now: neither left nor crashed.
    #[must_use]
    pub fn is_living(&self) -> bool {
        !matches!(self.state, State::Left | State::Crashed)
    }
}

/// All nodes, in order of their index.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: Vec<Node>,
    index: BTreeMap<String, usize>,
}

impl Fleet {
    /// Adds a node that is about to be started.
    pub fn add(&mut self, name: String, addr: SocketAddr) {
        self.index.insert(name.clone(), self.nodes.len());
        self.nodes.push(Node {
            name,
            addr,
            state: State::Starting,
            life: None,
            boot_id: String::new(),
            link: None,
            lost_since: None,
        });
    }

    /// Number of nodes, whatever their state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// All nodes, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut()
    }

    /// The node called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.index.get(name).map(|&index| &self.nodes[index])
    }

    /// The node called `name`, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.index.get(name).map(|&index| &mut self.nodes[index])
    }

    /// Names of the nodes that neither left nor crashed. These are waited for: a sleeper wakes, a partition heals.
    #[must_use]
    pub fn living(&self) -> Vec<&str> {
        self.names(Node::is_living)
    }

    /// Names of the nodes that may start an event: members that are awake and not cut off.
    #[must_use]
    pub fn awake(&self) -> Vec<&str> {
        self.names(|node| node.state == State::Alive)
    }

    /// Names of the nodes for which `wanted` holds, in order of their index.
    #[must_use]
    pub fn names(&self, wanted: impl Fn(&Node) -> bool) -> Vec<&str> {
        self.nodes.iter().filter(|node| wanted(node)).map(|node| node.name.as_str()).collect()
    }

    /// Lets nodes whose sleep or partition is over at `now` be alive again; true when there was one.
    pub fn wake(&mut self, now: Instant) -> bool {
        let mut changed = false;
        for node in &mut self.nodes {
            if matches!(node.state, State::Asleep(until) | State::CutOff(until) if until <= now) {
                node.state = State::Alive;
                changed = true;
            }
        }
        changed
    }

    /// When the next sleep or partition ends.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let ends = self.nodes.iter().filter_map(|node| match node.state {
            State::Asleep(until) | State::CutOff(until) => Some(until),
            _ => None,
        });
        ends.min()
    }

    /// For each state, in the order of [`State::NAMES`], the indexes (from 0) of the nodes in it.
    #[must_use]
    pub fn table(&self) -> [Vec<usize>; 7] {
        let mut table: [Vec<usize>; 7] = Default::default();
        for (index, node) in self.nodes.iter().enumerate() {
            table[node.state.row()].push(index);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn fleet(states: &[State]) -> Fleet {
        let mut fleet = Fleet::default();
        for (index, state) in states.iter().enumerate() {
            let addr = SocketAddr::from(([127, 77, 0, u8::try_from(index + 1).expect("small")], 7400));
            let name = event_log::plan::node_name(u32::try_from(index).expect("small"));
            fleet.add(name.clone(), addr);
            fleet.get_mut(&name).expect("it was just added").state = *state;
        }
        fleet
    }

    #[test]
    fn sleepers_and_the_cut_off_are_waited_for_but_start_no_events() {
        let later = Instant::now() + Duration::from_secs(9);
        let states =
            [State::Alive, State::Asleep(later), State::CutOff(later), State::Left, State::Crashed, State::Joining];
        let fleet = fleet(&states);
        assert_eq!(fleet.living(), ["n001", "n002", "n003", "n006"]);
        assert_eq!(fleet.awake(), ["n001"]);
        assert_eq!(fleet.table().map(|names| names.len()), [0, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_sleeper_wakes_at_its_time_and_not_before() {
        let now = Instant::now();
        let (soon, later) = (now + Duration::from_millis(10), now + Duration::from_millis(20));
        let mut fleet = fleet(&[State::Asleep(later), State::CutOff(soon), State::Left]);
        assert_eq!(fleet.next_wake(), Some(soon));
        assert!(!fleet.wake(now + Duration::from_millis(9)));
        assert!(fleet.wake(soon));
        assert_eq!(fleet.awake(), ["n002"]);
        assert!(fleet.wake(later));
        assert_eq!(fleet.next_wake(), None);
        assert_eq!(fleet.awake(), ["n001", "n002"]);
    }

    #[test]
    fn nodes_stay_in_order_of_their_index_beyond_a_thousand() {
        let mut fleet = Fleet::default();
        for index in 0..1_002 {
            fleet.add(event_log::plan::node_name(index), SocketAddr::from(([127, 77, 0, 1], 7400)));
        }
        assert_eq!(fleet.living()[999..], ["n1000", "n1001", "n1002"]);
    }
}
