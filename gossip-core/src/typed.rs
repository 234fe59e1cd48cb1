//! Typed payloads, and recordings of a node's inputs, in bincode 2 (feature `typed`).
//!
//! Datagrams have a codec of their own ([`crate::wire`]); nothing here reads them. Every decoding is under a limit: a forged
//! length cannot make it allocate more than [`LIMIT`] bytes.
//!
//! [`record`] and [`replay`] are for whoever keeps the inputs of a node in memory. [`Recording`] is the whole life of a node as a
//! stream: its birth, its inputs and what came of them, for a file that is written while the node runs and survives it.

mod birth;
mod recording;
mod words;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::config::Config;
use crate::io::{Command, Input};
#[cfg(feature = "keyring")]
use crate::keyring::{Key, Keyring, Plain};
use crate::options::{EventOptions, Priority, QueryOptions};
use crate::rumors::EventId;
use crate::time::Instant;

pub use birth::{Birth, BirthError, Labels, RecordedSnapshot};
pub use recording::{CHUNK_MAX, Ending, Entry, MAGIC, Reader, Recording, STREAM_VERSION, StreamError};
pub use words::{event_in_words, result_in_words};

/// The most bytes that one value takes, encoded or decoded.
pub const LIMIT: usize = 1 << 17;

const CONFIG: Configuration<LittleEndian, Varint, Limit<LIMIT>> = bincode::config::standard().with_limit::<LIMIT>();

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedError {
    /// The value cannot be written, for example because it is larger than [`LIMIT`].
    Encode,
    /// The bytes are not such a value.
    Decode,
    /// The bytes go on after the value.
    Trailing {
        /// How many are too many.
        bytes: usize,
    },
    /// The recording sets a keyring, and not all of its keys are here: no secret is recorded. See `replay_with_keys`.
    Keyring,
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode => write!(f, "the value cannot be encoded into {LIMIT} bytes"),
            Self::Decode => f.write_str("the bytes are not a value of this type"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the value"),
            Self::Keyring => f.write_str("the recording sets a keyring whose keys were not given"),
        }
    }
}

impl core::error::Error for TypedError {}

/// The bytes of a value, for the payload of an event or a message.
///
/// # Errors
/// [`TypedError::Encode`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, TypedError> {
    let bytes = bincode::serde::encode_to_vec(value, CONFIG).map_err(|_| TypedError::Encode)?;
    if bytes.len() <= LIMIT { Ok(bytes) } else { Err(TypedError::Encode) }
}

/// The value in `bytes`, which must be just that value.
///
/// # Errors
/// [`TypedError::Decode`] and [`TypedError::Trailing`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TypedError> {
    match decode_front(bytes)? {
        (value, len) if len == bytes.len() => Ok(value),
        (_, len) => Err(TypedError::Trailing { bytes: bytes.len() - len }),
    }
}

fn decode_front<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), TypedError> {
    bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|_| TypedError::Decode)
}

/// An input with its time, as it is recorded. Addresses are in their wire form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// When, in nanoseconds since the driver's origin.
    pub at_ns: u64,
    /// What.
    pub input: RecordedInput,
}

/// See [`Input`] and [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of Input and Command")]
pub enum RecordedInput {
    Datagram {
        from: Vec<u8>,
        bytes: Vec<u8>,
    },
    Timeout,
    Join {
        seeds: Vec<Vec<u8>>,
    },
    Leave,
    StartEvent {
        payload: Vec<u8>,
        priority: u8,
        lifetime: Option<Duration>,
        ordered: bool,
    },
    StartQuery {
        payload: Vec<u8>,
        deadline: Duration,
        priority: u8,
        receipts: bool,
    },
    Respond {
        origin: Vec<u8>,
        sequence: u64,
        payload: Vec<u8>,
    },
    Send {
        to: Vec<u8>,
        payload: Vec<u8>,
    },
    SetMetadata {
        metadata: Vec<u8>,
    },
    /// The ids only: no secret is ever written.
    SetKeyring {
        keyring: Option<RecordedKeyring>,
    },
    Reconfigure {
        config: Box<Config>,
    },
}

/// What is recorded of a keyring (feature `keyring`): enough to find the same keys again, for whoever has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedKeyring {
    /// Ids of the keys, that of the sealing one first.
    pub ids: Vec<u8>,
    /// The rule for plain datagrams: 0 refused, 1 accepted, 2 sent.
    pub plain: u8,
}

