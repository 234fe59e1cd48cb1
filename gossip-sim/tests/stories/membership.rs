//! Finding together, saying goodbye, coming back.

use std::time::Duration;

use gossip_core::wire::{Item, Message, Update};
use gossip_core::{Claim, ClusterTag, Command, Config, MemberState, Metadata, SharedView};
use gossip_sim::{Host, Journal, Latency, Network, NodeId, Restart, StartOptions};

use crate::hostile::forge;
use crate::{Cluster, converged, newcomer, with_view};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

/// Starts a node with metadata that joins through the first.
fn named(cluster: &mut Cluster, addr: NodeId, metadata: &[u8]) {
    cluster.start_at(addr, &Config::lan(), &StartOptions { metadata, ..StartOptions::default() });
    cluster.join(addr, &[1]);
}

#[test]
fn nodes_that_join_through_one_seed_all_see_each_other() {
    for size in [2, 3, 10, 64] {
        let cluster = converged(size.into(), &Config::lan(), size);
        let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "equal tables have equal digests");
    }
}

#[test]
fn any_seed_will_do_and_a_seed_that_is_not_there_yet_is_asked_again() {
    let mut cluster = Cluster::new(1, Journal::default());
    newcomer(&mut cluster, 5, &Config::lan(), &[99, 1]);
    cluster.run_for(S(3));
    assert_eq!(cluster.sizes(), [1]);
    newcomer(&mut cluster, 1, &Config::lan(), &[]);
    cluster.run_for(S(2));
    assert!(cluster.is_complete());
    newcomer(&mut cluster, 7, &Config::lan(), &[5]);
    cluster.run_for(S(2));
    assert!(cluster.is_complete() && cluster.sizes() == [3, 3, 3]);
}

