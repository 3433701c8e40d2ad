//! From rules to classic BPF: a binary search for the number, then tests of arguments.

use super::architecture::{Architecture, X32_BIT};
use super::profile::{Call, Compare, Filter, Table, Test};

type Instruction = (u16, u8, u8, u32);

// Operations of `linux/bpf_common.h`, put together.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;

// Offsets in `struct seccomp_data` of `linux/seccomp.h`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `SECCOMP_RET_KILL_PROCESS`, for architectures that the profile does not know.
const KILL_PROCESS: u32 = 0x8000_0000;
/// `SECCOMP_RET_ERRNO` with `ENOSYS`.
const NO_SUCH_CALL: u32 = 0x0005_0026;
/// Actions from here on let the call happen (`SECCOMP_RET_TRACE`, `LOG`, `ALLOW`).
const LENIENT: u32 = 0x7ff0_0000;

/// The whole filter.
pub(super) fn program(filter: &Filter) -> Vec<Instruction> {
    let mut code = vec![give(KILL_PROCESS)];
    // From the last test to the first, so that each jump's length is known.
    let mut audits: Vec<u32> =
        filter.tables.iter().map(|table| table.architecture.audit()).collect();
    audits.dedup();
    audits.sort_unstable();
    audits.dedup();
    for audit in audits {
        let tables = filter.tables.iter().filter(|table| table.architecture.audit() == audit);
        let body = body(tables, filter.default);
        let mut next = unless_equal(audit, body.len());
        next.extend(body);
        next.extend(code);
        code = next;
    }
    code.insert(0, load(ARCHITECTURE));
    code
}

/// The tables of one audit architecture: x32 shares x86-64's.
fn body<'a>(tables: impl Iterator<Item = &'a Table>, default: u32) -> Vec<Instruction> {
    let mut spans: Vec<(u32, Call)> = Vec::new();
    let plain = |action| Call { rules: Vec::new(), otherwise: Some(action) };
    let mut tables: Vec<&Table> = tables.collect();
    tables.sort_by_key(|table| table.architecture == Architecture::X32);
    let mut end = 0;
    if tables.first().is_none_or(|table| table.architecture == Architecture::X32) {
        spans.push((0, plain(default)));
    }
    for table in &tables {
        let base = if table.architecture == Architecture::X32 { X32_BIT } else { 0 };
        if base > end {
            spans.push((end, plain(unknown(default))));
        }
        end = base;
        for (number, call) in &table.calls {
            if *number > end {
                spans.push((end, plain(default)));
            }
            let otherwise = call.otherwise.unwrap_or(default);
            // A rule that says what is true anyway costs time for nothing.
            let last = call.rules.iter().rposition(|(_, action)| *action != otherwise);
            let rules = call.rules[..last.map_or(0, |last| last + 1)].to_vec();
            spans.push((*number, Call { rules, otherwise: Some(otherwise) }));
            end = number + 1;
        }
    }
    spans.push((end, plain(unknown(default))));
    // x32 without rules of its own is not x86-64's unknown but no architecture of the profile.
    let has_x32 = tables.iter().any(|table| table.architecture == Architecture::X32);
    if !has_x32 && tables.iter().any(|table| table.architecture == Architecture::X86_64) {
        spans.push((X32_BIT, plain(KILL_PROCESS)));
    }
    spans.dedup_by(|next, previous| next.1 == previous.1);
    let mut code = vec![load(NUMBER)];
    code.extend(search(&spans));
    code
}

/// What a call younger than everything in the profile gets: programs that try new calls and fall
/// back look for `ENOSYS`, where `EPERM` would make them give up (as in runc, `patchbpf`).
fn unknown(default: u32) -> u32 {
    // KILL_PROCESS is the sign bit: below all others in the kernel's order.
    let lenient = default >= LENIENT && default != KILL_PROCESS;
    if lenient { default } else { NO_SUCH_CALL }
}

/// A binary search over spans that each begin at their number.
fn search(spans: &[(u32, Call)]) -> Vec<Instruction> {
    if let [(_, call)] = spans {
        return tests(call);
    }
    let (left, right) = spans.split_at(spans.len() / 2);
    let (Some((middle, _)), left) = (right.first(), search(left)) else { return Vec::new() };
    let mut code = match u8::try_from(left.len()) {
        Ok(length) => vec![(IF_AT_LEAST, length, 0, *middle)],
        Err(_) => vec![(IF_AT_LEAST, 0, 1, *middle), jump(left.len())],
    };
    code.extend(left);
    code.extend(search(right));
    code
}

