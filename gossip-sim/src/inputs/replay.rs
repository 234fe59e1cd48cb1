//! Playing a recording into a fresh node, and holding what comes out against what came out then.

use std::fmt;
use std::net::SocketAddr;

use gossip_core::typed::{self, Entry, RecordedInput};
use gossip_core::{Address, Instant, Key, Node};

use super::file::{End, FileError, Recorded};

/// What happens while a recording is played, in order. All methods default to nothing.
pub trait Watch {
    /// The node is about to be given input `number` (from 1).
    fn on_input(&mut self, node: &Node<SocketAddr>, number: u64, at: Instant, input: &RecordedInput) {
        let _ = (node, number, at, input);
    }
    /// What came of it, if it was not simply taken in.
    fn on_result(&mut self, number: u64, at: Instant, words: &str) {
        let _ = (number, at, words);
    }
    /// The node sends.
    fn on_transmit(&mut self, node: &Node<SocketAddr>, at: Instant, to: SocketAddr, bytes: &[u8]) {
        let _ = (node, at, to, bytes);
    }
    /// The node tells its application.
    fn on_event(&mut self, at: Instant, words: &str) {
        let _ = (at, words);
    }
    /// The time moves on to `next`: how things stand before.
    fn before(&mut self, node: &Node<SocketAddr>, next: Instant) {
        let _ = (node, next);
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Blind;

impl Watch for Blind {}

/// Where the replay is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The number of the last input before it, from 1; 0 before the first.
    pub input: u64,
    /// When.
    pub at: Instant,
    /// What the recording has.
    pub recorded: Output,
    /// What the replay gave.
    pub replayed: Output,
}

/// Something that comes out of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Nothing, where the other has something.
    Nothing,
    /// What came of an input.
    Result(String),
    /// A datagram.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something told to the application.
    Event(String),
}

/// What was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// When the node was born.
    pub from: Instant,
    /// The time of the last entry.
    pub to: Instant,
    /// Inputs, datagrams among them, timeouts among them.
    pub inputs: Inputs,
    /// Datagrams that it sent, and their bytes.
    pub sent: (u64, u64),
    /// Events that it told.
    pub events: u64,
    /// How the recording ends; `None` when a difference was found before.
    pub end: Option<End>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// How many inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// All.
    pub all: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Timeouts.
    pub timeouts: u64,
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands = self.all - self.datagrams - self.timeouts;
        write!(f, "{} ({} datagrams, {} timeouts, {commands} commands)", self.all, self.datagrams, self.timeouts)
    }
}

/// Plays `recording` to its end or to the first difference.
///
/// # Errors
/// [`FileError`]: the recording is damaged, foreign, or needs keys that were not given. What was played before was equal.
pub fn play(mut recording: Recorded, keys: &[Key], watch: &mut impl Watch) -> Result<Played, FileError> {
    let node = recording.node(keys)?;
    let born = Instant::from_nanos(recording.birth.at_ns);
    let mut player = Player {
        buffer: vec![0; node.config().datagram_max],
        node,
        keys,
        played: Played {
            from: born,
            to: born,
            inputs: Inputs::default(),
            sent: (0, 0),
            events: 0,
            end: None,
            difference: None,
        },
        result: None,
        is_draining: false,
        watch,
    };
    while let Some(entry) = recording.next_entry()? {
        if let Err(difference) = player.play(entry)? {
            player.played.difference = Some(*difference);
            return Ok(player.played);
        }
    }
    player.played.end = recording.end();
    player.watch.before(&player.node, Instant::from_nanos(u64::MAX));
    // Only after a last word is it known that the driver had asked for everything.
    if player.played.end == Some(End::Marked(typed::Ending::Stopped))
        && let Err(difference) = player.settle()
    {
        player.played.difference = Some(*difference);
    }
    Ok(player.played)
}

struct Player<'w, W> {
    node: Node<SocketAddr>,
    keys: &'w [Key],
    buffer: Vec<u8>,
    played: Played,
    /// What came of the last input, if the recording has not told it yet.
    result: Option<String>,
    /// Whether the node may have datagrams that the recording has still to name.
    is_draining: bool,
    watch: &'w mut W,
}

type Compared = Result<(), Box<Difference>>;

