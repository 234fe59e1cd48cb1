//! The kernel's neighbour table. Its limit is shared by all network namespaces of a machine: a full mesh of n nodes needs
//! n·(n−1) entries, and above the limit datagrams vanish without a word (100 nodes reached 11 % of their pairs with the
//! usual limit of 1024).

use std::fs;
use std::io;
use std::path::Path;

/// Where the kernel keeps the limits.
const FOLDER: &str = "/proc/sys/net/ipv4/neigh/default";

/// Room for more than a thousand nodes that all talk to each other.
const RAISED: [u64; 3] = [100_000, 400_000, 1_000_000];

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Neighbours {
    /// There is room.
    Enough,
    /// There was not, and the limits were raised.
    Raised {
        /// The limits as they were.
        before: [u64; 3],
    },
    /// There is not, and the limits cannot be changed.
    TooFew {
        /// Entries that the kernel keeps.
        limit: u64,
        /// Why it stays so.
        why: String,
    },
}

/// Makes room for a full mesh of `nodes` in this machine's neighbour table.
#[must_use]
pub fn make_room(nodes: u32) -> Neighbours {
    make_room_in(Path::new(FOLDER), nodes)
}

fn make_room_in(folder: &Path, nodes: u32) -> Neighbours {
    // The master talks to every node, and the machine has neighbours of its own.
    let needed = u64::from(nodes) * u64::from(nodes) + 2 * u64::from(nodes) + 256;
    let Ok(before) = read(folder) else {
        // Another kernel, or a sandbox that hides it: nothing to say.
        return Neighbours::Enough;
    };
    if before[2] >= needed {
        return Neighbours::Enough;
    }
    match write(folder, RAISED.map(|value| value.max(needed))) {
        Ok(()) => Neighbours::Raised { before },
        Err(error) => Neighbours::TooFew { limit: before[2], why: error.to_string() },
    }
}

impl Neighbours {
    /// What a person should read about it, if anything.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let [one, two, three] = RAISED;
        match self {
            Self::Enough => None,
            Self::Raised { before: [a, b, c] } => Some(format!(
                "raised the kernel's neighbour (ARP) table limits net.ipv4.neigh.default.gc_thresh1..3 from {a} {b} {c}; \
                 they stay raised until they are set back or the machine starts anew"
            )),
            Self::TooFew { limit, why } => Some(format!(
                "the kernel's neighbour (ARP) table holds {limit} entries, too few for this cluster: datagrams will \
                 vanish. As root: sysctl -w net.ipv4.neigh.default.gc_thresh1={one} \
                 net.ipv4.neigh.default.gc_thresh2={two} net.ipv4.neigh.default.gc_thresh3={three} ({why})"
            )),
        }
    }
}

fn read(folder: &Path) -> io::Result<[u64; 3]> {
    let mut values = [0; 3];
    for (value, number) in values.iter_mut().zip(1..) {
        let text = fs::read_to_string(folder.join(format!("gc_thresh{number}")))?;
        *value = text.trim().parse().map_err(io::Error::other)?;
    }
    Ok(values)
}

/// The largest first: the kernel takes them in any order, but a reader in between sees a sound set.
fn write(folder: &Path, values: [u64; 3]) -> io::Result<()> {
    for (number, value) in [1, 2, 3].into_iter().zip(values).rev() {
        fs::write(folder.join(format!("gc_thresh{number}")), format!("{value}\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(values: [u64; 3]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), values).expect("written");
        folder
    }

    #[test]
    fn the_usual_limits_do_for_few_nodes_and_are_raised_for_many() {
        let folder = folder([128, 512, 1024]);
        assert_eq!(make_room_in(folder.path(), 16), Neighbours::Enough);
        assert_eq!(read(folder.path()).expect("readable"), [128, 512, 1024]);
        let raised = make_room_in(folder.path(), 64);
        assert_eq!(raised, Neighbours::Raised { before: [128, 512, 1024] });
        assert!(raised.note().is_some_and(|note| note.contains("128 512 1024")));
        assert_eq!(read(folder.path()).expect("readable"), RAISED);
        assert_eq!(make_room_in(folder.path(), 64), Neighbours::Enough);
    }

    #[test]
    fn limits_that_cannot_be_read_say_nothing() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(make_room_in(empty.path(), 1_000), Neighbours::Enough);
    }

    #[test]
    fn a_table_that_stays_too_small_says_what_to_do() {
        let note = Neighbours::TooFew { limit: 1024, why: "denied".to_owned() }.note().expect("there is a note");
        assert!(note.contains("sysctl -w net.ipv4.neigh.default.gc_thresh1=100000") && note.contains("denied"));
    }
}
