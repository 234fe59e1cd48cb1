//! Stories of clusters in virtual time, told in a small vocabulary: build, link, block, pause, crash, run for, expect.

#![allow(unreachable_pub, reason = "a test has no outside")]

mod network;
mod stories_coordinates;
mod stories_events;
mod stories_failure;
mod stories_hostile;
#[cfg(feature = "keyring")]
mod stories_keyring;
mod stories_lab;
mod stories_limit;
mod stories_membership;
mod stories_order;
mod stories_queries;
mod stories_reconfigure;
mod stories_recording;
mod stories_restart;
mod stories_rtt;
mod stories_trouble;
