//! What goes into a node and what comes out of it.

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use crate::config::{Config, ConfigError};
#[cfg(feature = "keyring")]
use crate::keyring::Keyring;
use crate::member::{Claim, MemberState};
use crate::options::{EventOptions, Order, QueryOptions};
use crate::rumors::EventId;
use crate::wire::DecodeError;

/// Something that happens to a node. A recorded stream of inputs, with their times, repeats a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a, A> {
    /// A datagram was received.
    Datagram {
        /// The sender's address, as the transport tells it. It names the sender: a node sends from the address under which
        /// the others know it.
        from: A,
        /// What was received.
        bytes: &'a [u8],
    },
    /// The time that [`poll_timeout`](crate::Node::poll_timeout) named has come. Too early does no harm.
    Timeout,
    /// The application wants something.
    Command(Command<'a, A>),
}

/// What an application can want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a, A> {
    /// Join the cluster through these members; any one that answers will do. They are asked again, once per protocol
    /// period, for as long as this node knows nobody.
    Join {
        /// Addresses of members.
        seeds: &'a [A],
    },
    /// Say goodbye. [`Event::Left`] tells when it has been said; the node is silent from then on.
    Leave,
    /// Start an event: every member's application gets it once.
    StartEvent {
        /// The application's bytes, at most [`event_payload_max`](crate::event_payload_max).
        payload: &'a [u8],
        /// Its priority, lifetime and order.
        options: EventOptions,
    },
    /// Start a query: an event that every member's application may answer until the deadline. Each answer comes as
    /// [`Event::QueryAnswer`], and at the deadline [`Event::QueryClosed`] with the counts.
    StartQuery {
        /// The application's bytes, at most [`event_payload_max`](crate::event_payload_max).
        payload: &'a [u8],
        /// How long to wait for answers: 1 ms to [`event_lifetime`](crate::Config::event_lifetime). Serf's default is
        /// 16·⌈log10(N + 1)⌉ gossip intervals.
        deadline: Duration,
        /// Its priority, and whether receipts are wanted.
        options: QueryOptions,
    },
    /// Answer a query that [`Event::Query`] brought, once.
    Respond {
        /// The query.
        id: EventId<A>,
        /// The application's bytes, at most [`event_payload_max`](crate::event_payload_max).
        payload: &'a [u8],
    },
    /// Send a message to one member's application: unreliable, unordered, and with gossip on its back.
    Send {
        /// The member.
        to: A,
        /// The application's bytes, at most [`event_payload_max`](crate::event_payload_max).
        payload: &'a [u8],
    },
    /// Replace this node's metadata.
    SetMetadata {
        /// At most [`metadata_max`](crate::Config::metadata_max) bytes.
        metadata: &'a [u8],
    },
    /// Replace the keyring, in whatever state the node is. `None`: send plain, and drop what is sealed.
    #[cfg(feature = "keyring")]
    SetKeyring {
        /// The new one. Its order matters, see [`crate::keyring`].
        keyring: Option<&'a Keyring>,
    },
    /// Go on with another configuration. It is checked as at birth, and taken whole or not at all. What it governs obeys from
    /// the next time on that it is used; for what is already there:
    ///
    /// - `gossip_interval`, `probe_interval`, `probe_timeout`: what remains of the running interval shrinks or grows in
    ///   proportion, so that nodes which beat apart go on beating apart;
    /// - `aligned_rounds`: the next round begins at the next multiple of the interval;
    /// - `probe_timeout_min`: raised to `probe_timeout`, what was measured is forgotten;
    /// - `suspicion_*`: running suspicions keep the time that they were given;
    /// - `awareness_max`: a higher score falls to it;
    /// - `event_lifetime`: kept events and remembered identities live for the new time from their start. When it grows, events
    ///   that are older than the old one are not taken in: they may be among those that were forgotten;
    /// - `events_max`, `event_bytes_max`, `seen_max`: the oldest beyond them are forgotten and counted;
    /// - `ordered_wait`, `ordered_max`: ordered events that have waited for long enough, or are too many, are delivered;
    /// - `queries_max`: the queries of others that end first beyond it are given up and counted; this node's own stay open;
    /// - `tombstone_lifetime`: counts for the dead and departed that are remembered as well;
    /// - `members_max`: the dead and departed beyond it are forgotten, those who went first before the others, and counted;
    ///   refused if the live alone are more;
    /// - `coordinates_max`: the first heard of beyond it are forgotten and counted; at 0 this node's own is forgotten as well;
    /// - `metadata_max`: refused if this node's own are longer; those of others stay;
    /// - `names`: the index is made or dropped at once, at a cost that grows with the members;
    /// - `changes_max`: the oldest changes beyond it are forgotten;
    /// - `datagram_max`: kept events that no datagram can hold any more are forgotten and counted;
    /// - `transmits_max`: the last beyond it are dropped and counted, those of failure detection last;
    /// - `cluster`: refused. That would be another member of another cluster: leave, and make a new node. So is a node at
    ///   another address.
    Reconfigure {
        /// The whole configuration: begin with [`Node::config`](crate::Node::config) and change what is to change.
        config: &'a Config,
    },
}

