//! Stories about the simulator itself. Those of the protocol are elsewhere.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::{ClusterTag, Command, Config, Event, EventId, Input, Instant, MemberState};
use netem::Impairment;
use netem::spec::{Direction, DropNext, Loss, Probability, Sleep, Span};

use super::{Action, Churn, Traffic};
use crate::network::{Cause, Fate, Latency, Network};
use crate::observe::{Handled, Lifecycle, Observer};
use crate::queue::{Heap, Wheel};
use crate::{Cluster, Journal, NodeId, Restart, StartOptions};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

type Story = Cluster<u16, Journal<u16>>;

fn story(size: u32) -> Story {
    Cluster::with_view(1, &Config::lan(), size, Journal::default())
}

fn send(cluster: &mut Story, from: NodeId, to: u16, payload: &[u8]) {
    cluster.command(from, Command::Send { to, payload }).expect("a live member");
}

/// Messages that a host got.
fn got(cluster: &Story, id: NodeId) -> Vec<(u16, Vec<u8>)> {
    cluster.journal(id).messages.clone()
}

/// A hash of everything that an observer is told (FNV-1a of its printed form).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, text: &str) {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

impl Observer<u16> for Hash {
    fn on_event(&mut self, now: Duration, node: NodeId, event: &Event<u16>) {
        self.add(&format!("{now:?} {node} {event:?}"));
    }

    fn on_input(&mut self, now: Duration, local: Instant, node: NodeId, input: &Input<'_, u16>) {
        self.add(&format!("{now:?} {local:?} {node} {input:?}"));
    }

    fn on_sent(&mut self, now: Duration, from: NodeId, to: u16, bytes: &[u8], fate: Fate) {
        self.add(&format!("{now:?} {from} {to} {bytes:?} {fate:?}"));
    }

    fn on_delivered(&mut self, now: Duration, from: u16, to: NodeId, _: &[u8], result: &Handled<u16>) {
        self.add(&format!("{now:?} {from} {to} {result:?}"));
    }

    fn on_lost(&mut self, now: Duration, from: u16, to: NodeId, _: &[u8], cause: Cause) {
        self.add(&format!("{now:?} {from} {to} {cause:?}"));
    }

    fn on_lifecycle(&mut self, now: Duration, node: NodeId, lifecycle: Lifecycle) {
        self.add(&format!("{now:?} {node} {lifecycle:?}"));
    }
}

/// A run with all that can happen in it.
fn eventful<Q: crate::queue::Queue>(seed: u64) -> (Hash, super::Stats) {
    eventful_with_look_ahead_from::<Q>(seed, usize::MAX)
}

fn eventful_with_look_ahead_from<Q: crate::queue::Queue>(seed: u64, hosts: usize) -> (Hash, super::Stats) {
    let mut cluster = Cluster::<u16, Hash, Q>::converged(seed, &Config::lan(), 12, Hash::default());
    cluster.look_ahead_from(hosts);
    eventful_in(&mut cluster)
}

fn eventful_in<Q: crate::queue::Queue>(cluster: &mut Cluster<u16, Hash, Q>) -> (Hash, super::Stats) {
    let config = Config::lan();
    let latency = Latency::Lognormal { floor: MS(1), median: MS(5), sigma: 0.7 };
    cluster.set_network(Network { loss: 0.05, duplicate: 0.02, reorder: MS(3), ..Network::with_latency(latency) });
    cluster.set_traffic(Some(Traffic { every: MS(50), len: 64 }));
    cluster.set_answer(3, Some(b"yes"));
    let now = cluster.now();
    cluster.at(now + S(1), Action::Block { ours: vec![1, 2, 3], theirs: vec![4, 5, 6] });
    cluster.at(now + S(2), Action::UnblockAll);
    cluster.at(now + S(2), Action::Pause { id: 7, span: S(1) });
    cluster.at(now + S(2), Action::Starve { id: 8, least: MS(10), most: MS(400) });
    cluster.at(now + S(3), Action::SlowDown { id: 9, span: MS(5), waiting: 20 });
    cluster.at(now + S(3), Action::BlockProcess { id: 10, span: S(1) });
    cluster.at(now + S(4), Action::Crash { id: 11 });
    cluster.at(now + S(9), Action::Restart { id: 11, how: Restart::FromSnapshot });
    let loss = Loss { probability: Probability::new(0.3).unwrap(), direction: Direction::In };
    cluster.at(now + S(4), Action::Impair { id: 2, fault: 1, impairment: Impairment::Loss(loss) });
    cluster.at(now + S(5), Action::SetClock { id: 4, drift_ppm: 200, forward: MS(100) });
    cluster.churn(&Churn {
        joins_per_second: 0.5,
        departures_per_second: 0.5,
        crash_share: 0.5,
        span: S(10),
        config: Arc::new(config),
        seeds: [0].into(),
    });
    cluster.run_for(S(6));
    cluster.start_event(0, b"something");
    cluster.run_for(S(14));
    (*cluster.observer(), *cluster.stats())
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let (one, stats) = eventful::<Wheel>(5);
    assert_eq!((one, stats), eventful::<Wheel>(5));
    assert_ne!(one, eventful::<Wheel>(6).0);
    for cause in [Cause::Lost, Cause::Blocked, Cause::Loss, Cause::Nobody] {
        assert!(stats.dropped_by(cause) > 0, "{cause:?} did not happen: {stats:?}");
    }
    assert!(stats.duplicated > 0 && stats.refused == 0, "{stats:?}");
}

