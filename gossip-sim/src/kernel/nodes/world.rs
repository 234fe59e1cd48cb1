//! The nodes and what they know, as all strategies see it.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::bits::Bits;
use super::parallel::pieces;
use super::{Detail, Options};
use crate::kernel::outcome::Traffic;
use crate::kernel::random::{Key, Stream};
use crate::kernel::strategy::Spec;

/// Words of 64 nodes in a chunk, the piece of work that has a stream of its own: 65,536 nodes.
const CHUNK_WORDS: u64 = 1 << 10;

/// The nodes between two rounds, and during one.
pub(super) struct World {
    pub(super) nodes: u64,
    pub(super) loss: f64,
    pub(super) threads: usize,
    pub(super) detail: Detail,
    pub(super) round: u64,
    /// Nodes that did not know the rumor when the round began.
    pub(super) uninformed: u64,
    /// Who knew when the round began.
    pub(super) now: Bits,
    /// Who knows by now.
    pub(super) next: Bits,
    pub(super) loads: Option<Loads>,
    key: Key,
}

/// What arrived at and was answered by each node in this round.
pub(super) struct Loads {
    arrived: Vec<AtomicU32>,
    answered: Vec<AtomicU32>,
}

/// What a phase of a round did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) traffic: Traffic,
    /// Nodes that learnt.
    pub(super) learnt: u64,
}

impl Done {
    pub(super) fn sum(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().fold(Self::default(), |mut sum, part| {
            sum.traffic.add(part.traffic);
            sum.learnt += part.learnt;
            sum
        })
    }
}

impl World {
    /// Nodes 0..n, of which number 0 knows. Numbers mean nothing: calls are uniform.
    pub(super) fn new(spec: &Spec, options: &Options, key: Key) -> Self {
        let world = Self {
            nodes: spec.nodes,
            loss: spec.loss,
            threads: options.threads.max(1),
            detail: options.detail,
            round: 0,
            uninformed: spec.nodes - 1,
            now: Bits::new(spec.nodes),
            next: Bits::new(spec.nodes),
            loads: (options.detail == Detail::Loads).then(|| Loads::new(spec.nodes)),
            key,
        };
        world.now.set(0);
        world.next.set(0);
        world
    }

    pub(super) fn informed(&self) -> u64 {
        self.nodes - self.uninformed
    }

    /// The stream of a piece of work of this round; `purpose` tells phases apart.
    pub(super) fn stream(&self, purpose: u64, piece: u64) -> Stream {
        self.key.child(self.round).child(purpose).child(piece).stream()
    }

    /// Does something for each chunk of nodes, given as its words and its stream.
    pub(super) fn chunks<T: Send>(&self, purpose: u64, work: impl Fn(Range<u64>, Stream) -> T + Sync) -> Vec<T> {
        let words = self.nodes.div_ceil(64);
        pieces(self.threads, words.div_ceil(CHUNK_WORDS), |chunk| {
            let start = chunk * CHUNK_WORDS;
            work(start..(start + CHUNK_WORDS).min(words), self.stream(purpose, chunk))
        })
    }

    /// Whether a datagram arrives.
    #[inline]
    pub(super) fn arrives(&self, stream: &mut Stream) -> bool {
        self.loss == 0.0 || !stream.happens(self.loss)
    }

    /// A datagram has arrived at this node.
    #[inline]
    pub(super) fn arrived(&self, node: u64) {
        if let Some(loads) = &self.loads {
            loads.arrived[node as usize].fetch_add(1, Relaxed);
        }
    }

    /// This node has answered.
    #[inline]
    pub(super) fn answered(&self, node: u64) {
        if let Some(loads) = &self.loads {
            loads.answered[node as usize].fetch_add(1, Relaxed);
        }
    }

    /// Ends the round: what was learnt in it is known in the next.
    pub(super) fn commit(&mut self, done: &mut Done) {
        self.uninformed -= done.learnt;
        self.round += 1;
        if done.learnt > 0 {
            self.chunks(0, |words, _| self.now.copy(&self.next, words));
        }
        if let Some(loads) = &self.loads {
            let most = |counts: &[AtomicU32]| counts.iter().map(|count| count.swap(0, Relaxed)).max().map(u64::from);
            done.traffic.in_max = most(&loads.arrived);
            done.traffic.answers_max = most(&loads.answered);
        }
    }
}

impl Loads {
    fn new(nodes: u64) -> Self {
        let zeros = || (0..nodes).map(|_| AtomicU32::new(0)).collect();
        Self { arrived: zeros(), answered: zeros() }
    }
}