#[test]
fn two_hundred_nodes_join_within_seconds_under_loss() {
    let mut cluster = Cluster::new(3, Journal::default());
    cluster.set_loss(0.1);
    for addr in 1..=200 {
        newcomer(&mut cluster, addr, &Config::lan(), &[1]);
        cluster.run_for(Duration::from_millis(5));
    }
    let took = cluster.run_until(S(20), Cluster::is_complete);
    assert!(took.is_some_and(|took| took < S(8)), "{took:?}");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn a_goodbye_reaches_all_and_is_no_failure() {
    let mut cluster = converged(4, &Config::lan(), 20);
    cluster.leave(7);
    assert!(cluster.command(7, Command::event(b"late")).is_err());
    cluster.run_for(S(3));
    let left = |host: Host<'_, u16>| host.node.member(&7).map(|member| member.state);
    for (addr, host) in cluster.up().filter(|(addr, _)| *addr != 7) {
        assert_eq!(left(host), Some(MemberState::Left), "at {addr}");
        assert_eq!(host.node.live_members(), 19);
    }
    assert!(cluster.journal(7).events.contains(&gossip_core::Event::Left));
    assert_eq!(cluster.node(7).poll_timeout(), None, "who left is silent");
    cluster.run_for(S(61));
    assert!(cluster.up().filter(|(addr, _)| *addr != 7).all(|(_, host)| host.node.member(&7).is_none()), "forgotten");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn who_left_may_come_back() {
    let mut cluster = converged(5, &Config::lan(), 8);
    cluster.leave(3);
    cluster.run_for(S(2));
    cluster.join(3, &[1]);
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
}

#[test]
fn a_restarted_node_raises_its_incarnation_and_its_events_are_new() {
    let mut cluster = converged(6, &Config::lan(), 8);
    let before = cluster.start_event(3, b"first life");
    cluster.run_for(S(2));
    cluster.crash(3);
    cluster.run_for(S(30));
    assert!(cluster.is_complete(), "the crash was noticed: {:?}", cluster.sizes());
    cluster.restart(3, &Restart::Fresh).unwrap();
    cluster.join(3, &[1]);
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.node(1).member(&3).unwrap().incarnation > 0);
    let after = cluster.start_event(3, b"second life");
    cluster.run_for(S(3));
    assert_ne!(before, after);
    cluster.assert_delivered_once(after);
}

#[test]
fn a_restart_before_anybody_noticed_the_crash_is_no_death() {
    let mut cluster = converged(7, &Config::lan(), 8);
    cluster.crash(3);
    cluster.run_for(Duration::from_millis(300));
    cluster.restart(3, &Restart::Fresh).unwrap();
    cluster.join(3, &[2]);
    cluster.run_for(S(40));
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
}

#[test]
fn metadata_are_known_to_all_and_their_change_too() {
    let mut cluster = Cluster::new(8, Journal::default());
    for addr in 1..=12 {
        named(&mut cluster, addr, format!("node {addr}").as_bytes());
    }
    let all_know = |cluster: &Cluster, addr, metadata: &[u8]| {
        cluster.up().all(|(_, host)| host.node.member(&addr).is_some_and(|member| member.metadata == metadata))
    };
    let done = |cluster: &Cluster| (1..=12).all(|addr| all_know(cluster, addr, format!("node {addr}").as_bytes()));
    assert!(cluster.run_until(S(10), done).is_some());
    cluster.command(4, Command::SetMetadata { metadata: b"renamed" }).unwrap();
    assert!(cluster.run_until(S(5), |cluster| all_know(cluster, 4, b"renamed")).is_some());
    cluster.command(4, Command::SetMetadata { metadata: b"" }).unwrap();
    assert!(cluster.run_until(S(5), |cluster| all_know(cluster, 4, b"")).is_some());
    assert!(cluster.command(4, Command::SetMetadata { metadata: &[0; 257] }).is_err());
    for (_, host) in cluster.up() {
        let member = host.node.member(&4).unwrap();
        assert_eq!((member.metadata_version, member.incarnation), (3, 0), "metadata do not touch the incarnation");
    }
}

#[test]
fn metadata_change_while_their_member_is_suspected_and_outlive_its_death() {
    let mut cluster = Cluster::new(12, Journal::default());
    for addr in 1..=6 {
        named(&mut cluster, addr, b"old");
    }
    cluster.run_for(S(3));
    let at = |cluster: &Cluster, addr: NodeId| {
        let member = cluster.node(addr).member(&5).unwrap();
        (member.state, member.metadata.to_vec())
    };
    cluster.crash(5);
    let suspected = |cluster: &Cluster| at(cluster, 2).0 == MemberState::Suspect;
    assert!(cluster.run_until(S(10), suspected).is_some());
    // The last that it said before it fell silent arrives late.
    let said = Update {
        addr: 5,
        claim: Claim { incarnation: 0, state: MemberState::Alive },
        accuser: None,
        metadata: Some(Metadata { version: 2, bytes: b"new" }),
    };
    let bytes = forge(&Message::Nack { seq: 0 }, &[Item::Update(said)]);
    _ = cluster.inject(2, 3, &bytes);
    assert_eq!(at(&cluster, 2), (MemberState::Suspect, b"new".to_vec()));
    assert!(cluster.run_until(S(3), |cluster| at(cluster, 6).1 == b"new").is_some(), "anti-entropy tells it on");
    assert!(cluster.run_until(S(30), |cluster| at(cluster, 2).0 == MemberState::Dead).is_some());
    assert_eq!(at(&cluster, 2).1, b"new");
}

#[test]
fn clusters_on_one_network_do_not_merge() {
    let mut cluster = Cluster::new(9, Journal::default());
    for addr in 1..=4 {
        let tag = ClusterTag::from_name(if addr % 2 == 0 { "even" } else { "odd" });
        newcomer(&mut cluster, addr, &Config { cluster: tag, ..Config::lan() }, &[1, 2]);
    }
    cluster.run_for(S(5));
    assert_eq!(cluster.sizes(), [2, 2, 2, 2]);
    for addr in [1, 2] {
        assert!(cluster.node(addr).counters().datagrams_other_cluster > 0, "{addr} was asked by the others");
    }
    assert!(cluster.stats().refused > 0);
}

#[test]
fn the_metadata_of_a_new_life_replace_those_of_the_old_though_nobody_saw_it_end() {
    for metadata in [&b""[..], b"second life"] {
        let mut cluster = converged(10, &Config::lan(), 7);
        named(&mut cluster, 8, b"first life");
        for change in 0..5 {
            cluster.run_for(S(1));
            cluster.command(8, Command::SetMetadata { metadata: &[change] }).unwrap();
        }
        cluster.run_for(S(5));
        let options = StartOptions { metadata, ..StartOptions::default() };
        cluster.restart_with(8, &Config::lan(), &options).unwrap();
        cluster.join(8, &[1]);
        cluster.run_for(S(5));
        for (addr, host) in cluster.up() {
            let member = host.node.member(&8).expect("a member");
            assert_eq!((member.metadata, member.metadata_version), (metadata, 7), "at {addr}");
        }
        let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    }
}

#[test]
fn who_comes_back_after_long_does_not_bury_whom_it_suspected_before() {
    let mut cluster = converged(11, &Config::lan(), 8);
    cluster.block(&[2], &[3]);
    cluster.deafen(3, S(3));
    let suspects = |cluster: &Cluster| {
        cluster.up().any(|(addr, host)| addr == 1 && host.node.members().any(|m| m.state == MemberState::Suspect))
    };
    assert!(cluster.run_until(S(20), suspects).is_some(), "node 1 suspects node 3");
    cluster.leave(1);
    cluster.unblock_all();
    cluster.run_for(S(50));
    cluster.join(1, &[2]);
    assert!(cluster.run_until(S(10), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
}

#[test]
fn nodes_that_share_a_view_are_a_cluster_at_once_and_live_as_any_other() {
    let mut cluster = with_view(9, &Config::lan(), 50);
    assert!(cluster.is_complete());
    let before = cluster.stats().bytes;
    cluster.run_for(S(20));
    assert!(cluster.is_complete() && cluster.deaths().is_empty());
    let idle = (cluster.stats().bytes - before) / 20 / 50;
    assert!(idle <= 80, "nobody has anything to tell: {idle} B/s per node");
    let id = cluster.start_event(3, b"news");
    cluster.crash(7);
    for addr in 60..70 {
        newcomer(&mut cluster, addr, &Config::lan(), &[3]);
    }
    cluster.leave(8);
    cluster.run_for(S(2));
    cluster.crash(8);
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of == 7), "{:?}", cluster.deaths());
    assert_eq!(cluster.informed(id), 58);
    // Long enough for the dead to be forgotten; then they come back into other slots.
    cluster.run_for(S(70));
    for addr in [8, 7] {
        cluster.restart(addr, &Restart::Fresh).unwrap();
        cluster.join(addr, &[60]);
    }
    assert!(cluster.run_until(S(10), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "equal tables have equal digests");
}

/// All refer to what one of them knows; whoever was born without a view is among them. The view, for the next time.
fn share(cluster: &mut Cluster, view: &SharedView<u16>, of: NodeId) -> SharedView<u16> {
    let renewed = view.renewed(cluster.node(of));
    let ids: Vec<NodeId> = cluster.ids().collect();
    for id in ids {
        let (digest, version) = (cluster.node(id).digest(), cluster.node(id).version());
        assert!(cluster.share(id, &renewed), "nothing is in the way");
        assert_eq!((cluster.node(id).digest(), cluster.node(id).version()), (digest, version));
    }
    renewed
}

#[test]
fn nodes_that_share_anew_what_they_know_while_others_join_and_crash_live_as_any_other() {
    let config = Config { tombstone_lifetime: S(30), ..Config::lan() };
    let mut cluster = with_view(9, &config, 40);
    let mut view = SharedView::new([]).unwrap();
    let mut informed = None;
    for second in 0..120 {
        match second {
            5 | 20 => (60 + second..65 + second).for_each(|addr| newcomer(&mut cluster, addr, &config, &[3])),
            8 => cluster.crash(7),
            // A newcomer, and one of the first.
            12 => cluster.crash(66),
            21 => informed = Some(cluster.start_event(3, b"news")),
            25 => cluster.leave(8),
            28 => cluster.crash(8),
            90 => (7..9).for_each(|addr| {
                // A life with a journal of its own.
                cluster.clear_journal(addr);
                cluster.restart(addr, &Restart::Fresh).unwrap();
                cluster.join(addr, &[60 + 5]);
            }),
            _ => {}
        }
        // After several nodes in turn, most of which know something that others do not.
        view = share(&mut cluster, &view, [3, 9, 20][second as usize % 3]);
        cluster.run_for(S(1));
    }
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of == 7 || of == 66), "{:?}", cluster.deaths());
    assert_eq!(cluster.informed(informed.unwrap()), 47);
    assert_eq!(cluster.up().count(), 49);
    let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "equal tables have equal digests");
}