#[test]
fn the_quick_queue_gives_the_run_that_the_plain_one_gives() {
    for seed in 0..2 {
        assert_eq!(eventful::<Wheel>(seed), eventful::<Heap>(seed));
    }
}

#[test]
fn threads_change_nothing() {
    for (seed, threads) in [(0, 2), (1, 3), (2, 2)] {
        let mut cluster = Cluster::<u16, Hash, Wheel>::new(seed, Hash::default());
        cluster.set_threads_from(threads, 1);
        cluster.start_and_join(&Config::lan(), 0..12);
        assert!(cluster.run_until(S(300), Cluster::is_complete).is_some());
        assert_eq!(eventful_in(&mut cluster), eventful::<Wheel>(seed), "seed {seed}");
        assert!(cluster.computed_ahead() > 1_000, "{} were computed ahead", cluster.computed_ahead());
    }
}

#[test]
fn looking_ahead_changes_nothing() {
    for seed in 0..2 {
        assert_eq!(eventful_with_look_ahead_from::<Wheel>(seed, 0), eventful::<Wheel>(seed));
    }
}

#[test]
fn nodes_that_join_through_one_find_together_and_an_event_reaches_each_once() {
    let mut cluster = Story::converged(2, &Config::lan(), 32, Journal::default());
    let event = cluster.start_event(5, b"news");
    assert!(cluster.run_until(S(5), |cluster| cluster.informed(event) == 32).is_some());
    cluster.run_for(S(5));
    cluster.assert_delivered_once(event);
    assert_eq!(cluster.deaths().len(), 0);
    assert_eq!(cluster.stats().refused, 0);
    let bytes: u64 = cluster.ids().map(|id| cluster.journal(id).bytes).sum();
    assert_eq!(bytes, cluster.stats().bytes);
}

