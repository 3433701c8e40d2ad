//! Filters are run by an interpreter of classic BPF and compared with what the profile says.

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const PERM: u32 = 0x0005_0001;
const NOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;
const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
const HOST: Host = Host { kernel: (6, 18) };
const DOCKER: u64 = 0xa804_25fb;

/// Runs `filter`; panics on what the kernel's checker would refuse. Gives the action and the cost.
fn run(filter: &Seccomp, arch: u32, number: u32, args: [u64; 6]) -> (u32, usize) {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend([0; 8]);
    args.iter().for_each(|arg| data.extend(arg.to_le_bytes()));
    let (mut at, mut accumulator, mut steps) = (0, 0_u32, 0);
    loop {
        let (code, yes, no, k) = filter.program[at];
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { yes } else { no });
        match code {
            0x20 => {
                let k = k as usize;
                accumulator = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
            }
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => branch(accumulator == k),
            0x25 => branch(accumulator > k),
            0x35 => branch(accumulator >= k),
            0x06 => return (k, steps),
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn default_filter(capabilities: u64) -> Seccomp {
    compile(DEFAULT, capabilities, &HOST).unwrap()
}

fn action(filter: &Seccomp, arch: u32, number: u32, first: u64) -> u32 {
    run(filter, arch, number, [first, 0, 0, 0, 0, 0]).0
}

#[test]
fn dockers_default_profile_decides_as_it_says() {
    let filter = default_filter(DOCKER);
    let rows = [
        ("read", X86_64, 0, 0, ALLOW),
        ("execve", X86_64, 59, 0, ALLOW),
        ("mount", X86_64, 165, 0, PERM),
        ("unshare", X86_64, 272, 0, PERM),
        ("keyctl", X86_64, 250, 0, PERM),
        ("clone without namespaces", X86_64, 56, 0x11, ALLOW),
        ("clone with a user namespace", X86_64, 56, 0x1000_0011, PERM),
        ("clone with a flag above 32 bits", X86_64, 56, 0x1_0000_0011, ALLOW),
        ("clone3", X86_64, 435, 0, NOSYS),
        ("socket inet", X86_64, 41, 2, ALLOW),
        ("socket alg", X86_64, 41, 38, PERM),
        ("socket 39", X86_64, 41, 39, ALLOW),
        ("socket vsock", X86_64, 41, 40, PERM),
        ("socket smc and above", X86_64, 41, 43, ALLOW),
        ("socket inet behind upper bits", X86_64, 41, 0x1_0000_0026, ALLOW),
        ("personality linux", X86_64, 135, 0, ALLOW),
        ("personality query", X86_64, 135, 0xffff_ffff, ALLOW),
        ("personality other", X86_64, 135, 4, PERM),
        ("personality with upper bits", X86_64, 135, 0x1_0000_0000, PERM),
        ("ptrace on a new kernel", X86_64, 101, 0, ALLOW),
        ("chroot by capability", X86_64, 161, 0, ALLOW),
        ("reboot without", X86_64, 169, 0, PERM),
        ("far in the future", X86_64, 9_999, 0, NOSYS),
        ("between known ones", X86_64, 340, 0, PERM),
        ("x86 read", X86, 3, 0, ALLOW),
        ("x86 mount", X86, 21, 0, PERM),
        ("x86 clone with a namespace", X86, 120, 0x1000_0000, PERM),
        ("x86 future", X86, 9_999, 0, NOSYS),
        ("x32 read", X86_64, X32, 0, ALLOW),
        ("x32 execve", X86_64, X32 | 520, 0, ALLOW),
        ("x32 with x86-64's execve", X86_64, X32 | 59, 0, PERM),
        ("x32 mount", X86_64, X32 | 165, 0, PERM),
        ("x32 future", X86_64, X32 | 9_999, 0, NOSYS),
        ("negative", X86_64, u32::MAX, 0, NOSYS),
        ("an unknown architecture", 0xc000_00b7, 63, 0, KILL),
    ];
    for (what, arch, number, first, wanted) in rows {
        assert_eq!(action(&filter, arch, number, first), wanted, "{what}");
    }
}

#[test]
fn capabilities_and_the_kernel_open_what_the_profile_says() {
    let sys_admin = default_filter(DOCKER | 1 << 21);
    assert_eq!(action(&sys_admin, X86_64, 165, 0), ALLOW);
    assert_eq!(action(&sys_admin, X86_64, 435, 0), ALLOW);
    assert_eq!(action(&sys_admin, X86_64, 56, 0x1000_0011), ALLOW);
    let old = compile(DEFAULT, DOCKER, &Host { kernel: (4, 4) }).unwrap();
    assert_eq!(action(&old, X86_64, 101, 0), PERM);
    let none = default_filter(0);
    assert_eq!(action(&none, X86_64, 161, 0), PERM);
}

#[test]
fn every_instruction_is_valid_and_cheap_to_reach() {
    let filter = default_filter(DOCKER);
    assert!(filter.program.len() < 1_500, "{}", filter.program.len());
    let mut most = 0;
    for number in 0..1_000 {
        for arch in [X86_64, X86] {
            most = most.max(run(&filter, arch, number, [0; 6]).1);
        }
    }
    assert!(most < 40, "{most} instructions for one system call");
}

#[test]
fn comparisons_are_of_64_bits_and_unsigned() {
    const BIG: u64 = 0x1_0000_0005;
    type Case = (&'static str, fn(u64) -> bool);
    let cases: [Case; 7] = [
        ("SCMP_CMP_EQ", |v| v == BIG),
        ("SCMP_CMP_NE", |v| v != BIG),
        ("SCMP_CMP_GT", |v| v > BIG),
        ("SCMP_CMP_GE", |v| v >= BIG),
        ("SCMP_CMP_LT", |v| v < BIG),
        ("SCMP_CMP_LE", |v| v <= BIG),
        ("SCMP_CMP_MASKED_EQ", |v| v & BIG == 1),
    ];
    for (operation, holds) in cases {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],
            "action":"SCMP_ACT_ALLOW","args":[{{"index":5,"value":{BIG},"valueTwo":1,
            "op":"{operation}"}}]}}]}}"#
        );
        let filter = compile(&text, 0, &HOST).unwrap();
        let values =
            [0, 1, 5, 4, 6, BIG - 1, BIG, BIG + 1, BIG & 0xffff_ffff, 1 << 32, u64::MAX, 2 << 32];
        for value in values {
            let wanted = if holds(value) { ALLOW } else { PERM };
            let got = run(&filter, X86_64, 0, [9, 9, 9, 9, 9, value]).0;
            assert_eq!(got, wanted, "{operation} {value:#x}");
        }
    }
}

