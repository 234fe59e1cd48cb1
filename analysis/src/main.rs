//! The command `gossip-analysis`.
fn main() {}
