//! Which devices a guest may use: an allow-list for v1, an eBPF program for v2.

use std::fmt;

use hull_model::security::{DeviceKind, DeviceRule};

use super::NodeKind;
use super::cgroups::LimitError;
use crate::cgroup::{Missing, Write};
use crate::host::GrantedDevice;

/// What a list of rules amounts to: one verdict, and exceptions from it.
///
/// That is how cgroup v1 keeps them (kernel `security/device_cgroup.c`), so what it cannot keep is
/// found here instead of being dropped there without a word.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Filter {
    allows: bool,
    exceptions: Vec<Exception>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Exception {
    block: bool,
    major: Option<u32>,
    minor: Option<u32>,
    /// `BPF_DEVCG_ACC_*`: make 1, read 2, write 4.
    access: i32,
}

/// Docker's list (moby `oci/defaults.go`, runc `specconv`): any node can be made, but only memory
/// devices, terminals and what is `granted` can be used; then the user's own rules.
pub fn all(granted: &[GrantedDevice], further: &[DeviceRule]) -> Vec<DeviceRule> {
    let rule = |kind, major, minor, access: &str| DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let usual = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    let mut rules = vec![
        rule(DeviceKind::Character, None, None, "m"),
        rule(DeviceKind::Block, None, None, "m"),
    ];
    let usual =
        usual.map(|(major, minor)| rule(DeviceKind::Character, Some(major), Some(minor), "rwm"));
    rules.extend(usual);
    rules.push(rule(DeviceKind::Character, Some(136), None, "rwm"));
    // A pipe is no device.
    let nodes = granted.iter().filter(|one| one.node.kind != NodeKind::Fifo);
    rules.extend(nodes.map(|GrantedDevice { node, access }| {
        let kind = match node.kind {
            NodeKind::Block => DeviceKind::Block,
            NodeKind::Character | NodeKind::Fifo => DeviceKind::Character,
        };
        rule(kind, Some(node.major), Some(node.minor), access)
    }));
    rules.extend(further.iter().cloned());
    rules
}

impl Filter {
    /// What `rules` leave, applied in order to nothing allowed.
    pub(super) fn new(rules: &[DeviceRule]) -> Result<Self, LimitError> {
        let mut filter = Self::default();
        for rule in rules {
            let access = bits(&rule.access);
            let one = |block| Exception { block, major: rule.major, minor: rule.minor, access };
            match rule.kind {
                // Of such a rule the kernel looks at nothing else.
                DeviceKind::All => filter = Self { allows: rule.allow, exceptions: Vec::new() },
                DeviceKind::Block => filter.apply(rule.allow, one(true))?,
                DeviceKind::Character => filter.apply(rule.allow, one(false))?,
            }
        }
        Ok(filter)
    }

    fn apply(&mut self, allow: bool, rule: Exception) -> Result<(), LimitError> {
        let known = self.exceptions.iter().position(|one| one.is_of(&rule));
        if allow != self.allows {
            match known {
                Some(at) => self.exceptions[at].access |= rule.access,
                None => self.exceptions.push(rule),
            }
            return Ok(());
        }
        // Back to the verdict: only a whole exception can be taken away, not a part of one.
        let part = |one: &&Exception| !one.is_of(&rule) && one.overlaps(&rule);
        let covers = |one: &Exception| rule.covers(one);
        if let Some(one) = self.exceptions.iter().filter(part).find(|one| !covers(one)) {
            let (rule, of) = (rule.to_string(), one.to_string());
            return Err(LimitError::DeviceRule { rule, of });
        }
        for one in self.exceptions.iter_mut().filter(|one| covers(one)) {
            one.access &= !rule.access;
        }
        self.exceptions.retain(|one| one.access != 0);
        Ok(())
    }

    /// The lines for cgroup v1.
    pub(super) fn v1(&self) -> Vec<Write> {
        let file = |allow: bool| if allow { "devices.allow" } else { "devices.deny" };
        let write = |file: &str, value: String| Write {
            file: file.to_owned(),
            value,
            missing: Missing::Fail,
        };
        let verdict = write(file(self.allows), "a".to_owned());
        let exceptions =
            self.exceptions.iter().map(|one| write(file(!self.allows), one.to_string()));
        std::iter::once(verdict).chain(exceptions).collect()
    }

