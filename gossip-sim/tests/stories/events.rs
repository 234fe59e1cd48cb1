//! Events: to all, once, whatever the network does.

use std::time::Duration;

use gossip_core::{Command, Config, Fanout, InputError, Strategy, Via, event_payload_max};
use gossip_sim::{Addresses, Journal};

use crate::{Cluster, converged, newcomer};

const S: fn(u64) -> Duration = Duration::from_secs;

fn strategies() -> [Config; 9] {
    let lan = Config::lan();
    [
        lan.clone(),
        Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(3) }, ..lan.clone() },
        Config { strategy: Strategy::Push { fanout: Fanout::Fixed(3) }, ..lan.clone() },
        Config { strategy: Strategy::Pull { fanout: Fanout::Fixed(1) }, ..lan.clone() },
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: true, ..lan.clone() },
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: false, ..lan.clone() },
        Config { strategy: Strategy::MedianCounter { fanout: Fanout::Fixed(1) }, idle_calls: true, ..lan.clone() },
        Config { strategy: Strategy::MedianCounter { fanout: Fanout::Fixed(2) }, idle_calls: false, ..lan.clone() },
        Config { strategy: Strategy::PushPull { fanout: Fanout::Aging }, ..lan },
    ]
}

#[test]
fn every_event_reaches_every_node_once_under_every_strategy() {
    for (seed, config) in strategies().into_iter().enumerate() {
        let mut cluster = converged(seed as u64, &config, 32);
        let ids: Vec<_> = (0..20)
            .map(|i| {
                cluster.run_for(Duration::from_millis(150));
                cluster.start_event(1 + i % 32, format!("event {i}").as_bytes())
            })
            .collect();
        cluster.run_for(S(10));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
    }
}

#[test]
fn every_event_reaches_every_node_once_under_loss() {
    for loss in [0.1, 0.25, 0.5] {
        for config in strategies() {
            let mut cluster = converged(7, &config, 32);
            cluster.set_loss(loss);
            let ids: Vec<_> = (0..10)
                .map(|i| {
                    cluster.run_for(Duration::from_millis(300));
                    cluster.start_event(1 + i % 32, b"event")
                })
                .collect();
            cluster.run_for(S(25));
            ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
        }
    }
}

#[test]
fn every_one_of_a_hundred_events_reaches_64_nodes_once_under_loss() {
    for (seed, loss) in [(22, 0.1), (23, 0.25)] {
        let mut cluster = converged(seed, &Config::lan(), 64);
        cluster.set_loss(loss);
        let ids: Vec<_> = (0..100)
            .map(|i| {
                cluster.run_for(Duration::from_millis(20));
                cluster.start_event(1 + i * 7 % 64, b"one of a hundred")
            })
            .collect();
        let all = cluster.run_until(S(15), |cluster| ids.iter().all(|&id| cluster.informed(id) == 64));
        assert!(all.is_some(), "loss {loss}");
        // Whatever still comes, comes again.
        cluster.run_for(S(3));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
        assert!(cluster.deaths().is_empty());
    }
}

#[test]
fn a_sleeper_catches_up_when_it_wakes() {
    for config in strategies() {
        let mut cluster = converged(8, &config, 16);
        cluster.deafen(5, S(3));
        let ids: Vec<_> = (0..5).map(|_| cluster.start_event(1, b"while you slept")).collect();
        cluster.run_for(Duration::from_millis(2_999));
        assert!(ids.iter().all(|&id| cluster.informed(id) == 15), "everybody else knows, the sleeper does not");
        cluster.run_for(S(3));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
    }
}

#[test]
fn a_newcomer_learns_of_the_events_that_are_still_kept() {
    let mut cluster = converged(9, &Config::lan(), 8);
    let old = cluster.start_event(1, b"old");
    cluster.run_for(S(70));
    let recent = cluster.start_event(1, b"recent");
    cluster.run_for(S(20));
    newcomer(&mut cluster, 9, &Config::lan(), &[4]);
    cluster.run_for(S(5));
    let got: Vec<_> = cluster.journal(9).delivered.iter().map(|delivery| delivery.id).collect();
    assert_eq!(got, [recent], "the lifetime of {old:?} is over");
}

