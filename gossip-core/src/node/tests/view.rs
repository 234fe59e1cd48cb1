//! Nodes that begin with a view.

use super::*;
use crate::view::SharedView;

#[test]
fn a_view_must_keep_to_the_bounds_of_the_node() {
    let setups = [Setup { metadata: b"12345", ..Setup::new(1_u16) }, Setup::new(2), Setup::new(3)];
    let view = SharedView::new(setups).unwrap();
    let with = |config| Node::with_view(NOW, config, &setups[2], &view);
    let name = |config| with(config).unwrap_err().name;
    assert_eq!(name(Config { members_max: 2, ..Config::lan() }), "members_max");
    assert_eq!(name(Config { metadata_max: 4, ..Config::lan() }), "metadata_max");
    let node = with(Config { members_max: 3, metadata_max: 5, ..Config::lan() }).unwrap();
    assert_eq!(node.members().map(|member| member.addr).collect::<Vec<_>>(), [3, 1, 2]);
    assert_eq!(node.member(&1).unwrap().metadata, b"12345");
    let above = Setup { incarnation: INCARNATION_MAX + 1, ..Setup::new(4) };
    assert_eq!(SharedView::new([above]).unwrap_err().name, "incarnation");
}
