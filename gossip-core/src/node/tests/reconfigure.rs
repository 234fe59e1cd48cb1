//! Another configuration while the node runs.

use alloc::collections::BTreeSet;

use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

use alloc::vec;

use super::*;
use crate::config::{ConfigError, event_payload_max};
use crate::fanout::Fanout;
use crate::io::InputError;
use crate::wire::{Rumor, RumorKind, Terms};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn reconfigure(node: &mut Node<u16>, now: Instant, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
    let mut config = node.config().clone();
    change(&mut config);
    match node.handle(now, Input::Command(Command::Reconfigure { config: &config })) {
        Ok(_) => {
            assert_eq!(*node.config(), config);
            Ok(())
        }
        Err(InputError::Command(CommandError::Config(error))) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

fn rumor(sequence: u64, age: Duration, payload: &[u8]) -> Vec<u8> {
    told(sequence, age, payload, Terms::default())
}

/// An event that waits for the one `distance` before it.
fn ordered(sequence: u64, age: Duration, payload: &[u8], distance: u64) -> Vec<u8> {
    told(sequence, age, payload, Terms { kind: RumorKind::Ordered { distance }, ..Terms::default() })
}

fn told(sequence: u64, age: Duration, payload: &[u8], terms: Terms) -> Vec<u8> {
    let mut buffer = [0; 1400];
    let message: Message<'_, u16> = Message::Nack { seq: 0 };
    let sender = Sender { incarnation: 0, digest: 0 };
    let mut encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, &message).unwrap();
    let age_ms = age.as_millis() as u32;
    assert!(encoder.push(&Item::Rumor(Rumor { origin: 7, sequence, age_ms, hops: 1, terms, counter: None, payload })));
    let len = encoder.finish();
    buffer[..len].to_vec()
}

/// The numbers of the events that were delivered.
fn hear(node: &mut Node<u16>, now: Instant, bytes: &[u8]) -> Vec<u64> {
    node.handle(now, Input::Datagram { from: 7, bytes }).unwrap();
    let events = core::iter::from_fn(|| node.poll_event());
    events.filter_map(|event| if let Event::UserEvent { id, .. } = event { Some(id.sequence) } else { None }).collect()
}

#[test]
fn what_makes_no_sense_or_cannot_be_had_is_refused_and_nothing_changes() {
    let mut node = node_with(5);
    node.handle(NOW, Input::Command(Command::SetMetadata { metadata: b"four" })).unwrap();
    let (config, due) = (node.config().clone(), node.poll_timeout());
    let mut error = |change: fn(&mut Config)| {
        let error = reconfigure(&mut node, NOW, |config| {
            config.gossip_interval = MS(1);
            change(config);
        });
        assert_eq!((node.config(), node.poll_timeout()), (&config, due));
        error.unwrap_err().name
    };
    assert_eq!(error(|config| config.probe_timeout = config.probe_interval), "probe_timeout");
    assert_eq!(error(|config| config.cluster = crate::ClusterTag(9)), "cluster");
    assert_eq!(error(|config| config.metadata_max = 3), "metadata_max");
    assert_eq!(error(|config| config.members_max = 4), "members_max");
}

#[test]
fn what_remains_of_an_interval_changes_in_proportion() {
    let mut node = node_with(1);
    let mut now = NOW;
    for (gossip, probe) in [(MS(50), S(4)), (S(30), MS(600)), (MS(200), S(1))] {
        let [old_gossip, old_probe] =
            [Timer::Gossip, Timer::Probe].map(|timer| node.timers.deadline(&node.deadlines, timer).unwrap());
        let (was_gossip, was_probe) = (node.config().gossip_interval, node.config().probe_interval);
        now += MS(7);
        reconfigure(&mut node, now, |config| (config.gossip_interval, config.probe_interval) = (gossip, probe))
            .unwrap();
        let [new_gossip, new_probe] =
            [Timer::Gossip, Timer::Probe].map(|timer| node.timers.deadline(&node.deadlines, timer).unwrap());
        let share = |deadline: Instant, interval: Duration| deadline.since(now).as_secs_f64() / interval.as_secs_f64();
        assert!((share(old_gossip, was_gossip) - share(new_gossip, gossip)).abs() < 1e-6);
        assert!((share(old_probe, was_probe) - share(new_probe, probe)).abs() < 1e-6);
    }
}

#[test]
fn a_running_probe_still_asks_helpers_before_its_period_ends() {
    let mut node = node_with(5);
    let due = node.timers.deadline(&node.deadlines, Timer::Probe).unwrap();
    node.handle(due, Input::Timeout).unwrap();
    assert!(node.probe.is_some());
    let now = due + MS(300);
    reconfigure(&mut node, now, |config| {
        (config.probe_interval, config.probe_timeout, config.probe_timeout_min) = (MS(100), MS(40), MS(20));
    })
    .unwrap();
    let [retry, timeout, end] = [Timer::ProbeRetry, Timer::ProbeTimeout, Timer::Probe]
        .map(|timer| node.timers.deadline(&node.deadlines, timer).unwrap());
    // 200 of 500 ms remain to the timeout, 700 of 1,000 to the end, and the ping is due.
    assert_eq!((retry, timeout, end), (due + MS(125), now + MS(16), now + MS(70)));
}

#[test]
fn the_oldest_give_way_when_a_bound_shrinks_and_are_counted() {
    let mut node = node_with(1);
    for sequence in 0..10 {
        hear(&mut node, NOW, &rumor(sequence, MS(10_000 - 1_000 * sequence), &[7; 10]));
    }
    reconfigure(&mut node, NOW, |config| config.events_max = 8).unwrap();
    assert_eq!((node.rumors.len(), node.counters().events_evicted), (8, 2));
    reconfigure(&mut node, NOW, |config| config.event_bytes_max = 65).unwrap();
    assert_eq!((node.rumors.len(), node.counters().events_evicted), (6, 4));
    reconfigure(&mut node, NOW, |config| (config.events_max, config.seen_max) = (3, 5)).unwrap();
    assert_eq!((node.rumors.len(), node.counters().seen_evicted), (3, 5));
    let kept: BTreeSet<u64> = node.rumors.in_buckets(NOW, 0, 0, 1).map(|(_, told)| told.sequence).collect();
    assert_eq!(kept, [7, 8, 9].into());
    assert_eq!(hear(&mut node, NOW, &rumor(4, S(6), b"")), [], "forgotten, and known to be");
    while node.poll_transmit(NOW, &mut [0; 1400]).is_some() {}
    reconfigure(&mut node, NOW, |config| config.transmits_max = 1).unwrap();
    node.handle(NOW, Input::Command(Command::Join { seeds: &[2, 3, 4] })).unwrap();
    assert_eq!((node.outgoing.len(), node.counters().transmits_refused), (1, 2));
    reconfigure(&mut node, NOW, |config| config.transmits_max = 9).unwrap();
    node.handle(NOW, Input::Command(Command::Join { seeds: &[2, 3, 4] })).unwrap();
    reconfigure(&mut node, NOW, |config| config.transmits_max = 2).unwrap();
    assert_eq!((node.outgoing.len(), node.counters().transmits_refused), (2, 4));
}

#[test]
fn the_dead_give_way_when_the_table_shrinks_and_the_living_do_not() {
    let mut node = node_with(10);
    let dead = Claim { incarnation: 0, state: MemberState::Dead };
    for addr in [4, 3, 6] {
        node.handle(NOW, Input::Datagram { from: 2, bytes: &claims(addr, [dead].into_iter()) }).unwrap();
    }
    reconfigure(&mut node, NOW, |config| config.members_max = 8).unwrap();
    assert_eq!((node.members.len(), node.counters().members_evicted), (8, 2));
    assert!(node.member(&4).is_none() && node.member(&3).is_none() && node.member(&6).is_some());
    reconfigure(&mut node, NOW, |config| config.members_max = 7).unwrap();
    assert_eq!((node.members.len(), node.live_members()), (7, 7));
    assert!(reconfigure(&mut node, NOW, |config| config.members_max = 6).is_err());
    // One that leaves counts as no live member, and is in the table all the same.
    node.handle(NOW, Input::Command(Command::Leave)).unwrap();
    assert!(reconfigure(&mut node, NOW, |config| config.members_max = 6).is_err());
}

#[test]
fn ordered_events_wait_no_longer_than_the_new_configuration_allows() {
    let mut node = node_with(1);
    for sequence in [3, 5, 7] {
        assert_eq!(hear(&mut node, NOW, &ordered(sequence, S(0), b"", 1)), []);
    }
    reconfigure(&mut node, NOW, |config| config.ordered_max = 2).unwrap();
    let delivered = |node: &mut Node<u16>| {
        let events = core::iter::from_fn(|| node.poll_event());
        events.filter(|event| matches!(event, Event::UserEvent { .. })).count()
    };
    assert_eq!(delivered(&mut node), 1);
    reconfigure(&mut node, NOW, |config| config.ordered_wait = MS(100)).unwrap();
    node.handle(NOW + MS(99), Input::Timeout).unwrap();
    assert_eq!(delivered(&mut node), 0);
    node.handle(NOW + MS(100), Input::Timeout).unwrap();
    assert_eq!(delivered(&mut node), 2);
}

#[test]
fn coordinates_come_and_go_and_the_first_give_way() {
    let mut node = node_with(1);
    let now = NOW;
    reconfigure(&mut node, now, |config| config.coordinates_max = 5).unwrap();
    let own = node.coordinate().unwrap();
    let coordinates = node.coordinates.as_mut().unwrap();
    (2..=6).for_each(|addr| assert!(!coordinates.on_told(addr, own)));
    reconfigure(&mut node, now, |config| config.coordinates_max = 2).unwrap();
    assert_eq!(node.counters().coordinates_evicted, 3);
    let known = |node: &Node<u16>, addr| node.coordinates.as_ref().unwrap().of(&addr).is_some();
    assert!(!known(&node, 4) && known(&node, 5) && known(&node, 6));
    assert!(node.coordinates.as_mut().unwrap().on_told(7, own), "and the bound holds");
    reconfigure(&mut node, now, |config| config.coordinates_max = 0).unwrap();
    assert_eq!(node.coordinate(), None);
}

#[test]
fn tombstones_obey_the_new_lifetime() {
    let mut node = node_with(4);
    let dead = Claim { incarnation: 0, state: MemberState::Dead };
    for (addr, lifetime) in [(3, S(5)), (4, S(100))] {
        node.handle(NOW, Input::Datagram { from: 2, bytes: &claims(addr, [dead].into_iter()) }).unwrap();
        reconfigure(&mut node, NOW, |config| config.tombstone_lifetime = lifetime).unwrap();
        node.handle(NOW + lifetime - MS(1), Input::Timeout).unwrap();
        assert!(node.member(&addr).is_some());
        node.handle(NOW + lifetime, Input::Timeout).unwrap();
        assert!(node.member(&addr).is_none());
    }
}

#[test]
fn an_event_that_no_datagram_can_hold_any_more_is_forgotten_and_does_not_stand_in_the_way() {
    let mut node = node_with(3);
    let long = event_payload_max::<u16>(&Config { datagram_max: 512, ..Config::lan() }) + 1;
    assert_eq!(hear(&mut node, NOW, &rumor(1, S(0), &vec![0; long])), [1]);
    assert_eq!(hear(&mut node, NOW, &rumor(2, S(0), &vec![0; long - 1])), [2]);
    reconfigure(&mut node, NOW, |config| config.datagram_max = 512).unwrap();
    assert_eq!((node.rumors.len(), node.counters().events_evicted), (1, 1));
    let mut now = NOW;
    for _ in 0..100 {
        now += node.config().gossip_interval;
        node.handle(now, Input::Timeout).unwrap();
        while node.poll_transmit(now, &mut [0; 1400]).is_some() {}
    }
    assert!(!node.rumors.has_news(), "all that can be told was told");
    assert_eq!(hear(&mut node, now, &rumor(1, S(20), &vec![0; long])), [], "it was delivered");
}

#[test]
fn no_event_is_delivered_twice_when_its_lifetime_grows() {
    let mut node = node_with(1);
    let at = |seconds| NOW + S(seconds);
    assert_eq!(hear(&mut node, at(0), &rumor(1, S(0), b"")), [1]);
    serve(&mut node, at(91));
    assert_eq!(node.rumors.next_expiry(), None, "forgotten after one and a half minutes");
    assert_eq!(hear(&mut node, at(91), &rumor(2, S(0), b"")), [2]);
    serve(&mut node, at(92));
    reconfigure(&mut node, at(92), |config| config.event_lifetime = S(600)).unwrap();
    serve(&mut node, at(93));
    assert_eq!(hear(&mut node, at(93), &rumor(1, S(93), b"")), [], "somebody with a longer lifetime kept it");
    assert_eq!(hear(&mut node, at(93), &rumor(3, S(59), b"")), [3], "too young to have been forgotten");
    for seconds in [200, 600] {
        serve(&mut node, at(seconds));
        assert_eq!(node.rumors.len(), 2, "they live as long as the others");
        assert_eq!(hear(&mut node, at(seconds), &rumor(2, S(seconds - 91), b"")), []);
    }
    reconfigure(&mut node, at(600), |config| config.event_lifetime = S(100)).unwrap();
    assert_eq!(node.rumors.len(), 0, "beyond the lifetime at once");
    assert_eq!(hear(&mut node, at(600), &rumor(2, S(509), b"")), []);
}

/// Serves all timers in time.
fn serve(node: &mut Node<u16>, end: Instant) {
    while let Some(due) = node.poll_timeout().filter(|due| *due <= end) {
        node.handle(due, Input::Timeout).unwrap();
        while node.poll_event().is_some() {}
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// Somebody tells of an event that started when the run did plus so many milliseconds.
    Tell(u64),
    Claim(u16, u32, MemberState),
    Lifetime(u64),
    Bounds(usize, usize, usize),
    Intervals(u64, u64),
    Table(usize, u64),
    Datagram(usize),
    Rest(usize, u16, bool),
}

fn arb_step() -> impl Strategy<Value = Step> {
    let states = prop_oneof![
        Just(MemberState::Alive),
        Just(MemberState::Suspect),
        Just(MemberState::Dead),
        Just(MemberState::Left)
    ];
    prop_oneof![
        4 => (0_u64..20_000).prop_map(Step::Wait),
        8 => (0_u64..20).prop_map(|event| Step::Tell(event * 7_919)),
        4 => (2_u16..30, 0_u32..3, states).prop_map(|(addr, incarnation, state)| Step::Claim(addr, incarnation, state)),
        1 => prop_oneof![Just(5_000), Just(20_000), Just(60_000), Just(200_000)].prop_map(Step::Lifetime),
        1 => (1_usize..20, 1_usize..400, 0_usize..40).prop_map(|(events, bytes, more)| Step::Bounds(events, bytes, more)),
        1 => (1_u64..3_000, 2_u64..5_000).prop_map(|(gossip, probe)| Step::Intervals(gossip, probe)),
        1 => (2_usize..40, 1_u64..100).prop_map(|(members, seconds)| Step::Table(members, seconds)),
        1 => (512_usize..600).prop_map(Step::Datagram),
        1 => (0_usize..3, 0_u16..4, prop::bool::ANY).prop_map(|(max, forwards, names)| Step::Rest(max, forwards, names)),
    ]
}

proptest! {
    /// Whatever is changed in whatever order: the bounds in force hold at once, and no event is delivered twice.
    #[test]
    fn random_changes_keep_the_bounds_and_deliver_once(steps in prop::collection::vec(arb_step(), 1..200), seed: u64) {
        let start = Instant::from_millis(1_000_000);
        let mut now = start;
        let mut node = Node::new(now, Config::lan(), &Setup { seed, ..Setup::new(1_u16) }).unwrap();
        let mut delivered = BTreeSet::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now += MS(ms),
                Step::Tell(started) => {
                    let started = start + MS(started);
                    if started <= now {
                        // The length depends on the event, some are too long for short datagrams.
                        let payload = vec![0; (started.as_nanos() / 1_000_000 % 500) as usize];
                        let (sequence, age) = (started.as_nanos(), now.since(started));
                        let bytes = if sequence / 1_000_000 % 3 == 0 {
                            ordered(sequence, age, &payload, 7_919_000_000)
                        } else {
                            rumor(sequence, age, &payload)
                        };
                        for sequence in hear(&mut node, now, &bytes) {
                            assert!(delivered.insert(sequence), "{sequence} was delivered twice");
                        }
                    }
                }
                Step::Claim(addr, incarnation, state) => {
                    let bytes = claims(addr, [Claim { incarnation, state }].into_iter());
                    node.handle(now, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
                }
                Step::Lifetime(ms) => reconfigure(&mut node, now, |config| config.event_lifetime = MS(ms)).unwrap(),
                Step::Bounds(events, bytes, more) => reconfigure(&mut node, now, |config| {
                    (config.events_max, config.event_bytes_max, config.seen_max) = (events, bytes, events + more);
                    config.ordered_max = 1 + more % 3;
                })
                .unwrap(),
                Step::Intervals(gossip, probe) => reconfigure(&mut node, now, |config| {
                    (config.gossip_interval, config.probe_interval) = (MS(gossip), MS(probe));
                    (config.probe_timeout, config.probe_timeout_min) = (MS(probe / 2), MS(1));
                })
                .unwrap(),
                Step::Table(members, seconds) => {
                    let live = node.live_members() as usize;
                    let change = |config: &mut Config| {
                        (config.members_max, config.tombstone_lifetime) = (members, S(seconds));
                    };
                    assert_eq!(reconfigure(&mut node, now, change).is_ok(), members >= live);
                }
                Step::Rest(max, forwards, names) => reconfigure(&mut node, now, |config| {
                    (config.coordinates_max, config.changes_max, config.transmits_max) = (max, max, max + 1);
                    (config.forwards_max, config.names) = (forwards, names);
                    config.strategy = crate::Strategy::Eager { fanout: Fanout::Fixed(2) };
                    config.awareness_max = max as u8;
                })
                .unwrap(),
                Step::Datagram(max) => reconfigure(&mut node, now, |config| config.datagram_max = max).unwrap(),
            }
            node.handle(now, Input::Timeout).unwrap();
            node.check_invariants();
            let config = node.config().clone();
            let kept: Vec<usize> = node.rumors.in_buckets(now, 0, 0, 1).map(|(_, told)| told.payload.len()).collect();
            assert!(kept.len() <= config.events_max && kept.len() == node.rumors.len());
            assert!(kept.len() == 1 || kept.iter().sum::<usize>() <= config.event_bytes_max);
            assert!(kept.iter().all(|len| *len <= event_payload_max::<u16>(&config)));
            assert!(node.rumors.remembered(now).1.count() <= config.seen_max);
            assert!(node.members.len() <= config.members_max);
            let longest = config.event_lifetime.max(config.tombstone_lifetime).max(config.probe_interval * 9) * 2;
            assert!(node.poll_timeout().is_some_and(|due| due.since(now) <= longest));
            while let Some(transmit) = node.poll_transmit(now, &mut [0; 1400]) {
                assert!(transmit.len <= config.datagram_max);
            }
        }
    }
}