#[cfg(feature = "keyring")]
impl From<&Keyring> for RecordedKeyring {
    fn from(keyring: &Keyring) -> Self {
        Self { ids: keyring.ids().collect(), plain: keyring.plain() as u8 }
    }
}

/// Appends an input to a recording.
///
/// # Errors
/// [`TypedError::Encode`]; the recording is as before.
pub fn record<A: Address>(recording: &mut Vec<u8>, now: Instant, input: &Input<'_, A>) -> Result<(), TypedError> {
    recording.extend_from_slice(&encode(&recorded(now, input)?)?);
    Ok(())
}

fn recorded<A: Address>(now: Instant, input: &Input<'_, A>) -> Result<Recorded, TypedError> {
    let input = match *input {
        Input::Datagram { from, bytes } => RecordedInput::Datagram { from: address(&from)?, bytes: bytes.into() },
        Input::Timeout => RecordedInput::Timeout,
        Input::Command(Command::Join { seeds }) => {
            RecordedInput::Join { seeds: seeds.iter().map(address).collect::<Result<_, _>>()? }
        }
        Input::Command(Command::Leave) => RecordedInput::Leave,
        Input::Command(Command::StartEvent { payload, options }) => {
            let EventOptions { priority, lifetime, ordered } = options;
            RecordedInput::StartEvent { payload: payload.into(), priority: priority.bits(), lifetime, ordered }
        }
        Input::Command(Command::StartQuery { payload, deadline, options }) => {
            let QueryOptions { priority, receipts } = options;
            RecordedInput::StartQuery { payload: payload.into(), deadline, priority: priority.bits(), receipts }
        }
        Input::Command(Command::Respond { id, payload }) => {
            let EventId { origin, sequence } = id;
            RecordedInput::Respond { origin: address(&origin)?, sequence, payload: payload.into() }
        }
        Input::Command(Command::Send { to, payload }) => {
            RecordedInput::Send { to: address(&to)?, payload: payload.into() }
        }
        Input::Command(Command::SetMetadata { metadata }) => RecordedInput::SetMetadata { metadata: metadata.into() },
        Input::Command(Command::Reconfigure { config }) => {
            RecordedInput::Reconfigure { config: Box::new(config.clone()) }
        }
        #[cfg(feature = "keyring")]
        Input::Command(Command::SetKeyring { keyring }) => {
            RecordedInput::SetKeyring { keyring: keyring.map(RecordedKeyring::from) }
        }
    };
    Ok(Recorded { at_ns: now.as_nanos(), input })
}

