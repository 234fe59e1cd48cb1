//! A tree by direct addressing: the rumor carries a range of hashed identities, and whoever receives it is the head of that range.
//!
//! A head of a range of m ≤ 8 nodes sends to all of them; of a longer one it makes ⌈√m⌉ ranges (at most smax) and sends each to a
//! random node in it. What is sent is acknowledged in the same round; for a range whose head did not, another is tried in the
//! next round, once. Since identities are hashed, a range of them is a random set of nodes: here it is a range of numbers.
//! Beside it runs push-pull(1), if it is to repair what is lost.

use super::Protocol;
use super::parallel::pieces;
use super::uniform::{Uniform, sent};
use super::world::{Done, World};
use crate::kernel::random::Stream;

/// The tree on its way.
pub(super) struct SqrtTree {
    split_max: u64,
    repair: Option<Uniform>,
    /// What is to be done in the next round.
    tasks: Vec<Task>,
}

/// A part of the tree that one node is to do.
#[derive(Debug, Clone, Copy)]
struct Task {
    node: u32,
    start: u32,
    length: u32,
    /// The node is not the head of this range, but did not hear from the one it chose.
    retry: bool,
}

/// Ranges up to this length are not split.
const LEAF: u32 = 8;

/// Tasks in one piece of work.
const TASKS: usize = 1 << 10;

impl SqrtTree {
    pub(super) fn new(nodes: u64, split_max: Option<u32>, repair: bool, uniform: Uniform) -> Self {
        let root = Task { node: 0, start: 0, length: nodes as u32, retry: false };
        let split_max = split_max.map_or(u64::MAX, u64::from);
        Self { split_max, repair: repair.then_some(uniform), tasks: vec![root] }
    }

    fn perform(&self, task: Task, world: &World, stream: &mut Stream, done: &mut Done, later: &mut Vec<Task>) {
        let mut send = Send { from: task.node, retry: task.retry, world, done, later, sent: 0 };
        if task.retry {
            send.range(task.start, task.length, stream);
        } else if task.length <= LEAF {
            (task.start..task.start + task.length).for_each(|node| send.range(node, 1, stream));
        } else {
            let root = (f64::from(task.length)).sqrt().ceil() as u64;
            let parts = root.min(self.split_max).max(2);
            let cut = |part: u64| task.start + (u64::from(task.length) * part / parts) as u32;
            (0..parts).for_each(|part| send.range(cut(part), cut(part + 1) - cut(part), stream));
        }
        let sends = send.sent;
        done.traffic.add(sent(sends, sends, sends));
    }
}

/// What one node sends in one round.
struct Send<'a> {
    from: u32,
    retry: bool,
    world: &'a World,
    done: &'a mut Done,
    later: &'a mut Vec<Task>,
    sent: u64,
}

impl Send<'_> {
    /// Sends a range to a random head in it.
    fn range(&mut self, start: u32, length: u32, stream: &mut Stream) {
        let inside = self.from.wrapping_sub(start) < length;
        if length == 0 || (inside && length == 1) {
            return;
        }
        // Not to oneself.
        let draw = stream.below(u64::from(length) - u64::from(inside)) as u32;
        let head = start + draw + u32::from(inside && start + draw >= self.from);
        self.sent += 1;
        let mut heard = false;
        if self.world.arrives(stream) {
            self.world.arrived(head.into());
            self.done.learnt += u64::from(self.world.next.set(head.into()));
            if length > 1 {
                self.later.push(Task { node: head, start, length, retry: false });
            }
            self.done.traffic.add(sent(0, 1, 0));
            self.world.answered(head.into());
            heard = self.world.arrives(stream);
            if heard {
                self.world.arrived(self.from.into());
            }
        }
        if !heard && !self.retry && length > 1 {
            self.later.push(Task { node: self.from, start, length, retry: true });
        }
    }
}

impl Protocol for SqrtTree {
    fn round(&mut self, world: &World) -> Done {
        let tasks = std::mem::take(&mut self.tasks);
        let parts = pieces(world.threads, tasks.len().div_ceil(TASKS) as u64, |piece| {
            let (mut stream, mut done, mut later) = (world.stream(7, piece), Done::default(), Vec::new());
            let from = piece as usize * TASKS;
            for &task in &tasks[from..(from + TASKS).min(tasks.len())] {
                self.perform(task, world, &mut stream, &mut done, &mut later);
            }
            (done, later)
        });
        let mut done = Done::default();
        for (part, mut later) in parts {
            done = Done::sum([done, part]);
            self.tasks.append(&mut later);
        }
        match &self.repair {
            Some(uniform) => Done::sum([done, uniform.round(world)]),
            None => done,
        }
    }

    fn silent(&self) -> bool {
        self.tasks.is_empty() && self.repair.is_none()
    }
}
