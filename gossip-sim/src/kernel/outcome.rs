//! What one run came to: when how many knew, and what it cost.

/// When shares of the nodes were informed, in rounds after the start. Whole numbers but for Poisson clocks, whose unit is
/// the mean time between two calls of a node. `None`: not within [`ROUNDS_MAX`] rounds, or the strategy fell silent before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reached {
    /// 50 %.
    pub half: Option<f64>,
    /// 90 %.
    pub ninety: Option<f64>,
    /// 99 %.
    pub ninety_nine: Option<f64>,
    /// Everybody.
    pub all: Option<f64>,
}

/// Rounds after which a run gives up; far beyond any that ends.
pub const ROUNDS_MAX: u32 = 100_000;

impl Reached {
    /// Notes that `informed` of `nodes` know it at `time`, which never falls.
    pub(crate) fn note(&mut self, time: f64, informed: u64, nodes: u64) {
        let share = |percent: u128| u128::from(informed) * 100 >= u128::from(nodes) * percent;
        for (slot, percent) in
            [(&mut self.half, 50), (&mut self.ninety, 90), (&mut self.ninety_nine, 99), (&mut self.all, 100)]
        {
            if slot.is_none() && share(percent) {
                *slot = Some(time);
            }
        }
    }
}

/// Datagrams of a run up to the round in which everybody knew, that round included; of the median counter, up to its silence. Lost ones count: they were sent.
///
/// An informed caller's call carries the rumor; an uninformed caller's is a request, which is answered by whom it reaches if
/// that one can tell something. So idle calls between two who know nothing cost one datagram, not two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that carry the rumor: pushes and answers.
    pub rumor: u128,
    /// All datagrams: pushes, requests, answers, acknowledgements.
    pub datagrams: u128,
    /// The most that one node sent of its own accord in one round. Answers are counted at [`Traffic::answers_max`].
    pub out_max: u64,
    /// The most that one node answered in one round; `None` where it was not counted.
    pub answers_max: Option<u64>,
    /// The most that arrived at one node in one round, answers included; `None` where it was not counted.
    pub in_max: Option<u64>,
}

impl Traffic {
    /// Adds what another part of the run sent: sums and maxima, so the order does not matter.
    pub(crate) fn add(&mut self, other: Self) {
        self.rumor += other.rumor;
        self.datagrams += other.datagrams;
        self.out_max = self.out_max.max(other.out_max);
        self.answers_max = self.answers_max.max(other.answers_max);
        self.in_max = self.in_max.max(other.in_max);
    }
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// When which share knew.
    pub reached: Reached,
    /// Informed nodes after each round; the first entry is the start. Empty for Poisson clocks, which have no rounds.
    pub curve: Vec<u64>,
    /// What it cost.
    pub traffic: Traffic,
}

impl Outcome {
    /// Notes the state after a round.
    pub(crate) fn note(&mut self, time: f64, informed: u64, nodes: u64) {
        self.curve.push(informed);
        self.reached.note(time, informed, nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_reached_in_the_first_round_that_has_enough_nodes() {
        let mut reached = Reached::default();
        for (round, informed) in [1, 49, 50, 89, 99, 99, 100].into_iter().enumerate() {
            reached.note(round as f64, informed, 100);
        }
        assert_eq!(reached, Reached { half: Some(2.0), ninety: Some(4.0), ninety_nine: Some(4.0), all: Some(6.0) });
    }

    #[test]
    fn shares_are_whole_nodes_even_where_floats_would_round() {
        let (mut reached, nodes) = (Reached::default(), 1_000_000_000_000_000_000);
        reached.note(1.0, nodes - 1, nodes);
        assert_eq!((reached.ninety_nine, reached.all), (Some(1.0), None));
    }
}
