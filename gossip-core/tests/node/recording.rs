//! The same inputs give the same bytes, and can be written down.

use std::time::Duration;

use gossip_core::{Command, Config, Input, Instant, Node, Outcome, QueryOptions, Setup, typed};

#[test]
fn a_recorded_stream_of_inputs_replays_to_the_same_datagrams() {
    let drain = |node: &mut Node<u16>, now, out: &mut Vec<u8>| {
        let mut buffer = [0; 1400];
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            out.extend_from_slice(&buffer[..transmit.len]);
        }
    };
    let fresh = |addr| Node::new(Instant::ZERO, Config::lan(), &Setup { seed: 5, ..Setup::new(addr) }).unwrap();

    let (mut node, mut other) = (fresh(1), fresh(2));
    let (mut recording, mut sent) = (Vec::new(), Vec::new());
    let mut give = |now: Instant, input: Input<'_, u16>| {
        typed::record(&mut recording, now, &input).unwrap();
        node.handle(now, input).unwrap();
        drain(&mut node, now, &mut sent);
    };
    let at = Instant::from_millis;
    give(at(1), Input::Command(Command::Join { seeds: &[2, 3] }));
    give(at(2), Input::Command(Command::event(b"event")));
    give(at(3), Input::Command(Command::SetMetadata { metadata: b"meta" }));
    other.handle(at(4), Input::Command(Command::Join { seeds: &[1] })).unwrap();
    let mut buffer = [0; 1400];
    let len = other.poll_transmit(at(4), &mut buffer).unwrap().len;
    give(at(5), Input::Datagram { from: 2, bytes: &buffer[..len] });
    let config = Config { gossip_interval: Duration::from_millis(50), ..Config::lan() };
    give(at(5), Input::Command(Command::Reconfigure { config: &config }));
    give(at(6), Input::Command(Command::Send { to: 2, payload: b"data" }));
    let options = QueryOptions { receipts: true, ..QueryOptions::default() };
    let query = Command::StartQuery { payload: b"query", deadline: Duration::from_secs(1), options };
    give(at(7), Input::Command(query));
    // So that the other knows this one.
    other.handle(at(7), Input::Datagram { from: 1, bytes: &buffer[..len] }).unwrap();
    let Outcome::Started(id) = other.handle(at(7), Input::Command(query)).unwrap() else { panic!("a query") };
    other.handle(at(8), Input::Command(Command::Send { to: 1, payload: b"with a query on its back" })).unwrap();
    while let Some(transmit) = other.poll_transmit(at(8), &mut buffer) {
        give(at(8), Input::Datagram { from: 2, bytes: &buffer[..transmit.len] });
    }
    give(at(9), Input::Command(Command::Respond { id, payload: b"answer" }));
    give(at(2_000), Input::Timeout);
    give(at(2_001), Input::Command(Command::Leave));
    assert!(!sent.is_empty());

    let mut again = fresh(1);
    let mut resent = Vec::new();
    typed::replay::<u16>(&recording, |now, input| {
        again.handle(now, input).unwrap();
        drain(&mut again, now, &mut resent);
    })
    .unwrap();
    assert_eq!(resent, sent);

    let cut = &recording[..recording.len() - 1];
    assert_eq!(typed::replay::<u16>(cut, |_, _| {}), Err(typed::TypedError::Decode));
}