impl<'a, A> Command<'a, A> {
    /// Starts an event that asks for nothing in particular.
    #[must_use]
    pub fn event(payload: &'a [u8]) -> Self {
        Self::StartEvent { payload, options: EventOptions::default() }
    }
}

/// What came of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<A> {
    /// It was taken in.
    Done,
    /// An event or a query was started.
    Started(EventId<A>),
}

/// Why an input was refused. The state did not move, except for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// The peer's fault: the datagram was dropped and counted.
    Datagram(DecodeError),
    /// The caller's fault.
    Command(CommandError),
}

/// A misuse by this node's own application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// The payload does not fit into a datagram.
    PayloadTooLong {
        /// Its length.
        len: usize,
        /// The longest that fits.
        max: usize,
    },
    /// The metadata are too long.
    MetadataTooLong {
        /// Their length.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The lifetime or deadline is too short or too long.
    Lifetime {
        /// The longest allowed.
        max: Duration,
    },
    /// Too many queries of this node are open.
    TooManyQueries {
        /// The most allowed.
        max: usize,
    },
    /// The query is unknown, its deadline is over, or it was answered already.
    NoSuchQuery,
    /// Events of higher priority take all the room that the configuration allows.
    NoRoom,
    /// Too many seeds.
    TooManySeeds {
        /// How many.
        count: usize,
        /// The most allowed.
        max: usize,
    },
    /// The addressee is not a live member.
    NotAMember,
    /// The node is leaving or has left.
    Left,
    /// Too many messages wait to be sent: pull some first.
    Busy,
    /// The configuration makes no sense, or cannot be had while the node runs.
    Config(ConfigError),
    /// A keyring for a node whose [`Setup::session`](crate::Setup::session) was not given: it could seal two datagrams alike.
    #[cfg(feature = "keyring")]
    NoSession,
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PayloadTooLong { len, max } => {
                write!(f, "a payload of {len} bytes is longer than the {max} that fit")
            }
            Self::MetadataTooLong { len, max } => {
                write!(f, "metadata of {len} bytes are longer than the {max} allowed")
            }
            Self::Lifetime { max } => write!(f, "a lifetime or deadline must be 1 ms to {max:?}"),
            Self::TooManyQueries { max } => write!(f, "{max} queries are open, which are the most allowed"),
            Self::NoSuchQuery => f.write_str("the query is unknown, over or answered"),
            Self::NoRoom => f.write_str("events of higher priority take all the room"),
            Self::TooManySeeds { count, max } => write!(f, "{count} seeds are more than the {max} allowed"),
            Self::NotAMember => f.write_str("the addressee is not a live member"),
            Self::Left => f.write_str("the node is leaving or has left"),
            Self::Busy => f.write_str("too many messages wait to be sent"),
            Self::Config(error) => error.fmt(f),
            #[cfg(feature = "keyring")]
            Self::NoSession => f.write_str("a keyring needs a node that was set up with a session number"),
        }
    }
}

impl core::error::Error for CommandError {}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datagram(error) => write!(f, "datagram refused: {error}"),
            Self::Command(error) => write!(f, "command refused: {error}"),
        }
    }
}

impl core::error::Error for InputError {}

impl From<DecodeError> for InputError {
    fn from(error: DecodeError) -> Self {
        Self::Datagram(error)
    }
}

impl From<CommandError> for InputError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

/// A datagram to send: the first `len` bytes of the buffer that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<A> {
    /// Where to.
    pub to: A,
    /// Its length.
    pub len: usize,
}

