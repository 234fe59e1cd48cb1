//! How long datagrams were under way, from the recordings of the nodes at both ends.
//!
//! A one-way time is what a simulator calls latency: from the time with which the sender's node was asked for the datagram to the
//! time with which the receiver's node was given it. Encoding, both system calls, the kernel's queues, the wait until the receiver is
//! scheduled and has read what came before, and delays that the fault models add are all in it. Both times are readings of one
//! clock, so only recordings made under one running kernel can be compared.
//!
//! A datagram that was received is matched with the latest one of the same bytes that was sent before on the same way and is not
//! matched yet. Equal bytes on one way are rounds apart, so this is wrong only for times as long as a round.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use gossip_core::typed::RecordedInput;
use gossip_core::{Address, Instant, Key, Node};

use super::file::Recorded;
use super::replay::{Watch, play};

/// A way and what went over it, by the hash of its bytes.
type Way = (SocketAddr, SocketAddr, u64);

/// What was found in recordings.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    sent: BTreeMap<Way, Vec<u64>>,
    received: BTreeMap<Way, Vec<u64>>,
    starts: Vec<u64>,
    lateness: Vec<u64>,
    boot_id: Option<String>,
    /// Recordings that were read.
    pub recordings: usize,
    /// Addresses of the recorded nodes.
    nodes: Vec<SocketAddr>,
}

/// Times in nanoseconds, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// One-way times.
    pub one_way: Vec<u64>,
    /// How late the nodes were told of their deadlines.
    pub timers: Vec<u64>,
    /// Datagrams from one recorded node to another.
    pub sent: usize,
    /// Of them, those that were never received: lost, or on their way when a recording ended.
    pub unmatched: usize,
    /// Datagrams that were received and never sent: from nodes that were not recorded, or hostile.
    pub unknown: usize,
}

impl Collected {
    /// Plays the recording at `path` and keeps when it sent and received what.
    ///
    /// # Errors
    /// Why it cannot be used, in words: it cannot be played, differs when it is, or was made under another clock.
    pub fn add(&mut self, path: &Path, keys: &[Key]) -> Result<(), String> {
        let wrong = |why: &str| format!("{}: {why}", path.display());
        let recording = Recorded::open(path).map_err(|error| wrong(&error.to_string()))?;
        let boot_id = recording.label("boot_id").unwrap_or_default().to_owned();
        if boot_id.is_empty() {
            return Err(wrong("it does not say by which clock it was made"));
        }
        if self.boot_id.get_or_insert_with(|| boot_id.clone()) != &boot_id {
            return Err(wrong(
                "it was made under another clock than the others: another machine, or before a restart of it",
            ));
        }
        let local = recording.local;
        let played =
            play(recording, keys, &mut Collector { local, into: self }).map_err(|error| wrong(&error.to_string()))?;
        if let Some(difference) = played.difference {
            return Err(wrong(&format!("its replay differs after input #{}: see gossip-sim inputs", difference.input)));
        }
        self.nodes.push(local);
        self.recordings += 1;
        Ok(())
    }

    /// Matches what was sent with what was received. With `after_events`, only what was sent within so many nanoseconds after an
    /// event was started at one of the recorded nodes.
    #[must_use]
    pub fn measure(&self, after_events: Option<u64>) -> Measured {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        let wanted = |at: u64| {
            after_events.is_none_or(|span| {
                let later = starts.partition_point(|start| *start <= at);
                later > 0 && at - starts[later - 1] <= span
            })
        };
        let mut measured = Measured { timers: self.lateness.clone(), ..Measured::default() };
        measured.timers.sort_unstable();
        for (way, sent) in &self.sent {
            if !self.nodes.contains(&way.1) {
                continue;
            }
            measured.sent += sent.iter().filter(|at| wanted(**at)).count();
            let mut sent = sent.clone();
            sent.sort_unstable();
            let mut received = self.received.get(way).cloned().unwrap_or_default();
            received.sort_unstable();
            let matched = received.iter().filter_map(|at| {
                let place = sent.partition_point(|sent| sent <= at).checked_sub(1)?;
                Some((sent.remove(place), *at))
            });
            measured.one_way.extend(matched.filter(|(from, _)| wanted(*from)).map(|(from, to)| to - from));
        }
        measured.unmatched = measured.sent - measured.one_way.len();
        measured.unknown =
            self.received.iter().filter(|(way, _)| !self.sent.contains_key(*way)).map(|(_, at)| at.len()).sum();
        measured.one_way.sort_unstable();
        measured
    }
}