#[test]
fn a_crash_is_seen_by_all_and_a_restart_undoes_it_either_way() {
    for how in [Restart::Fresh, Restart::FromSnapshot] {
        let mut cluster = story(8);
        cluster.run_for(S(2));
        cluster.crash(3);
        let took =
            cluster.run_until(S(60), |cluster| (0..8).filter(|&by| cluster.deaths().contains(&(by, 3))).count() == 7);
        assert!(took.is_some_and(|took| took > S(1)), "{took:?}");
        cluster.restart(3, &how).unwrap();
        if how == Restart::Fresh {
            assert_eq!(cluster.node(3).live_members(), 1);
            cluster.join(3, &[0]);
        }
        assert!(cluster.run_until(S(30), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    }
}

#[test]
fn a_snapshot_that_was_taken_is_what_a_host_comes_back_from() {
    let mut cluster = story(4);
    cluster.run_for(S(1));
    let bytes = cluster.snapshot(2);
    cluster.run_for(S(1));
    cluster.crash(2);
    cluster.run_for(S(1));
    assert!(cluster.restart(2, &Restart::From { bytes: bytes[1..].into(), taken_ago: S(2) }).is_err());
    assert!(!cluster.is_up(2));
    cluster.restart(2, &Restart::FromSnapshot).unwrap();
    assert!(cluster.is_up(2));
    assert!(cluster.run_until(S(10), Cluster::is_complete).is_some());
    assert!(cluster.node(2).member(&2).unwrap().incarnation > 0, "above that of the snapshot");
}

#[test]
fn room_for_hosts_is_not_hosts() {
    let mut cluster = story(2);
    cluster.reserve(100);
    assert_eq!(cluster.start(&Config::lan(), &StartOptions::default()), 2);
    cluster.start_at(7, &Config::lan(), &StartOptions::default());
    assert_eq!(cluster.start(&Config::lan(), &StartOptions::default()), 8);
    assert_eq!(cluster.ids().collect::<Vec<_>>(), [0, 1, 2, 7, 8]);
}

#[test]
fn who_left_is_silent_and_not_missed_and_may_come_back() {
    let mut cluster = story(5);
    cluster.run_for(S(1));
    cluster.leave(4);
    assert!(cluster.run_until(S(5), |cluster| cluster.has_left(4)).is_some());
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some());
    assert_eq!(cluster.live().count(), 4);
    let state = cluster.node(0).member(&4).map(|member| member.state);
    assert_eq!(state, Some(MemberState::Left));
    cluster.join(4, &[0]);
    assert!(cluster.run_until(S(5), |cluster| cluster.live().count() == 5 && cluster.is_complete()).is_some());
}

#[test]
fn blocked_links_carry_nothing_and_one_way_is_one_way() {
    let mut cluster = story(4);
    cluster.block_one_way(&[0], &[1]);
    cluster.block(&[2], &[3]);
    for (from, to) in [(0, 1), (1, 0), (2, 3), (3, 2), (0, 2)] {
        send(&mut cluster, from, to, &[from as u8]);
    }
    cluster.run_for(MS(2));
    assert_eq!(got(&cluster, 1), []);
    assert_eq!(got(&cluster, 0), [(1, vec![1])]);
    assert_eq!(got(&cluster, 2), [(0, vec![0])]);
    assert_eq!(got(&cluster, 3), []);
    assert_eq!(cluster.stats().dropped_by(Cause::Blocked), 3);
    cluster.unblock_all();
    send(&mut cluster, 2, 3, b"now");
    cluster.run_for(MS(2));
    assert_eq!(got(&cluster, 3).len(), 1);
}

#[test]
fn a_stopped_process_reads_what_waited_when_it_wakes_up_to_its_inbox() {
    let mut cluster = story(2);
    cluster.pause(1, MS(100));
    for n in 0..300_u16 {
        send(&mut cluster, 0, 1, &n.to_be_bytes());
    }
    cluster.run_for(MS(99));
    assert_eq!(got(&cluster, 1), []);
    cluster.run_for(MS(1));
    assert_eq!(got(&cluster, 1).len(), crate::INBOX_MAX);
    assert_eq!(got(&cluster, 1)[276].1, 276_u16.to_be_bytes(), "in the order in which they came");
    assert!(cluster.stats().dropped_by(Cause::InboxFull) >= 23);
    let lifecycle: Vec<_> = cluster.journal(1).lifecycle.iter().map(|(at, what)| (at.as_millis(), *what)).collect();
    assert_eq!(lifecycle[1..], [(0, Lifecycle::Paused), (100, Lifecycle::Resumed)]);
    assert_eq!(cluster.in_flight(), 0, "what was lost is forgotten");
}

#[test]
fn a_stuck_process_says_nothing_until_it_is_free_and_then_all() {
    let mut cluster = story(3);
    cluster.block_process(1, MS(100));
    send(&mut cluster, 0, 1, b"in");
    send(&mut cluster, 1, 2, b"out");
    cluster.run_for(MS(100));
    assert_eq!((got(&cluster, 1), got(&cluster, 2)), (vec![(0, b"in".to_vec())], vec![]));
    cluster.run_for(MS(1));
    assert_eq!(got(&cluster, 2), [(1, b"out".to_vec())]);
}

#[test]
fn the_deaf_get_nothing_and_nothing_is_kept_for_them() {
    let mut cluster = story(3);
    cluster.deafen(1, MS(100));
    send(&mut cluster, 0, 1, b"in");
    send(&mut cluster, 1, 2, b"out");
    cluster.run_for(MS(150));
    assert_eq!((got(&cluster, 1), got(&cluster, 2)), (vec![], vec![]));
    send(&mut cluster, 0, 1, b"later");
    cluster.run_for(MS(1));
    assert_eq!(got(&cluster, 1).len(), 1);
}

#[test]
fn a_slow_process_takes_its_time_over_each_and_loses_what_is_too_much() {
    let mut cluster = story(2);
    cluster.slow_down(1, MS(10), 3);
    for n in 0..8 {
        send(&mut cluster, 0, 1, &[n]);
    }
    let mut counts = Vec::new();
    for _ in 0..6 {
        cluster.run_for(MS(10));
        counts.push(got(&cluster, 1).len());
    }
    // The first comes after 1 ms, then one every 10 ms: four in all, since three could wait.
    assert_eq!(counts, [1, 2, 3, 4, 4, 4]);
    assert!(cluster.stats().dropped_by(Cause::InboxFull) >= 4);
    cluster.feed(1);
    (0..3).for_each(|n| send(&mut cluster, 0, 1, &[n]));
    cluster.run_for(MS(12));
    assert_eq!(got(&cluster, 1).len(), 7);
}

#[test]
fn a_starved_process_is_served_now_and_then_with_all_at_once() {
    let mut cluster = story(2);
    cluster.starve(1, MS(200), MS(200));
    let mut counts = Vec::new();
    for _ in 0..40 {
        send(&mut cluster, 0, 1, b"one");
        cluster.run_for(MS(10));
        counts.push(got(&cluster, 1).len());
    }
    let served = counts.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert_eq!(served, 2, "{counts:?}");
    assert!(counts[39] >= 38, "{counts:?}");
}

#[test]
fn the_fault_models_of_an_agent_act_at_both_ends_and_tell_their_end() {
    let mut cluster = story(3);
    let drop_next = |count, direction| Impairment::DropNext(DropNext { count, direction });
    cluster.impair(0, 1, drop_next(1, Direction::Out));
    cluster.impair(2, 2, drop_next(1, Direction::In));
    for to in [1, 2] {
        for n in 0..2 {
            send(&mut cluster, 0, to, &[n]);
        }
    }
    cluster.run_for(MS(1));
    assert_eq!(got(&cluster, 1), [(0, vec![1])], "the first was dropped at its sender");
    assert_eq!(got(&cluster, 2), [(0, vec![1])], "the first was dropped at its receiver");
    cluster.impair(1, 3, Impairment::Sleep(Sleep { duration: Span::from_millis(50) }));
    cluster.run_for(MS(60));
    let ended = |id| cluster.journal(id).lifecycle.iter().any(|(_, what)| matches!(what, Lifecycle::FaultEnded { .. }));
    assert!(ended(1));
    assert_eq!(cluster.fault_counts(0).unwrap().next_dropped, 1);
    let delay = netem::spec::Delay {
        mean: Span::from_millis(20),
        jitter: Span::default(),
        distribution: netem::spec::Distribution::Fixed,
        direction: Direction::In,
    };
    cluster.impair(1, 4, Impairment::Delay(delay));
    let before = got(&cluster, 1).len();
    send(&mut cluster, 0, 1, b"late");
    cluster.run_for(MS(20));
    assert_eq!(got(&cluster, 1).len(), before);
    cluster.run_for(MS(1));
    assert_eq!(got(&cluster, 1).len(), before + 1);
    cluster.heal(1);
    assert!(cluster.journal(1).lifecycle.iter().any(|(_, what)| *what == Lifecycle::Healed));
}

#[test]
fn twins_get_the_datagrams_for_their_address_in_turn() {
    let mut cluster = story(3);
    cluster.start_at(9, &Config::lan(), &StartOptions { twin_of: Some(1), ..StartOptions::default() });
    cluster.join(9, &[0]);
    cluster.run_for(MS(500));
    (0..6).for_each(|n| send(&mut cluster, 0, 1, &[n]));
    cluster.run_for(MS(5));
    assert_eq!((got(&cluster, 1).len(), got(&cluster, 9).len()), (3, 3));
    assert_eq!(cluster.node(9).local(), 1);
}

#[test]
fn a_fast_clock_makes_a_node_beat_faster() {
    let mut cluster = Cluster::<u16>::new(3, ());
    let config = Config { idle_calls: true, ..Config::lan() };
    for drift_ppm in [0, 100_000] {
        cluster.start(&config, &StartOptions { drift_ppm, ..StartOptions::default() });
    }
    cluster.join(1, &[0]);
    cluster.run_for(S(5));
    let rounds = |cluster: &Cluster<u16>| [0, 1].map(|id| (cluster.clock(id).as_nanos() - 1_000_000_000) / 1_000_000);
    assert_eq!(rounds(&cluster), [5_000, 5_500]);
    let probes = [0, 1].map(|id| cluster.node(id).counters().probes);
    cluster.run_for(S(100));
    let more = [0, 1].map(|id| cluster.node(id).counters().probes - probes[id as usize]);
    let expected = more[0] + more[0] / 10;
    assert!(more[1].abs_diff(expected) <= 2, "{more:?}");
}

#[test]
fn nobody_hears_what_is_sent_to_nobody_and_what_a_query_asks_is_answered() {
    let mut cluster = story(3);
    cluster.inject(0, 77, b"not a datagram").unwrap_err();
    cluster.join(0, &[500]);
    cluster.run_for(MS(10));
    assert!(cluster.stats().dropped_by(Cause::Nobody) > 0);
    cluster.set_answer(2, Some(b"here"));
    let command = Command::StartQuery { payload: b"who", deadline: S(2), options: Default::default() };
    cluster.command(0, command).unwrap();
    cluster.run_for(S(2));
    let answers: Vec<_> = cluster.journal(0).answers.iter().map(|(.., of, answer)| (*of, answer.clone())).collect();
    assert_eq!(answers, [(2, b"here".to_vec())]);
    assert_eq!(cluster.journal(1).asked.len(), 1);
}

#[test]
fn nodes_come_and_go_as_the_churn_says() {
    let config = Config::lan();
    let mut cluster = Cluster::<std::net::SocketAddr, _>::converged(1, &config, 10, Journal::default());
    let (came, went) = cluster.churn(&Churn {
        joins_per_second: 1.0,
        departures_per_second: 0.5,
        crash_share: 0.5,
        span: S(30),
        config: Arc::new(config),
        seeds: [0].into(),
    });
    assert!(came > 10 && went > 5, "{came} came, {went} went");
    cluster.run_for(S(60));
    assert_eq!(cluster.live().count(), 10 + came - went);
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some());
}

