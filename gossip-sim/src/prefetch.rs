//! Memory that will be needed, fetched before it is: the processor goes on meanwhile, which it does not for long with a read.

/// Bytes of a line of memory.
const LINE: usize = 64;

/// Has the line at an address fetched into the nearest cache. Does nothing else, whatever the address, and nothing at all on other
/// processors.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint. It changes nothing that a program can see, and faults at no address. Every x86-64 has SSE.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Has the first `len` bytes of an item fetched.
#[inline(always)]
pub(crate) fn front<T>(item: &T, len: usize) {
    let start = std::ptr::from_ref(item).cast::<u8>();
    (0..len.min(size_of::<T>())).step_by(LINE).for_each(|offset| line(start.wrapping_add(offset)));
}
