//! The law of the time to all by dynamic programming: whole transition matrices, no draws. For small clusters.

/// ln k! for k up to `most`.
fn ln_factorials(most: usize) -> Vec<f64> {
    let mut table = vec![0.0; most + 1];
    (1..=most).for_each(|k| table[k] = table[k - 1] + (k as f64).ln());
    table
}

/// P(Bin(n, p) = k) for all k.
fn binomial(n: usize, p: f64, ln_factorial: &[f64]) -> Vec<f64> {
    if p <= 0.0 || p >= 1.0 {
        let certain = if p >= 1.0 { n } else { 0 };
        return (0..=n).map(|k| f64::from(u8::from(k == certain))).collect();
    }
    let ln = |k: usize| ln_factorial[n] - ln_factorial[k] - ln_factorial[n - k];
    (0..=n).map(|k| (ln(k) + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()).exp()).collect()
}

/// The law of the number of distinct bins hit after each number of balls: one ball after the other.
pub(crate) fn occupancy(balls: usize, bins: usize) -> Vec<f64> {
    let mut law = vec![0.0; bins.min(balls) + 1];
    law[0] = 1.0;
    for _ in 0..balls {
        for hit in (1..law.len()).rev() {
            law[hit] = law[hit] * hit as f64 / bins as f64 + law[hit - 1] * (bins - hit + 1) as f64 / bins as f64;
        }
        law[0] = 0.0;
    }
    law
}

/// P(all know after exactly t rounds), t = 0, 1, …, until all but 10⁻¹² is there.
///
/// Push is treated call by call, not through a number of balls: each of the I·k calls hits a node that is uninformed and was not
/// hit before with probability (1−p)·(U−d)/(n−1).
pub(crate) fn rounds_to_all(n: usize, k: usize, loss: f64, push: bool, pull: bool) -> Vec<f64> {
    let ln_factorial = ln_factorials(n);
    let others = (n - 1) as f64;
    let transitions: Vec<Vec<f64>> = (0..=n)
        .map(|informed| {
            let uninformed = n - informed;
            let mut hit = vec![0.0; uninformed + 1];
            hit[0] = 1.0;
            for _ in 0..if push { informed * k } else { 0 } {
                let new = |d: usize| (1.0 - loss) * (uninformed - d) as f64 / others;
                for d in (0..=uninformed).rev() {
                    let from = if d > 0 { hit[d - 1] * new(d - 1) } else { 0.0 };
                    hit[d] = hit[d] * (1.0 - new(d)) + from;
                }
            }
            let success = (1.0 - loss).powi(2) * informed as f64 / others;
            let learns = if pull { 1.0 - (1.0 - success).powi(i32::try_from(k).expect("small")) } else { 0.0 };
            let mut row = vec![0.0; n + 1];
            for (d, probability) in hit.into_iter().enumerate().filter(|&(_, probability)| probability > 1e-18) {
                for (pulled, share) in binomial(uninformed - d, learns, &ln_factorial).into_iter().enumerate() {
                    row[informed + d + pulled] += probability * share;
                }
            }
            row
        })
        .collect();
    for row in &transitions[1..] {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "a row of a transition matrix sums to 1");
    }
    let mut state = vec![0.0; n + 1];
    state[1] = 1.0;
    let mut law = vec![0.0];
    let mut done = 0.0;
    while done < 1.0 - 1e-12 && law.len() < 2000 {
        let mut next = vec![0.0; n + 1];
        for (informed, probability) in state.iter().enumerate().filter(|&(_, &probability)| probability > 1e-18) {
            for (to, share) in transitions[informed].iter().enumerate().skip(informed) {
                next[to] += probability * share;
            }
        }
        law.push(next[n] - done);
        done = next[n];
        state = next;
    }
    law
}

#[test]
fn the_law_of_two_nodes_is_geometric() {
    // Push, k = 1: informed with probability 1 − p each round.
    let law = rounds_to_all(2, 1, 0.25, true, false);
    for (t, probability) in [(1, 0.75), (2, 0.1875), (3, 0.046_875)] {
        assert!((law[t] - probability).abs() < 1e-12);
    }
    // Push-pull: a push, or a request and its answer, must arrive: 1 − p·(1 − (1−p)²).
    let law = rounds_to_all(2, 1, 0.25, true, true);
    assert!((law[1] - (1.0 - 0.25 * (1.0 - 0.5625))).abs() < 1e-12);
}

#[test]
fn occupancy_of_three_balls_in_three_bins() {
    let law = occupancy(3, 3);
    for (hit, probability) in [(1, 3.0 / 27.0), (2, 18.0 / 27.0), (3, 6.0 / 27.0)] {
        assert!((law[hit] - probability).abs() < 1e-15);
    }
}
