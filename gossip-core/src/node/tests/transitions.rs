//! Every claim against everything that can be known, at a lower, the same and a higher incarnation: the rule of
//! `docs/protocol.md`, "What is believed", worked out by hand.

use alloc::string::{String, ToString};

use super::*;

/// What becomes of what is known. Rows: known at incarnation 5 (`-`: nobody of that name). Columns: the claims Alive, Suspect,
/// Dead and Left at incarnation 4, then at 5, then at 6.
const OF_ANOTHER: [(&str, [&str; 3]); 5] = [
    //       A4 S4 D4 L4    A5 S5 D5 L5    A6 S6 D6 L6
    ("A5", ["A5 A5 A5 A5", "A5 S5 D5 L5", "A6 S6 D6 L6"]),
    ("S5", ["S5 S5 S5 S5", "S5 S5 D5 L5", "A6 S6 D6 L6"]),
    ("D5", ["D5 D5 D5 D5", "D5 D5 D5 L5", "A6 S6 D6 L6"]),
    ("L5", ["L5 L5 L5 L5", "L5 L5 L5 L5", "A6 S6 D6 L6"]),
    ("-", ["A4 S4 - -", "A5 S5 - -", "A6 S6 - -"]),
];

/// What becomes of the node itself: alive at 5 it goes above whatever would replace that, but takes over a higher incarnation in
/// which it is alive; leaving it says no more.
const OF_ITSELF: [(&str, [&str; 3]); 2] = [
    //       A4 S4 D4 L4    A5 S5 D5 L5    A6 S6 D6 L6
    ("A5", ["A5 A5 A5 A5", "A5 A6 A6 A6", "A6 A7 A7 A7"]),
    ("L5", ["L5 L5 L5 L5", "L5 L5 L5 L5", "L5 L5 L5 L5"]),
];

const CLAIMED: [&str; 3] = ["A4 S4 D4 L4", "A5 S5 D5 L5", "A6 S6 D6 L6"];

/// Known, claimed, and what comes of it.
fn cases(table: &[(&'static str, [&'static str; 3])]) -> Vec<(&'static str, &'static str, &'static str)> {
    let words = |lines: [&'static str; 3]| lines.map(|line| line.split(' ').collect::<Vec<_>>()).concat();
    let row = |&(known, outcomes): &(&'static str, _)| {
        words(CLAIMED).into_iter().zip(words(outcomes)).map(move |(claim, outcome)| (known, claim, outcome))
    };
    table.iter().flat_map(row).collect()
}

fn claim(text: &str) -> Claim {
    let state = match &text[..1] {
        "A" => MemberState::Alive,
        "S" => MemberState::Suspect,
        "D" => MemberState::Dead,
        _ => MemberState::Left,
    };
    Claim { incarnation: text[1..].parse().unwrap(), state }
}

fn known(node: &Node<u16>, addr: u16) -> String {
    let Some(Member { state, incarnation, .. }) = node.member(&addr) else { return "-".to_string() };
    let letter = match state {
        MemberState::Alive => "A",
        MemberState::Suspect => "S",
        MemberState::Dead => "D",
        MemberState::Left => "L",
    };
    alloc::format!("{letter}{incarnation}")
}

fn tell(node: &mut Node<u16>, about: u16, text: &str) {
    let bytes = claims(about, [claim(text)].into_iter());
    node.handle(NOW, Input::Datagram { from: 7, bytes: &bytes }).unwrap();
    node.check_invariants();
}

fn events(node: &mut Node<u16>) -> Vec<Event<u16>> {
    core::iter::from_fn(|| node.poll_event()).collect()
}

#[test]
fn every_claim_about_another_against_everything_known() {
    for (before, told, after) in cases(&OF_ANOTHER) {
        let mut node = node_with(2);
        if before != "-" {
            tell(&mut node, 5, "A5");
            tell(&mut node, 5, before);
        }
        tell(&mut node, 9, "A0");
        events(&mut node);
        let (applied, stale) = (node.counters().updates_applied, node.counters().updates_stale);
        tell(&mut node, 5, told);
        assert_eq!(known(&node, 5), after, "{told} told of {before}");
        let changes = events(&mut node);
        let expected = if after[..1] == before[..1] { 0 } else { 1 };
        assert_eq!(changes.len(), expected, "{told} told of {before}: {changes:?}");
        if let Some(change) = changes.first() {
            let Claim { state: now, incarnation: of } = claim(after);
            let told = matches!(change, Event::MemberChanged { addr: 5, state, incarnation, told_by: Some(7), .. }
                if (*state, *incarnation) == (now, of));
            assert!(told, "{change:?}");
        }
        let counted = (node.counters().updates_applied - applied, node.counters().updates_stale - stale);
        let new = u64::from(before != after);
        assert_eq!(counted, (new, 1 - new), "{told} told of {before}");
    }
}

/// A datagram is itself the claim that its sender is alive in the incarnation that it states.
#[test]
fn every_word_of_a_sender_against_everything_known_of_it() {
    for (before, told, after) in cases(&OF_ANOTHER).into_iter().filter(|(_, told, _)| told.starts_with('A')) {
        let mut node = node_with(2);
        if before != "-" {
            tell(&mut node, 5, "A5");
            tell(&mut node, 5, before);
        }
        let mut buffer = [0; 64];
        let sender = Sender { incarnation: claim(told).incarnation, digest: 0 };
        let message: Message<'_, u16> = Message::Nack { seq: 0 };
        let encoder = Encoder::new(&mut buffer, Config::lan().cluster, sender, &message).unwrap();
        let len = encoder.finish();
        node.handle(NOW, Input::Datagram { from: 5, bytes: &buffer[..len] }).unwrap();
        assert_eq!(known(&node, 5), after, "{told} said by {before}");
        node.check_invariants();
    }
}

#[test]
fn every_claim_about_the_node_itself() {
    for (before, told, after) in cases(&OF_ITSELF) {
        let setup = Setup { incarnation: 5, ..Setup::new(1_u16) };
        let mut node = Node::new(NOW, Config::lan(), &setup).unwrap();
        tell(&mut node, 2, "A0");
        if before == "L5" {
            node.handle(NOW, Input::Command(Command::Leave)).unwrap();
        }
        assert_eq!(known(&node, 1), before);
        events(&mut node);
        tell(&mut node, 1, told);
        assert_eq!(known(&node, 1), after, "{told} told of {before}");
        let refuted = events(&mut node);
        // That it is alive is nothing to refute.
        let expected: &[_] = if before == after || told == after {
            &[]
        } else {
            &[Event::Refuted { claim: claim(told), told_by: 7, incarnation: claim(after).incarnation }]
        };
        assert_eq!(refuted, expected, "{told} told of {before}");
        assert_eq!(node.counters().refutations, expected.len() as u64);
    }
}
