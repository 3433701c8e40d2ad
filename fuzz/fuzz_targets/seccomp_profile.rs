//! Docker's seccomp profile with any part of it replaced: it is refused, or becomes a program that
//! the kernel takes, in which every way ends.
#![no_main]

use hull_container::host::HostFacts;
use hull_container::seccomp::{DEFAULT, Host, compile};
use libfuzzer_sys::fuzz_target;

/// Class of jumps, the jump without a condition, and class of returns (linux/bpf_common.h).
const JUMP: u16 = 0x05;
const JUMP_ALWAYS: u16 = 0x05;
const RETURN: u16 = 0x06;

fuzz_target!(|input: (u32, u16, u64, &str)| {
    let (offset, length, capabilities, replacement) = input;
    let start = offset as usize % DEFAULT.len();
    let end = (start + usize::from(length)).min(DEFAULT.len());
    let text = format!("{}{replacement}{}", &DEFAULT[..start], &DEFAULT[end..]);
    let kernel = HostFacts::default().kernel;
    for text in [text.as_str(), replacement] {
        let Ok(filter) = compile(text, capabilities, &Host { kernel }) else { continue };
        let program = &filter.program;
        assert!(!program.is_empty() && program.len() <= 4_096);
        for (at, &(code, yes, no, value)) in program.iter().enumerate() {
            let next = |jump: u32| at + 1 + jump as usize;
            match code & 0x07 {
                JUMP if code == JUMP_ALWAYS => assert!(next(value) < program.len()),
                JUMP => {
                    assert!(next(yes.into()) < program.len() && next(no.into()) < program.len());
                }
                RETURN => {}
                _ => assert!(at + 1 < program.len(), "the last instruction is a return"),
            }
        }
    }
});
