use alloc::vec::Vec;
use core::net::SocketAddr;

use proptest::prelude::{Strategy, any, prop, proptest};

use super::*;

const CLUSTER: ClusterTag = ClusterTag(0xbeef);

/// What a snapshot tells, in values.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    local: SocketAddr,
    incarnation: u32,
    next_sequence: u64,
    metadata: (u32, Vec<u8>),
    seeds: Vec<SocketAddr>,
    members: Vec<SocketAddr>,
    horizon: Option<Duration>,
    seen: Vec<Remembered<SocketAddr>>,
}

impl Told {
    fn compose(&self) -> Vec<u8> {
        let mut out = b"what was there before".to_vec();
        let mut composer = Composer::begin(&mut out, CLUSTER);
        let metadata = Metadata { version: self.metadata.0, bytes: &self.metadata.1 };
        composer.node(self.local, self.incarnation, self.next_sequence, metadata);
        composer.addresses(self.seeds.iter().copied());
        composer.addresses(self.members.iter().copied());
        composer.seen(self.horizon, self.seen.iter().copied());
        composer.finish();
        out.split_off(21)
    }

    fn of(snapshot: &Snapshot<'_, SocketAddr>) -> Self {
        Self {
            local: snapshot.local,
            incarnation: snapshot.incarnation,
            next_sequence: snapshot.next_sequence,
            metadata: (snapshot.metadata.version, snapshot.metadata.bytes.to_vec()),
            seeds: snapshot.seeds().collect(),
            members: snapshot.members().collect(),
            horizon: snapshot.horizon,
            seen: snapshot.seen().collect(),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Snapshot<'_, SocketAddr>, SnapshotError> {
    Snapshot::parse(bytes)
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn small() -> Told {
    let ms = Duration::from_millis;
    let remembered = |origin, sequence, remaining, age| Remembered {
        id: EventId { origin: addr(origin), sequence },
        remaining: ms(remaining),
        age: ms(age),
    };
    Told {
        local: addr("10.0.0.1:7400"),
        incarnation: 3,
        next_sequence: 300,
        metadata: (2, b"m".to_vec()),
        seeds: alloc::vec![addr("10.0.0.9:7400")],
        members: ["10.0.0.2:7400", "10.0.0.3:7400", "[::1]:7400"].map(addr).to_vec(),
        horizon: Some(ms(5)),
        seen: alloc::vec![
            remembered("10.0.0.2:7400", 7, 1_000, 200),
            remembered("10.0.0.2:7400", 6, 1_064, 199),
            remembered("10.0.0.3:7400", u64::MAX, 1_064, 0),
        ],
    }
}

/// What version 1 looks like. It may never change once a version is released.
#[test]
fn golden_vector_of_version_1() {
    let bytes = small().compose();
    let expected = "68736e70 01 beef 00000067 d639efac \
                    040a0000011ce8 03 ac02 02 01 6d \
                    00000001 00 040a0000091ce8 \
                    00000003 00 040a0000021ce8 42 03 00 06 00000000000000000000000000000001 1ce8 \
                    06 00000003 00 040a0000021ce8 0e d00f 9003 \
                    70 01 8001 01 \
                    42 03 0d 00 8d03";
    let hex: std::string::String = bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
    assert_eq!(hex, expected.replace(' ', ""));
    assert_eq!(Told::of(&parse(&bytes).unwrap()), small());
}

#[test]
fn each_reason_to_refuse_is_told_apart() {
    let good = small().compose();
    let error = |bytes: &[u8]| parse(bytes).unwrap_err();
    for len in 0..good.len() {
        let expected = match len {
            0..5 => SnapshotError::Foreign,
            5..15 => SnapshotError::Length { len, stated: 15 },
            _ => SnapshotError::Length { len, stated: good.len() },
        };
        assert_eq!(error(&good[..len]), expected);
    }
    let longer = [&good[..], &[0]].concat();
    assert_eq!(error(&longer), SnapshotError::Length { len: good.len() + 1, stated: good.len() });
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            match error(&bytes) {
                SnapshotError::Foreign => assert!(at < 4),
                SnapshotError::Version(version) => assert!(at == 4 && version == bytes[4]),
                SnapshotError::Length { .. } => assert!((7..11).contains(&at)),
                SnapshotError::Damaged => assert!(!(7..11).contains(&at) && at > 4),
                other => panic!("{other:?} for byte {at}"),
            }
        }
    }
}

fn reseal(bytes: &mut [u8]) {
    let len = (bytes.len() as u32).to_be_bytes();
    bytes[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&len);
    let checksum = crc(bytes).to_be_bytes();
    bytes[CHECKSUM_AT..BODY_AT].copy_from_slice(&checksum);
}

#[test]
fn forged_counts_and_trailing_bytes_are_malformed() {
    let good = small().compose();
    let mut trailing = [&good[..], &[0]].concat();
    reseal(&mut trailing);
    assert_eq!(parse(&trailing).unwrap_err(), SnapshotError::Malformed);
    // The number of seeds stands behind 13 bytes of the node.
    let mut forged = good.clone();
    forged[BODY_AT + 13..BODY_AT + 17].copy_from_slice(&[0xff; 4]);
    reseal(&mut forged);
    assert_eq!(parse(&forged).unwrap_err(), SnapshotError::Malformed);
}

fn arb_addr() -> impl Strategy<Value = SocketAddr> {
    any::<(bool, [u8; 2], bool)>().prop_map(|(v6, [a, b], port)| {
        let port = if port { 7400 } else { 9 };
        if v6 { SocketAddr::from(([a.into(), 0, 0, 0, 0, 0, 0, b.into()], port)) } else { ([10, a, 0, b], port).into() }
    })
}

fn arb_told() -> impl Strategy<Value = Told> {
    let addresses = || prop::collection::vec(arb_addr(), 0..8);
    let remembered =
        (arb_addr(), any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(origin, sequence, left, age)| {
            let [remaining, age] = [left, age].map(|ms| Duration::from_millis(ms.into()));
            Remembered { id: EventId { origin, sequence }, remaining, age }
        });
    let node = (arb_addr(), 0..=INCARNATION_MAX, any::<u64>(), any::<(u32, Vec<u8>)>());
    let horizon = any::<Option<u32>>().prop_map(|age| age.map(|ms| Duration::from_millis(ms.into())));
    (node, addresses(), addresses(), horizon, prop::collection::vec(remembered, 0..8)).prop_map(
        |((local, incarnation, next_sequence, mut metadata), seeds, members, horizon, seen)| {
            metadata.1.truncate(METADATA_MAX);
            Told { local, incarnation, next_sequence, metadata, seeds, members, horizon, seen }
        },
    )
}

proptest! {
    #[test]
    fn what_is_composed_is_parsed(told in arb_told()) {
        assert_eq!(Told::of(&parse(&told.compose()).unwrap()), told);
    }

    /// Whatever parses is exactly what composing makes of it, and nothing panics on the way.
    #[test]
    fn what_is_parsed_is_composed_the_same(
        told in arb_told(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        shorten: bool,
    ) {
        let mut bytes = told.compose();
        for (at, value) in changes {
            let at = BODY_AT + at.index(bytes.len() - BODY_AT);
            bytes[at] = value;
        }
        if shorten {
            bytes.truncate(BODY_AT + cut.index(bytes.len() - BODY_AT));
        }
        reseal(&mut bytes);
        if let Ok(snapshot) = parse(&bytes) {
            assert_eq!(Told::of(&snapshot).compose(), bytes);
        }
    }

    #[test]
    fn foreign_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        assert!(parse(&bytes).is_err());
    }
}
