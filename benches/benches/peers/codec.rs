//! A hand-written binary codec for foca: 7 bytes of address, 2 of incarnation, 1 of state.

use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member, Message as FocaMessage, State};

/// What a datagram of these benches cannot hold.
#[derive(Debug)]
pub(crate) struct CodecError;

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut off, or a message that these benches do not send")
    }
}

impl std::error::Error for CodecError {}

/// A binary codec for foca.
pub(crate) struct Binary;

impl Binary {
    pub(crate) fn put(addr: SocketAddrV4, buf: &mut impl BufMut) {
        buf.put_slice(&addr.ip().octets());
        buf.put_u16(addr.port());
    }

    fn get(buf: &mut impl Buf) -> Result<SocketAddrV4, CodecError> {
        if buf.remaining() < 6 {
            return Err(CodecError);
        }
        Ok(SocketAddrV4::new(Ipv4Addr::from(buf.get_u32()), buf.get_u16()))
    }
}

impl Codec<SocketAddrV4> for Binary {
    type Error = CodecError;

    fn encode_header(&mut self, header: &Header<SocketAddrV4>, mut buf: impl BufMut) -> Result<(), CodecError> {
        Self::put(header.src, &mut buf);
        buf.put_u16(header.src_incarnation);
        Self::put(header.dst, &mut buf);
        match header.message {
            FocaMessage::Ping(number) => buf.put_slice(&[1, number]),
            FocaMessage::Ack(number) => buf.put_slice(&[2, number]),
            FocaMessage::Gossip => buf.put_slice(&[3, 0]),
            FocaMessage::PingReq { target, probe_number } => {
                buf.put_slice(&[4, probe_number]);
                Self::put(target, &mut buf);
            }
            _ => return Err(CodecError),
        }
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<SocketAddrV4>, CodecError> {
        let src = Self::get(&mut buf)?;
        if buf.remaining() < 10 {
            return Err(CodecError);
        }
        let src_incarnation = buf.get_u16();
        let dst = Self::get(&mut buf)?;
        let message = match (buf.get_u8(), buf.get_u8()) {
            (1, number) => FocaMessage::Ping(number),
            (2, number) => FocaMessage::Ack(number),
            (3, _) => FocaMessage::Gossip,
            _ => return Err(CodecError),
        };
        Ok(Header { src, src_incarnation, dst, message })
    }

    fn encode_member(&mut self, member: &Member<SocketAddrV4>, mut buf: impl BufMut) -> Result<(), CodecError> {
        if buf.remaining_mut() < 9 {
            return Err(CodecError);
        }
        Self::put(*member.id(), &mut buf);
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<SocketAddrV4>, CodecError> {
        let id = Self::get(&mut buf)?;
        if buf.remaining() < 3 {
            return Err(CodecError);
        }
        let incarnation = buf.get_u16();
        let state = match buf.get_u8() {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(CodecError),
        };
        Ok(Member::new(id, incarnation, state))
    }
}
