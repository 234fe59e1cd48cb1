//! Names of members.
//!
//! The address is a member's identity, and the protocol knows no other. A cluster whose people want names writes them in front
//! of the metadata, where they cost nothing on the wire that metadata would not, and change as these do:
//!
//! ```text
//!   | length, 1 byte: 1 to 63 | the name, UTF-8 | the rest of the metadata |
//! ```
//! With [`Config::names`](crate::Config::names) a node keeps an index of them. Nobody can keep two members from taking one
//! name: both are then listed under it, and [`Event::NameConflict`](crate::Event::NameConflict) tells.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::members::Slot;

/// The longest name, bytes.
pub const NAME_LEN_MAX: usize = 63;

/// Metadata that begin with a name. `None` for a name that is empty or longer than [`NAME_LEN_MAX`].
#[must_use]
pub fn with_name(name: &str, rest: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(name.len()).ok().filter(|&len| (1..=NAME_LEN_MAX).contains(&usize::from(len)))?;
    Some([&[len], name.as_bytes(), rest].concat())
}

/// The name in front of the metadata and the rest of them; `None` when they do not begin with a name.
#[must_use]
pub fn split_name(metadata: &[u8]) -> Option<(&str, &[u8])> {
    let (&len, rest) = metadata.split_first().filter(|(len, _)| (1..=NAME_LEN_MAX).contains(&usize::from(**len)))?;
    let (name, rest) = rest.split_at_checked(usize::from(len))?;
    Some((core::str::from_utf8(name).ok()?, rest))
}

/// Slots by the hash of their member's name.
///
/// An ordered set: however many members take one name, or names with one hash, an operation costs the logarithm of all.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    index: BTreeSet<(u32, Slot)>,
    hasher: FixedState,
}

impl Names {
    pub(crate) fn new(hasher: FixedState) -> Self {
        Self { index: BTreeSet::new(), hasher }
    }

    /// The metadata of a slot change.
    pub(crate) fn replace(&mut self, slot: Slot, old: &[u8], new: &[u8]) {
        let (old, new) = (split_name(old), split_name(new));
        if old.map(|(name, _)| name) == new.map(|(name, _)| name) {
            return;
        }
        if let Some((name, _)) = old {
            self.index.remove(&(self.hash(name), slot));
        }
        if let Some((name, _)) = new {
            self.index.insert((self.hash(name), slot));
        }
    }

    /// The slots that may have a name; others that share its hash are among them.
    pub(crate) fn candidates(&self, name: &str) -> impl Iterator<Item = Slot> + '_ {
        let hash = self.hash(name);
        self.index.range((hash, 0)..=(hash, Slot::MAX)).map(|&(_, slot)| slot)
    }

    fn hash(&self, name: &str) -> u32 {
        (self.hasher.hash_one(name) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_with_the_rest_and_other_bytes_are_no_name() {
        let longest = "n".repeat(NAME_LEN_MAX);
        for (name, rest) in [("a", &b""[..]), ("größe", b"\x00\xff"), (&longest, b"rest")] {
            assert_eq!(split_name(&with_name(name, rest).unwrap()), Some((name, rest)));
        }
        assert_eq!(with_name("", b"rest"), None);
        assert_eq!(with_name(&"n".repeat(NAME_LEN_MAX + 1), b""), None);
        let long = [&[64][..], &[b'n'; 64]].concat();
        for bytes in [&b""[..], &[0], &[1], &[2, b'a'], &[1, 0xff], &long] {
            assert_eq!(split_name(bytes), None, "{bytes:?}");
        }
    }
}