    /// The program for a v2 cgroup, in the form of `struct bpf_insn`.
    ///
    /// It is given `struct bpf_cgroup_dev_ctx` (`linux/bpf.h`): kind and access in one word, major,
    /// minor; and returns 1 to allow.
    pub(super) fn v2(&self) -> Vec<(u8, u8, i16, i32)> {
        // Registers: r1 the context, r2 kind, r3 access, r4 major, r5 minor.
        let mut code = vec![
            (LOAD, 0x12, 0, 0),
            (MOVE_REGISTER, 0x23, 0, 0),
            (AND, 0x02, 0, 0xffff),
            (SHIFT_RIGHT, 0x03, 0, 16),
            (LOAD, 0x14, 4, 0),
            (LOAD, 0x15, 8, 0),
        ];
        for one in &self.exceptions {
            let mut tests = vec![(IF_NOT_EQUAL, 0x02, if one.block { 1 } else { 2 })];
            tests.extend(one.major.map(|major| (IF_NOT_EQUAL, 0x04, major.cast_signed())));
            tests.extend(one.minor.map(|minor| (IF_NOT_EQUAL, 0x05, minor.cast_signed())));
            // What is allowed must be all that is wanted; any part of it is enough to deny.
            let (mask, skip) = match self.allows {
                false => (!one.access & 0b111, IF_NOT_EQUAL),
                true => (one.access, IF_EQUAL),
            };
            // Each test skips what is left of the rule: tests, the access test, and the verdict.
            let mut left = i16::try_from(tests.len()).unwrap_or(i16::MAX) + 5;
            for (operation, register, value) in tests {
                left -= 1;
                code.push((operation, register, left, value));
            }
            code.extend([
                (MOVE_REGISTER, 0x31, 0, 0),
                (AND, 0x01, 0, mask),
                (skip, 0x01, 2, 0),
                (MOVE, 0x00, 0, i32::from(!self.allows)),
                (EXIT, 0x00, 0, 0),
            ]);
        }
        code.extend([(MOVE, 0x00, 0, i32::from(self.allows)), (EXIT, 0x00, 0, 0)]);
        code
    }
}

const LOAD: u8 = 0x61;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const IF_EQUAL: u8 = 0x15;
const IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

impl Exception {
    fn is_of(&self, other: &Self) -> bool {
        (self.block, self.major, self.minor) == (other.block, other.major, other.minor)
    }

    /// Whether there are devices of both.
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.block == other.block
            && meet(self.major, other.major)
            && meet(self.minor, other.minor)
            && self.access & other.access != 0
    }

    /// Whether all devices of `other` are of this.
    fn covers(&self, other: &Self) -> bool {
        let holds = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.block == other.block
            && holds(self.major, other.major)
            && holds(self.minor, other.minor)
    }
}

/// As `devices.allow` takes it.
impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        let kind = if self.block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        let letters = [('r', 2), ('w', 4), ('m', 1)];
        let mut set = letters.into_iter().filter(|(_, bit)| self.access & bit != 0);
        set.try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

