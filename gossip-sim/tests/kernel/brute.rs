//! The strategies once more, as naively as they are told: lists of nodes, every call drawn, nothing shared with the kernel but the
//! generator. For small clusters.

use gossip_sim::kernel::Stream;

/// What a naive run came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Naive {
    pub(crate) all: u64,
    pub(crate) ninety_nine: u64,
    pub(crate) rumor: u64,
    pub(crate) datagrams: u64,
}

/// A rumor among nodes that know it or not.
pub(crate) struct Rumor {
    pub(crate) knows: Vec<bool>,
    pub(crate) loss: f64,
    pub(crate) naive: Naive,
    round: u64,
}

impl Rumor {
    pub(crate) fn new(nodes: usize, loss: f64) -> Self {
        let mut knows = vec![false; nodes];
        knows[nodes / 2] = true;
        Self { knows, loss, naive: Naive::default(), round: 0 }
    }

    /// Plays rounds by `round`, which is given who knew before and returns who is told, until all know.
    pub(crate) fn play(mut self, mut round: impl FnMut(&mut Self) -> Vec<usize>) -> Naive {
        while self.knows.contains(&false) {
            self.round += 1;
            round(&mut self).into_iter().for_each(|node| self.knows[node] = true);
            let informed = self.knows.iter().filter(|&&knows| knows).count();
            if self.naive.ninety_nine == 0 && informed * 100 >= self.knows.len() * 99 {
                self.naive.ninety_nine = self.round;
            }
        }
        self.naive.all = self.round;
        self.naive
    }

    pub(crate) fn lost(&self, stream: &mut Stream) -> bool {
        stream.unit() < self.loss
    }

    pub(crate) fn send(&mut self, rumor: bool) {
        self.naive.datagrams += 1;
        self.naive.rumor += u64::from(rumor);
    }
}

/// Somebody other than `me`: by rejection, as one would at a table.
pub(crate) fn somebody_else(me: usize, nodes: usize, stream: &mut Stream) -> usize {
    loop {
        let other = stream.below(nodes as u64) as usize;
        if other != me {
            return other;
        }
    }
}

/// Push, pull or both, node i calling `fanouts[i]` others.
pub(crate) fn calls(fanouts: &[usize], push: bool, pull: bool, loss: f64, stream: &mut Stream) -> Naive {
    calls_by_round(fanouts.len(), push, pull, loss, |me, _, _| fanouts[me], stream)
}

/// Push-pull whose informed nodes call more and more. At 100 nodes the root is 10, and 3·5·9 > 100: the growth is over after six rounds.
pub(crate) fn aging(n: usize, loss: f64, stream: &mut Stream) -> Naive {
    assert_eq!(n, 100);
    let calls = |round: u64| [1, 2, 4, 8, 10, 10].get(round as usize - 1).copied().unwrap_or(1);
    calls_by_round(n, true, true, loss, |_, knows, round| if knows { calls(round) } else { 1 }, stream)
}

