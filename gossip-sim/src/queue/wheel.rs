//! A hierarchical timing wheel (Varghese and Lauck, SOSP 1987, scheme 7) that keeps the exact order.
//!
//! ```text
//!  level 0   1024 buckets of one grain (2^14 ns = 16 µs) each        what is due within the same 2^24 ns as now
//!  level 1   1024 buckets of 1024 grains                              within the same 2^34 ns = 17 s
//!  ...       up to level 4, whose buckets are of 2^54 ns              the rest of time
//!  run       the bucket of the current grain, sorted                  taken from the front
//!  late      a binary heap                                            what came for the current grain after it was sorted
//! ```
//! An entry is put into the lowest level whose buckets tell its grain from the current one, and goes down a level each time that
//! its bucket's turn comes: it is moved at most five times, usually once or twice, each time from one end of a list to the end of
//! another, which is what memory is good at. A bucket is empty or a bit says that it is not, so nothing looks at empty ones.
//!
//! Why the order is exact: entries of one time are always in one bucket, in the order in which they were put in, for a bucket goes
//! down before anything is put into the levels below it for its time. The sort is stable. What is late was put in after all of the
//! run.
//!
//! A calendar queue (Brown, CACM 1988) would adapt its grain to the load; here the sort does that: a crowded grain is sorted, an
//! empty one is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Entry, Queue};

const GRAIN_BITS: u32 = 14;
const LEVEL_BITS: u32 = 10;
const BUCKETS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 5;

/// Longer lists are given back when they are empty, so that a crowd once does not hold memory for ever.
const KEPT_MAX: usize = 256;

/// The timing wheel.
#[derive(Debug)]
pub struct Wheel {
    /// The entries of the current grain, in order from `head` on.
    run: Vec<Entry>,
    head: usize,
    late: BinaryHeap<Reverse<(u64, u64, u64)>>,
    serial: u64,
    grain: u64,
    /// How far was scouted: in which grain, and how many of its entries.
    scouted: (u64, usize),
    levels: [Level; LEVELS],
    len: usize,
}

#[derive(Debug)]
struct Level {
    /// In a place of fixed length, so that no index has to be checked.
    buckets: Box<[Vec<Entry>; BUCKETS]>,
    used: [u64; BUCKETS / 64],
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            run: Vec::new(),
            head: 0,
            late: BinaryHeap::new(),
            serial: 0,
            grain: 0,
            scouted: (0, 0),
            levels: std::array::from_fn(|_| Level::new()),
            len: 0,
        }
    }
}

impl Queue for Wheel {
    #[inline]
    fn push(&mut self, at: u64, what: u64) {
        self.len += 1;
        let grain = at >> GRAIN_BITS;
        if grain <= self.grain {
            self.push_late(at, what);
        } else if grain ^ self.grain < BUCKETS as u64 {
            self.levels[0].put(grain as usize, Entry { at, what });
        } else {
            self.file_above(Entry { at, what });
        }
    }

    #[inline]
    fn pop(&mut self, until: u64) -> Option<Entry> {
        loop {
            let run = self.run.get(self.head).copied();
            let next = match run {
                Some(run) if self.late.is_empty() => run,
                None if self.late.is_empty() => {
                    if self.advance(until) {
                        continue;
                    }
                    return None;
                }
                _ => return self.pop_either(until),
            };
            if next.at > until {
                return None;
            }
            self.head += 1;
            self.len -= 1;
            return Some(next);
        }
    }

    fn len(&self) -> usize {
        self.len
    }

    fn upcoming(&self, until: u64, list: &mut Vec<Entry>) -> u64 {
        let start = list.len();
        list.extend_from_slice(&self.run[self.head..]);
        let mut late: Vec<_> = self.late.iter().map(|Reverse(key)| *key).collect();
        late.sort_unstable();
        list.extend(late.into_iter().map(|(at, _, what)| Entry { at, what }));
        for (level, shift) in self.levels.iter().zip((0..).step_by(LEVEL_BITS as usize)) {
            let now = self.grain >> shift;
            let mut bucket = now as usize % BUCKETS;
            while let Some(next) = level.next_after(bucket) {
                let grain = (now - now % BUCKETS as u64 + next as u64) << shift;
                if grain << GRAIN_BITS >= until {
                    break;
                }
                list.extend(level.buckets[next].iter().filter(|entry| entry.at < until));
                bucket = next;
            }
        }
        // Stable: what is of one time is in one bucket, in order, and what is late was put in after all of the run.
        list[start..].sort_by_key(|entry| entry.at);
        let end = start + list[start..].partition_point(|entry| entry.at < until);
        list.truncate(end);
        until
    }

    #[inline]
    fn scout(&mut self) -> Option<Entry> {
        if self.scouted.0 <= self.grain {
            let next = if self.scouted.0 == self.grain { self.scouted.1.max(self.head) } else { self.head };
            self.scouted = (self.grain, next + 1);
            if let Some(&entry) = self.run.get(next) {
                return Some(entry);
            }
        } else {
            let bucket = &self.levels[0].buckets[self.scouted.0 as usize % BUCKETS];
            if let Some(&entry) = bucket.get(self.scouted.1) {
                self.scouted.1 += 1;
                return Some(entry);
            }
        }
        self.scout_next_grain()
    }
}

