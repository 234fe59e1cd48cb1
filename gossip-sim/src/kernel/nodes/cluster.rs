//! Clusters that merge and square their size, started cold for one rumor: after Haeupler and Malkhi, *Optimal gossip with direct
//! addressing*, PODC 2014 (arXiv 1402.2701).
//!
//! A node follows a leader, is one, or is alone. Addresses that were heard can be called. The phases are the paper's, the constants
//! ours, with L = ⌈log₂ n⌉:
//!
//! 1. Grow: every node is a leader with probability 1/L; for ⌈log₂ L⌉ + 3 rounds whoever has a leader pushes its address, and who is
//!    alone joins.
//! 2. Square, with a wanted size s of L/2 at first: followers report; leaders dissolve clusters below s/2, split those of 2s and
//!    more, and make theirs active with probability 1/s; members of active ones push their leader's address in two rounds; whoever
//!    of another cluster hears one tells its own leader; that one moves its cluster there. s becomes s²/2, until s² ≥ n·ln n.
//! 3. Merge, twice: the same with all active, and only to smaller leaders.
//! 4. Who is alone pulls a leader's address, for ⌈log₂ log₂ n⌉ + 1 rounds.
//! 5. The rumor goes to the leader, from there to its followers. Who still lacks it asks its leader, or a random node.
//!
//! A lost datagram leaves its addressee behind with a stale leader or none; phase 5 catches it. Serial.

use super::Protocol;
use super::uniform::sent;
use super::world::{Done, World};
use crate::kernel::random::Stream;

/// What is done in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Grow,
    Report,
    Resize { size: u64 },
    Push,
    Relay { smaller: bool },
    Tell,
    PullLeader,
    ToLeader,
    Share,
    Ask,
}

const NONE: u32 = u32::MAX;

/// The clusters.
pub(super) struct Cluster {
    /// Whom each node follows; itself if it leads.
    leader: Vec<u32>,
    /// Followers whose report arrived, by leader: `members[starts[l]..starts[l + 1]]`.
    members: Vec<u32>,
    starts: Vec<u32>,
    active: Vec<bool>,
    /// The leader of another cluster that a node, and then its leader, heard of.
    heard: Vec<u32>,
    steps: std::vec::IntoIter<Step>,
}

impl Cluster {
    pub(super) fn new(nodes: u64) -> Self {
        let (n, none) = (nodes as usize, vec![NONE; nodes as usize]);
        Self {
            leader: none.clone(),
            members: Vec::new(),
            starts: Vec::new(),
            active: vec![false; n],
            heard: none,
            steps: steps(nodes).into_iter(),
        }
    }

    fn found(&mut self, world: &World) {
        let mut stream = world.stream(8, 0);
        let share = 1.0 / logarithm(world.nodes) as f64;
        let mut founded = false;
        for (node, leader) in self.leader.iter_mut().enumerate() {
            if stream.happens(share) {
                (*leader, founded) = (node as u32, true);
            }
        }
        if !founded {
            self.leader[0] = 0;
        }
        // All are active while they grow: there is no other cluster to be moved.
        self.active.fill(true);
    }

    fn leads(&self, node: u32) -> bool {
        self.leader[node as usize] == node
    }

    /// Members of active clusters push their leader's address to random nodes.
    fn push(&mut self, world: &World, joining_only: bool, stream: &mut Stream) -> Done {
        let mut datagrams = 0;
        let before = self.leader.clone();
        for (node, &leader) in before.iter().enumerate() {
            if leader == NONE || !self.active[node] {
                continue;
            }
            datagrams += 1;
            let called = stream.other(node as u64, world.nodes);
            if !world.arrives(stream) {
                continue;
            }
            world.arrived(called);
            let called = called as usize;
            if self.leader[called] == NONE {
                (self.leader[called], self.active[called]) = (leader, true);
            } else if !joining_only && self.leader[called] != leader {
                // Of several the smallest is kept: what a merge is after, and any other rule is as good when squaring.
                self.heard[called] = self.heard[called].min(leader);
            }
        }
        control(datagrams, 1)
    }

    /// Followers tell their leader that they are there.
    fn report(&mut self, world: &World, stream: &mut Stream) -> Done {
        let (mut datagrams, n) = (0, self.leader.len());
        let mut counted = vec![0_u32; n + 1];
        for node in 0..n as u32 {
            let leader = self.leader[node as usize];
            if leader == NONE || leader == node {
                continue;
            }
            datagrams += 1;
            let arrived = world.arrives(stream);
            if arrived {
                world.arrived(leader.into());
            }
            if arrived && self.leads(leader) {
                counted[leader as usize + 1] += 1;
            } else {
                // Not acknowledged, or whom it follows leads no more.
                self.leader[node as usize] = NONE;
            }
        }
        (1..=n).for_each(|at| counted[at] += counted[at - 1]);
        let (starts, mut next) = (counted.clone(), counted);
        self.members = vec![0; starts[n] as usize];
        for node in 0..n as u32 {
            let leader = self.leader[node as usize];
            if leader != NONE && leader != node {
                let slot = &mut next[leader as usize];
                self.members[*slot as usize] = node;
                *slot += 1;
            }
        }
        self.starts = starts;
        control(datagrams, 1)
    }

