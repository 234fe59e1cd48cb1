//! Counts of everything that is dropped, refused, bounded or repaired.

use alloc::boxed::Box;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Cumulative counts since the node was made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Names and counts, in a fixed order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

/// Splits the counts as a node keeps them.
macro_rules! split {
    (hot: { $($hot:ident,)* } cold: { $($cold:ident,)* }) => {
        /// The counts as a node keeps them: what counts in a healthy cluster at hand, the rest from the first of it on.
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $(pub(crate) $hot: u64,)*
            cold: Option<Box<Cold>>,
        }

        /// What a healthy cluster does not count, or seldom.
        #[derive(Debug, Default)]
        pub(crate) struct Cold {
            $(pub(crate) $cold: u64,)*
        }

        impl Counts {
            /// All of them but the datagrams that were accepted, which the node counts where it is always at work.
            pub(crate) fn total(&self) -> Counters {
                let hot = Counters { $($hot: self.$hot,)* ..Counters::default() };
                match &self.cold {
                    Some(cold) => Counters { $($cold: cold.$cold,)* ..hot },
                    None => hot,
                }
            }
        }
    };
}

counters! {
    /// Datagrams accepted.
    datagrams_accepted,
    /// Datagrams accepted from nodes that speak the next version of the wire format; what is new in it was passed over.
    datagrams_newer_version,
    /// Datagrams that are not of this protocol.
    datagrams_foreign,
    /// Datagrams of a wire version that this node does not read.
    datagrams_other_version,
    /// Datagrams of another cluster.
    datagrams_other_cluster,
    /// Datagrams whose checksum does not match.
    datagrams_damaged,
    /// Datagrams that are well checksummed and yet not allowed.
    datagrams_malformed,
    /// Datagrams that claim to come from this node's own address, and those that come after it left.
    datagrams_ignored,
    /// Sealed datagrams that came to this node without a keyring.
    datagrams_sealed,
    /// Datagrams that are not sealed, refused by the keyring.
    datagrams_plain,
    /// Sealed datagrams whose key is not in the keyring.
    datagrams_unknown_key,
    /// Sealed datagrams that do not open: changed, sealed with another key of the same id, sent from another address than they
    /// were sealed at, or meant for another receiver. A node that calls itself otherwise than the others call it sees these.
    datagrams_forged,
    /// Sealed datagrams that came before, or of which that cannot be told any more; and those of a former life of their sender.
    datagrams_replayed,
    /// Sealed datagrams of new senders for whose counters there was no room.
    senders_refused,
    /// Senders whose counters were forgotten because of the bound.
    senders_evicted,
    /// Datagrams not sent because this node has used up its counter.
    transmits_unsealed,
    /// Datagrams that could not be encoded into the driver's buffer.
    transmits_unencodable,
    /// Calls of gossip rounds, and those that tell events on at once, not made because the limit on datagrams per second held
    /// others back.
    calls_withheld,
    /// Messages refused because too many wait to be sent.
    transmits_refused,
    /// Claims about members that changed something.
    updates_applied,
    /// Claims about members that were known already or outdated.
    updates_stale,
    /// Claims about members that were told no further, since as many members as were met in a row knew them.
    updates_settled,
    /// Claims about new members refused because the table is full.
    members_refused,
    /// Dead and departed members forgotten before their time because the configuration shrank the table.
    members_evicted,
    /// Metadata longer than this node accepts; the claim that they came with was looked at without them.
    metadata_refused,
    /// Times that this node raised the version of its metadata above those that others held of it.
    metadata_restated,
    /// Times that this node refuted a claim about itself.
    refutations,
    /// Times that this node took over a higher incarnation in which it is held to be alive: of a former life, or of another node
    /// with the same address.
    incarnations_adopted,
    /// Times that this node put off to state its metadata anew, because another node with the same address goes on doing so.
    metadata_deferred,
    /// Probes begun.
    probes,
    /// Pings repeated for want of an answer.
    probes_retried,
    /// Probes that needed helpers.
    probes_indirect,
    /// Probes that failed.
    probes_failed,
    /// Requests to probe for others that were refused.
    relays_refused,
    /// Coordinates of members forgotten because of the bound.
    coordinates_evicted,
    /// Suspicions raised by this node.
    suspicions,
    /// Suspicions raised by others that this node confirmed, having pinged the suspect for one of them in vain.
    suspicions_seconded,
    /// Suspicions that turned into a death at this node.
    suspicions_confirmed,
    /// Suspicions whose time was extended because this node heard nobody.
    suspicions_extended,
    /// Times that the driver served a timer far too late.
    stalls,
    /// Events started here.
    events_started,
    /// Events learnt from others.
    events_learnt,
    /// Datagrams that told an event on at once.
    events_forwarded,
    /// Events that were not told on at once because of the bound.
    events_not_forwarded,
    /// Copies of events that were known already.
    events_duplicate,
    /// Copies beyond their lifetime, or older than the identities that are remembered.
    events_expired,
    /// Ordered events that had to wait for an earlier one.
    events_held,
    /// Ordered events delivered without an earlier one, or after a later one.
    events_out_of_order,
    /// Events too long to be told on.
    events_too_long,
    /// Events forgotten before their time because of a bound, and those that found no room among events of higher priority.
    events_evicted,
    /// Identities of events forgotten before their time because of a bound.
    seen_evicted,
    /// Queries started here.
    queries_started,
    /// Queries of others that this node cannot answer: because of the bound, or because they claim to be its own.
    queries_dropped,
    /// Answers to queries of this node, each member's first.
    answers_received,
    /// Answers and receipts that came before.
    answers_duplicate,
    /// Answers and receipts that are not of a live member, or to no query that is open.
    answers_refused,
    /// Answers and receipts that this node sent again, for they were not noted.
    responses_repeated,
    /// Answers and receipts that were not noted as often as they were sent, or in time.
    responses_given_up,
    /// Anti-entropy exchanges started.
    syncs_opened,
    /// Anti-entropy exchanges answered.
    syncs_answered,
    /// Anti-entropy exchanges that went over to lists, since a sketch would have been longer.
    syncs_by_list,
    /// Messages of anti-entropy that nobody had asked for, that came from no member, or that came too thick and fast.
    syncs_refused,
}

