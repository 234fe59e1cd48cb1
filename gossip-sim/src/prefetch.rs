//! Memory that will be needed, fetched before it is: the processor goes on meanwhile, which it does not for long with a read. And
//! pages of two mebibytes for it, since to find a page is a matter of memory as well.

use std::ops::Range;

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

/// Has some of the bytes of an item fetched, which begins a line.
#[inline(always)]
pub(crate) fn bytes<T>(item: &T, bytes: Range<usize>) {
    let start = std::ptr::from_ref(item).cast::<u8>();
    let mut offset = bytes.start / LINE * LINE;
    while offset < bytes.end {
        line(start.wrapping_add(offset));
        offset += LINE;
    }
}

/// Asks for large pages for the room of a list that is long. Only where they are: on Linux.
#[allow(unsafe_code)]
pub(crate) fn ask_for_large_pages<T>(items: &Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        let start = items.as_ptr().addr().next_multiple_of(LARGE_PAGE);
        let end = (items.as_ptr().addr() + items.capacity() * size_of::<T>()) / LARGE_PAGE * LARGE_PAGE;
        if start < end {
            let at = items.as_ptr().with_addr(start).cast_mut();
            // SAFETY: the range is within the room of the list, so it is this program's; and the advice concerns how it is paged and
            // nothing that it holds.
            let asked = unsafe { madvise(at.cast(), end - start, Advice::LinuxHugepage) };
            // A system that has none goes on with small ones.
            _ = asked;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = items;
}

/// Bytes of a large page.
#[cfg(target_os = "linux")]
const LARGE_PAGE: usize = 2 << 20;