    fn followers(&self, leader: u32) -> std::ops::Range<usize> {
        self.starts[leader as usize] as usize..self.starts[leader as usize + 1] as usize
    }

    /// Leaders dissolve, split and activate their clusters, and tell.
    fn resize(&mut self, world: &World, size: u64, stream: &mut Stream) -> Done {
        let (mut datagrams, mut most) = (0, 0);
        for leader in 0..self.leader.len() as u32 {
            if !self.leads(leader) {
                continue;
            }
            let followers = self.followers(leader);
            let count = followers.len() as u64 + 1;
            (datagrams, most) = (datagrams + count - 1, most.max(count - 1));
            let dissolved = count < size / 2;
            let parts = if dissolved { 1 } else { (count / size).max(1) };
            let mut heads = vec![leader];
            let mut active = vec![stream.happens(1.0 / size as f64)];
            if dissolved {
                self.leader[leader as usize] = NONE;
            }
            self.active[leader as usize] = active[0];
            for (index, at) in followers.enumerate() {
                let (node, part) = (self.members[at], (index as u64 + 1) % parts);
                let head = part as usize == heads.len();
                if head {
                    heads.push(node);
                    active.push(stream.happens(1.0 / size as f64));
                }
                if !world.arrives(stream) {
                    continue;
                }
                world.arrived(node.into());
                self.leader[node as usize] = if dissolved { NONE } else { heads[part as usize] };
                self.active[node as usize] = active[part as usize];
            }
        }
        control(datagrams, most)
    }

    /// Who heard of another cluster tells its leader.
    fn relay(&mut self, world: &World, smaller: bool, stream: &mut Stream) -> Done {
        let (mut datagrams, n) = (0, self.leader.len());
        let mut chosen = vec![(0_u32, NONE); n];
        for node in 0..n {
            let (leader, heard) = (self.leader[node], std::mem::replace(&mut self.heard[node], NONE));
            if leader == NONE || heard == NONE || heard == leader || (smaller && heard > leader) {
                continue;
            }
            // Active clusters stay where they are while others move to them.
            if !smaller && self.active[leader as usize] {
                continue;
            }
            let own = leader as usize == node;
            datagrams += u64::from(!own);
            if own || world.arrives(stream) {
                if !own {
                    world.arrived(leader.into());
                }
                let (count, choice) = &mut chosen[leader as usize];
                *count += 1;
                if smaller {
                    *choice = (*choice).min(heard);
                } else if stream.below((*count).into()) == 0 {
                    *choice = heard;
                }
            }
        }
        for (leader, (_, choice)) in chosen.into_iter().enumerate() {
            if self.leads(leader as u32) {
                self.heard[leader] = choice;
            }
        }
        control(datagrams, 1)
    }

    /// Leaders move their clusters to where they heard of.
    fn tell(&mut self, world: &World, stream: &mut Stream) -> Done {
        let (mut datagrams, mut most) = (0, 0);
        let moving: Vec<u32> = (0..self.leader.len() as u32)
            .filter(|&node| self.leads(node) && self.heard[node as usize] != NONE)
            .collect();
        let mut followers = vec![0_u64; self.leader.len()];
        for node in 0..self.leader.len() {
            let leader = self.leader[node];
            if leader == NONE || leader as usize == node || self.heard[leader as usize] == NONE || !self.leads(leader) {
                continue;
            }
            followers[leader as usize] += 1;
            datagrams += 1;
            if world.arrives(stream) {
                world.arrived(node as u64);
                self.active[node] = true;
                self.leader[node] = self.heard[leader as usize];
            }
        }
        for leader in moving {
            most = most.max(followers[leader as usize]);
            (self.leader[leader as usize], self.active[leader as usize]) = (self.heard[leader as usize], true);
        }
        self.heard.fill(NONE);
        control(datagrams, most)
    }

