//! Which scope a guest gets, and its limits as systemd names them.

use std::path::{Path, PathBuf};

use hull_model::limits::{Limits, Max};

use super::message::Value;
use crate::plan::LimitError;
use crate::plan::cpu_weight;

/// A transient scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// `hull-ID.scope`.
    pub name: String,
    /// The slice it is in, `system.slice`.
    pub slice: String,
    /// What `systemctl` shows of it.
    pub description: String,
    /// Properties that change with the guest's limits (`systemd.resource-control(5)`).
    pub(super) limits: Vec<(&'static str, Value)>,
}

/// The scope of the guest `id` in `slice`, kept to `limits`.
///
/// Only what systemd would otherwise put back to its own default: all limits are written to the
/// cgroup's files as without systemd.
pub fn scope(id: &str, slice: &str, limits: &Limits) -> Unit {
    Unit {
        name: scope_name(id),
        slice: slice.to_owned(),
        description: format!("hull container {id}"),
        limits: properties(limits),
    }
}

/// The scope of the guest `id`.
pub fn scope_name(id: &str) -> String {
    format!("hull-{id}.scope")
}

/// Where systemd keeps `slice`: `a-b.slice` is `a.slice/a-b.slice`.
pub fn slice_path(slice: &str) -> Result<PathBuf, LimitError> {
    let bad = |why| LimitError::Name { what: "slice", name: slice.to_owned(), why };
    let name = slice.strip_suffix(".slice").ok_or_else(|| {
        bad("cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")
    })?;
    if name == "-" {
        return Ok(PathBuf::new());
    }
    // The characters of `systemd.unit(5)`; a slice is no template.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:\\".contains(&b);
    if name.is_empty() || name.len() > 240 || !name.bytes().all(plain) || name.starts_with('.') {
        return Err(bad("not the name of a unit"));
    }
    let mut path = PathBuf::new();
    let mut sofar = String::new();
    for part in name.split('-') {
        if part.is_empty() {
            return Err(bad("a part between dashes is empty"));
        }
        if !sofar.is_empty() {
            sofar.push('-');
        }
        sofar.push_str(part);
        path.push(Path::new(&format!("{sofar}.slice")));
    }
    Ok(path)
}

/// systemd's "no limit".
const INFINITY: u64 = u64::MAX;

fn properties(limits: &Limits) -> Vec<(&'static str, Value)> {
    let number = |max: Max| Value::Number(max.at().unwrap_or(INFINITY));
    let mut all = Vec::new();
    let memory = &limits.memory;
    all.extend(memory.max.map(|max| ("MemoryMax", number(max))));
    all.extend(memory.swap.map(|max| ("MemorySwapMax", number(max))));
    all.extend(memory.reservation.map(|max| ("MemoryLow", number(max))));
    let cpu = &limits.cpu;
    all.extend(cpu.shares.map(|shares| ("CPUWeight", Value::Number(cpu_weight(shares)))));
    if let Some(quota) = cpu.quota_us {
        let period = cpu.period_us.unwrap_or(hull_model::cpu::PERIOD_US).max(1);
        // Of a second, and rounded up to the 10 ms that systemd counts in.
        let second = quota.at().map_or(INFINITY, |quota| {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            u64::try_from(exact.next_multiple_of(10_000)).unwrap_or(INFINITY)
        });
        all.push(("CPUQuotaPerSecUSec", Value::Number(second)));
    }
    all.extend(cpu.period_us.map(|period| ("CPUQuotaPeriodUSec", Value::Number(period))));
    all.extend(cpu.cpus.as_ref().map(|set| ("AllowedCPUs", Value::Bits(bits(set.iter())))));
    all.extend(cpu.mems.as_ref().map(|set| ("AllowedMemoryNodes", Value::Bits(bits(set.iter())))));
    all.extend(limits.pids.map(|max| ("TasksMax", number(max))));
    all
}

/// Bit n of byte n / 8.
fn bits(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let at = usize::try_from(number / 8).unwrap_or(0);
        if bytes.len() <= at {
            bytes.resize(at + 1, 0);
        }
        bytes[at] |= 1_u8 << (number % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use hull_model::bytes::Bytes;
    use hull_model::cpu::{Cpu, Shares};
    use hull_model::memory::Memory;

    use super::*;

    #[test]
    fn slices_are_nested_as_systemd_nests_them() {
        let path = |slice: &str| slice_path(slice).map(|path| path.display().to_string());
        assert_eq!(path("system.slice").unwrap(), "system.slice");
        assert_eq!(path("a-b-c.slice").unwrap(), "a.slice/a-b.slice/a-b-c.slice");
        assert_eq!(path("-.slice").unwrap(), "");
        for bad in [
            "",
            ".slice",
            "a",
            "/a.slice",
            "../a.slice",
            "a--b.slice",
            "-a.slice",
            "a-.slice",
            "..slice",
            "a b.slice",
            "a/b.slice",
            "a@b.slice",
            "a\n.slice",
        ] {
            let error = path(bad).unwrap_err().to_string();
            assert!(error.starts_with("invalid slice"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn limits_become_properties() {
        let limits = Limits {
            memory: Memory::new(Bytes::mib(64), Max::Unlimited),
            cpu: Cpu {
                shares: Some(Shares::new(1_024)),
                quota_us: Some(Max::At(33_333)),
                period_us: Some(50_000),
                cpus: Some("0,2,9".parse().unwrap()),
                ..Cpu::default()
            },
            pids: Some(Max::At(7)),
            ..Limits::default()
        };
        let unit = scope("abc", "system.slice", &limits);
        assert_eq!(unit.name, "hull-abc.scope");
        assert_eq!(
            unit.limits,
            [
                ("MemoryMax", Value::Number(64 << 20)),
                ("MemorySwapMax", Value::Number(u64::MAX)),
                ("CPUWeight", Value::Number(100)),
                ("CPUQuotaPerSecUSec", Value::Number(670_000)),
                ("CPUQuotaPeriodUSec", Value::Number(50_000)),
                ("AllowedCPUs", Value::Bits(vec![0b101, 0b10])),
                ("TasksMax", Value::Number(7)),
            ]
        );
        assert_eq!(scope("abc", "x.slice", &Limits::default()).limits, []);
    }
}
