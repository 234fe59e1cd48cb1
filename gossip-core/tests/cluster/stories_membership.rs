//! Finding together, saying goodbye, coming back.

use std::time::Duration;

use gossip_core::wire::{Encoder, Item, Message, Sender, Update};
use gossip_core::{Claim, Command, Config, MemberState, Metadata};

use crate::network::Cluster;

const S: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn nodes_that_join_through_one_seed_all_see_each_other() {
    for size in [2, 3, 10, 64] {
        let cluster = Cluster::converged(u64::from(size), Config::lan(), size);
        let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "equal tables have equal digests");
    }
}

#[test]
fn any_seed_will_do_and_a_seed_that_is_not_there_yet_is_asked_again() {
    let mut cluster = Cluster::new(1, Config::lan());
    cluster.start(5);
    cluster.join(5, &[99, 1]);
    cluster.run_for(S(3));
    assert_eq!(cluster.sizes(), [1]);
    cluster.start(1);
    cluster.join(1, &[]);
    cluster.run_for(S(2));
    assert!(cluster.is_complete());
    cluster.start(7);
    cluster.join(7, &[5]);
    cluster.run_for(S(2));
    assert!(cluster.is_complete() && cluster.sizes() == [3, 3, 3]);
}

#[test]
fn two_hundred_nodes_join_within_seconds_under_loss() {
    let mut cluster = Cluster::new(3, Config::lan());
    cluster.loss = 0.1;
    for addr in 1..=200 {
        cluster.start(addr);
        cluster.join(addr, &[1]);
        cluster.run_for(Duration::from_millis(5));
    }
    let took = cluster.run_until(S(20), Cluster::is_complete);
    assert!(took.is_some_and(|took| took < S(8)), "{took:?}");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn a_goodbye_reaches_all_and_is_no_failure() {
    let mut cluster = Cluster::converged(4, Config::lan(), 20);
    cluster.command(7, Command::Leave).unwrap();
    assert!(cluster.command(7, Command::event(b"late")).is_err());
    cluster.run_for(S(3));
    let left = |host: &crate::network::Host| host.node.member(&7).map(|member| member.state);
    for (addr, host) in cluster.up().filter(|(addr, _)| *addr != 7) {
        assert_eq!(left(host), Some(MemberState::Left), "at {addr}");
        assert_eq!(host.node.live_members(), 19);
    }
    assert!(cluster.host(7).events.contains(&gossip_core::Event::Left));
    assert_eq!(cluster.host(7).node.poll_timeout(), None, "who left is silent");
    cluster.run_for(S(61));
    assert!(cluster.up().filter(|(addr, _)| *addr != 7).all(|(_, host)| host.node.member(&7).is_none()), "forgotten");
    assert!(cluster.deaths().is_empty());
}

#[test]
fn who_left_may_come_back() {
    let mut cluster = Cluster::converged(5, Config::lan(), 8);
    cluster.command(3, Command::Leave).unwrap();
    cluster.run_for(S(2));
    cluster.join(3, &[1]);
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
}

#[test]
fn a_restarted_node_raises_its_incarnation_and_its_events_are_new() {
    let mut cluster = Cluster::converged(6, Config::lan(), 8);
    let before = cluster.start_event(3, b"first life");
    cluster.run_for(S(2));
    cluster.crash(3);
    cluster.run_for(S(30));
    assert!(cluster.is_complete(), "the crash was noticed: {:?}", cluster.sizes());
    cluster.start(3);
    cluster.join(3, &[1]);
    assert!(cluster.run_until(S(5), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.host(1).node.member(&3).unwrap().incarnation > 0);
    let after = cluster.start_event(3, b"second life");
    cluster.run_for(S(3));
    assert_ne!(before, after);
    cluster.assert_delivered_once(after);
}

#[test]
fn a_restart_before_anybody_noticed_the_crash_is_no_death() {
    let mut cluster = Cluster::converged(7, Config::lan(), 8);
    cluster.crash(3);
    cluster.run_for(Duration::from_millis(300));
    cluster.start(3);
    cluster.join(3, &[2]);
    cluster.run_for(S(40));
    assert!(cluster.is_complete(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
}

#[test]
fn metadata_are_known_to_all_and_their_change_too() {
    let mut cluster = Cluster::new(8, Config::lan());
    for addr in 1..=12 {
        cluster.start_with(addr, format!("node {addr}").as_bytes());
        cluster.join(addr, &[1]);
    }
    let all_know = |cluster: &Cluster, addr: u16, metadata: &[u8]| {
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
    let mut cluster = Cluster::new(12, Config::lan());
    for addr in 1..=6 {
        cluster.start_with(addr, b"old");
        cluster.join(addr, &[1]);
    }
    cluster.run_for(S(3));
    let at = |cluster: &Cluster, addr: u16| {
        let host = cluster.up().find(|(up, _)| *up == addr).unwrap().1;
        let member = host.node.member(&5).unwrap();
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
    let mut buffer = [0; 100];
    let sender = Sender { incarnation: 0, digest: 0 };
    let message: Message<'_, u16> = Message::Nack { seq: 0 };
    let mut encoder = Encoder::new(&mut buffer, cluster.config.cluster, sender, &message).unwrap();
    assert!(encoder.push(&Item::Update(said)));
    let len = encoder.finish();
    cluster.inject(2, 3, &buffer[..len]);
    assert_eq!(at(&cluster, 2), (MemberState::Suspect, b"new".to_vec()));
    assert!(cluster.run_until(S(3), |cluster| at(cluster, 6).1 == b"new").is_some(), "anti-entropy tells it on");
    assert!(cluster.run_until(S(30), |cluster| at(cluster, 2).0 == MemberState::Dead).is_some());
    assert_eq!(at(&cluster, 2).1, b"new");
}

#[test]
fn clusters_on_one_network_do_not_merge() {
    let mut cluster = Cluster::new(9, Config::lan());
    for addr in 1..=4 {
        cluster.config.cluster = gossip_core::ClusterTag::from_name(if addr % 2 == 0 { "even" } else { "odd" });
        cluster.start(addr);
        cluster.join(addr, &[1, 2]);
    }
    cluster.run_for(S(5));
    assert_eq!(cluster.sizes(), [2, 2, 2, 2]);
    for addr in [1, 2] {
        assert!(cluster.host(addr).node.counters().datagrams_other_cluster > 0, "{addr} was asked by the others");
    }
    assert!(cluster.refused > 0);
}

#[test]
fn the_metadata_of_a_new_life_replace_those_of_the_old_though_nobody_saw_it_end() {
    for metadata in [&b""[..], b"second life"] {
        let mut cluster = Cluster::converged(10, Config::lan(), 7);
        cluster.start_with(8, b"first life");
        cluster.join(8, &[1]);
        for change in 0..5 {
            cluster.run_for(S(1));
            cluster.command(8, Command::SetMetadata { metadata: &[change] }).unwrap();
        }
        cluster.run_for(S(5));
        cluster.start_with(8, metadata);
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
    let mut cluster = Cluster::converged(11, Config::lan(), 8);
    cluster.block(&[2], &[3]);
    cluster.deafen(3, S(3));
    let suspects = |cluster: &Cluster| {
        cluster.up().any(|(addr, host)| addr == 1 && host.node.members().any(|m| m.state == MemberState::Suspect))
    };
    assert!(cluster.run_until(S(20), suspects).is_some(), "node 1 suspects node 3");
    cluster.command(1, Command::Leave).unwrap();
    cluster.unblock_all();
    cluster.run_for(S(50));
    cluster.join(1, &[2]);
    assert!(cluster.run_until(S(10), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().is_empty(), "{:?}", cluster.deaths());
}

#[test]
fn nodes_that_share_a_view_are_a_cluster_at_once_and_live_as_any_other() {
    let mut cluster = Cluster::with_view(9, Config::lan(), 50);
    assert!(cluster.is_complete());
    let before = cluster.bytes;
    cluster.run_for(S(20));
    assert!(cluster.is_complete() && cluster.deaths().is_empty());
    let idle = (cluster.bytes - before) / 20 / 50;
    assert!(idle <= 80, "nobody has anything to tell: {idle} B/s per node");
    let id = cluster.start_event(3, b"news");
    cluster.crash(7);
    for addr in 60..70 {
        cluster.start(addr);
        cluster.join(addr, &[3]);
    }
    cluster.command(8, Command::Leave).unwrap();
    cluster.run_for(S(2));
    cluster.hosts.remove(&8);
    assert!(cluster.run_until(S(60), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    assert!(cluster.deaths().iter().all(|&(_, of)| of == 7), "{:?}", cluster.deaths());
    assert_eq!(cluster.informed(id), 58);
    // Long enough for the dead to be forgotten; then they come back into other slots.
    cluster.run_for(S(70));
    for addr in [8, 7] {
        cluster.start(addr);
        cluster.join(addr, &[60]);
    }
    assert!(cluster.run_until(S(10), Cluster::is_complete).is_some(), "{:?}", cluster.sizes());
    let digests: Vec<_> = cluster.up().map(|(_, host)| host.node.digest()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "equal tables have equal digests");
}