fn tests(call: &Call) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (tests, action) in &call.rules {
        code.extend(rule(tests, *action));
    }
    code.push(give(call.otherwise.unwrap_or(KILL_PROCESS)));
    code
}

/// Where a comparison goes.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    Next,
    /// The next test of the rule.
    Holds,
    /// The next rule.
    Fails,
}

/// One rule: at most six tests of at most six instructions, so every jump is short.
fn rule(tests: &[Test], action: u32) -> Vec<Instruction> {
    let parts: Vec<Vec<(u16, To, To, u32)>> = tests.iter().map(comparison).collect();
    let total: usize = parts.iter().map(Vec::len).sum();
    let mut code = Vec::new();
    for part in &parts {
        let part_end = code.len() + part.len();
        for &(operation, holds, fails, k) in part {
            let here = code.len() + 1;
            let offset = |to: To| match to {
                To::Next => 0,
                To::Holds => part_end - here,
                // Past the action.
                To::Fails => total + 1 - here,
            };
            let short = |to| u8::try_from(offset(to)).unwrap_or(u8::MAX);
            code.push((operation, short(holds), short(fails), k));
        }
    }
    code.push(give(action));
    code
}

/// A 64-bit comparison in two halves, the upper first.
fn comparison(test: &Test) -> Vec<(u16, To, To, u32)> {
    use To::{Fails, Holds, Next};
    // Little-endian, as all supported architectures are.
    let low = ARGUMENTS + 8 * u32::from(test.index);
    let load = |offset| (LOAD, Next, Next, offset);
    let order = |operation, value: u64, holds, fails| {
        let (upper, lower) = halves(value);
        vec![
            load(low + 4),
            (IF_GREATER, holds, Next, upper),
            (IF_EQUAL, Next, fails, upper),
            load(low),
            (operation, holds, fails, lower),
        ]
    };
    match test.compare {
        Compare::Greater(value) => order(IF_GREATER, value, Holds, Fails),
        Compare::AtLeast(value) => order(IF_AT_LEAST, value, Holds, Fails),
        Compare::AtMost(value) => order(IF_GREATER, value, Fails, Holds),
        Compare::Less(value) => order(IF_AT_LEAST, value, Fails, Holds),
        Compare::Equal(value) => {
            let (upper, lower) = halves(value);
            vec![
                load(low + 4),
                (IF_EQUAL, Next, Fails, upper),
                load(low),
                (IF_EQUAL, Holds, Fails, lower),
            ]
        }
        Compare::NotEqual(value) => {
            let (upper, lower) = halves(value);
            vec![
                load(low + 4),
                (IF_EQUAL, Next, Holds, upper),
                load(low),
                (IF_EQUAL, Fails, Holds, lower),
            ]
        }
        Compare::Masked { mask, value } => {
            let ((mask_upper, mask_lower), (upper, lower)) = (halves(mask), halves(value));
            vec![
                load(low + 4),
                (AND, Next, Next, mask_upper),
                (IF_EQUAL, Next, Fails, upper),
                load(low),
                (AND, Next, Next, mask_lower),
                (IF_EQUAL, Holds, Fails, lower),
            ]
        }
    }
}

/// Upper and lower 32 bits.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

fn load(offset: u32) -> Instruction {
    (LOAD, 0, 0, offset)
}

fn give(action: u32) -> Instruction {
    (RETURN, 0, 0, action)
}

fn jump(length: usize) -> Instruction {
    // A filter has at most 4,096 instructions; a longer one is refused before it is used.
    (JUMP, 0, 0, u32::try_from(length).unwrap_or(u32::MAX))
}

/// Skips `length` instructions unless the accumulator is `value`.
fn unless_equal(value: u32, length: usize) -> Vec<Instruction> {
    match u8::try_from(length) {
        Ok(short) => vec![(IF_EQUAL, 0, short, value)],
        Err(_) => vec![(IF_EQUAL, 1, 0, value), jump(length)],
    }
}
