//! What a node does when there is nothing to do: no rounds, and nothing told that all know.

use alloc::vec::Vec;

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn alive(addr: u16) -> Update<'static, u16> {
    Update { addr, claim: Claim { incarnation: 0, state: MemberState::Alive }, accuser: None, metadata: None }
}

/// A node that knows of `peers` others, from 2 on, and has to tell of them.
fn node(config: &Config, peers: u16) -> Node<u16> {
    let mut node = Node::new(NOW, config.clone(), &Setup::new(1_u16)).unwrap();
    let bytes = updates((2..2 + peers).map(alive));
    node.handle(NOW, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
    node
}

/// Serves the node until then, everybody answering its pings; when its rounds and probes were.
fn serve(node: &mut Node<u16>, until: Instant) -> Vec<Instant> {
    let mut served = Vec::new();
    while let Some(now) = node.poll_timeout().filter(|&now| now <= until) {
        node.handle(now, Input::Timeout).unwrap();
        served.push(now);
        let mut buffer = [0; 1400];
        while let Some(Transmit { to, len }) = node.poll_transmit(now, &mut buffer) {
            let datagram = wire::decode::<u16>(&buffer[..len], Config::lan().cluster).unwrap();
            if let Message::Ping { seq } = datagram.message {
                say(node, now, to, &Message::Ack { seq }, true);
            }
        }
    }
    served
}

fn say(node: &mut Node<u16>, now: Instant, from: u16, message: &Message<'_, u16>, agrees: bool) {
    let mut buffer = [0; 1400];
    let sender = Sender { incarnation: 0, digest: node.digest() ^ u32::from(!agrees) };
    let len = Encoder::new(&mut buffer, Config::lan().cluster, sender, message).unwrap().finish();
    node.handle(now, Input::Datagram { from, bytes: &buffer[..len] }).unwrap();
}

#[test]
fn who_has_nothing_to_tell_makes_no_rounds_and_begins_again_where_it_would_be() {
    let config = Config { strategy: crate::Strategy::PushPull { fanout: crate::Fanout::Fixed(1) }, ..Config::lan() };
    let mut node = node(&config, 3);
    let beat = node.timers.deadline(&node.deadlines, Timer::Gossip).unwrap();
    // Told often enough in ten seconds; from then on it is woken to probe, once a second.
    serve(&mut node, NOW + S(10));
    let woken = serve(&mut node, NOW + S(20));
    assert!((10..=11).contains(&woken.len()), "{woken:?}");
    assert_eq!(node.timers.deadline(&node.deadlines, Timer::Gossip), None);

    let now = NOW + S(20) + Duration::from_millis(37);
    let options = crate::EventOptions::default();
    node.handle(now, Input::Command(Command::StartEvent { payload: b"x", options })).unwrap();
    let next = node.timers.deadline(&node.deadlines, Timer::Gossip).expect("it has something to tell");
    assert!(next > now && next.since(now) <= config.gossip_interval, "{next:?}");
    assert_eq!(next.since(beat).as_nanos() % config.gossip_interval.as_nanos(), 0, "in step with its rounds before");
}

#[test]
fn who_calls_when_idle_or_suspects_somebody_goes_on_with_its_rounds() {
    let rounds = |node: &mut Node<u16>| {
        serve(node, NOW + S(10));
        serve(node, NOW + S(12)).len()
    };
    let mut idle_calls = node(&Config { idle_calls: true, ..Config::lan() }, 3);
    assert!(rounds(&mut idle_calls) >= 10);
    let mut alone = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    assert!(rounds(&mut alone) >= 10);
    let mut resting = node(&Config::lan(), 3);
    serve(&mut resting, NOW + S(10));
    let accused = claims(3, core::iter::once(Claim { incarnation: 0, state: MemberState::Suspect }));
    let config = Config { suspicion_multiplier: 60, ..Config::lan() };
    resting.handle(NOW + S(10), Input::Command(Command::Reconfigure { config: &config })).unwrap();
    resting.handle(NOW + S(10), Input::Datagram { from: 2, bytes: &accused }).unwrap();
    serve(&mut resting, NOW + S(20));
    assert!(!resting.suspicions.is_empty());
    assert!(serve(&mut resting, NOW + S(22)).len() >= 10, "it is to notice soon if it is stalled itself");
}

#[test]
fn what_all_who_were_met_know_is_told_no_further_and_an_accusation_is() {
    // More than fit into one datagram; 4·⌈log10(202)⌉ = 12 times.
    let mut node = node(&Config::lan(), 200);
    let accused = claims(3, core::iter::once(Claim { incarnation: 0, state: MemberState::Suspect }));
    node.handle(NOW, Input::Datagram { from: 2, bytes: &accused }).unwrap();
    let queued = |node: &Node<u16>| node.updates.iter().count();
    assert_eq!(queued(&node), 200);
    let ping = Message::Ping { seq: 1 };
    (10..21).for_each(|from| say(&mut node, NOW, from, &ping, true));
    // One who knows something else, one who says it again and again, and messages that may all be of one member, tell nothing.
    say(&mut node, NOW, 5, &ping, false);
    (0..20).for_each(|_| say(&mut node, NOW, 9, &ping, true));
    (10..20).for_each(|from| say(&mut node, NOW, from, &ping, true));
    (0..20).for_each(|from| say(&mut node, NOW, 30 + from, &Message::App { payload: b"x" }, true));
    assert_eq!((queued(&node), node.counters().updates_settled), (200, 0));
    say(&mut node, NOW, 4, &ping, true);
    assert_eq!((queued(&node), node.counters().updates_settled), (1, 199));
    let slot = node.members.find(&3).unwrap();
    assert!(node.updates.contains(slot), "the suspect");
}

#[test]
fn newcomers_in_a_crowd_are_told_a_few_times_and_what_refutes_is_told_as_often_as_ever() {
    // Whether these are still to be told after four times, of 12, with so many others.
    let still_told = |peers: u16| {
        let mut node = node(&Config::lan(), peers);
        let refuted = claims(3, core::iter::once(Claim { incarnation: 1, state: MemberState::Alive }));
        let accused = claims(4, core::iter::once(Claim { incarnation: 0, state: MemberState::Suspect }));
        for bytes in [refuted, accused] {
            node.handle(NOW, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
        }
        let all: Vec<_> = node.updates.iter().map(|(slot, _)| slot).collect();
        all.into_iter().for_each(|slot| node.updates.insert_told(slot, 5));
        let slots = [3, 4, 5].map(|member| node.members.find(&member).unwrap());
        slots.iter().for_each(|&slot| node.updates.insert_told(slot, 3));
        say(&mut node, NOW, 7, &Message::Ping { seq: 1 }, false);
        while node.poll_transmit(NOW, &mut [0; 1400]).is_some() {}
        slots.map(|slot| node.updates.contains(slot))
    };
    assert_eq!(still_told(400), [true, true, false]);
    assert_eq!(still_told(100), [true, true, true], "what rides along is told as often as ever");
}

#[test]
fn what_rides_along_with_the_rest_is_told_as_often_as_ever() {
    let mut node = node(&Config::lan(), 19);
    (0..100).for_each(|turn| say(&mut node, NOW, 3 + turn % 16, &Message::Ping { seq: 1 }, true));
    assert_eq!((node.updates.iter().count(), node.counters().updates_settled), (19, 0));
}

#[test]
fn whom_a_list_for_newcomers_names_is_told_once_and_after_all_else() {
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    let bytes = updates_on(&Message::Members, (3..20).map(alive));
    node.handle(NOW, Input::Datagram { from: 2, bytes: &bytes }).unwrap();
    let (own, listed): (Vec<_>, Vec<_>) =
        node.updates.iter().partition(|&(slot, _)| [1, 2].contains(&node.members.entry(slot).addr()));
    assert!(own.iter().all(|&(_, told)| told == 0), "{own:?}");
    assert_eq!(listed.len(), 17);
    // Whoever is called first is told them all; then none is left, however many the table held when each came in.
    let round = node.timers.deadline(&node.deadlines, Timer::Gossip).unwrap();
    serve(&mut node, round);
    assert!(own.iter().any(|&(slot, _)| node.updates.contains(slot)), "what is news is told again");
    assert!(!listed.iter().any(|&(slot, _)| node.updates.contains(slot)));
}

/// One Ping a period, and nothing else that would wake the node until the answer is overdue.
#[test]
fn who_was_stalled_while_it_waited_for_an_answer_blames_nobody() {
    let config = Config { probe_pings: 1, probe_timeout_min: Config::lan().probe_timeout, ..Config::lan() };
    let mut node = node(&config, 3);
    serve(&mut node, NOW + S(10));
    assert_eq!(node.timers.deadline(&node.deadlines, Timer::Gossip), None, "it rests");
    let now = node.poll_timeout().unwrap();
    node.handle(now, Input::Timeout).unwrap();
    while node.poll_transmit(now, &mut [0; 1400]).is_some() {}
    // It is woken when the next period is due, less than a probe timeout after the call for help was; the answer lies unread.
    let late = now + config.probe_interval;
    while node.poll_timeout().is_some_and(|due| due <= late) {
        node.handle(late, Input::Timeout).unwrap();
    }
    let counters = node.counters();
    assert_eq!((counters.stalls, counters.suspicions), (1, 0));
}

/// A member known to be quick is pinged often; where that was served late it is waited for as any other, with pings further apart than
/// rounds.
#[test]
fn rounds_go_on_when_a_quick_member_is_waited_for_longer_after_all() {
    let config = Config { gossip_interval: Duration::from_millis(50), ..Config::lan() };
    let mut node = node(&config, 3);
    serve(&mut node, NOW + S(10));
    let now = node.poll_timeout().unwrap();
    node.handle(now, Input::Timeout).unwrap();
    while node.poll_transmit(now, &mut [0; 1400]).is_some() {}
    assert_eq!(
        node.timers.deadline(&node.deadlines, Timer::Gossip),
        None,
        "its pings, 25 ms apart, wake it as often as rounds"
    );
    let late = now + Duration::from_millis(240);
    while node.poll_timeout().is_some_and(|due| due <= late) {
        node.handle(late, Input::Timeout).unwrap();
    }
    assert_eq!(node.counters().probes_indirect, 0, "its answer may lie unread");
    assert!(node.timers.is_set(Timer::Gossip));
    node.check_invariants();
}