impl<W: Watch> Player<'_, W> {
    /// Plays one entry. The outer error is the file's fault.
    fn play(&mut self, entry: Entry) -> Result<Compared, FileError> {
        match entry {
            Entry::Input(recorded) => {
                if let Err(difference) = self.settle() {
                    return Ok(Err(difference));
                }
                self.advance(recorded.at_ns)?;
                let inputs = &mut self.played.inputs;
                inputs.all += 1;
                inputs.datagrams += u64::from(matches!(recorded.input, RecordedInput::Datagram { .. }));
                inputs.timeouts += u64::from(recorded.input == RecordedInput::Timeout);
                self.watch.on_input(&self.node, inputs.all, self.played.to, &recorded.input);
                let node = &mut self.node;
                let result = recorded
                    .play(self.keys, |now, input| node.handle(now, input))
                    .map_err(|error| FileError::Birth(error.into()))?;
                self.result = typed::result_in_words(&result);
                Ok(Ok(()))
            }
            Entry::Result(words) => {
                let replayed = self.result.take();
                if replayed.as_ref() == Some(&words) {
                    self.watch.on_result(self.played.inputs.all, self.played.to, &words);
                    return Ok(Ok(()));
                }
                Ok(self.differ(Output::Result(words), replayed.map_or(Output::Nothing, Output::Result)))
            }
            Entry::Drained { at_ns } => {
                if let Err(difference) = self.all_results_told().and_then(|()| self.all_sent()) {
                    return Ok(Err(difference));
                }
                self.advance(at_ns)?;
                self.is_draining = true;
                Ok(Ok(()))
            }
            Entry::Transmit { to, bytes } => {
                let (to, _) = SocketAddr::decode(&to).ok_or(FileError::Order("a datagram was sent to no address"))?;
                if !self.is_draining {
                    return Err(FileError::Order("a datagram was sent when none were asked for"));
                }
                Ok(self.compare_transmit(to, bytes))
            }
            Entry::Event(words) => {
                if let Err(difference) = self.all_results_told() {
                    return Ok(Err(difference));
                }
                let replayed = self.node.poll_event().map(|event| typed::event_in_words(&event));
                if replayed.as_ref() == Some(&words) {
                    self.played.events += 1;
                    self.watch.on_event(self.played.to, &words);
                    return Ok(Ok(()));
                }
                Ok(self.differ(Output::Event(words), replayed.map_or(Output::Nothing, Output::Event)))
            }
            Entry::Labels(_) | Entry::Birth(_) | Entry::Snapshot(_) | Entry::End(_) => {
                Err(FileError::Order("the recording has a second birth"))
            }
        }
    }

    fn advance(&mut self, at_ns: u64) -> Result<(), FileError> {
        let at = Instant::from_nanos(at_ns);
        if at < self.played.to {
            return Err(FileError::Order("time runs backwards in the recording"));
        }
        self.watch.before(&self.node, at);
        self.played.to = at;
        Ok(())
    }

    fn compare_transmit(&mut self, to: SocketAddr, bytes: Vec<u8>) -> Compared {
        let Some(transmit) = self.node.poll_transmit(self.played.to, &mut self.buffer) else {
            return self.differ(Output::Transmit { to, bytes }, Output::Nothing);
        };
        let replayed = &self.buffer[..transmit.len];
        if (transmit.to, replayed) != (to, &bytes) {
            let replayed = Output::Transmit { to: transmit.to, bytes: replayed.to_vec() };
            return self.differ(Output::Transmit { to, bytes }, replayed);
        }
        self.played.sent.0 += 1;
        self.played.sent.1 += bytes.len() as u64;
        self.watch.on_transmit(&self.node, self.played.to, to, &bytes);
        Ok(())
    }

    /// The driver asked for everything before it went on: there must be nothing left.
    fn settle(&mut self) -> Compared {
        self.all_results_told()?;
        self.all_sent()?;
        match self.node.poll_event() {
            Some(event) => self.differ(Output::Nothing, Output::Event(typed::event_in_words(&event))),
            None => Ok(()),
        }
    }

    fn all_results_told(&mut self) -> Compared {
        match self.result.take() {
            Some(words) => self.differ(Output::Nothing, Output::Result(words)),
            None => Ok(()),
        }
    }

    fn all_sent(&mut self) -> Compared {
        if !std::mem::take(&mut self.is_draining) {
            return Ok(());
        }
        match self.node.poll_transmit(self.played.to, &mut self.buffer) {
            Some(transmit) => {
                let bytes = self.buffer[..transmit.len].to_vec();
                self.differ(Output::Nothing, Output::Transmit { to: transmit.to, bytes })
            }
            None => Ok(()),
        }
    }

    fn differ(&self, recorded: Output, replayed: Output) -> Compared {
        Err(Box::new(Difference { input: self.played.inputs.all, at: self.played.to, recorded, replayed }))
    }
}
