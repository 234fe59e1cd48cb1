//! A gossip membership protocol without input or output of its own.
//!
//! [`Node`] is one member of a cluster: SWIM failure detection with Lifeguard's corrections, membership and user events
//! spread by gossip on the back of every datagram, push-pull, and anti-entropy for what was missed. It has no socket, no
//! clock, no thread and no source of randomness: a driver feeds it [`Input`]s with the time, pulls datagrams, events and one
//! deadline from it, and so runs it over UDP, in virtual time, or from a recording. The same inputs give the same bytes on
//! every machine.
//!
//! What an application has of it: [`Command`]s to join, leave, start events ([`EventOptions`]: priority, lifetime, order) and queries,
//! send messages, change metadata and configuration; [`Event`]s for what happens; [`Node::members`] and [`Node::changes_since`]
//! to read; [`Node::snapshot`] and [`Node::restore`] for a restart; [`Counters`] for everything that is dropped or bounded. The
//! guide (`docs/guide.md`) shows each, `docs/protocol.md` what goes over the wire.
//!
//! Features: `keyring` seals datagrams, `typed` carries typed payloads and records inputs. Both are off unless asked for.
//!
//! # From zero to a running member
//! ```
//! use std::net::{SocketAddr, UdpSocket};
//! use gossip_core::{Command, Config, Event, Input, Instant, Node, Setup};
//!
//! let socket = UdpSocket::bind("127.0.0.1:0")?;
//! let local: SocketAddr = socket.local_addr()?;
//! let started = std::time::Instant::now();
//! let now = || Instant::from_nanos(started.elapsed().as_nanos() as u64);
//!
//! let setup = Setup { seed: 42, ..Setup::new(local) }; // a real program takes the seed from the system
//! let mut node = Node::new(now(), Config::lan(), &setup).expect("the presets are valid");
//! node.handle(now(), Input::Command(Command::Join { seeds: &[] })).expect("an empty list of seeds is allowed");
//! node.handle(now(), Input::Command(Command::event(b"hello"))).expect("short enough");
//!
//! let mut buffer = [0; 2048];
//! for _ in 0..10 { // a real program never stops
//!     while let Some(transmit) = node.poll_transmit(now(), &mut buffer) {
//!         socket.send_to(&buffer[..transmit.len], transmit.to)?;
//!     }
//!     while let Some(event) = node.poll_event() {
//!         if let Event::UserEvent { id, payload, .. } = event {
//!             println!("{id:?}: {payload:?}");
//!         }
//!     }
//!     let wait = node.poll_timeout().map(|due| due.since(now())).unwrap_or_default();
//!     socket.set_read_timeout(Some(wait.clamp(std::time::Duration::from_millis(1), std::time::Duration::from_millis(20))))?;
//!     match socket.recv_from(&mut buffer) {
//!         Ok((len, from)) => drop(node.handle(now(), Input::Datagram { from, bytes: &buffer[..len] })),
//!         Err(_) => drop(node.handle(now(), Input::Timeout)),
//!     }
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
// As the harness of the fuzz targets calls it, which is also run here over its corpus.
#[cfg(test)]
extern crate self as gossip_core;
#[cfg(test)]
extern crate std;

pub mod address;
mod awareness;
mod backlog;
mod brake;
mod changes;
pub mod config;
pub mod coordinate;
mod counters;
mod fanout;
mod fifo;
#[cfg(test)]
#[allow(unreachable_pub, reason = "it is a crate of its own as well")]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;
pub mod io;
#[cfg(feature = "keyring")]
pub mod keyring;
pub mod member;
mod members;
pub mod name;
mod node;
mod options;
mod overlay;
mod permutation;
mod probe;
mod queries;
mod rare;
#[cfg(feature = "keyring")]
mod replay;
mod rng;
mod rtt;
mod rumors;
mod snapshot;
mod sparse;
mod suspicion;
mod sync;
pub mod time;
mod timer;
#[cfg(feature = "typed")]
pub mod typed;
mod view;
pub mod wire;

pub use address::{Address, CompactSocketAddr};
pub use config::{ClusterTag, Config, ConfigError, Strategy, event_payload_max};
pub use coordinate::Coordinate;
pub use counters::Counters;
pub use fanout::Fanout;
pub use io::{Command, CommandError, Event, Input, InputError, Outcome, Transmit, Via};
#[cfg(feature = "keyring")]
pub use keyring::{Key, Keyring, KeyringError, Plain};
pub use member::{Claim, MemberState, Metadata};
pub use node::{Change, Member, Need, Node, SEEDS_MAX, Setup};
pub use options::{EventOptions, Order, Priority, QueryOptions};
pub use rumors::EventId;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use snapshot::sealed_snapshot;
pub use snapshot::{RestoreError, SNAPSHOT_VERSION, Snapshot, SnapshotError};
pub use time::Instant;
pub use view::SharedView;

/// The code of the guide is compiled and run as a test of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide.md")]
pub struct Guide;
