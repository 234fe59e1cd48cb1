//! The binary heap of the standard library, with a serial number against ties. The reference.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Entry, Queue};

/// A binary heap of (time, serial, what).
#[derive(Debug, Default)]
pub struct Heap {
    heap: BinaryHeap<Reverse<(u64, u64, u64)>>,
    serial: u64,
}

impl Queue for Heap {
    fn push(&mut self, at: u64, what: u64) {
        self.serial += 1;
        self.heap.push(Reverse((at, self.serial, what)));
    }

    fn pop(&mut self, until: u64) -> Option<Entry> {
        if self.heap.peek()?.0.0 > until {
            return None;
        }
        let Reverse((at, _, what)) = self.heap.pop()?;
        Some(Entry { at, what })
    }

    fn len(&self) -> usize {
        self.heap.len()
    }

    fn upcoming(&self, until: u64, list: &mut Vec<Entry>) -> u64 {
        let mut found: Vec<_> = self.heap.iter().map(|Reverse(key)| *key).filter(|&(at, ..)| at < until).collect();
        found.sort_unstable();
        list.extend(found.into_iter().map(|(at, _, what)| Entry { at, what }));
        until
    }
}