/// Reads a recording and hands every input to `play`, in order. A cut-off last input ends it with an error.
///
/// # Errors
/// [`TypedError::Decode`] and [`TypedError::Keyring`], after everything before was played.
pub fn replay<A: Address>(recording: &[u8], play: impl FnMut(Instant, Input<'_, A>)) -> Result<(), TypedError> {
    play_all(recording, &[], play)
}

/// As [`replay`], for a recording in which keyrings are set: `keys` are all that were ever in them.
///
/// # Errors
/// As [`replay`].
#[cfg(feature = "keyring")]
pub fn replay_with_keys<A: Address>(
    recording: &[u8],
    keys: &[Key],
    play: impl FnMut(Instant, Input<'_, A>),
) -> Result<(), TypedError> {
    play_all(recording, keys, play)
}

/// A key where there are keys (feature `keyring`), and nothing at all where there are none.
#[cfg(feature = "keyring")]
pub type AnyKey = Key;
/// A key where there are keys (feature `keyring`), and nothing at all where there are none.
#[cfg(not(feature = "keyring"))]
pub type AnyKey = core::convert::Infallible;

fn play_all<A: Address>(
    mut recording: &[u8],
    keys: &[AnyKey],
    mut play: impl FnMut(Instant, Input<'_, A>),
) -> Result<(), TypedError> {
    while !recording.is_empty() {
        let (recorded, len) = decode_front::<Recorded>(recording)?;
        recording = &recording[len..];
        recorded.play(keys, &mut play)?;
    }
    Ok(())
}

impl Recorded {
    /// Hands the input to `play` with its time. `keys` are all keys that were ever in a keyring.
    ///
    /// # Errors
    /// [`TypedError::Decode`] and [`TypedError::Keyring`]; it was not played then.
    pub fn play<A: Address, T>(
        &self,
        keys: &[AnyKey],
        play: impl FnOnce(Instant, Input<'_, A>) -> T,
    ) -> Result<T, TypedError> {
        let seeds: Vec<A>;
        #[cfg(feature = "keyring")]
        let ring: Option<Keyring>;
        let input = match &self.input {
            RecordedInput::Datagram { from, bytes } => Input::Datagram { from: parse(from)?, bytes },
            RecordedInput::Timeout => Input::Timeout,
            RecordedInput::Join { seeds: encoded } => {
                seeds = encoded.iter().map(|bytes| parse(bytes)).collect::<Result<_, _>>()?;
                Input::Command(Command::Join { seeds: &seeds })
            }
            RecordedInput::Leave => Input::Command(Command::Leave),
            &RecordedInput::StartEvent { ref payload, priority, lifetime, ordered } => {
                let options = EventOptions { priority: Priority::from_bits(priority), lifetime, ordered };
                Input::Command(Command::StartEvent { payload, options })
            }
            &RecordedInput::StartQuery { ref payload, deadline, priority, receipts } => {
                let options = QueryOptions { priority: Priority::from_bits(priority), receipts };
                Input::Command(Command::StartQuery { payload, deadline, options })
            }
            RecordedInput::Respond { origin, sequence, payload } => {
                let id = EventId { origin: parse(origin)?, sequence: *sequence };
                Input::Command(Command::Respond { id, payload })
            }
            RecordedInput::Send { to, payload } => Input::Command(Command::Send { to: parse(to)?, payload }),
            RecordedInput::SetMetadata { metadata } => Input::Command(Command::SetMetadata { metadata }),
            RecordedInput::Reconfigure { config } => Input::Command(Command::Reconfigure { config }),
            #[cfg(feature = "keyring")]
            RecordedInput::SetKeyring { keyring } => {
                ring = keyring.as_ref().map(|recorded| find_keys(recorded, keys)).transpose()?;
                Input::Command(Command::SetKeyring { keyring: ring.as_ref() })
            }
            #[cfg(not(feature = "keyring"))]
            RecordedInput::SetKeyring { .. } => {
                let _: &[AnyKey] = keys;
                return Err(TypedError::Keyring);
            }
        };
        Ok(play(Instant::from_nanos(self.at_ns), input))
    }
}

#[cfg(feature = "keyring")]
fn find_keys(recorded: &RecordedKeyring, keys: &[Key]) -> Result<Keyring, TypedError> {
    let find = |&id: &u8| keys.iter().find(|key| key.id() == id).cloned();
    let keys: Option<Vec<Key>> = recorded.ids.iter().map(find).collect();
    let plain = match recorded.plain {
        0 => Plain::Refused,
        1 => Plain::Accepted,
        2 => Plain::Sent,
        _ => return Err(TypedError::Decode),
    };
    let keyring = Keyring::new(&keys.ok_or(TypedError::Keyring)?).map_err(|_| TypedError::Decode)?;
    Ok(keyring.with_plain(plain))
}

fn address<A: Address>(address: &A) -> Result<Vec<u8>, TypedError> {
    let mut buffer = alloc::vec![0; A::ENCODED_MAX];
    let len = address.encode(&mut buffer).ok_or(TypedError::Encode)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn parse<A: Address>(bytes: &[u8]) -> Result<A, TypedError> {
    A::decode(bytes).filter(|(_, len)| *len == bytes.len()).map(|(address, _)| address).ok_or(TypedError::Decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_length_does_not_allocate() {
        // A vector that claims 2^62 elements.
        let mut forged = alloc::vec![253];
        forged.extend_from_slice(&(1_u64 << 62).to_le_bytes());
        assert_eq!(decode::<Vec<u8>>(&forged), Err(TypedError::Decode));
        assert_eq!(decode::<Vec<u64>>(&forged), Err(TypedError::Decode));
    }

    #[test]
    fn values_come_back_and_trailing_bytes_are_refused() {
        let value = (7_u32, alloc::string::String::from("seven"), Some(-7_i64));
        let mut bytes = encode(&value).unwrap();
        assert_eq!(decode(&bytes), Ok(value));
        bytes.push(0);
        assert_eq!(decode::<(u32, alloc::string::String, Option<i64>)>(&bytes), Err(TypedError::Trailing { bytes: 1 }));
        assert_eq!(encode(&alloc::vec![1_u8; LIMIT + 1]), Err(TypedError::Encode));
    }
}
