//! Sealing what goes out and opening what comes in (feature `keyring`). The format is in [`crate::wire::sealed`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transmit::Outgoing;
use super::{Node, stored};
use crate::address::Address;
use crate::io::{CommandError, InputError};
use crate::keyring::{Keyring, Plain};
use crate::replay::{Noted, Senders};
use crate::time::Instant;
use crate::wire::sealed::{COUNTER_MAX, SEALED_MAX, Seal, SenderKey};
use crate::wire::{self, DecodeError, MAGIC, MAGIC_SEALED, SEALED_HEADER_LEN, TAG_LEN};

/// What a node without a keyring has of it: next to nothing.
#[derive(Debug)]
pub(super) struct Sealing<A: Address> {
    /// From the first keyring on. Outlives a change of keys: a counter is never used twice in one life.
    state: Option<Box<State<A>>>,
}

#[derive(Debug)]
struct State<A: Address> {
    keyring: Option<Keyring>,
    /// The first key of the keyring, as this life of this node uses it.
    own: Option<SenderKey>,
    /// In which life, and with which counter next.
    session: u64,
    next_counter: u64,
    senders: Senders<A>,
    /// Into which datagrams are opened: as long as the longest that came.
    opened: Vec<u8>,
}

impl<A: Address> Sealing<A> {
    /// Without a keyring.
    pub(super) const fn new() -> Self {
        Self { state: None }
    }

    /// Has the node of this address, in its life `session`, use a keyring.
    ///
    /// # Errors
    /// [`CommandError::NoSession`].
    pub(super) fn set_keyring(
        &mut self,
        local: &A,
        session: u64,
        keyring: Option<&Keyring>,
    ) -> Result<(), CommandError> {
        if keyring.is_none() && self.state.is_none() {
            return Ok(());
        }
        if session == 0 {
            return Err(CommandError::NoSession);
        }
        let state = self.state.get_or_insert_with(|| {
            let senders = Senders::new(session);
            Box::new(State { keyring: None, own: None, session, next_counter: 0, senders, opened: Vec::new() })
        });
        state.own = keyring.map(|keyring| SenderKey::new(keyring.sealing(), local, session));
        state.keyring = keyring.cloned();
        Ok(())
    }

    fn keyring(&self) -> Option<&Keyring> {
        self.state.as_ref()?.keyring.as_ref()
    }

    /// Whether what is sent is sealed.
    pub(super) fn seals(&self) -> bool {
        self.keyring().is_some_and(|keyring| keyring.plain() != Plain::Sent)
    }

    /// Whether what is to be sealed cannot be, since there is no counter left.
    pub(super) fn is_used_up(&self) -> bool {
        self.seals() && self.state.as_ref().is_some_and(|state| state.next_counter > COUNTER_MAX)
    }

    /// Whether sealed datagrams are opened.
    pub(super) fn opens(&self) -> bool {
        self.keyring().is_some()
    }

    fn opened(&mut self) -> Option<&mut Vec<u8>> {
        self.state.as_mut().map(|state| &mut state.opened)
    }
}

impl<A: Address> Node<A> {
    /// A datagram with a seal around it.
    pub(super) fn encode_sealed(&mut self, now: Instant, buffer: &mut [u8], outgoing: &Outgoing<A>) -> Option<usize> {
        let end = buffer.len().checked_sub(TAG_LEN)?;
        let body = self.encode(now, buffer.get_mut(SEALED_HEADER_LEN..end)?, outgoing)?;
        let State { keyring: Some(keyring), own: Some(own), session, next_counter, .. } =
            &mut **self.sealing.state.as_mut()?
        else {
            return None;
        };
        let seal = Seal::new(keyring.sealing().id(), *session, *next_counter);
        *next_counter += 1;
        own.seal(buffer, body, &seal, self.config.cluster, &outgoing.to())
    }

    /// A datagram that comes to a node with a keyring.
    pub(super) fn on_datagram_with_keyring(&mut self, now: Instant, from: A, bytes: &[u8]) -> Result<(), InputError> {
        if bytes.first() != Some(&MAGIC_SEALED) {
            let plain = self.sealing.keyring().map(Keyring::plain);
            return if plain == Some(Plain::Refused) && bytes.first() == Some(&MAGIC) {
                self.refuse(DecodeError::Plain)
            } else {
                self.on_plain_datagram(now, from, bytes)
            };
        }
        // Out of the node while what was opened is read, which borrows it.
        let mut opened = self.sealing.opened().map(core::mem::take).unwrap_or_default();
        let from = stored(from);
        let outcome = match self.open(from, bytes, &mut opened) {
            Ok((version, len)) => match wire::decode_body(version, &opened[..len]) {
                Ok(datagram) => {
                    self.on_decoded(now, from, datagram);
                    Ok(())
                }
                Err(error) => self.refuse(error),
            },
            Err(error) => self.refuse(error),
        };
        if let Some(place) = self.sealing.opened() {
            *place = opened;
        }
        outcome
    }