/// The same, `fanout` saying how many others a node calls, given whether it knows the rumor and the number of the round.
fn calls_by_round(
    n: usize,
    push: bool,
    pull: bool,
    loss: f64,
    fanout: impl Fn(usize, bool, u64) -> usize,
    stream: &mut Stream,
) -> Naive {
    Rumor::new(n, loss).play(|rumor| {
        let mut told = Vec::new();
        for me in 0..n {
            let fanout = fanout(me, rumor.knows[me], rumor.round);
            for _ in 0..fanout {
                let other = somebody_else(me, n, stream);
                match (rumor.knows[me], rumor.knows[other]) {
                    (true, _) if push => {
                        rumor.send(true);
                        if !rumor.lost(stream) {
                            told.push(other);
                        }
                    }
                    (false, knows) if pull => {
                        rumor.send(false);
                        if !rumor.lost(stream) && knows {
                            rumor.send(true);
                            if !rumor.lost(stream) {
                                told.push(me);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        told
    })
}

/// Fan-outs of powers of two by repeated coins: twice as large with probability 2^−(β−1).
pub(crate) fn heavy_tail(nodes: usize, beta: f64, stream: &mut Stream) -> Vec<usize> {
    (0..nodes)
        .map(|_| {
            let mut fanout = 1;
            while stream.unit() < 2.0_f64.powf(1.0 - beta) && fanout < 1 << 40 {
                fanout *= 2;
            }
            fanout
        })
        .collect()
}

/// Push-pull with one call taken per node; calls may go to the caller.
pub(crate) fn one_answer(n: usize, loss: f64, stream: &mut Stream) -> Naive {
    Rumor::new(n, loss).play(|rumor| {
        let mut incoming = vec![Vec::new(); n];
        for me in 0..n {
            rumor.send(rumor.knows[me]);
            let other = stream.below(n as u64) as usize;
            if !rumor.lost(stream) {
                incoming[other].push(me);
            }
        }
        let mut told = Vec::new();
        for (me, callers) in incoming.iter().enumerate() {
            if callers.is_empty() {
                continue;
            }
            let caller = callers[stream.below(callers.len() as u64) as usize];
            match (rumor.knows[caller], rumor.knows[me]) {
                (true, false) => told.push(me),
                (false, true) => {
                    rumor.send(true);
                    if !rumor.lost(stream) {
                        told.push(caller);
                    }
                }
                _ => {}
            }
        }
        told
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Median {
    Unaware,
    Counting(u32),
    Spreading(u32),
    Silent,
}

/// The median counter to its silence: rounds until all knew (0: never), and what it cost. Told once more from the paper's rules.
pub(crate) fn median_counter(n: usize, loss: f64, stream: &mut Stream) -> Naive {
    let ln = (n as f64).ln();
    let most = ln.ln().ceil().max(1.0) as u32;
    let mut states = vec![Median::Unaware; n];
    states[0] = Median::Counting(1);
    let mut rumor = Rumor::new(n, loss);
    for round in 1.. {
        let active = |state: &Median| matches!(state, Median::Counting(_) | Median::Spreading(_));
        if !states.iter().any(active) {
            break;
        }
        let mut heard: Vec<Vec<Median>> = vec![Vec::new(); n];
        for me in 0..n {
            if states[me] == Median::Silent {
                continue;
            }
            let other = somebody_else(me, n, stream);
            rumor.send(states[me] != Median::Unaware);
            let silence = states[other] == Median::Silent;
            if rumor.lost(stream) || silence || (states[me], states[other]) == (Median::Unaware, Median::Unaware) {
                continue;
            }
            heard[other].push(states[me]);
            rumor.send(states[other] != Median::Unaware);
            if !rumor.lost(stream) {
                heard[me].push(states[other]);
            }
        }
        for (state, heard) in states.iter_mut().zip(heard) {
            let spreading = heard.iter().any(|other| matches!(other, Median::Spreading(_)));
            *state = match *state {
                Median::Unaware | Median::Counting(_) if spreading => Median::Spreading(1),
                Median::Unaware if heard.iter().any(|other| matches!(other, Median::Counting(_))) => {
                    Median::Counting(1)
                }
                Median::Counting(mine) => {
                    let ahead = heard.iter().filter(|other| matches!(other, Median::Counting(m) if *m >= mine)).count();
                    match (2 * ahead > heard.len(), mine >= most) {
                        (false, _) => Median::Counting(mine),
                        (true, false) => Median::Counting(mine + 1),
                        (true, true) => Median::Spreading(1),
                    }
                }
                Median::Spreading(rounds) if rounds >= most => Median::Silent,
                Median::Spreading(rounds) => Median::Spreading(rounds + 1),
                other => other,
            };
            if round >= 4 * ln.ceil() as u64 && *state != Median::Unaware {
                *state = Median::Silent;
            }
        }
        if rumor.naive.all == 0 && !states.contains(&Median::Unaware) {
            rumor.naive.all = round;
        }
    }
    rumor.naive
}

/// Push-pull with a clock per node, each ringing by itself: the next ring of each is kept, and the earliest is searched for.
pub(crate) fn poisson(n: usize, loss: f64, stream: &mut Stream) -> f64 {
    let mut rings: Vec<f64> = (0..n).map(|_| -(1.0 - stream.unit()).ln()).collect();
    let mut knows = vec![false; n];
    knows[0] = true;
    let mut last = 0.0;
    while knows.contains(&false) {
        let me = (0..n).min_by(|&a, &b| rings[a].total_cmp(&rings[b])).expect("nodes");
        last = rings[me];
        rings[me] -= (1.0 - stream.unit()).ln();
        let other = somebody_else(me, n, stream);
        let (request, answer) = (stream.unit() >= loss, stream.unit() >= loss);
        if knows[me] && request {
            knows[other] = true;
        } else if knows[other] && request && answer {
            knows[me] = true;
        }
    }
    last
}

/// The √-tree by recursion on lists of names, with push-pull(1) of everybody beside it.
pub(crate) fn sqrt_tree(n: usize, loss: f64, split_max: usize, stream: &mut Stream) -> Naive {
    struct Task {
        node: usize,
        members: Vec<usize>,
        retry: bool,
    }
    let mut rumor = Rumor::new(n, loss);
    let root = n / 2;
    rumor.knows = (0..n).map(|node| node == root).collect();
    let mut tasks = vec![Task { node: root, members: (0..n).collect(), retry: false }];
    rumor.play(|rumor| {
        let (mut told, mut later) = (Vec::new(), Vec::new());
        for task in std::mem::take(&mut tasks) {
            let m = task.members.len();
            let parts: Vec<Vec<usize>> = if task.retry {
                vec![task.members.clone()]
            } else if m <= 8 {
                task.members.iter().map(|&node| vec![node]).collect()
            } else {
                let groups = ((m as f64).sqrt().ceil() as usize).min(split_max);
                (0..groups).map(|g| task.members[m * g / groups..m * (g + 1) / groups].to_vec()).collect()
            };
            for part in parts {
                let others: Vec<usize> = part.iter().copied().filter(|&node| node != task.node).collect();
                if others.is_empty() {
                    continue;
                }
                let head = others[stream.below(others.len() as u64) as usize];
                rumor.send(true);
                let mut acknowledged = false;
                if !rumor.lost(stream) {
                    told.push(head);
                    rumor.send(false);
                    acknowledged = !rumor.lost(stream);
                    if part.len() > 1 {
                        later.push(Task { node: head, members: part.clone(), retry: false });
                    }
                }
                if !acknowledged && !task.retry && part.len() > 1 {
                    later.push(Task { node: task.node, members: part, retry: true });
                }
            }
        }
        tasks = later;
        for me in 0..n {
            let other = somebody_else(me, n, stream);
            rumor.send(rumor.knows[me]);
            if rumor.lost(stream) {
                continue;
            }
            if rumor.knows[me] {
                told.push(other);
            } else if rumor.knows[other] {
                rumor.send(true);
                if !rumor.lost(stream) {
                    told.push(me);
                }
            }
        }
        told
    })
}