#[test]
fn an_eager_cluster_learns_in_latencies_what_others_learn_in_rounds() {
    let config = Config { strategy: Strategy::Eager { fanout: Fanout::Fixed(4) }, ..Config::lan() };
    let mut cluster = converged(16, &config, 64);
    let id = cluster.start_event(1, b"event");
    // Eight hops of a millisecond, and no node's gossip round need have come.
    cluster.run_for(Duration::from_millis(8));
    assert!(cluster.informed(id) >= 58, "{} of 64", cluster.informed(id));
    cluster.run_for(S(2));
    cluster.assert_delivered_once(id);
}

const TREE: Strategy = Strategy::SqrtTree { split_max: 32, fanout: Fanout::Fixed(1) };

#[test]
fn a_tree_tells_each_member_once_in_a_few_latencies() {
    let config = Config { strategy: TREE, ..Config::lan() };
    let mut cluster = converged(19, &config, 200);
    for origin in [1, 77] {
        let before: Vec<u64> = cluster.up().map(|(_, host)| host.node.counters().events_forwarded).collect();
        let id = cluster.start_event(origin, b"event");
        // 15 parts of 13, 4 parts of 3 or 4, and these one by one: a millisecond each.
        cluster.run_for(Duration::from_millis(4));
        assert_eq!(cluster.informed(id), 200);
        let sent: Vec<u64> = cluster.up().map(|(_, host)| host.node.counters().events_forwarded).collect();
        let loads: Vec<u64> = sent.iter().zip(&before).map(|(after, before)| after - before).collect();
        let total: u64 = loads.iter().sum();
        assert!((200..=300).contains(&total), "{total} tellings, one per member and some to heads that knew");
        assert!(loads.iter().all(|&load| load <= 32), "{loads:?}");
        cluster.run_for(S(3));
        cluster.assert_delivered_once(id);
    }
}

#[test]
fn where_a_head_is_silent_another_is_tried_and_the_rounds_mend_the_rest() {
    let config = Config { strategy: TREE, ..Config::lan() };
    let mut cluster = converged(20, &config, 100);
    cluster.set_loss(0.2);
    let ids: Vec<_> = (1..=20)
        .map(|origin| {
            let id = cluster.start_event(origin, b"event");
            cluster.run_for(Duration::from_millis(500));
            id
        })
        .collect();
    cluster.run_for(S(10));
    ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
}

#[test]
fn a_heavy_tail_a_growing_and_an_aging_fanout_tell_everybody() {
    for fanout in [Fanout::Growing, Fanout::Aging, Fanout::HeavyTail { beta_hundredths: 220 }] {
        let config = Config { strategy: Strategy::PushPull { fanout }, idle_calls: true, ..Config::lan() };
        let mut cluster = converged(21, &config, 150);
        cluster.run_for(S(5));
        cluster.clear_stats();
        cluster.run_for(S(20));
        let members = 150;
        let calls: u32 = cluster.up().map(|(_, host)| fanout.calls(&host.node.local(), members)).sum();
        let expected = f64::from(calls) * 5.0 / 150.0 + 2.0;
        let rate = cluster.stats().datagrams as f64 / 150.0 / 20.0;
        assert!((rate / expected - 1.0).abs() < 0.05, "{rate} datagrams per node and second, expected {expected}");
        let id = cluster.start_event(1, b"event");
        cluster.run_for(Duration::from_millis(1_200));
        assert_eq!(cluster.informed(id), 150, "{fanout:?}: within six rounds");
        cluster.assert_delivered_once(id);
    }
}

#[test]
fn the_bound_on_forwarding_holds_and_the_rounds_do_the_rest() {
    for strategy in [Strategy::Eager { fanout: Fanout::Fixed(3) }, TREE] {
        let config = Config { strategy, forwards_max: 6, ..Config::lan() };
        let mut cluster = converged(17, &config, 16);
        let ids: Vec<_> = (0..40).map(|_| cluster.start_event(1, b"burst")).collect();
        cluster.run_for(Duration::from_millis(150));
        let most = cluster.up().map(|(_, host)| host.node.counters().events_forwarded).max();
        assert!(most <= Some(2 * 6), "two intervals at most have begun, {most:?} datagrams");
        let refused = cluster.node(1).counters().events_not_forwarded;
        assert!((1..=40).contains(&refused), "{refused} events, each counted once");
        cluster.run_for(S(5));
        ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
    }
}