/// A sketch of eight datagrams that leave at one instant and come in any order.
#[test]
fn two_who_know_hundreds_of_others_find_out_however_their_datagrams_overtake_each_other() {
    const COMMON: u16 = 6_000;
    const EACH: u16 = 350;
    let setups = |range: std::ops::Range<u16>| range.map(gossip_core::Setup::new);
    for seed in 1..=5 {
        let mut cluster = Cluster::new(seed, Journal::default());
        let uniform = Latency::Uniform { min: MS(1), max: MS(3) };
        cluster.set_network(Network::with_latency(uniform));
        for id in 0..2 {
            let own = COMMON + EACH * id..COMMON + EACH * (id + 1);
            let view = SharedView::new(setups(0..COMMON).chain(setups(own))).unwrap();
            let options = StartOptions { view: Some(&view), ..StartOptions::default() };
            cluster.start_at(id.into(), &Config::lan(), &options);
        }
        let all = u32::from(COMMON + 2 * EACH);
        for _ in 0..10 {
            // They talk; the others are not there, and would be called in vain.
            for (from, to) in [(0, 1), (1, 0)] {
                cluster.command(from, Command::Send { to, payload: b"x" }).unwrap();
            }
            cluster.run_for(MS(100));
        }
        let known = [0, 1].map(|id| cluster.node(id).live_members());
        assert_eq!(known, [all; 2], "seed {seed}");
    }
}
