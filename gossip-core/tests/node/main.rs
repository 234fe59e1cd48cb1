//! One node (or two) by hand. Whole clusters are in the stories of `gossip-sim`.

#[cfg(feature = "keyring")]
mod keyring;
mod limit;
#[cfg(feature = "typed")]
mod recording;