#[test]
fn nodes_whose_differences_cannot_be_mended_stop_asking() {
    let mut cluster = converged(18, &Config::lan(), 8);
    // From now on a newcomer that keeps only two events: its digest differs from the others' for the events' lifetime.
    let forgetful = Config { events_max: 2, ..Config::lan() };
    let ids: Vec<_> = (0..10).map(|_| cluster.start_event(1, b"event")).collect();
    cluster.run_for(S(5));
    assert!(ids.iter().all(|&id| cluster.informed(id) == 8));
    newcomer(&mut cluster, 9, &forgetful, &[1]);
    cluster.run_for(S(10));
    let opened = |cluster: &Cluster| cluster.up().map(|(_, host)| host.node.counters().syncs_opened).sum::<u64>();
    let before = opened(&cluster);
    cluster.run_for(S(30));
    let rate = (opened(&cluster) - before) as f64 / 9.0 / 30.0;
    // Without the back-off it is 0.36.
    assert!(rate < 0.15, "{rate} exchanges per node and second");
}

#[test]
fn a_cluster_that_was_told_everything_falls_silent() {
    // With fan-out 3 and no idle calls, an idle node sends one probe per second and answers one on average.
    let mut cluster = converged(10, &Config::lan(), 32);
    cluster.start_event(1, b"event");
    cluster.run_for(S(10));
    cluster.clear_stats();
    cluster.run_for(S(20));
    let rate = cluster.stats().datagrams as f64 / 32.0 / 20.0;
    assert!((1.9..=2.1).contains(&rate), "{rate} datagrams per node and second");
}

#[test]
fn an_idle_push_pull_cluster_calls_but_hardly_answers() {
    let config =
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: true, ..Config::lan() };
    let mut cluster = converged(11, &config, 32);
    cluster.run_for(S(10));
    cluster.clear_stats();
    cluster.run_for(S(20));
    let rate = cluster.stats().datagrams as f64 / 32.0 / 20.0;
    assert!((6.8..=7.2).contains(&rate), "5 calls and 2 of probing, got {rate} per node and second");
}

#[test]
fn push_pull_spreads_by_both_halves_and_hops_are_counted() {
    let config =
        Config { strategy: Strategy::PushPull { fanout: Fanout::Fixed(1) }, idle_calls: true, ..Config::lan() };
    let mut cluster = converged(12, &config, 64);
    for _ in 0..10 {
        cluster.start_event(1, b"event");
        cluster.run_for(S(3));
    }
    let deliveries: Vec<_> = cluster.up().flat_map(|(_, host)| host.journal.delivered.iter()).collect();
    let share = |via| deliveries.iter().filter(|delivery| delivery.via == via).count() as f64 / deliveries.len() as f64;
    assert!(share(Via::Push) > 0.2 && share(Via::Pull) > 0.2, "push {} pull {}", share(Via::Push), share(Via::Pull));
    assert!(deliveries.iter().all(|delivery| (1..=30).contains(&delivery.hops)));
    assert!(deliveries.iter().any(|delivery| delivery.hops == 1 && delivery.from == 1));
}

#[test]
fn under_pull_nobody_is_told_by_a_call() {
    let config = Config { strategy: Strategy::Pull { fanout: Fanout::Fixed(1) }, ..Config::lan() };
    let mut cluster = converged(21, &config, 64);
    let id = cluster.start_event(1, b"event");
    // Ten rounds. In theory (log2 n + log2 ln n) eight do.
    cluster.run_for(S(2));
    cluster.assert_delivered_once(id);
    let of =
        |via| cluster.up().flat_map(|(_, host)| &host.journal.delivered).filter(|delivery| delivery.via == via).count();
    assert_eq!(of(Via::Push), 0);
    assert!(of(Via::Pull) > 32, "{} by answers, {} on probes", of(Via::Pull), of(Via::Probe));
}

#[test]
fn messages_between_applications_carry_gossip() {
    let config = Config {
        // Rounds so rare that only the messages can have told.
        gossip_interval: S(600),
        probe_interval: S(600),
        probe_timeout: S(60),
        strategy: Strategy::PushPull { fanout: Fanout::Fixed(3) },
        ..Config::lan()
    };
    let mut cluster = Cluster::new(13, Journal::default());
    for addr in 1..=3 {
        newcomer(&mut cluster, addr, &config, &[1]);
        cluster.run_for(S(1));
    }
    let id = cluster.start_event(1, b"event");
    cluster.command(1, Command::Send { to: 2, payload: b"data" }).unwrap();
    cluster.run_for(S(1));
    assert_eq!(cluster.journal(2).messages, [(1, b"data".to_vec())]);
    assert_eq!(cluster.journal(2).delivered.iter().map(|d| (d.id, d.via)).collect::<Vec<_>>(), [(id, Via::Message)]);
    assert_eq!(cluster.informed(id), 2);
    assert!(cluster.command(1, Command::Send { to: 99, payload: b"data" }).is_err(), "nobody there");
}