    /// The version and the length of what was opened into `opened`.
    fn open(&mut self, from: A, bytes: &[u8], opened: &mut Vec<u8>) -> Result<(u8, usize), DecodeError> {
        let seal = Seal::read(bytes, self.config.cluster)?;
        let local = self.local();
        let State { keyring, senders, .. } = &mut **self.sealing.state.as_mut().ok_or(DecodeError::Sealed)?;
        let key = keyring.as_ref().ok_or(DecodeError::Sealed)?.find(seal.key_id);
        let key = key.ok_or(DecodeError::UnknownKey(seal.key_id))?;
        // Before the work, though what it goes by is not known to be true: a forged counter can only have itself refused.
        if senders.is_replay(&from, seal.session, seal.counter) {
            return Err(DecodeError::Replayed);
        }
        if bytes.len() > SEALED_MAX {
            return Err(DecodeError::Malformed);
        }
        if opened.len() < bytes.len() {
            opened.resize(bytes.len(), 0);
        }
        let len = SenderKey::new(key, &from, seal.session).open(bytes, &seal, &local, opened)?;
        let members = &self.members;
        let unknown = |addr: &A| members.find(addr).is_none();
        match senders.note(&from, seal.session, seal.counter, self.config.members_max, unknown) {
            Noted::Yes => {}
            Noted::Evicted => self.counters.add(1, |cold| &mut cold.senders_evicted),
            Noted::Full => return Err(DecodeError::SendersFull),
        }
        Ok((seal.version, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::io::{Command, Input};
    use crate::keyring::Key;
    use crate::node::Setup;

    const NOW: Instant = Instant::from_millis(1_000);

    fn node(addr: u16, keyring: &Keyring) -> Node<u16> {
        let setup = Setup { session: 1, keyring: Some(keyring), ..Setup::new(addr) };
        Node::new(NOW, Config { members_max: 12, ..Config::lan() }, &setup).unwrap()
    }

    fn joins(node: &mut Node<u16>, seeds: &[u16]) -> Vec<Vec<u8>> {
        node.handle(NOW, Input::Command(Command::Join { seeds })).unwrap();
        let mut buffer = [0; 1400];
        core::iter::from_fn(|| node.poll_transmit(NOW, &mut buffer).map(|sent| buffer[..sent.len].to_vec())).collect()
    }

    #[test]
    fn a_node_that_has_used_up_its_counter_is_silent_and_one_that_sends_plain_is_not() {
        let keyring = Keyring::new(&[Key::new(1, [1; 32])]).unwrap();
        let mut node = node(1, &keyring);
        node.sealing.state.as_mut().unwrap().next_counter = COUNTER_MAX - 1;
        let counters = |sent: Vec<Vec<u8>>| -> Vec<u64> {
            sent.iter().map(|bytes| Seal::read(bytes, Config::lan().cluster).unwrap().counter).collect()
        };
        assert_eq!(counters(joins(&mut node, &[2, 3, 4, 5])), [COUNTER_MAX - 1, COUNTER_MAX]);
        assert_eq!((node.counters().transmits_unsealed, node.counters().transmits_unencodable), (2, 0));
        node.handle(NOW, Input::Command(Command::SetKeyring { keyring: Some(&keyring) })).unwrap();
        assert!(joins(&mut node, &[2]).is_empty(), "nor does a new keyring start it anew");
        let plain = keyring.with_plain(Plain::Sent);
        node.handle(NOW, Input::Command(Command::SetKeyring { keyring: Some(&plain) })).unwrap();
        assert_eq!(joins(&mut node, &[2]).len(), 1);
    }

    #[test]
    fn as_many_senders_are_remembered_as_members_and_members_before_others() {
        let keyring = Keyring::new(&[Key::new(1, [1; 32])]).unwrap();
        let mut node = node(1, &keyring);
        let from = |addr: u16| joins(&mut self::node(addr, &keyring), &[1]).remove(0);
        for addr in 2..=12 {
            node.handle(NOW, Input::Datagram { from: addr, bytes: &from(addr) }).unwrap();
        }
        assert_eq!((node.members.len(), node.counters().senders_refused), (12, 0));
        // The table of members is full, that of senders has one place: this node is no sender.
        for addr in 13..=15 {
            let _ = node.handle(NOW, Input::Datagram { from: addr, bytes: &from(addr) });
        }
        assert_eq!((node.counters().members_refused, node.counters().senders_evicted), (3, 2));
        assert_eq!(node.counters().senders_refused, 0, "who is no member gives way to another");
        for addr in 2..=12 {
            assert!(
                node.handle(NOW, Input::Datagram { from: addr, bytes: &from(addr) }).is_err(),
                "a member forgotten"
            );
        }
        assert_eq!(node.counters().datagrams_replayed, 11);
    }
}
