//! A round of uniform calls: what push, pull and push-pull with any fan-outs are made of.
//!
//! Without [`Detail::EveryCall`] only calls that can matter are drawn, which changes nothing in distribution:
//!
//! - A pull of an uninformed node is answered with probability (1−p)·I/(n−1), whomever else calls. So the pulls of all
//!   uninformed nodes are Bernoulli trials in a row, of which the geometric gaps between answers are drawn.
//! - Whether a push hits an uninformed node is a Bernoulli trial too, and which one it hits is uniform. So when few are left, the
//!   gaps between hits are drawn, and each hit picks from the list of those who are left.
//!
//! What is left are the pushes of the rounds in the middle: each one a random bit in memory.

use super::Detail;
use super::bits::ones;
use super::fanout::Fanout;
use super::parallel::pieces;
use super::world::{Done, World};
use crate::kernel::outcome::Traffic;
use crate::kernel::random::{Gaps, Stream};

/// Uniform calls by these rules.
pub(super) struct Uniform {
    pub(super) fanout: Fanout,
    /// The calls of uninformed nodes, if they are others.
    pub(super) asks: Option<Fanout>,
    /// Informed nodes call and tell.
    pub(super) push: bool,
    /// Uninformed nodes call and ask.
    pub(super) pull: bool,
}

/// Pushes that are on their way to memory at once.
const BATCH: usize = 64;

/// Uninformed nodes are listed when they are fewer than one in so many.
const LISTED: u64 = 64;

/// Calls in one piece of work when pushes are drawn by their gaps.
const SLOTS: u64 = 1 << 22;

impl Uniform {
    /// One round; `world` is to be committed after it.
    pub(super) fn round(&self, world: &World) -> Done {
        if world.detail != Detail::Fast {
            return Done::sum(world.chunks(1, |words, stream| self.every_call(world, words, stream)));
        }
        let mut done = Done::default();
        if self.push {
            done = if world.uninformed < world.nodes / LISTED {
                self.push_late(world)
            } else {
                Done::sum(world.chunks(2, |words, stream| self.push(world, words, stream)))
            };
        }
        if self.pull {
            let answered = (1.0 - world.loss) * world.informed() as f64 / (world.nodes - 1) as f64;
            let gaps = Gaps::new(answered);
            let pulls = world.chunks(3, |words, stream| self.pull(world, gaps, words, stream));
            done = Done::sum(pulls.into_iter().chain([done]));
        }
        done
    }

    /// The pushes of one chunk of callers.
    fn push(&self, world: &World, words: std::ops::Range<u64>, mut stream: Stream) -> Done {
        let (mut calls, mut learnt, mut most) = (0, 0, 0);
        let (mut batch, mut filled) = ([0; BATCH], 0);
        for word in words {
            for bit in ones(world.now.mask(word, false)) {
                let node = word * 64 + bit;
                let fanout = self.fanout.of(node);
                (calls, most) = (calls + fanout, most.max(fanout));
                for _ in 0..fanout {
                    let called = stream.other(node, world.nodes);
                    if !world.arrives(&mut stream) {
                        continue;
                    }
                    batch[filled] = called;
                    filled += 1;
                    if filled == BATCH {
                        learnt += deliver(world, &batch);
                        filled = 0;
                    }
                }
            }
        }
        learnt += deliver(world, &batch[..filled]);
        Done { traffic: sent(calls, calls, most), learnt }
    }

    /// All pushes of a round in which few are uninformed.
    fn push_late(&self, world: &World) -> Done {
        let lists = world.chunks(4, |words, _| {
            let absent = |word| ones(world.now.mask(word, true)).map(move |bit| word * 64 + bit);
            words.flat_map(absent).map(|node| node as u32).collect::<Vec<_>>()
        });
        let list = lists.concat();
        let (calls, most) = match &self.fanout {
            Fanout::Same(fanout) => (world.informed() * fanout, *fanout),
            Fanout::Tail(_) => self.calls_of_informed(world),
        };
        let gaps = Gaps::new((1.0 - world.loss) * world.uninformed as f64 / (world.nodes - 1) as f64);
        let learnt = pieces(world.threads, calls.div_ceil(SLOTS), |piece| {
            let (mut stream, slots) = (world.stream(5, piece), SLOTS.min(calls - piece * SLOTS));
            let (mut slot, mut learnt) = (gaps.next(&mut stream), 0);
            while slot < slots {
                let hit = list[stream.below(list.len() as u64) as usize];
                learnt += u64::from(world.next.set(u64::from(hit)));
                slot = slot.saturating_add(1).saturating_add(gaps.next(&mut stream));
            }
            learnt
        });
        Done { traffic: sent(calls, calls, most), learnt: learnt.into_iter().sum() }
    }

