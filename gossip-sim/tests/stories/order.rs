//! What an application can ask for an event: priority, lifetime, order.

use std::time::Duration;

use gossip_core::{Command, CommandError, Config, EventOptions, Fanout, InputError, Order, Priority, Strategy};
use gossip_sim::{Latency, NodeId};

use crate::{Cluster, converged, newcomer};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

const ORDERED: EventOptions = EventOptions { priority: Priority::Normal, lifetime: None, ordered: true };

/// The numbers of the ordered events of `origin` in the order in which `addr` got them, with what it was told of the order.
fn got(cluster: &Cluster, addr: NodeId, origin: u16) -> Vec<(u64, Order)> {
    let of_origin = cluster.journal(addr).delivered.iter().filter(|delivery| delivery.id.origin == origin);
    of_origin
        .filter(|delivery| delivery.order != Order::Unordered)
        .map(|delivery| (delivery.id.sequence, delivery.order))
        .collect()
}

#[test]
fn ordered_events_come_in_the_order_of_their_origin_under_loss() {
    // Under this loss one event in a thousand comes late.
    let rounds = Strategy::PushPull { fanout: Fanout::Fixed(3) };
    let lan = Config { ordered_wait: S(15), strategy: rounds, ..Config::lan() };
    let eager = Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(3) }, ..lan.clone() };
    for (seed, config) in [lan, eager].into_iter().enumerate() {
        let mut cluster = converged(30 + seed as u64, &config, 24);
        cluster.set_loss(0.2);
        cluster.set_latency(Latency::Constant(MS(30)));
        let mut ids = Vec::new();
        for i in 0..60 {
            cluster.run_for(MS(40));
            let origin = 1 + i % 2;
            // Others between them, which nobody waits for.
            cluster.start_event(origin, &[0; 400]);
            ids.push(cluster.start_event_with(origin, &[0; 400], ORDERED));
        }
        cluster.run_for(S(20));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
        let held: u64 = cluster.up().map(|(_, host)| host.node.counters().events_held).sum();
        assert!(held > 20, "the order was in danger: {held} events had to wait");
        for (addr, origin) in
            (1..=24).flat_map(|addr| [(addr, 1), (addr, 2)]).filter(|&(addr, origin)| addr != NodeId::from(origin))
        {
            let got = got(&cluster, addr, origin);
            assert_eq!(got.len(), 30);
            assert!(got.is_sorted_by_key(|&(sequence, _)| sequence), "{addr} of {origin}: {got:?}");
            assert!(got.iter().all(|&(_, order)| order == Order::InOrder), "{addr} of {origin}: {got:?}");
        }
    }
}

#[test]
fn an_event_that_never_comes_is_waited_for_so_long_and_told_of() {
    let config = Config { ordered_wait: S(3), ..Config::lan() };
    let mut cluster = converged(32, &config, 6);
    // Nobody hears the first, and its origin forgets it before anybody can ask.
    cluster.deafen(1, S(2));
    let lost = EventOptions { lifetime: Some(S(1)), ..ORDERED };
    cluster.start_event_with(1, b"lost", lost);
    let late = cluster.start_event_with(1, b"waits", ORDERED);
    let next = cluster.start_event_with(1, b"waits for that", ORDERED);
    cluster.run_for(MS(2_010));
    cluster
        .run_until(S(2), |cluster| cluster.up().all(|(addr, host)| addr == 1 || host.node.counters().events_held == 2));
    assert!((2..=6).all(|addr| cluster.journal(addr).delivered.is_empty()), "heard, told on, and not yet delivered");
    cluster.run_for(MS(2_500));
    assert!((2..=6).all(|addr| cluster.journal(addr).delivered.is_empty()), "nobody waits for less than three seconds");
    cluster.run_for(MS(1_000));
    for addr in 2..=6 {
        assert_eq!(got(&cluster, addr, 1), [(late.sequence, Order::Gap), (next.sequence, Order::InOrder)]);
        assert_eq!(cluster.node(addr).counters().events_out_of_order, 1);
    }
    let alive = cluster.start_event_with(1, b"in order again", ORDERED);
    cluster.run_for(S(1));
    assert!((2..=6).all(|addr| got(&cluster, addr, 1).last() == Some(&(alive.sequence, Order::InOrder))));
}

#[test]
fn a_crash_of_the_origin_leaves_order_and_delivery_as_they_were() {
    let mut cluster = converged(33, &Config::lan(), 16);
    cluster.set_loss(0.2);
    let ids: Vec<_> = (0..10)
        .map(|_| {
            cluster.run_for(MS(50));
            cluster.start_event_with(3, b"ordered", ORDERED)
        })
        .collect();
    cluster.run_for(MS(500));
    cluster.crash(3);
    cluster.run_for(S(30));
    for addr in (1..=16).filter(|&addr| addr != 3) {
        let got: Vec<_> = got(&cluster, addr, 3);
        let wanted: Vec<_> = ids.iter().map(|id| (id.sequence, Order::InOrder)).collect();
        assert_eq!(got, wanted, "at {addr}");
    }
}

