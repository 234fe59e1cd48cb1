//! The clock that `at_ns` is read from.

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`, nanoseconds. All processes under one running kernel read the same one, containers included.
#[must_use]
pub fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Processor time of this process, user and system, nanoseconds.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).expect("these clocks count from 0");
    let nanos = u64::try_from(now.tv_nsec).expect("nanoseconds are positive");
    seconds * 1_000_000_000 + nanos
}

/// Identity of the running kernel, empty where the kernel does not tell. Two processes that read the same value that is
/// not empty read the same clock.
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_advances_by_about_what_was_slept() {
        let before = now_ns();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let passed = now_ns() - before;
        assert!((20_000_000..5_000_000_000).contains(&passed), "{passed} ns passed while 20 ms were slept");
    }
}