/// `count` quantiles of `sorted` at even distances, from the least to the greatest.
///
/// # Panics
/// For less than two quantiles or no values.
#[must_use]
pub fn quantiles(sorted: &[u64], count: usize) -> Vec<u64> {
    assert!(count >= 2 && !sorted.is_empty(), "a table needs values and two quantiles");
    (0..count).map(|k| sorted[k * (sorted.len() - 1) / (count - 1)]).collect()
}

struct Collector<'c> {
    local: SocketAddr,
    into: &'c mut Collected,
}

impl Watch for Collector<'_> {
    fn on_input(&mut self, node: &Node<SocketAddr>, _: u64, at: Instant, input: &RecordedInput) {
        match input {
            RecordedInput::Datagram { from, bytes } => {
                if let Some((from, _)) = SocketAddr::decode(from) {
                    self.into.received.entry((from, self.local, hash(bytes))).or_default().push(at.as_nanos());
                }
            }
            RecordedInput::Timeout => {
                if let Some(due) = node.poll_timeout().filter(|due| *due <= at) {
                    self.into.lateness.push(at.since(due).as_nanos() as u64);
                }
            }
            RecordedInput::StartEvent { .. } => self.into.starts.push(at.as_nanos()),
            _ => {}
        }
    }

    fn on_transmit(&mut self, _: &Node<SocketAddr>, at: Instant, to: SocketAddr, bytes: &[u8]) {
        self.into.sent.entry((self.local, to, hash(bytes))).or_default().push(at.as_nanos());
    }
}

/// FNV-1a: enough to tell the datagrams of one way apart.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 1))
    }

    fn collected(sent: &[(u64, u64)], received: &[(u64, u64)], starts: &[u64]) -> Collected {
        let mut collected =
            Collected { nodes: vec![addr(1), addr(2)], starts: starts.to_vec(), ..Collected::default() };
        for &(hash, at) in sent {
            collected.sent.entry((addr(1), addr(2), hash)).or_default().push(at);
        }
        for &(hash, at) in received {
            collected.received.entry((addr(1), addr(2), hash)).or_default().push(at);
        }
        collected
    }

    #[test]
    fn a_datagram_is_matched_with_the_latest_equal_one_that_was_sent_before() {
        // Equal datagrams at 100, 200 and 300, the second lost; another one that overtakes.
        let measured =
            collected(&[(1, 100), (1, 200), (1, 300), (2, 110)], &[(1, 107), (1, 305), (2, 111)], &[]).measure(None);
        assert_eq!(measured.one_way, [1, 5, 7]);
        assert_eq!((measured.sent, measured.unmatched, measured.unknown), (4, 1, 0));
    }

    #[test]
    fn what_was_not_sent_by_anyone_is_counted_and_what_goes_to_strangers_is_not() {
        let mut collected = collected(&[(1, 100)], &[(9, 5)], &[]);
        collected.sent.insert((addr(1), addr(77), 3), vec![5]);
        let measured = collected.measure(None);
        assert_eq!((measured.sent, measured.unmatched, measured.unknown, measured.one_way.len()), (1, 1, 1, 0));
    }

    #[test]
    fn only_what_was_sent_soon_after_an_event_counts_if_that_is_wanted() {
        let sent: Vec<(u64, u64)> = (0..10).map(|n| (n, n * 100)).collect();
        let received: Vec<(u64, u64)> = (0..10).map(|n| (n, n * 100 + n)).collect();
        let collected = collected(&sent, &received, &[650, 200]);
        assert_eq!(collected.measure(Some(100)).one_way, [2, 3, 7]);
        assert_eq!(collected.measure(Some(0)).one_way, [2]);
        assert_eq!(collected.measure(None).one_way.len(), 10);
    }

    #[test]
    fn quantiles_run_from_the_least_to_the_greatest() {
        let values: Vec<u64> = (0..=1000).collect();
        assert_eq!(quantiles(&values, 5), [0, 250, 500, 750, 1000]);
        assert_eq!(quantiles(&[7], 2), [7, 7]);
    }
}
