//! Members by name.

use alloc::vec;

use super::*;
use crate::name::with_name;
use crate::view::SharedView;

fn named(addr: u16, name: &str, version: u32, state: MemberState) -> Vec<u8> {
    let bytes = with_name(name, b"rest").unwrap();
    let metadata = Some(Metadata { version, bytes: &bytes }).filter(|_| state == MemberState::Alive);
    let claim = Claim { incarnation: version, state };
    updates([Update { addr, claim, accuser: None, metadata }].into_iter())
}

fn conflicts(node: &mut Node<u16>) -> Vec<(u16, u16)> {
    let conflict = |event| match event {
        Event::NameConflict { addr, other } => Some((addr, other)),
        _ => None,
    };
    core::iter::from_fn(|| node.poll_event()).filter_map(conflict).collect()
}

fn who(node: &Node<u16>, name: &str) -> Vec<u16> {
    node.members_named(name).inspect(|member| assert_eq!(member.name(), Some(name))).map(|member| member.addr).collect()
}

#[test]
fn members_are_found_by_name_as_it_changes_and_two_with_one_are_told_of() {
    let config = Config { names: true, ..Config::lan() };
    let own = with_name("one", b"").unwrap();
    let mut node = Node::new(NOW, config, &Setup { metadata: &own, ..Setup::new(1_u16) }).unwrap();
    let hear = |node: &mut Node<u16>, now, bytes: &[u8]| {
        node.handle(now, Input::Datagram { from: 2, bytes }).unwrap();
        conflicts(node)
    };
    assert_eq!(who(&node, "one"), [1]);
    for (addr, name) in [(2, "two"), (3, "three"), (4, "four")] {
        assert_eq!(hear(&mut node, NOW, &named(addr, name, 1, MemberState::Alive)), []);
    }
    assert_eq!((who(&node, "three"), who(&node, "thre")), (vec![3], vec![]));
    assert_eq!(hear(&mut node, NOW, &named(4, "three", 2, MemberState::Alive)), [(4, 3)]);
    assert_eq!((who(&node, "three"), who(&node, "four")), (vec![3, 4], vec![]));
    assert_eq!(hear(&mut node, NOW, &named(4, "three", 2, MemberState::Alive)), [], "told once");
    assert_eq!(hear(&mut node, NOW, &named(5, "one", 1, MemberState::Alive)), [(5, 1)], "this node's own");

    // The dead keep their name as long as they are remembered, but stand in nobody's way.
    assert_eq!(hear(&mut node, NOW, &named(3, "three", 2, MemberState::Dead)), []);
    assert_eq!(who(&node, "three"), [3, 4]);
    node.handle(NOW, Input::Command(Command::SetMetadata { metadata: &with_name("new", b"").unwrap() })).unwrap();
    assert_eq!((conflicts(&mut node), who(&node, "one"), who(&node, "new")), (vec![], vec![5], vec![1]));
    assert_eq!(hear(&mut node, NOW, &named(3, "three", 3, MemberState::Alive)), [(3, 4)], "back to life");
    assert_eq!(hear(&mut node, NOW, &named(3, "three", 3, MemberState::Left)), []);
    let later = NOW + node.config().tombstone_lifetime;
    node.handle(later, Input::Timeout).unwrap();
    assert_eq!(who(&node, "three"), [4]);
    // The next takes the slot and not the name.
    let claim = Claim { incarnation: 0, state: MemberState::Alive };
    hear(&mut node, later, &claims(9, [claim].into_iter()));
    assert_eq!((node.member(&9).unwrap().name(), who(&node, "three")), (None, vec![4]));
}

#[test]
fn without_an_index_nobody_is_found_and_metadata_are_what_they_are() {
    let mut node = Node::new(NOW, Config::lan(), &Setup::new(1_u16)).unwrap();
    for addr in [2, 3] {
        node.handle(NOW, Input::Datagram { from: 2, bytes: &named(addr, "same", 1, MemberState::Alive) }).unwrap();
    }
    assert_eq!((conflicts(&mut node), who(&node, "same")), (vec![], vec![]));
    assert_eq!(node.member(&3).unwrap().metadata, b"\x04samerest");
}

#[test]
fn the_names_of_a_view_are_known_from_birth() {
    let names: Vec<_> = ["one", "two", "three"].map(|name| with_name(name, b"").unwrap()).to_vec();
    let setups = [0, 1, 2].map(|i| Setup { metadata: &names[usize::from(i)], ..Setup::new(1 + i) });
    let view = SharedView::new(setups).unwrap();
    let node = Node::with_view(NOW, Config { names: true, ..Config::lan() }, &setups[1], &view).unwrap();
    assert_eq!(["one", "two", "three"].map(|name| who(&node, name)), [vec![1], vec![2], vec![3]]);
}
