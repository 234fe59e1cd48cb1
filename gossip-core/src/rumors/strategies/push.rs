//! Push: who has something to tell calls k random members and tells them.

use super::{Targets, View};
use crate::address::Address;

pub(super) fn round<A: Address>(fanout: u8, view: &View<'_, A>, targets: &mut Targets<'_>) -> bool {
    targets.random(view, if view.news { fanout } else { 0 }, None);
    false
}