#[test]
fn traffic_comes_from_each_at_even_intervals_and_can_be_ended() {
    let mut cluster = story(10);
    cluster.set_traffic(Some(Traffic { every: MS(100), len: 64 }));
    cluster.run_for(S(2));
    let messages = |cluster: &Story| -> usize { cluster.ids().map(|id| got(cluster, id).len()).sum() };
    let sent = messages(&cluster);
    assert!(sent.abs_diff(200) <= 1, "{sent}");
    assert!(
        cluster.ids().all(|id| got(&cluster, id).iter().all(|(from, bytes)| *from != id as u16 && bytes.len() == 64))
    );
    cluster.set_traffic(None);
    cluster.set_traffic(Some(Traffic { every: S(1), len: 1 }));
    cluster.run_for(S(5));
    assert!(messages(&cluster).abs_diff(sent + 50) <= 2, "that of before is over");
}

#[test]
fn an_event_of_a_former_life_is_not_taken_for_one_of_the_next() {
    let mut cluster = story(4);
    let first: EventId<u16> = cluster.start_event(1, b"first life");
    cluster.run_for(S(2));
    cluster.crash(1);
    cluster.restart(1, &Restart::Fresh).unwrap();
    cluster.join(1, &[0]);
    cluster.run_for(S(1));
    let second = cluster.start_event(1, b"second life");
    assert!(second.sequence > first.sequence);
    assert!(cluster.run_until(S(5), |cluster| cluster.informed(second) == 4).is_some());
}