/// How an event came to be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// The teller called in its gossip round.
    Push,
    /// The teller answered a call of this node.
    Pull,
    /// On a message of failure detection.
    Probe,
    /// Anti-entropy, or the welcome of a new member.
    Sync,
    /// On a message between applications, or on an answer to a query.
    Message,
}

/// Something that the application may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<A> {
    /// A member is new or changed its state.
    MemberChanged {
        /// The member.
        addr: A,
        /// The state that it has now.
        state: MemberState,
        /// Its incarnation.
        incarnation: u32,
        /// Who told; `None` when this node found out by itself.
        told_by: Option<A>,
        /// Of a suspect: whose accusation this is, which its teller may only have passed on. Of the dead: the first who accused
        /// it, if this node knew it as a suspect. Else `None`.
        accuser: Option<A>,
        /// Of the dead: how many others confirmed the suspicion, as far as this node knew.
        confirmations: u8,
    },
    /// Somebody else accuses a suspect as well, which shortens its time (LHA-Suspicion).
    SuspicionConfirmed {
        /// The suspect.
        addr: A,
        /// Who.
        accuser: A,
        /// How many confirmed it so far.
        confirmations: u8,
        /// Who told; `None` when this node itself is the accuser.
        told_by: Option<A>,
    },
    /// A member did not answer a probe of this node, nor did the helpers reach it: it is now suspected.
    ProbeFailed {
        /// Whom it asked.
        addr: A,
        /// How many were asked to help.
        helpers: u8,
        /// How many of them said that they are there but have no answer either (`Nack`).
        nacks: u8,
    },
    /// A member's metadata changed while its state did not.
    MetadataChanged {
        /// The member.
        addr: A,
    },
    /// A member took a name, or came to life with one, that another live member has (see [`name`](crate::name)). Both are found
    /// under it. Only with [`Config::names`](crate::Config::names).
    NameConflict {
        /// The member; it may be this node.
        addr: A,
        /// One that had the name before; it may be this node.
        other: A,
    },
    /// A member that was dead or had left is no longer remembered.
    MemberForgotten {
        /// The former member.
        addr: A,
    },
    /// Somebody held this node for suspect, dead or departed; it has raised its incarnation.
    Refuted {
        /// What was said.
        claim: Claim,
        /// Who told.
        told_by: A,
        /// The incarnation that this node has now.
        incarnation: u32,
    },
    /// A direct probe was answered, by the ping of which it is known when it was sent.
    Rtt {
        /// By whom.
        addr: A,
        /// After how long.
        rtt: Duration,
    },
    /// An application somewhere started an event; it comes here exactly once while it is remembered.
    UserEvent {
        /// Its identity.
        id: EventId<A>,
        /// Its bytes.
        payload: Arc<[u8]>,
        /// Hops from the origin.
        hops: u8,
        /// The node that told.
        from: A,
        /// How.
        via: Via,
        /// Whether it comes in the order of its origin.
        order: Order,
    },
    /// An application somewhere asks; it comes here once, and may be answered with [`Command::Respond`].
    Query {
        /// Its identity.
        id: EventId<A>,
        /// Its bytes.
        payload: Arc<[u8]>,
        /// Hops from the origin.
        hops: u8,
        /// The node that told.
        from: A,
        /// How.
        via: Via,
        /// How much time is left to answer.
        respond_within: Duration,
    },
    /// An answer to a query of this node; one at most of each member.
    QueryAnswer {
        /// The query.
        id: EventId<A>,
        /// Who answers.
        from: A,
        /// The answer.
        payload: Arc<[u8]>,
    },
    /// The time to answer a query of this node is over, or this node left.
    QueryClosed {
        /// The query.
        id: EventId<A>,
        /// How many members are known to have received it: without receipts, those that answered.
        received: u32,
        /// How many answered.
        answered: u32,
        /// How many other live members this node knew when it asked.
        members: u32,
    },
    /// A message from another member's application.
    Message {
        /// From whom.
        from: A,
        /// Its bytes.
        payload: Arc<[u8]>,
    },
    /// This node is in a cluster: another node is there, and the two know each other. Anti-entropy brings the rest.
    Joined {
        /// The first that was heard.
        through: A,
    },
    /// The goodbye was said.
    Left,
}
