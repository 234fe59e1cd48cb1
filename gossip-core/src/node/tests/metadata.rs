//! Metadata beside claims.

use super::*;

/// Every state that can be held of a member × every claim × its metadata older, the same and newer: the claim decides the state,
/// the version decides the metadata, and neither minds the other.
#[test]
fn the_table_of_precedence_of_states_and_metadata_together() {
    let states = [MemberState::Alive, MemberState::Suspect, MemberState::Dead, MemberState::Left];
    let pairs = || states.into_iter().flat_map(|one| states.map(|other| (one, other)));
    for (held, said) in pairs() {
        for (incarnation, version) in
            [4, 5, 6].into_iter().flat_map(|incarnation| [0, 1, 2, 3].map(|v| (incarnation, v)))
        {
            let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
            let born = Update {
                addr: 5,
                claim: Claim { incarnation: 5, state: MemberState::Alive },
                accuser: None,
                metadata: Some(Metadata { version: 2, bytes: b"two" }),
            };
            let held = Claim { incarnation: 5, state: held };
            let claim = Claim { incarnation, state: said };
            let mut hear = |bytes: Vec<u8>| node.handle(NOW, Input::Datagram { from: 7, bytes: &bytes }).unwrap();
            hear(updates([born].into_iter()));
            hear(claims(5, [held].into_iter()));
            let metadata = (version > 0 && said.is_live()).then_some(Metadata { version, bytes: b"told" });
            let accuser = (said == MemberState::Suspect).then_some(8);
            hear(updates([Update { addr: 5, claim, accuser, metadata }].into_iter()));
            let member = node.member(&5).unwrap();
            let expected = if claim.supersedes(held) { claim } else { held };
            assert_eq!(
                (member.incarnation, member.state),
                (expected.incarnation, expected.state),
                "{held:?} {claim:?}"
            );
            // Of equal versions the greater bytes win: "two" against "told".
            let newer = metadata.is_some() && version > 2;
            let expected = if newer { (3, &b"told"[..]) } else { (2, &b"two"[..]) };
            assert_eq!((member.metadata_version, member.metadata), expected, "{held:?} {claim:?} {version}");
        }
    }
}

#[test]
fn metadata_that_are_too_long_do_not_make_their_claim_unheard() {
    let mut node = Node::new(NOW, Config { metadata_max: 3, ..Config::lan() }, &Setup::new(1_u16)).unwrap();
    let long = Update {
        addr: 5,
        claim: Claim { incarnation: 1, state: MemberState::Alive },
        accuser: None,
        metadata: Some(Metadata { version: 1, bytes: b"four" }),
    };
    node.handle(NOW, Input::Datagram { from: 7, bytes: &updates([long].into_iter()) }).unwrap();
    let member = node.member(&5).unwrap();
    assert_eq!((member.incarnation, member.metadata_version), (1, 0));
    assert_eq!(node.counters().metadata_refused, 1);
}