#[test]
fn rules_with_tests_come_before_those_without_and_repeats_are_alternatives() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["socket"],"action":"SCMP_ACT_LOG"},
        {"names":["socket","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":97,"args":[
            {"index":0,"value":40,"op":"SCMP_CMP_EQ"},{"index":0,"value":38,"op":"SCMP_CMP_EQ"}]}]}"#;
    let filter = compile(text, 0, &HOST).unwrap();
    assert_eq!(action(&filter, X86_64, 41, 40), 0x0005_0061);
    assert_eq!(action(&filter, X86_64, 41, 38), 0x0005_0061);
    assert_eq!(action(&filter, X86_64, 41, 2), 0x7ffc_0000);
    assert_eq!(action(&filter, X86_64, 0, 2), ALLOW);
    // Lenient profiles stay lenient to the future, but never to another calling convention.
    assert_eq!(action(&filter, X86_64, 9_999, 0), ALLOW);
    assert_eq!(action(&filter, X86_64, X32, 0), KILL);
}

#[test]
fn bad_profiles_say_what_is_wrong() {
    let say = |text: &str| compile(text, 0, &HOST).unwrap_err().to_string();
    assert!(say("{").starts_with("decoding seccomp profile failed"));
    assert!(say("[]").starts_with("decoding seccomp profile failed"));
    assert!(say(r#"{"defaultAction":"SCMP_ACT_X"}"#).contains("\"SCMP_ACT_X\""));
    let arg = |index: u32, op: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["read"],
            "action":"SCMP_ACT_ERRNO","args":[{{"index":{index},"value":1,"op":"{op}"}}]}}]}}"#
        )
    };
    assert!(say(&arg(6, "SCMP_CMP_EQ")).contains("no argument 6"));
    assert!(say(&arg(0, "x")).contains("unknown comparison"));
    let rules: Vec<String> = (0..2_000)
        .map(|value| {
            format!(
                r#"{{"names":["read"],"action":"SCMP_ACT_ERRNO",
                "args":[{{"index":0,"value":{value},"op":"SCMP_CMP_EQ"}}]}}"#
            )
        })
        .collect();
    let long = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#, rules.join(","));
    assert!(say(&long).contains("at most 4096"), "{}", say(&long));
}

#[test]
fn compiled_filters_are_remembered() {
    let cache = Cache::default();
    let first = cache.compile(DEFAULT, DOCKER, &HOST).unwrap();
    assert!(Arc::ptr_eq(&first, &cache.compile(DEFAULT, DOCKER, &HOST).unwrap()));
    assert!(!Arc::ptr_eq(&first, &cache.compile(DEFAULT, 0, &HOST).unwrap()));
}
