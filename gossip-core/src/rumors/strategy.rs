//! What a gossip round does under each strategy.
//!
//! A strategy decides three things about a round: whether the node calls, how many it calls, and whether it asks the called for
//! an answer; and whether an event is told on at once when it is learnt. What is told in a call, and for how often, is the backlog's business and the same for all.

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
        Strategy::PushPull { fanout } | Strategy::Eager { fanout } => {
            Round { calls: if news || config.idle_calls { fanout } else { 0 }, answer: true }
        }
    }
}

/// To how many members an event is told on at once.
pub(crate) fn forwards(config: &Config) -> u8 {
    match config.strategy {
        Strategy::Eager { fanout } => fanout,
        Strategy::Push { .. } | Strategy::PushPull { .. } => 0,
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
        let eager = Strategy::Eager { fanout: 2 };
        assert_eq!([push, push_pull, eager].map(|strategy| forwards(&config(strategy, false))), [0, 0, 2]);
        let table = [
            (push, false, true, 3, false),
            (push, true, false, 0, false),
            (push_pull, false, true, 1, true),
            (push_pull, false, false, 0, true),
            (push_pull, true, false, 1, true),
            (eager, false, true, 2, true),
            (eager, false, false, 0, true),
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
