//! Push-pull(1) in which a node takes one of the calls that reach it: the state is the number of informed nodes.
//!
//! Every node calls one of all n, so informed and uninformed callers each throw balls of their colour:
//!
//! ```text
//! A ~ Bin(I, 1−p), a ~ Bin(A, U/n)           calls of informed nodes that arrive; those of them at uninformed nodes
//! B ~ Bin(U, 1−p), b ~ Bin(B, I/n)           calls of uninformed nodes that arrive; those of them at informed nodes
//! D ~ Hyp(a + B − b, a; Occ(a + B − b, U))   uninformed nodes that take an informed caller's call
//! Q ~ Hyp(A − a + b, b; Occ(A − a + b, I))   uninformed callers whose call an informed node takes
//! P ~ Bin(Q, 1−p)                            … and whose answer arrives
//! I ← I + D + P − Hyp(U, D; P)               less those who learnt twice
//! ```
//!
//! Which calls are taken is a uniform choice of as many balls as bins are hit, so their colours are those of an urn. That both sets
//! are uniform and independent needs calls that may go to the caller itself.

use super::Chain;
use super::binomial::{binomial, hypergeometric};
use super::occupancy::Occupancy;
use crate::kernel::outcome::Traffic;
use crate::kernel::random::Stream;
use crate::kernel::strategy::Spec;

/// The chain of the equations above.
pub(super) struct OneAnswer {
    nodes: u64,
    uninformed: u64,
    loss: f64,
}

impl OneAnswer {
    pub(super) fn new(spec: &Spec) -> Self {
        Self { nodes: spec.nodes, uninformed: spec.nodes - 1, loss: spec.loss }
    }
}

/// How many of the calls that arrive at `called` nodes are taken and of the kind of which there are `kind`, `others` being of the
/// other kind.
fn taken(kind: u64, others: u64, called: u64, stream: &mut Stream) -> u64 {
    let taken = Occupancy { balls: u128::from(kind + others), bins: called }.sample(stream);
    hypergeometric(kind + others, kind, taken, stream)
}

impl Chain for OneAnswer {
    fn uninformed(&self) -> u64 {
        self.uninformed
    }

    fn round(&mut self, stream: &mut Stream) -> Traffic {
        let (uninformed, informed) = (self.uninformed, self.nodes - self.uninformed);
        let arrive = 1.0 - self.loss;
        let share = |nodes: u64| nodes as f64 / self.nodes as f64;
        let mut draw = |trials: u64, probability| binomial(trials.into(), probability, stream) as u64;
        let (tell, ask) = (draw(informed, arrive), draw(uninformed, arrive));
        let (tell_uninformed, ask_informed) = (draw(tell, share(uninformed)), draw(ask, share(informed)));
        let told = taken(tell_uninformed, ask - ask_informed, uninformed, stream);
        let answers = taken(ask_informed, tell - tell_uninformed, informed, stream);
        let answered = binomial(answers.into(), arrive, stream) as u64;
        self.uninformed -= told + answered - hypergeometric(uninformed, told, answered, stream);
        Traffic {
            rumor: u128::from(informed) + u128::from(answers),
            datagrams: u128::from(self.nodes) + u128::from(answers),
            out_max: 1,
            answers_max: Some(1),
            in_max: None,
        }
    }
}
