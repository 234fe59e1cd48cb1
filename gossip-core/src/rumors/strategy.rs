//! What a gossip round does under each strategy.
//!
//! A strategy decides three things: whether the node calls in this round, how many it calls, and whether it asks the called
//! for an answer. What is told in a call, and for how often, is the backlog's business and the same for all.

use crate::config::{Config, Strategy};

/// What one node does in one gossip round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    /// Members to call, drawn at random.
    pub(crate) calls: u8,
    /// Whether the called shall answer with what the caller lacks.
    pub(crate) answer: bool,
}

/// The round of a node that has something to tell (`news`) or has not.
pub(crate) fn round(config: &Config, news: bool) -> Round {
    match config.strategy {
        Strategy::Push { fanout } => Round { calls: if news { fanout } else { 0 }, answer: false },
        Strategy::PushPull { fanout } => {
            Round { calls: if news || config.idle_calls { fanout } else { 0 }, answer: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_calls_when() {
        let config = |strategy, idle_calls| Config { strategy, idle_calls, ..Config::lan() };
        let push = Strategy::Push { fanout: 3 };
        let push_pull = Strategy::PushPull { fanout: 1 };
        let table = [
            (push, false, true, 3, false),
            (push, true, false, 0, false),
            (push_pull, false, true, 1, true),
            (push_pull, false, false, 0, true),
            (push_pull, true, false, 1, true),
        ];
        for (strategy, idle_calls, news, calls, answer) in table {
            assert_eq!(
                round(&config(strategy, idle_calls), news),
                Round { calls, answer },
                "{strategy:?} {idle_calls} {news}"
            );
        }
    }
}
