//! Claims about members on the wire.

use super::delta::Previous;
use super::{Reader, Writer};
use crate::address::Address;
use crate::member::{Claim, INCARNATION_MAX, METADATA_MAX, MemberState, Metadata};

/// A claim about a member, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a, A> {
    /// About whom.
    pub addr: A,
    /// What.
    pub claim: Claim,
    /// Who suspects it; present exactly for `Suspect`.
    pub accuser: Option<A>,
    /// Its metadata, of a version above 0; only of a live member. Absent: nothing is said of them.
    pub metadata: Option<Metadata<'a>>,
}

pub(super) const TAG_UPDATE: u8 = 0b0100_0000;
const DELTA: u8 = 0b10_0000;
const HAS_METADATA: u8 = 0b1000;
const HAS_INCARNATION: u8 = 0b100;

pub(super) fn read_incarnation(reader: &mut Reader<'_>) -> Option<u32> {
    reader.varint32().filter(|&incarnation| incarnation <= INCARNATION_MAX)
}

#[inline]
pub(super) fn is_update(tag: u8) -> bool {
    tag & 0b1101_0000 == TAG_UPDATE
}

#[inline]
pub(super) fn read_update<'a, A: Address, const CHECKED: bool>(
    tag: u8,
    reader: &mut Reader<'a>,
    previous: &mut Previous,
) -> Option<Update<'a, A>> {
    let state = match tag & 0b11 {
        0 => MemberState::Alive,
        1 => MemberState::Suspect,
        2 => MemberState::Dead,
        _ => MemberState::Left,
    };
    let addr =
        if tag & DELTA == 0 { previous.read_plain(reader)? } else { previous.read_delta::<A, CHECKED>(reader)? };
    let incarnation = if tag & HAS_INCARNATION == 0 {
        0
    } else {
        // A zero has the shorter form without the field.
        read_incarnation(reader).filter(|&incarnation| incarnation > 0)?
    };
    let accuser = if state == MemberState::Suspect { Some(reader.address()?) } else { None };
    let metadata = if tag & HAS_METADATA == 0 {
        None
    } else if state.is_live() {
        // Version 0 has the shorter form without the field.
        let version = reader.varint32().filter(|&version| version > 0)?;
        Some(Metadata { version, bytes: reader.string(METADATA_MAX)? })
    } else {
        return None;
    };
    Some(Update { addr, claim: Claim { incarnation, state }, accuser, metadata })
}

pub(super) fn write_update<A: Address>(
    writer: &mut Writer<'_>,
    update: &Update<'_, A>,
    previous: &Previous,
) -> Option<Previous> {
    let Claim { incarnation, state } = update.claim;
    let metadata = update.metadata.filter(|metadata| state.is_live() && metadata.version > 0);
    let coded = previous.code(&update.addr)?;
    let tag = TAG_UPDATE
        | state as u8
        | if coded.shared.is_some() { DELTA } else { 0 }
        | if incarnation > 0 { HAS_INCARNATION } else { 0 }
        | if metadata.is_some() { HAS_METADATA } else { 0 };
    writer.u8(tag)?;
    let next = coded.write(writer, &update.addr)?;
    if incarnation > 0 {
        writer.varint(u64::from(incarnation))?;
    }
    if state == MemberState::Suspect {
        // A suspicion without an accuser is one's own: the suspect stands for it, who can be no accuser.
        writer.address(update.accuser.as_ref().unwrap_or(&update.addr))?;
    }
    if let Some(Metadata { version, bytes }) = metadata {
        writer.varint(u64::from(version))?;
        writer.string(bytes)?;
    }
    Some(next)
}