split! {
    hot: {
    updates_applied,
    updates_stale,
    probes,
    probes_retried,
    probes_indirect,
    probes_failed,
    suspicions,
    suspicions_seconded,
    suspicions_confirmed,
    events_learnt,
    events_forwarded,
    events_duplicate,
    syncs_opened,
    syncs_answered,
    }
    cold: {
    datagrams_newer_version,
    datagrams_foreign,
    datagrams_other_version,
    datagrams_other_cluster,
    datagrams_damaged,
    datagrams_malformed,
    datagrams_ignored,
    datagrams_sealed,
    datagrams_plain,
    datagrams_unknown_key,
    datagrams_forged,
    datagrams_replayed,
    senders_refused,
    senders_evicted,
    transmits_unsealed,
    transmits_unencodable,
    calls_withheld,
    transmits_refused,
    updates_settled,
    members_refused,
    members_evicted,
    metadata_refused,
    metadata_restated,
    refutations,
    incarnations_adopted,
    metadata_deferred,
    relays_refused,
    coordinates_evicted,
    suspicions_extended,
    stalls,
    events_started,
    events_not_forwarded,
    events_expired,
    events_held,
    events_out_of_order,
    events_too_long,
    events_evicted,
    seen_evicted,
    queries_started,
    queries_dropped,
    answers_received,
    answers_duplicate,
    answers_refused,
    responses_repeated,
    responses_given_up,
    syncs_by_list,
    syncs_refused,
    }
}

impl Counts {
    /// Counts `more` of what is seldom counted.
    pub(crate) fn add(&mut self, more: u64, of: impl FnOnce(&mut Cold) -> &mut u64) {
        if more > 0 {
            *of(self.cold.get_or_insert_default()) += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_apart_is_read_together() {
        let mut counts = Counts::default();
        counts.probes += 3;
        counts.add(0, |cold| &mut cold.stalls);
        assert!(counts.cold.is_none(), "nothing is kept for nothing");
        counts.add(2, |cold| &mut cold.stalls);
        counts.add(1, |cold| &mut cold.stalls);
        assert_eq!(counts.total(), Counters { probes: 3, stalls: 3, ..Counters::default() });
    }
}
