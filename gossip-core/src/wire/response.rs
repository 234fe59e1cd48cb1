//! What is said of queries, directly between their origin and those who were asked.

use super::{Reader, Writer};

/// A word about a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The query's number at its origin.
    pub sequence: u64,
    /// What is said.
    pub part: Part<'a>,
}

/// What is said about a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// To the origin: your query came here.
    Received,
    /// To the origin: this is the application's answer.
    Answer(&'a [u8]),
    /// From the origin: I have it, do not send it again.
    Noted {
        /// The answer; else that the query was received.
        answer: bool,
    },
}

const RECEIVED: u8 = 0;
const ANSWER: u8 = 1;
const RECEIVED_NOTED: u8 = 2;
const ANSWER_NOTED: u8 = 3;

/// The longest answer that a datagram can hold; what is longer cannot have come in one.
const PAYLOAD_MAX: usize = 65_535;

impl<'a> Response<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let (part, sequence) = (reader.u8()?, reader.varint()?);
        let part = match part {
            RECEIVED => Part::Received,
            ANSWER => Part::Answer(reader.string(PAYLOAD_MAX)?),
            RECEIVED_NOTED => Part::Noted { answer: false },
            ANSWER_NOTED => Part::Noted { answer: true },
            _ => return None,
        };
        Some(Self { sequence, part })
    }

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Option<()> {
        writer.u8(match self.part {
            Part::Received => RECEIVED,
            Part::Answer(_) => ANSWER,
            Part::Noted { answer: false } => RECEIVED_NOTED,
            Part::Noted { answer: true } => ANSWER_NOTED,
        })?;
        writer.varint(self.sequence)?;
        if let Part::Answer(payload) = self.part { writer.string(payload) } else { Some(()) }
    }
}