#[test]
fn a_host_that_is_started_again_as_another_is_that_other_from_then_on() {
    let mut cluster = story(4);
    let options = StartOptions { metadata: b"other", first_sequence: Some(5), ..StartOptions::default() };
    let config = Config { cluster: ClusterTag(7), ..Config::lan() };
    cluster.restart_with(1, &config, &options).unwrap();
    assert_eq!(cluster.start_event(1, b"event").sequence, 5);
    for how in [None, Some(Restart::Fresh)] {
        how.into_iter().for_each(|how| cluster.restart(1, &how).unwrap());
        cluster.join(1, &[0]);
        let before = cluster.node(0).counters().datagrams_other_cluster;
        cluster.run_for(S(3));
        assert!(cluster.node(0).counters().datagrams_other_cluster > before, "it knocks at the wrong door");
        assert_eq!(cluster.node(1).member(&1).unwrap().metadata, b"other");
    }
    assert_eq!(cluster.clock(1), cluster.clock(0));
}

#[test]
fn hosts_that_are_up_come_with_their_node_and_their_journal_and_that_can_be_cleared() {
    let mut cluster = story(3);
    cluster.crash(1);
    send(&mut cluster, 0, 2, b"one");
    cluster.run_for(MS(2));
    let up: Vec<_> = cluster.up().map(|(id, host)| (id, host.node.local(), host.journal.messages.len())).collect();
    assert_eq!(up, [(0, 0, 0), (2, 2, 1)]);
    cluster.clear_journal(2);
    assert_eq!(got(&cluster, 2), []);
}
