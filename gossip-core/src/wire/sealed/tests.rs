use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use chacha20poly1305::XChaCha20Poly1305;
use proptest::prelude::{any, prop, proptest};

use super::*;

const CLUSTER: ClusterTag = ClusterTag(0xbeef);
const KEY: Key = Key::new(9, *b"an example key of just 32 bytes.");

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seal<A: Address>(body: &[u8], seal: &Seal, from: &A, to: &A) -> Vec<u8> {
    let mut buffer = vec![0; SEALED_HEADER_LEN + body.len() + TAG_LEN];
    buffer[SEALED_HEADER_LEN..][..body.len()].copy_from_slice(body);
    let key = SenderKey::new(&KEY, from, seal.session);
    let len = key.seal(&mut buffer, body.len(), seal, CLUSTER, to).unwrap();
    assert_eq!(len, buffer.len());
    buffer
}

fn open<A: Address>(bytes: &[u8], from: &A, to: &A) -> Result<Vec<u8>, DecodeError> {
    let seal = Seal::read(bytes, CLUSTER)?;
    let mut opened = vec![0; bytes.len()];
    let len = SenderKey::new(&KEY, from, seal.session).open(bytes, &seal, to, &mut opened)?;
    opened.truncate(len);
    Ok(opened)
}

/// A golden vector may never change once its version is released.
#[test]
fn golden_vector_of_a_sealed_datagram() {
    let (from, to) = (address("10.0.0.7:7400"), address("10.0.0.8:7400"));
    let sealed = seal(b"\x01\x00\x01\x02\x03\x04\x05", &Seal::new(9, 0x1122_3344_5566_7788, 258), &from, &to);
    let expected = "4801beef 09 1122334455667788 000000000102 \
                    5edd6733880986 d2734a5e83fa05335cbb33b441399e12";
    assert_eq!(hex(&sealed), expected.replace(' ', ""));
    assert_eq!(open(&sealed, &from, &to).unwrap(), b"\x01\x00\x01\x02\x03\x04\x05");
}

fn hex(bytes: &[u8]) -> alloc::string::String {
    bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// Key and nonce written down by hand, from the text of this module's head.
#[test]
fn a_short_address_stands_in_the_nonce_and_a_long_one_turns_the_key() {
    let session = 0x0102_0304_0506_0708_u64;
    let by_hand = |key: [u8; 32], front: [u8; 8], to: SocketAddr, sealed: &[u8]| {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&front);
        nonce[8..16].copy_from_slice(&session.to_be_bytes());
        nonce[23] = 77;
        let (header, rest) = sealed.split_at(SEALED_HEADER_LEN);
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>().unwrap();
        let mut encoded = [0; 19];
        let len = to.encode(&mut encoded).unwrap();
        let associated = [header, &encoded[..len]].concat();
        let mut opened = body.to_vec();
        let tag = Array(*tag);
        let cipher = XChaCha20Poly1305::new(&Array(key));
        cipher.decrypt_inout_detached(&Array(nonce), &associated, opened.as_mut_slice().into(), &tag).unwrap();
        opened
    };
    let (v4, v6) = (address("10.0.0.7:7400"), address("[2001:db8::7]:7400"));
    let sealed = seal(b"body", &Seal::new(9, session, 77), &v4, &v6);
    assert_eq!(by_hand(*KEY.secret(), [7, 4, 10, 0, 0, 7, 0x1c, 0xe8], v6, &sealed), b"body");

    let sealed = seal(b"body", &Seal::new(9, session, 77), &v6, &v4);
    let front = [19, 6, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let turned = hchacha::<chacha20::R20>(&Array(*KEY.secret()), &Array(front));
    assert_eq!(by_hand(turned.0, [0, 7, 0x1c, 0xe8, 0, 0, 0, 0], v4, &sealed), b"body");
}

#[test]
fn every_changed_byte_and_every_cut_is_noticed() {
    let (from, to) = (1_u16, 2_u16);
    let sealed = seal(b"some forty bytes of a datagram, or so...", &Seal::new(9, 5, 6), &from, &to);
    assert!(open(&sealed, &from, &to).is_ok());
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let expected = match at {
                0 => DecodeError::Foreign,
                // The next version is read, but what says so must be sealed in.
                1 if changed[1].abs_diff(VERSION) <= 1 && changed[1] > 0 => DecodeError::Forged,
                1 => DecodeError::Version(changed[1]),
                2..4 => DecodeError::Cluster(ClusterTag(u16::from_be_bytes([changed[2], changed[3]]))),
                _ => DecodeError::Forged,
            };
            assert_eq!(open(&changed, &from, &to), Err(expected), "bit {bit} of byte {at}");
        }
    }
    for len in 0..sealed.len() {
        let expected = if len < SEALED_HEADER_LEN + TAG_LEN { DecodeError::Foreign } else { DecodeError::Forged };
        assert_eq!(open(&sealed[..len], &from, &to), Err(expected), "cut to {len}");
    }
}

#[test]
fn it_opens_for_one_pair_of_addresses_only() {
    let sealed = seal(b"body", &Seal::new(9, 5, 6), &1_u16, &2);
    assert_eq!(open(&sealed, &1_u16, &2).unwrap(), b"body");
    for (from, to) in [(3, 2), (1, 3), (2, 1)] {
        assert_eq!(open(&sealed, &from, &to), Err(DecodeError::Forged));
    }
}

#[test]
fn a_buffer_that_is_too_short_is_refused() {
    let key = SenderKey::new(&KEY, &1_u16, 5);
    for len in 0..SEALED_HEADER_LEN + 4 + TAG_LEN {
        assert_eq!(key.seal(&mut vec![0; len], 4, &Seal::new(9, 5, 6), CLUSTER, &2_u16), None, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens(
        body in prop::collection::vec(any::<u8>(), 0..1_400),
        session: u64,
        counter in 0..=COUNTER_MAX,
        key_id: u8,
        from: SocketAddr,
        to: SocketAddr,
    ) {
        let stated = Seal::new(key_id, session, counter);
        let sealed = seal(&body, &stated, &from, &to);
        assert_eq!(Seal::read(&sealed, CLUSTER), Ok(stated));
        assert_eq!(open(&sealed, &from, &to).unwrap(), body);
    }

    /// The nonce is the key's, so all that tells two seals apart must change what comes out.
    #[test]
    fn another_address_session_or_counter_gives_another_key_stream(from: SocketAddr, other: SocketAddr, session: u64, counter in 0..COUNTER_MAX) {
        let body = [0; 32];
        let stream = |from: &SocketAddr, session: u64, counter: u64| {
            seal(&body, &Seal::new(9, session, counter), from, from)[SEALED_HEADER_LEN..][..32].to_vec()
        };
        let one = stream(&from, session, counter);
        assert_ne!(one, stream(&from, session.wrapping_add(1), counter));
        assert_ne!(one, stream(&from, session, counter + 1));
        if from.ip() != other.ip() || from.port() != other.port() {
            assert_ne!(one, stream(&other, session, counter));
        }
    }
}
