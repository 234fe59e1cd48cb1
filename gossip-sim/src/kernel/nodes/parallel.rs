//! Pieces of work for several threads, whose number changes nothing but the time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Does `pieces` pieces of work on up to `threads` threads; the results in the order of the pieces.
pub(super) fn pieces<T: Send>(threads: usize, pieces: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    if threads <= 1 || pieces <= 1 {
        return (0..pieces).map(work).collect();
    }
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::with_capacity(pieces as usize));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(pieces as usize) {
            scope.spawn(|| {
                let mut mine = Vec::new();
                loop {
                    let piece = next.fetch_add(1, Relaxed);
                    if piece >= pieces {
                        break;
                    }
                    mine.push((piece, work(piece)));
                }
                done.lock().expect("no worker panics while it holds the lock").append(&mut mine);
            });
        }
    });
    let mut done = done.into_inner().expect("all workers have ended");
    done.sort_unstable_by_key(|&(piece, _)| piece);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        let squares: Vec<u64> = (0..100).map(|i| i * i).collect();
        for threads in [1, 2, 7] {
            assert_eq!(pieces(threads, 100, |i| i * i), squares);
        }
    }
}