#[test]
fn the_traffic_of_applications_alone_spreads_events() {
    let strategy = Strategy::PushPull { fanout: Fanout::Fixed(3) };
    let (rare, timeout) = (S(3_600), S(600));
    let config =
        Config { strategy, gossip_interval: rare, probe_interval: rare, probe_timeout: timeout, ..Config::lan() };
    let mut cluster = Cluster::new(22, Journal::default());
    for addr in 1..=12 {
        newcomer(&mut cluster, addr, &config, &[1]);
        cluster.run_for(Duration::from_millis(100));
    }
    // Each sends to the next two and to the one across, as a ring with chords does; nobody calls and nobody probes.
    let id = cluster.start_event(5, b"event");
    for _ in 0..4 {
        for addr in 0..12 {
            for to in [1, 2, 6].map(|step| 1 + (addr + step) % 12) {
                // Who joined early may not know who joined last: of that, too, they hear by messages.
                let _ = cluster.command(1 + addr, Command::Send { to: u16::of(to), payload: b"data" });
            }
        }
        cluster.run_for(Duration::from_millis(10));
    }
    cluster.assert_delivered_once(id);
    let ways: Vec<_> =
        cluster.up().flat_map(|(_, host)| host.journal.delivered.iter().map(|delivery| delivery.via)).collect();
    // A message whose digest differs from the receiver's own may open an exchange.
    assert!(ways.iter().all(|via| matches!(via, Via::Message | Via::Sync)), "{ways:?}");
    assert!(ways.iter().filter(|via| **via == Via::Message).count() >= 6, "{ways:?}");
    assert!(cluster.is_complete(), "and of the members as well: {:?}", cluster.sizes());
}

#[test]
fn the_largest_payload_travels_and_one_byte_more_is_refused() {
    let mut cluster = converged(14, &Config::lan(), 4);
    let max = event_payload_max::<u16>(&Config::lan());
    let id = cluster.start_event(1, &vec![7; max]);
    cluster.run_for(S(3));
    cluster.assert_delivered_once(id);
    let error = cluster.command(1, Command::event(&vec![7; max + 1])).unwrap_err();
    assert!(matches!(error, InputError::Command(_)));
    assert!(error.to_string().contains(&max.to_string()), "{error}");
    assert!(cluster.stats().largest <= 1400, "{} bytes", cluster.stats().largest);
}

#[test]
fn a_burst_of_a_hundred_large_events_gets_through_without_choking_failure_detection() {
    let mut cluster = converged(15, &Config::lan(), 12);
    let ids: Vec<_> = (0..100).map(|i| cluster.start_event(1 + i % 12, &[9; 700])).collect();
    cluster.run_for(S(25));
    ids.iter().for_each(|&id| cluster.assert_delivered_once(id));
    assert!(cluster.deaths().is_empty());
    assert!(cluster.stats().largest <= 1400, "{} bytes", cluster.stats().largest);
}

#[test]
fn events_beyond_what_can_be_remembered_come_once_and_not_again() {
    let config = Config { events_max: 8, seen_max: 64, ..Config::lan() };
    let mut cluster = converged(20, &config, 24);
    let ids: Vec<_> = (0..200)
        .map(|i| {
            cluster.run_for(Duration::from_millis(30));
            cluster.start_event(1 + i % 24, b"one of many")
        })
        .collect();
    cluster.run_for(S(8));
    for (addr, host) in cluster.up() {
        assert!(host.node.counters().seen_evicted > 0, "the bound was reached");
        for id in &ids {
            assert!(host.journal.delivered.iter().filter(|delivery| delivery.id == *id).count() <= 1, "{addr}: {id:?}");
        }
        assert!(host.journal.delivered.len() > 150, "{addr} got only {}", host.journal.delivered.len());
    }
}
