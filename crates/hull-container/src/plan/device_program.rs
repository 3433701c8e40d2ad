//! Which devices a guest may use: an allow-list for v1, an eBPF program for v2.

use super::NodeKind;
use crate::host::GrantedDevice;

/// One line of an allow-list; `None` is any number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Allowed<'a> {
    block: bool,
    major: Option<u32>,
    minor: Option<u32>,
    access: &'a str,
}

const fn any(block: bool) -> Allowed<'static> {
    Allowed { block, major: None, minor: None, access: "m" }
}

const fn character(major: u32, minor: Option<u32>) -> Allowed<'static> {
    Allowed { block: false, major: Some(major), minor, access: "rwm" }
}

/// Docker's list (moby `oci/defaults.go`, runc `specconv`): any node can be made, but only memory
/// devices, terminals and what was granted can be used.
const DEFAULT: [Allowed<'static>; 11] = [
    any(false),
    any(true),
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    character(5, Some(0)),
    character(5, Some(1)),
    character(5, Some(2)),
    character(136, None),
];

fn list(granted: &[GrantedDevice]) -> impl Iterator<Item = Allowed<'_>> {
    DEFAULT.into_iter().chain(granted.iter().map(|GrantedDevice { node, access }| Allowed {
        block: node.kind == NodeKind::Block,
        major: Some(node.major),
        minor: Some(node.minor),
        access,
    }))
}

/// The lines for `devices.allow`, after all was denied.
pub(super) fn v1(granted: &[GrantedDevice]) -> Vec<String> {
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
    list(granted)
        .map(|Allowed { block, major, minor, access }| {
            let kind = if block { 'b' } else { 'c' };
            format!("{kind} {}:{} {access}", number(major), number(minor))
        })
        .collect()
}

/// The program for a v2 cgroup, in the form of `struct bpf_insn`.
///
/// It is given `struct bpf_cgroup_dev_ctx` (`linux/bpf.h`): kind and access in one word, major,
/// minor; and returns 1 to allow.
pub(super) fn v2(granted: &[GrantedDevice]) -> Vec<(u8, u8, i16, i32)> {
    // Registers: r1 the context, r2 kind, r3 access, r4 major, r5 minor.
    const LOAD: u8 = 0x61;
    const MOVE: u8 = 0xb7;
    const MOVE_REGISTER: u8 = 0xbf;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const IF_NOT_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let mut code = vec![
        (LOAD, 0x12, 0, 0),
        (MOVE_REGISTER, 0x23, 0, 0),
        (AND, 0x02, 0, 0xffff),
        (SHIFT_RIGHT, 0x03, 0, 16),
        (LOAD, 0x14, 4, 0),
        (LOAD, 0x15, 8, 0),
    ];
    for Allowed { block, major, minor, access } in list(granted) {
        let kind = if block { 1 } else { 2 };
        let denied = !bits(access) & 0b111;
        let mut tests = vec![(IF_NOT_EQUAL, 0x02, kind)];
        tests.extend(major.map(|major| (IF_NOT_EQUAL, 0x04, major.cast_signed())));
        tests.extend(minor.map(|minor| (IF_NOT_EQUAL, 0x05, minor.cast_signed())));
        // Each test skips what is left of the rule: tests, the access test, and the verdict.
        let mut left = i16::try_from(tests.len()).unwrap_or(i16::MAX) + 5;
        for (operation, register, value) in tests {
            left -= 1;
            code.push((operation, register, left, value));
        }
        code.extend([
            (MOVE_REGISTER, 0x31, 0, 0),
            (AND, 0x01, 0, denied),
            (IF_NOT_EQUAL, 0x01, 2, 0),
            (MOVE, 0x00, 0, 1),
            (EXIT, 0x00, 0, 0),
        ]);
    }
    code.extend([(MOVE, 0x00, 0, 0), (EXIT, 0x00, 0, 0)]);
    code
}

/// `BPF_DEVCG_ACC_*`: make 1, read 2, write 4.
fn bits(access: &str) -> i32 {
    let bit = |letter, bit| if access.contains(letter) { bit } else { 0 };
    bit('m', 1) | bit('r', 2) | bit('w', 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Device;

    fn granted() -> Vec<GrantedDevice> {
        let node = Device {
            path: "/dev/sda".into(),
            kind: NodeKind::Block,
            major: 8,
            minor: 0,
            mode: 0o660,
            uid: 0,
            gid: 6,
        };
        vec![GrantedDevice { node, access: "r".into() }]
    }

    #[test]
    fn v1_has_dockers_list_and_what_was_granted() {
        let lines = v1(&granted());
        assert_eq!(lines[0], "c *:* m");
        assert_eq!(lines[10], "c 136:* rwm");
        assert_eq!(lines[11], "b 8:0 r");
    }

    /// Runs the program as the kernel would.
    fn allows(code: &[(u8, u8, i16, i32)], kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let context = [kind | access << 16, major, minor];
        let mut r = [0_i64; 11];
        let mut at = 0;
        loop {
            let (operation, registers, offset, value) = code[at];
            let (to, from) = (usize::from(registers & 15), usize::from(registers >> 4));
            at += 1;
            match operation {
                0x61 => r[to] = i64::from(context[usize::try_from(offset).unwrap() / 4]),
                0xb7 => r[to] = i64::from(value),
                0xbf => r[to] = r[from],
                0x57 => r[to] &= i64::from(value),
                0x77 => r[to] >>= value,
                0x55 if r[to] == i64::from(value) => {}
                0x55 => at += usize::try_from(offset).unwrap(),
                0x95 => return r[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn v2_decides_the_same() {
        let code = v2(&granted());
        let (block, character) = (1, 2);
        let (make, read, write) = (1, 2, 4);
        assert!(allows(&code, character, read | write, 1, 3));
        assert!(allows(&code, character, read | write, 136, 77));
        assert!(allows(&code, block, make, 99, 99));
        assert!(allows(&code, block, read, 8, 0));
        assert!(!allows(&code, block, read | write, 8, 0));
        assert!(!allows(&code, block, read, 8, 1));
        assert!(!allows(&code, character, read, 1, 1));
        assert!(!allows(&code, character, read, 10, 200));
    }
}