    /// Who is alone asks a random node for its leader.
    fn pull_leader(&mut self, world: &World, stream: &mut Stream) -> Done {
        let before = self.leader.clone();
        let mut datagrams = 0;
        for node in 0..before.len() {
            if before[node] != NONE {
                continue;
            }
            datagrams += 1;
            let called = stream.other(node as u64, world.nodes);
            if !world.arrives(stream) {
                continue;
            }
            world.arrived(called);
            if before[called as usize] != NONE {
                datagrams += 1;
                world.answered(called);
                if world.arrives(stream) {
                    world.arrived(node as u64);
                    self.leader[node] = before[called as usize];
                }
            }
        }
        control(datagrams, 1)
    }

    /// Those who know tell their leader.
    fn to_leader(&self, world: &World, stream: &mut Stream) -> Done {
        let mut done = Done::default();
        for node in 0..world.nodes {
            let leader = self.leader[node as usize];
            if world.now.get(node) && leader != NONE && u64::from(leader) != node {
                done = Done::sum([done, tell(world, leader.into(), stream)]);
            }
        }
        done
    }

    /// Leaders who know tell all who follow them.
    fn share(&self, world: &World, stream: &mut Stream) -> Done {
        let mut done = Done::default();
        let mut followers = vec![0_u64; self.leader.len()];
        for node in 0..world.nodes {
            let leader = self.leader[node as usize];
            if leader != NONE && u64::from(leader) != node && world.now.get(leader.into()) {
                followers[leader as usize] += 1;
                done = Done::sum([done, tell(world, node, stream)]);
            }
        }
        done.traffic.out_max = followers.into_iter().max().unwrap_or(0);
        done
    }

    /// Who does not know asks its leader once more, and from then on random nodes.
    fn ask(&mut self, world: &World, stream: &mut Stream) -> Done {
        let mut done = Done::default();
        for node in 0..world.nodes {
            if world.now.get(node) {
                continue;
            }
            let leader = std::mem::replace(&mut self.leader[node as usize], NONE);
            let random = leader == NONE || u64::from(leader) == node;
            let called = if random { stream.other(node, world.nodes) } else { leader.into() };
            done.traffic.add(sent(0, 1, 1));
            if world.arrives(stream) {
                world.arrived(called);
                if world.now.get(called) {
                    world.answered(called);
                    done = Done::sum([done, tell(world, node, stream)]);
                }
            }
        }
        done
    }
}

/// One copy of the rumor for `to`.
fn tell(world: &World, to: u64, stream: &mut Stream) -> Done {
    let mut learnt = false;
    if world.arrives(stream) {
        world.arrived(to);
        learnt = world.next.set(to);
    }
    Done { traffic: sent(1, 1, 1), learnt: learnt.into() }
}

/// Datagrams without the rumor.
fn control(datagrams: u64, most: u64) -> Done {
    Done { traffic: sent(0, datagrams, most), learnt: 0 }
}

/// L.
fn logarithm(nodes: u64) -> u64 {
    (libm::ceil(libm::log2(nodes as f64)) as u64).max(2)
}

/// The rounds, one after the other.
fn steps(nodes: u64) -> Vec<Step> {
    let (log, n) = (logarithm(nodes), nodes as f64);
    let loglog = libm::ceil(libm::log2(log as f64)) as usize;
    let mut steps = vec![Step::Grow; loglog + 3];
    let mut size = (log / 2).max(4);
    while ((size * size) as f64) < n * libm::log(n) {
        steps.extend([
            Step::Report,
            Step::Resize { size },
            Step::Push,
            Step::Push,
            Step::Relay { smaller: false },
            Step::Tell,
        ]);
        size = size * size / 2;
    }
    for _ in 0..2 {
        steps.extend([Step::Push, Step::Relay { smaller: true }, Step::Tell]);
    }
    steps.extend(vec![Step::PullLeader; loglog + 1]);
    steps.extend([Step::ToLeader, Step::Share]);
    steps
}

impl Protocol for Cluster {
    fn round(&mut self, world: &World) -> Done {
        if world.round == 0 {
            self.found(world);
        }
        let mut stream = world.stream(9, 0);
        let step = self.steps.next().unwrap_or(Step::Ask);
        // In a merge all clusters push.
        if step == Step::Push && self.steps.as_slice().first() == Some(&Step::Relay { smaller: true }) {
            self.active.fill(true);
        }
        match step {
            Step::Grow => self.push(world, true, &mut stream),
            Step::Push => self.push(world, false, &mut stream),
            Step::Report => self.report(world, &mut stream),
            Step::Resize { size } => self.resize(world, size, &mut stream),
            Step::Relay { smaller } => self.relay(world, smaller, &mut stream),
            Step::Tell => self.tell(world, &mut stream),
            Step::PullLeader => self.pull_leader(world, &mut stream),
            Step::ToLeader => self.to_leader(world, &mut stream),
            Step::Share => self.share(world, &mut stream),
            Step::Ask => self.ask(world, &mut stream),
        }
    }
}
