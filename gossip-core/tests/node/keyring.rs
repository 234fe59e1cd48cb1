//! Keyrings that one node is given.

use gossip_core::wire::{MAGIC, MAGIC_SEALED, SEALED_HEADER_LEN, TAG_LEN};
use gossip_core::{Command, CommandError, Config, Input, InputError, Instant, Key, Keyring, Node, Plain, Setup, wire};

fn key(id: u8) -> Key {
    Key::new(id, [id ^ 0x5a; 32])
}

fn keyring(ids: &[u8]) -> Keyring {
    Keyring::new(&ids.iter().map(|&id| key(id)).collect::<Vec<_>>()).expect("different ids")
}

#[test]
fn a_keyring_needs_a_session() {
    let keyring = keyring(&[1]);
    let setup = Setup { keyring: Some(&keyring), ..Setup::new(1_u16) };
    assert_eq!(Node::new(Instant::ZERO, Config::lan(), &setup).unwrap_err().name, "session");
    let mut node = Node::new(Instant::ZERO, Config::lan(), &Setup::new(1_u16)).unwrap();
    let refused = node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: Some(&keyring) }));
    assert_eq!(refused, Err(InputError::Command(CommandError::NoSession)));
}

#[test]
fn a_keyring_taken_away_and_given_again_goes_on_counting() {
    let keyring = keyring(&[1]);
    let setup = Setup { session: 1, keyring: Some(&keyring), ..Setup::new(1_u16) };
    let mut node = Node::new(Instant::ZERO, Config::lan(), &setup).unwrap();
    let mut buffer = [0; 1_400];
    let mut join = |node: &mut Node<u16>| {
        node.handle(Instant::ZERO, Input::Command(Command::Join { seeds: &[2] })).unwrap();
        let len = node.poll_transmit(Instant::ZERO, &mut buffer).unwrap().len;
        buffer[..len].to_vec()
    };
    let counter = |bytes: &[u8]| (bytes[0], bytes[SEALED_HEADER_LEN - 1]);
    assert_eq!(counter(&join(&mut node)), (MAGIC_SEALED, 0));
    node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: None })).unwrap();
    let plain = join(&mut node);
    assert_eq!(plain[0], MAGIC);
    assert!(wire::decode::<u16>(&plain, Config::lan().cluster).is_ok());
    node.handle(Instant::ZERO, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).unwrap();
    let sealed = join(&mut node);
    assert_eq!(counter(&sealed), (MAGIC_SEALED, 1), "not 0 again");
    assert_eq!(sealed.len(), plain.len() - wire::HEADER_LEN + SEALED_HEADER_LEN + TAG_LEN);
}

#[cfg(feature = "typed")]
#[test]
fn a_recording_holds_no_secret_and_replays_for_who_has_the_keys() {
    use gossip_core::typed;

    let first = keyring(&[1]);
    let second = keyring(&[2, 1]).with_plain(Plain::Accepted);
    let fresh =
        || Node::new(Instant::ZERO, Config::lan(), &Setup { seed: 5, session: 7, ..Setup::new(1_u16) }).unwrap();
    let (mut recording, mut sent, mut resent) = (Vec::new(), Vec::new(), Vec::new());
    let give = |node: &mut Node<u16>, now: Instant, input: Input<'_, u16>, out: &mut Vec<u8>| {
        node.handle(now, input).unwrap();
        let mut buffer = [0; 1400];
        while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
            out.extend_from_slice(&buffer[..transmit.len]);
        }
    };
    let mut node = fresh();
    for keyring in [Some(&first), Some(&second), None] {
        for input in [Command::SetKeyring { keyring }, Command::Join { seeds: &[2] }].map(Input::Command) {
            typed::record(&mut recording, Instant::ZERO, &input).unwrap();
            give(&mut node, Instant::ZERO, input, &mut sent);
        }
    }
    for id in [1, 2] {
        assert!(!recording.windows(8).any(|window| window == [id ^ 0x5a; 8]), "secret {id}");
    }

    let mut again = fresh();
    let keys = [key(2), key(1)];
    typed::replay_with_keys::<u16>(&recording, &keys, |now, input| give(&mut again, now, input, &mut resent)).unwrap();
    assert_eq!(resent, sent);
    assert_eq!(typed::replay::<u16>(&recording, |_, _| {}), Err(typed::TypedError::Keyring));
    assert_eq!(
        typed::replay_with_keys::<u16>(&recording, &keys[1..], |_, _| {}),
        Err(typed::TypedError::Keyring),
        "one is missing"
    );
}