fn bits(access: &str) -> i32 {
    let bit = |letter, bit| if access.contains(letter) { bit } else { 0 };
    bit('m', 1) | bit('r', 2) | bit('w', 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Device;

    fn rule(text: &str) -> DeviceRule {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap();
        let (verb, kind) = (next(), next());
        let number = |text: &str| text.parse().ok();
        let (major, minor) = words.next().unwrap_or("*:*").split_once(':').unwrap();
        DeviceRule {
            allow: verb == "allow",
            kind: match kind {
                "a" => DeviceKind::All,
                "b" => DeviceKind::Block,
                _ => DeviceKind::Character,
            },
            major: number(major),
            minor: number(minor),
            access: words.next().unwrap_or("rwm").to_owned(),
        }
    }

    fn filter(rules: &[&str]) -> Result<Filter, LimitError> {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        Filter::new(&rules)
    }

    fn v1(rules: &[&str]) -> Vec<String> {
        let show =
            |write: Write| format!("{} {}", write.file.trim_start_matches("devices."), write.value);
        match filter(rules) {
            Ok(filter) => filter.v1().into_iter().map(show).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn rules_add_up_in_order() {
        assert_eq!(v1(&[]), ["deny a"]);
        assert_eq!(
            v1(&["deny a", "allow c 1:3 r", "allow c 1:3 w", "allow b 8:* m"]),
            ["deny a", "allow c 1:3 rw", "allow b 8:* m"]
        );
        assert_eq!(
            v1(&["allow c 1:3", "allow b 8:0 r", "deny c 1:3 w"]),
            ["deny a", "allow c 1:3 rm", "allow b 8:0 r"]
        );
        assert_eq!(v1(&["allow c 1:3", "allow c 1:5", "deny c 1:* rwm"]), ["deny a"]);
        assert_eq!(v1(&["allow c 1:3", "allow a"]), ["allow a"]);
        assert_eq!(v1(&["allow a", "deny b 8:0 w"]), ["allow a", "deny b 8:0 w"]);
        assert_eq!(v1(&["allow a", "deny b 8:0 w", "allow b 8:0 w"]), ["allow a"]);
    }

    #[test]
    fn what_v1_would_drop_silently_is_refused() {
        let refused = v1(&["allow c *:*", "deny c 1:3 w"]);
        assert_eq!(
            refused,
            [
                "device rule \"c 1:3 w\" takes away a part of what \"c *:* rwm\" allows or denies as a \
              whole"
            ]
        );
        assert!(v1(&["allow c 1:*", "deny c *:3"])[0].contains("takes away a part"));
        // Other accesses, kinds and numbers do not touch it.
        assert_eq!(v1(&["allow c *:* r", "deny c 1:3 w"]).len(), 2);
        assert_eq!(v1(&["allow c *:*", "deny b 1:3 w"]).len(), 2);
    }

    #[test]
    fn the_usual_list_is_dockers_and_what_was_granted() {
        let node = Device {
            path: "/dev/sda".into(),
            kind: NodeKind::Block,
            major: 8,
            minor: 0,
            mode: 0o660,
            uid: 0,
            gid: 6,
        };
        let granted = [GrantedDevice { node, access: "r".into() }];
        let rules = all(&granted, &[rule("allow c 10:229 rwm")]);
        let lines: Vec<_> =
            Filter::new(&rules).unwrap().v1().into_iter().map(|w| w.value).collect();
        assert_eq!((lines.len(), lines[0].as_str()), (14, "a"));
        assert_eq!((lines[1].as_str(), lines[11].as_str()), ("c *:* m", "c 136:* rwm"));
        assert_eq!((lines[12].as_str(), lines[13].as_str()), ("b 8:0 r", "c 10:229 rwm"));
    }

    /// Runs the program as the kernel would.
    fn allows(filter: &Filter, kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let code = filter.v2();
        let context = [kind | access << 16, major, minor];
        let mut r = [0_i64; 11];
        let mut at = 0;
        loop {
            let (operation, registers, offset, value) = code[at];
            let (to, from) = (usize::from(registers & 15), usize::from(registers >> 4));
            at += 1;
            let jump = |taken: bool| if taken { usize::try_from(offset).unwrap() } else { 0 };
            match operation {
                LOAD => r[to] = i64::from(context[usize::try_from(offset).unwrap() / 4]),
                MOVE => r[to] = i64::from(value),
                MOVE_REGISTER => r[to] = r[from],
                AND => r[to] &= i64::from(value),
                SHIFT_RIGHT => r[to] >>= value,
                IF_NOT_EQUAL => at += jump(r[to] != i64::from(value)),
                IF_EQUAL => at += jump(r[to] == i64::from(value)),
                EXIT => return r[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn v2_decides_the_same() {
        let (block, character) = (1, 2);
        let (make, read, write) = (1, 2, 4);
        let usual = Filter::new(&all(&[], &[rule("allow b 8:0 r")])).unwrap();
        assert!(allows(&usual, character, read | write, 1, 3));
        assert!(allows(&usual, character, read | write, 136, 77));
        assert!(allows(&usual, block, make, 99, 99));
        assert!(allows(&usual, block, read, 8, 0));
        assert!(!allows(&usual, block, read | write, 8, 0));
        assert!(!allows(&usual, block, read, 8, 1));
        assert!(!allows(&usual, character, read, 1, 1));
        assert!(!allows(&usual, character, read, 10, 200));
        let all_but = filter(&["allow a", "deny b 8:0 w", "deny c 1:* rwm"]).unwrap();
        assert!(allows(&all_but, block, read, 8, 0));
        assert!(!allows(&all_but, block, read | write, 8, 0));
        assert!(!allows(&all_but, character, make, 1, 200));
        assert!(allows(&all_but, block, read | write, 9, 0));
    }
}
