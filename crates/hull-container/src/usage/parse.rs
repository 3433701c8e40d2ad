//! The kernel's texts about usage, v1 and v2. Pure; a line that is not understood is left out.

use std::collections::BTreeMap;

use hull_model::usage::{BlockEntry, Cpu, Interface, Pressure, Stall, Throttling, Traffic};

/// The most interfaces shown of one guest.
const INTERFACES_MAX: usize = 256;

/// Lines of a name and a number.
pub(super) fn fields(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// v2's `memory.stat`, with the sums that Linux 5.9 split in two and that clients still look for.
pub(super) fn memory_stat_v2(text: &str) -> BTreeMap<String, u64> {
    let mut details = fields(text);
    for sum in ["workingset_refault", "workingset_activate"] {
        let part = |kind: &str| details.get(&format!("{sum}_{kind}")).copied();
        if let (Some(anon), Some(file)) = (part("anon"), part("file")) {
            details.entry(sum.to_owned()).or_insert(anon.saturating_add(file));
        }
    }
    details
}

/// Numbers with spaces between them.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// v1's `cpu.stat`.
pub(super) fn throttling_v1(text: &str) -> Throttling {
    let fields = fields(text);
    let number = |name: &str| fields.get(name).copied().unwrap_or(0);
    Throttling {
        periods: number("nr_periods"),
        throttled_periods: number("nr_throttled"),
        throttled_time: number("throttled_time"),
    }
}

/// v2's `cpu.stat`, whose times are microseconds.
pub(super) fn cpu_v2(text: &str) -> Cpu {
    let fields = fields(text);
    let number = |name: &str| fields.get(name).copied().unwrap_or(0);
    let nanos = |name: &str| number(name).saturating_mul(1_000);
    Cpu {
        total: nanos("usage_usec"),
        user: nanos("user_usec"),
        system: nanos("system_usec"),
        each: Vec::new(),
        throttling: Throttling {
            periods: number("nr_periods"),
            throttled_periods: number("nr_throttled"),
            throttled_time: nanos("throttled_usec"),
        },
    }
}

/// Lines such as `8:0 Read 4096` or `8:0 17`; the last line is a sum.
pub(super) fn block_v1(text: &str) -> Vec<BlockEntry> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (device, kind, value) = match words.as_slice() {
            [device, value] => (device, "", value),
            [device, kind, value] => (device, *kind, value),
            _ => return None,
        };
        let (major, minor) = device_number(device)?;
        Some(BlockEntry { major, minor, kind: kind.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 rios=1 …`.
pub(super) fn block_v2(text: &str) -> Vec<BlockEntry> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(device_number) else { continue };
        let pairs: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
        for (name, kind) in [("rbytes", "read"), ("wbytes", "write")] {
            if let Some(value) = pairs.get(name).and_then(|value| value.parse().ok()) {
                entries.push(BlockEntry { major, minor, kind: kind.to_owned(), value });
            }
        }
    }
    entries
}

fn device_number(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and the same with `full`, which `cpu.pressure`
/// lacks before Linux 5.13.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    let mut some = false;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("some") => (pressure.some, some) = (stall(words), true),
            Some("full") => pressure.full = stall(words),
            Some(_) | None => {}
        }
    }
    some.then_some(pressure)
}

fn stall<'t>(words: impl Iterator<Item = &'t str>) -> Stall {
    let mut stall = Stall::default();
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name {
            "avg10" => stall.avg10 = hundredths(value),
            "avg60" => stall.avg60 = hundredths(value),
            "avg300" => stall.avg300 = hundredths(value),
            "total" => stall.total = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    stall
}

/// `12.34` as 1234: the kernel writes exactly two digits.
fn hundredths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    number(whole).saturating_mul(100).saturating_add(number(part).min(99))
}

/// `/proc/PID/net/dev`: two lines of headings, then `name: ` and 16 numbers.
pub(super) fn interfaces(text: &str) -> Vec<Interface> {
    let one = |line: &str| {
        // From the right: an interface's name may hold a colon, the numbers do not.
        let (name, numbers) = line.rsplit_once(':')?;
        let numbers = self::numbers(numbers);
        let side = |at: usize| {
            let &[bytes, packets, errors, dropped, ..] = numbers.get(at..)? else { return None };
            Some(Traffic { bytes, packets, errors, dropped })
        };
        let (received, sent) = (side(0)?, side(8)?);
        Some(Interface { name: name.trim().to_owned(), received, sent })
    };
    let all = text.lines().skip(2).filter_map(one);
    all.filter(|interface| interface.name != "lo").take(INTERFACES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(major: u64, minor: u64, kind: &str, value: u64) -> BlockEntry {
        BlockEntry { major, minor, kind: kind.to_owned(), value }
    }

    #[test]
    fn block_traffic_is_listed_by_device_and_kind() {
        assert_eq!(
            block_v1("8:0 Read 10\n8:16 Write 20\n8:16 7\nTotal 35\nx\n"),
            [entry(8, 0, "Read", 10), entry(8, 16, "Write", 20), entry(8, 16, "", 7)]
        );
        assert_eq!(
            block_v2("8:0 rbytes=10 wbytes=20 rios=1\n8:16 \nx:y rbytes=1\n"),
            [entry(8, 0, "read", 10), entry(8, 0, "write", 20)]
        );
    }

    #[test]
    fn processor_time_is_nanoseconds_in_both_generations() {
        let cpu = cpu_v2(
            "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 1\n",
        );
        assert_eq!((cpu.total, cpu.user, cpu.system), (10_000, 6_000, 4_000));
        let throttled = Throttling { periods: 3, throttled_periods: 2, throttled_time: 1_000 };
        assert_eq!(cpu.throttling, throttled);
        assert_eq!(throttling_v1("nr_periods 3\nnr_throttled 2\nthrottled_time 1000\n"), throttled);
        assert_eq!(numbers("5 0 7 \n"), [5, 0, 7]);
    }

    #[test]
    fn memory_of_new_kernels_has_the_sums_of_old_ones() {
        let text = "anon 5\nworkingset_refault_anon 1\nworkingset_refault_file 2\nbad line here\n";
        let details = memory_stat_v2(text);
        assert_eq!((details["anon"], details["workingset_refault"]), (5, 3));
        assert!(!details.contains_key("workingset_activate") && !details.contains_key("bad"));
        assert_eq!(memory_stat_v2("workingset_refault 9\n")["workingset_refault"], 9);
    }

    #[test]
    fn pressure_is_read_with_and_without_its_second_line() {
        let text = "some avg10=12.34 avg60=0.05 avg300=100.00 total=99\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=7\n";
        let read = pressure(text).unwrap();
        assert_eq!((read.some.avg10, read.some.avg60, read.some.avg300), (1_234, 5, 10_000));
        assert_eq!((read.some.total, read.full.avg10, read.full.total), (99, 100, 7));
        assert_eq!(pressure("some avg10=0.00 total=1\n").unwrap().full, Stall::default());
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn interfaces_are_read_whatever_their_names() {
        let text = "Inter-|   Receive  | Transmit\n face |bytes packets\n    \
                    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                    eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n\
                    a:b:1 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\ncut: 1 2\n";
        let seen = interfaces(text);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].name, "eth0");
        assert_eq!(seen[0].received, Traffic { bytes: 10, packets: 2, errors: 3, dropped: 4 });
        assert_eq!(seen[0].sent, Traffic { bytes: 50, packets: 6, errors: 7, dropped: 8 });
        assert_eq!((seen[1].name.as_str(), seen[1].sent.bytes), ("a:b", 9));
        let many = "x: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n".repeat(1_000);
        assert_eq!(interfaces(&many).len(), INTERFACES_MAX);
    }
}