#[test]
fn the_room_for_those_who_wait_is_bounded() {
    let config = Config { ordered_max: 4, ..Config::lan() };
    let mut cluster = converged(34, &config, 2);
    cluster.deafen(1, MS(1_500));
    let lost = EventOptions { lifetime: Some(S(1)), ..ORDERED };
    cluster.start_event_with(1, b"lost", lost);
    let ids: Vec<_> = (0..5).map(|_| cluster.start_event_with(1, b"waits", ORDERED)).collect();
    cluster.run_for(S(4));
    let got = got(&cluster, 2, 1);
    assert_eq!(got.len(), 5, "the fifth that would wait lets all go, before the time is over: {got:?}");
    assert_eq!(got[0], (ids[0].sequence, Order::Gap));
}

#[test]
fn who_leaves_gets_what_waited() {
    let mut cluster = converged(35, &Config::lan(), 4);
    cluster.deafen(1, MS(1_500));
    cluster.start_event_with(1, b"lost", EventOptions { lifetime: Some(S(1)), ..ORDERED });
    let id = cluster.start_event_with(1, b"waits", ORDERED);
    assert!(cluster.run_until(S(4), |cluster| cluster.node(2).counters().events_held == 1).is_some());
    cluster.leave(2);
    cluster.run_for(S(1));
    assert_eq!(got(&cluster, 2, 1), [(id.sequence, Order::Gap)]);
}

#[test]
fn an_event_lives_as_long_as_it_was_given() {
    let mut cluster = converged(36, &Config::lan(), 8);
    cluster.deafen(5, S(4));
    let short = cluster.start_event_with(1, b"short", EventOptions { lifetime: Some(S(3)), ..EventOptions::default() });
    let long = cluster.start_event(1, b"long");
    cluster.run_for(S(10));
    let got: Vec<_> = cluster.journal(5).delivered.iter().map(|delivery| delivery.id).collect();
    assert_eq!(got, [long], "whoever sleeps for longer than {short:?} lives does not get it");
    assert_eq!((cluster.informed(short), cluster.informed(long)), (7, 8));
    let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "the short-lived is gone everywhere");
    for (lifetime, max) in [(Duration::ZERO, S(60)), (S(61), S(60))] {
        let options = EventOptions { lifetime: Some(lifetime), ..EventOptions::default() };
        let error = cluster.command(1, Command::StartEvent { payload: b"x", options }).unwrap_err();
        assert_eq!(error, InputError::Command(CommandError::Lifetime { max }));
    }
}

#[test]
fn the_urgent_goes_before_a_flood() {
    let mut cluster = converged(37, &Config::lan(), 32);
    for i in 0..200 {
        cluster.start_event(1 + i % 32, &[7; 600]);
    }
    // As large as the others: none slips into the rest of a datagram.
    let mut start =
        |priority| cluster.start_event_with(1, &[7; 600], EventOptions { priority, ..EventOptions::default() });
    let [low, normal, urgent] = [Priority::Low, Priority::Normal, Priority::Urgent].map(&mut start);
    cluster.run_for(S(60));
    let last = |id| {
        cluster.assert_delivered_once(id);
        cluster
            .up()
            .flat_map(|(_, host)| &host.journal.delivered)
            .filter(|delivery| delivery.id == id)
            .map(|it| it.at)
            .max()
    };
    let (urgent, normal, low) = (last(urgent), last(normal), last(low));
    assert!(urgent < normal && normal < low, "{urgent:?} {normal:?} {low:?}");
}

#[test]
fn the_low_is_forgotten_before_the_high() {
    let config = Config { events_max: 10, ..Config::lan() };
    let mut cluster = converged(38, &config, 2);
    let with = |priority| EventOptions { priority, ..EventOptions::default() };
    let high: Vec<_> = (0..6).map(|_| cluster.start_event_with(1, b"high", with(Priority::High))).collect();
    let normal: Vec<_> = (0..20).map(|_| cluster.start_event(1, b"normal")).collect();
    // A newcomer gets what is still kept.
    cluster.run_for(S(8));
    newcomer(&mut cluster, 3, &config, &[1]);
    cluster.run_for(S(8));
    let got: Vec<_> = cluster.journal(3).delivered.iter().map(|delivery| delivery.id).collect();
    assert!(high.iter().all(|id| got.contains(id)), "{got:?}");
    assert!(normal[16..].iter().all(|id| got.contains(id)) && got.len() == 10, "{got:?}");
    for _ in 0..4 {
        cluster.start_event_with(1, b"high", with(Priority::High));
    }
    let refused = cluster.command(1, Command::event(b"no room among ten of higher priority")).unwrap_err();
    assert_eq!(refused, InputError::Command(CommandError::NoRoom));
}