impl Wheel {
    #[inline(never)]
    fn push_late(&mut self, at: u64, what: u64) {
        self.serial += 1;
        self.late.push(Reverse((at, self.serial, what)));
    }

    /// The next entry while something is late.
    #[inline(never)]
    fn pop_either(&mut self, until: u64) -> Option<Entry> {
        let Reverse((at, _, what)) = *self.late.peek()?;
        // Of one time those of the run were put in first.
        let run = self.run.get(self.head).copied().filter(|run| run.at <= at);
        let next = run.unwrap_or(Entry { at, what });
        if next.at > until {
            return None;
        }
        if run.is_some() {
            self.head += 1;
        } else {
            self.late.pop();
        }
        self.len -= 1;
        Some(next)
    }

    /// Puts an entry of a later grain where it belongs: above the lowest level.
    fn file_above(&mut self, entry: Entry) {
        let grain = entry.at >> GRAIN_BITS;
        let level = (grain ^ self.grain).ilog2() / LEVEL_BITS;
        self.levels[level as usize].put((grain >> (level * LEVEL_BITS)) as usize, entry);
    }

    /// The first entry of the next grain on the lowest level in which there is any.
    fn scout_next_grain(&mut self) -> Option<Entry> {
        let now = self.scouted.0 as usize % BUCKETS;
        let Some(bucket) = self.levels[0].next_after(now) else {
            self.scouted.1 -= usize::from(self.scouted.0 == self.grain);
            return None;
        };
        self.scouted = (self.scouted.0 - now as u64 + bucket as u64, 1);
        let bucket = &mut self.levels[0].buckets[bucket];
        // What will come of this grain is sorted when it is taken: what was put in later is then put in between.
        bucket.sort_by_key(|entry| entry.at);
        bucket.first().copied()
    }

    /// Goes on to the next grain in which something is due, unless that begins after `until`. The run is empty.
    fn advance(&mut self, until: u64) -> bool {
        self.run.clear();
        self.head = 0;
        let now = self.grain as usize % BUCKETS;
        let Some(bucket) = self.levels[0].next_after(now) else { return self.descend(until) };
        let grain = self.grain - now as u64 + bucket as u64;
        if grain << GRAIN_BITS > until {
            return false;
        }
        self.grain = grain;
        self.levels[0].swap(bucket, &mut self.run);
        // Stable: of one time the first put in stays the first.
        self.run.sort_by_key(|entry| entry.at);
        true
    }

    /// The same when the lowest level is empty.
    #[inline(never)]
    fn descend(&mut self, until: u64) -> bool {
        for level in 1..LEVELS {
            let shift = level as u32 * LEVEL_BITS;
            let now = (self.grain >> shift) as usize % BUCKETS;
            let Some(bucket) = self.levels[level].next_after(now) else { continue };
            let grain = ((self.grain >> shift) - now as u64 + bucket as u64) << shift;
            if grain << GRAIN_BITS > until {
                return false;
            }
            self.grain = grain;
            self.cascade(level, bucket);
            self.run.sort_by_key(|entry| entry.at);
            return !self.run.is_empty() || self.advance(until);
        }
        false
    }

    /// The turn of a bucket above the lowest level has come: its entries go down.
    fn cascade(&mut self, level: usize, bucket: usize) {
        let mut entries = Vec::new();
        self.levels[level].swap(bucket, &mut entries);
        for &entry in &entries {
            let grain = entry.at >> GRAIN_BITS;
            if grain == self.grain {
                self.run.push(entry);
            } else if grain ^ self.grain < BUCKETS as u64 {
                self.levels[0].put(grain as usize, entry);
            } else {
                self.file_above(entry);
            }
        }
        entries.clear();
        self.levels[level].give_back(bucket, entries);
    }
}

impl Level {
    fn new() -> Self {
        let buckets: Box<[Vec<Entry>]> = vec![Vec::new(); BUCKETS].into();
        Self { buckets: buckets.try_into().expect("there are so many"), used: [0; BUCKETS / 64] }
    }

    /// Puts an entry into the bucket of a number.
    #[inline]
    fn put(&mut self, number: usize, entry: Entry) {
        let bucket = number % BUCKETS;
        self.used[bucket / 64] |= 1 << (bucket % 64);
        self.buckets[bucket].push(entry);
    }

    /// The first bucket after `bucket` that holds something.
    #[inline]
    fn next_after(&self, bucket: usize) -> Option<usize> {
        let first = bucket + 1;
        let mut word = first / 64;
        let mut bits = *self.used.get(word)? & (u64::MAX << (first % 64));
        while bits == 0 {
            word += 1;
            bits = *self.used.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// Takes what a bucket holds; the empty list takes its place.
    #[inline]
    fn swap(&mut self, bucket: usize, empty: &mut Vec<Entry>) {
        self.used[bucket / 64] &= !(1 << (bucket % 64));
        std::mem::swap(&mut self.buckets[bucket], empty);
        if self.buckets[bucket].capacity() > KEPT_MAX {
            self.buckets[bucket] = Vec::new();
        }
    }

    fn give_back(&mut self, bucket: usize, empty: Vec<Entry>) {
        if empty.capacity() <= KEPT_MAX {
            self.buckets[bucket] = empty;
        }
    }
}