    fn asks(&self) -> &Fanout {
        self.asks.as_ref().unwrap_or(&self.fanout)
    }

    fn calls_of_informed(&self, world: &World) -> (u64, u64) {
        let sums = world.chunks(6, |words, _| {
            let informed = |word| ones(world.now.mask(word, false)).map(move |bit| word * 64 + bit);
            words.flat_map(informed).map(|node| self.fanout.of(node)).fold((0, 0), join)
        });
        sums.into_iter().fold((0, 0), |(sum, most), (more, greatest)| (sum + more, most.max(greatest)))
    }

    /// The pulls of one chunk of callers.
    fn pull(&self, world: &World, gaps: Gaps, words: std::ops::Range<u64>, mut stream: Stream) -> Done {
        let (mut requests, mut answers, mut learnt, mut most) = (0, 0, 0, 0);
        let mut gap = gaps.next(&mut stream);
        for word in words {
            let callers = world.now.mask(word, true);
            if let Fanout::Same(fanout) = self.asks() {
                let calls = u64::from(callers.count_ones()) * fanout;
                if gap >= calls {
                    (gap, requests) = (gap - calls, requests + calls);
                    continue;
                }
            }
            for bit in ones(callers) {
                let node = word * 64 + bit;
                let mut calls = self.asks().of(node);
                (requests, most) = (requests + calls, most.max(calls));
                let mut told = false;
                while gap < calls {
                    calls -= gap + 1;
                    answers += 1;
                    told |= world.arrives(&mut stream);
                    gap = gaps.next(&mut stream);
                }
                gap -= calls;
                learnt += u64::from(told && world.next.set(node));
            }
        }
        if let Fanout::Same(fanout) = self.asks() {
            most = *fanout;
        }
        Done { traffic: sent(answers, requests + answers, most), learnt }
    }

    /// All calls of one chunk of callers, whatever they come to.
    fn every_call(&self, world: &World, words: std::ops::Range<u64>, mut stream: Stream) -> Done {
        let mut done = Done::default();
        for word in words {
            let informed = world.now.mask(word, false);
            for bit in ones(informed | world.now.mask(word, true)) {
                let (node, tells) = (word * 64 + bit, informed >> bit & 1 == 1);
                if if tells { self.push } else { self.pull } {
                    self.calls(world, node, tells, &mut stream, &mut done);
                }
            }
        }
        done
    }

    fn calls(&self, world: &World, node: u64, tells: bool, stream: &mut Stream, done: &mut Done) {
        let fanout = if tells { &self.fanout } else { self.asks() }.of(node);
        done.traffic.add(sent(if tells { fanout } else { 0 }, fanout, fanout));
        for _ in 0..fanout {
            let called = stream.other(node, world.nodes);
            if !world.arrives(stream) {
                continue;
            }
            world.arrived(called);
            if tells {
                done.learnt += u64::from(world.next.set(called));
            } else if world.now.get(called) {
                world.answered(called);
                done.traffic.add(sent(1, 1, 0));
                if world.arrives(stream) {
                    world.arrived(node);
                    done.learnt += u64::from(world.next.set(node));
                }
            }
        }
    }
}

fn join((sum, most): (u64, u64), fanout: u64) -> (u64, u64) {
    (sum + fanout, most.max(fanout))
}

/// Tells the called; how many of them it was new to.
fn deliver(world: &World, batch: &[u64]) -> u64 {
    // First all are touched, so that their waits for memory overlap: a locked write would wait for each in turn.
    std::hint::black_box(batch.iter().fold(0, |sum, &node| sum ^ world.next.touch(node)));
    batch.iter().map(|&node| u64::from(world.next.set(node))).sum()
}

/// So many datagrams, of which some carry the rumor; nobody sent more than `most` on its own.
pub(super) fn sent(rumor: u64, datagrams: u64, most: u64) -> Traffic {
    Traffic { rumor: rumor.into(), datagrams: datagrams.into(), out_max: most, ..Traffic::default() }
}
