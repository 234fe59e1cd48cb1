//! The keys that datagrams are sealed with (feature `keyring`).
//!
//! A [`Keyring`] holds several keys: all of them open what was sealed by others, the first seals what this node sends. So a
//! key is replaced without losing a datagram, in three steps, each of them finished everywhere before the next begins:
//! 1. add the new key behind the old one;
//! 2. put the new key in front;
//! 3. take the old key away.
//!
//! A cluster that runs without encryption gets it in the same manner, with [`Plain`]: [`Plain::Sent`], then
//! [`Plain::Accepted`], then [`Plain::Refused`].
//!
//! The layout of a sealed datagram, and what it defends against, is in [`crate::wire::sealed`] and `docs/protocol.md`. Keys are
//! made and brought to the nodes by the embedder; nothing here speaks of them on the network, except for their ids.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroize;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// The most keys of a keyring.
pub const KEYS_MAX: usize = 16;

/// A secret, and the id by which datagrams name it. Overwritten in memory when it is dropped; its `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: u8,
    secret: [u8; KEY_LEN],
}

impl Key {
    /// A key. The secret must be random: 32 bytes from the system's generator, not a password.
    ///
    /// All nodes call a key by the same id, and no id is used for another key while somebody may still hold the former.
    #[must_use]
    pub const fn new(id: u8, secret: [u8; KEY_LEN]) -> Self {
        Self { id, secret }
    }

    /// The id, which travels in the clear.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    pub(crate) const fn secret(&self) -> &[u8; KEY_LEN] {
        &self.secret
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a node with a keyring does about datagrams that are not sealed: how encryption is brought into a running cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Plain {
    /// Sends sealed, accepts nothing else. Plain datagrams are dropped and counted.
    #[default]
    Refused,
    /// Sends sealed, accepts both. Second step. Whoever can send a plain datagram is still believed.
    Accepted,
    /// Sends plain, accepts both. First step: the keys come to every node before anybody uses them.
    Sent,
}

/// The keys of a node: the first seals, all of them open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    keys: Vec<Key>,
    plain: Plain,
}

impl Keyring {
    /// A keyring that seals with the first of `keys`, opens with all of them, and refuses plain datagrams.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn new(keys: &[Key]) -> Result<Self, KeyringError> {
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        if keys.len() > KEYS_MAX {
            return Err(KeyringError::TooMany { count: keys.len() });
        }
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.id == key.id) {
                return Err(KeyringError::RepeatedId(key.id));
            }
        }
        Ok(Self { keys: keys.into(), plain: Plain::Refused })
    }

    /// The same keys with another rule for plain datagrams.
    #[must_use]
    pub const fn with_plain(mut self, plain: Plain) -> Self {
        self.plain = plain;
        self
    }

    /// The rule for plain datagrams.
    #[must_use]
    pub const fn plain(&self) -> Plain {
        self.plain
    }

    /// The ids of the keys, that of the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = u8> + '_ {
        self.keys.iter().map(Key::id)
    }

    /// The keys, the sealing one first.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The key that seals.
    pub(crate) fn sealing(&self) -> &Key {
        &self.keys[0]
    }

    pub(crate) fn find(&self, id: u8) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }
}

/// Why keys make no keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyringError {
    /// There is none.
    Empty,
    /// There are more than [`KEYS_MAX`].
    TooMany {
        /// How many.
        count: usize,
    },
    /// Two keys have the same id.
    RepeatedId(u8),
}

impl fmt::Display for KeyringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a keyring needs at least one key"),
            Self::TooMany { count } => write!(f, "{count} keys are more than the {KEYS_MAX} that a keyring holds"),
            Self::RepeatedId(id) => write!(f, "two keys have the id {id}"),
        }
    }
}

impl core::error::Error for KeyringError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_has_one_to_sixteen_keys_with_different_ids() {
        let keys: Vec<Key> = (0..17).map(|id| Key::new(id, [id; KEY_LEN])).collect();
        assert_eq!(Keyring::new(&[]), Err(KeyringError::Empty));
        assert_eq!(Keyring::new(&keys), Err(KeyringError::TooMany { count: 17 }));
        let twice = [Key::new(3, [1; KEY_LEN]), keys[2].clone(), Key::new(3, [2; KEY_LEN])];
        assert_eq!(Keyring::new(&twice), Err(KeyringError::RepeatedId(3)));
        let keyring = Keyring::new(&keys[..16]).unwrap();
        assert_eq!((keyring.sealing().id(), keyring.find(15), keyring.find(16)), (0, Some(&keys[15]), None));
    }

    #[test]
    fn no_secret_is_printed() {
        let keyring = Keyring::new(&[Key::new(7, [0xab; KEY_LEN])]).unwrap();
        assert_eq!(alloc::format!("{keyring:?}"), "Keyring { keys: [Key { id: 7, .. }], plain: Refused }");
    }
}
