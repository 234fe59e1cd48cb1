//! The proof that `gossip-core` needs no std: a program with its own entry point, allocator and panic handler, in which two
//! nodes find together and tell each other an event, sealed with the feature `keyring`. A crate that pulls in std brings a second panic handler and does not
//! link. Run by `.ci/run`; exits with 0 when the event arrived.

#![no_std]
#![no_main]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

use gossip_core::{Command, Config, Event, Input, Instant, Node, Setup};

fn run() -> bool {
    let config = Config::lan();
    let at = Instant::from_millis;
    #[cfg(feature = "keyring")]
    let keyring = gossip_core::Keyring::new(&[gossip_core::Key::new(1, [7; 32])]).ok();
    let new = |addr: u16| {
        let setup = Setup {
            seed: addr.into(),
            #[cfg(feature = "keyring")]
            session: 1,
            #[cfg(feature = "keyring")]
            keyring: keyring.as_ref(),
            ..Setup::new(addr)
        };
        Node::new(at(0), config.clone(), &setup)
    };
    let (Ok(mut one), Ok(mut two)) = (new(1), new(2)) else { return false };
    let joined = two.handle(at(1), Input::Command(Command::Join { seeds: &[1] })).is_ok();
    let started = one.handle(at(1), Input::Command(Command::event(b"proof"))).is_ok();
    let mut buffer = [0; 1400];
    for now in 2..3_000 {
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
            let _ = from.handle(at(now), Input::Timeout);
            while let Some(transmit) = from.poll_transmit(at(now), &mut buffer) {
                let bytes = &buffer[..transmit.len];
                let _ = to.handle(at(now), Input::Datagram { from: from.local(), bytes });
            }
        }
        while let Some(event) = two.poll_event() {
            if let Event::UserEvent { payload, .. } = event {
                return joined && started && *payload == *b"proof" && one.live_members() == 2;
            }
        }
    }
    false
}

core::arch::global_asm!(".globl _start", "_start:", "and rsp, -16", "call {entry}", entry = sym entry);

extern "C" fn entry() -> ! {
    exit(if run() { 0 } else { 1 })
}

fn exit(code: i32) -> ! {
    // SAFETY: exit_group(2) takes a number and does not return.
    unsafe { core::arch::asm!("syscall", in("rax") 231, in("rdi") code, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// Named by unwinding tables of the prebuilt `core`; never called, since a panic aborts.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// See [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exit(102)
}

const HEAP: usize = 8 << 20;

/// Hands out memory from one block and takes none back: enough for a program that ends.
struct Bump {
    block: UnsafeCell<[u8; HEAP]>,
    used: AtomicUsize,
}

// SAFETY: the program has one thread.
unsafe impl Sync for Bump {}

// SAFETY: every allocation is a fresh, aligned part of the block.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.block.get() as usize;
        let used = self.used.load(Ordering::Relaxed);
        let start = (base + used).next_multiple_of(layout.align()) - base;
        let end = start + layout.size();
        if end > HEAP {
            return core::ptr::null_mut();
        }
        self.used.store(end, Ordering::Relaxed);
        (base + start) as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { block: UnsafeCell::new([0; HEAP]), used: AtomicUsize::new(0) };

/// The C library's memory functions, which `core` calls and nothing else provides here.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { core::arch::asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _) };
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: the caller's; going up does not overtake the source.
        return unsafe { memcpy(to, from, len) };
    }
    let (end_to, end_from) = (to.wrapping_add(len).wrapping_sub(1), from.wrapping_add(len).wrapping_sub(1));
    // SAFETY: the caller's; the direction flag is put back.
    unsafe {
        core::arch::asm!("std", "rep movsb", "cld", inout("rcx") len => _, inout("rdi") end_to => _, inout("rsi") end_from => _);
    }
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's.
    unsafe { core::arch::asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8) };
    to
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for i in 0..len {
        // SAFETY: the caller's. Volatile, so that the loop is not turned into a call of this very function.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the caller's.
    unsafe { memcmp(a, b, len) }
}
