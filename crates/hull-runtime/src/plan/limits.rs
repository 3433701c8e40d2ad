//! `linux.resources` made into limits.
//!
//! OCI's conventions end here: 0 is "not said" where the kernel's own value cannot be 0, a negative
//! number is "no limit", and swap counts the memory it is on top of.

use hull_model::block::{Block, DeviceWeight, Disk, Throttle, Weight};
use hull_model::cpu::{Cpu, Shares};
use hull_model::limits::{Limits, Marks, Max, Rdma};
use hull_model::memory::Memory;
use hull_model::security::{DeviceKind, DeviceRule};

use crate::config::Resources;
use crate::config::resources as oci;
use crate::failure::Failure;

/// The limits that `wanted` says; everything else is left alone.
pub(crate) fn limits(wanted: &Resources) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    if let Some(memory) = &wanted.memory {
        limits.memory = self::memory(memory)?;
    }
    if let Some(cpu) = &wanted.cpu {
        limits.cpu = self::cpu(cpu)?;
    }
    limits.pids = wanted.pids.and_then(|pids| max(pids.limit));
    if let Some(block) = &wanted.block_io {
        limits.block = self::block(block)?;
    }
    for (at, pages) in wanted.hugepage_limits.iter().flatten().enumerate() {
        let field = format!("hugepageLimits[{at}].pageSize");
        limits.huge_pages.insert(page_size(&pages.page_size, &field)?, Max::At(pages.limit));
    }
    if let Some(network) = &wanted.network {
        let priorities = network.priorities.iter().flatten();
        limits.marks = Marks {
            class: network.class_id,
            priorities: priorities.map(|one| (one.name.clone(), one.priority)).collect(),
        };
    }
    for (device, rdma) in wanted.rdma.iter().flatten() {
        let max = |count: Option<u32>| count.map(|count| Max::At(count.into()));
        let rdma = Rdma { handles: max(rdma.hca_handles), objects: max(rdma.hca_objects) };
        limits.rdma.insert(device.clone(), rdma);
    }
    for (file, value) in wanted.unified.iter().flatten() {
        if file.is_empty() || file.contains('/') {
            return Err(Failure::new(format!("unified: {file:?} is no file of a cgroup")));
        }
        limits.unified.insert(file.clone(), value.clone());
    }
    Ok(limits)
}

/// A number that says nothing when it is 0, and "no limit" when it is negative.
fn max(number: Option<i64>) -> Option<Max> {
    let number = number.filter(|number| *number != 0)?;
    Some(u64::try_from(number).map_or(Max::Unlimited, Max::At))
}

fn memory(wanted: &oci::Memory) -> Result<Memory, Failure> {
    let limit = max(wanted.limit);
    let swap = match (max(wanted.swap), limit) {
        (None, _) => None,
        (Some(Max::Unlimited), _) => Some(Max::Unlimited),
        (Some(Max::At(total)), Some(Max::At(memory))) => {
            let swap = total.checked_sub(memory).ok_or_else(|| {
                Failure::new(format!(
                    "memory.swap: {total}, which counts memory too, is less than memory.limit, \
                     {memory}"
                ))
            })?;
            Some(Max::At(swap))
        }
        (Some(Max::At(total)), _) => {
            return Err(Failure::new(format!(
                "memory.swap: {total} needs memory.limit, which it counts too"
            )));
        }
    };
    if let Some(swappiness) = wanted.swappiness.filter(|swappiness| *swappiness > 100) {
        return Err(Failure::new(format!("memory.swappiness: {swappiness} is more than 100")));
    }
    if let Some(kernel) = max(wanted.kernel).and_then(Max::at) {
        return Err(Failure::new(format!(
            "memory.kernel: {kernel} not supported by this kernel: limits of kernel memory went \
             with Linux 5.16; hint: memory.limit counts it"
        )));
    }
    if wanted.use_hierarchy == Some(false) {
        return Err(Failure::new(
            "memory.useHierarchy: false not supported by this kernel: memory of children always \
             counts since Linux 5.11",
        ));
    }
    Ok(Memory {
        max: limit,
        swap,
        reservation: max(wanted.reservation),
        swappiness: wanted.swappiness,
        kernel_tcp: max(wanted.kernel_tcp),
        oom_kill_disabled: wanted.disable_oom_killer.unwrap_or(false),
        keep_used: wanted.check_before_update.unwrap_or(false),
    })
}

fn cpu(wanted: &oci::Cpu) -> Result<Cpu, Failure> {
    let some = |number: Option<u64>| number.filter(|number| *number != 0);
    let set = |text: &Option<String>, field: &str| {
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let parse = |text: &str| {
            text.parse().map_err(|error| Failure::new(format!("cpu.{field}: {error}")))
        };
        text.map(parse).transpose()
    };
    let idle = match wanted.idle {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(other) => {
            return Err(Failure::new(format!("cpu.idle: {other} is neither 0 nor 1")));
        }
    };
    Ok(Cpu {
        shares: some(wanted.shares).map(Shares::new),
        quota_us: max(wanted.quota),
        period_us: some(wanted.period),
        burst_us: wanted.burst,
        realtime_period_us: some(wanted.realtime_period),
        realtime_runtime_us: wanted.realtime_runtime.filter(|runtime| *runtime != 0),
        idle,
        cpus: set(&wanted.cpus, "cpus")?,
        mems: set(&wanted.mems, "mems")?,
    })
}

fn block(wanted: &oci::BlockIo) -> Result<Block, Failure> {
    let throttles = |wanted: &Option<Vec<oci::ThrottleDevice>>| {
        let one = |one: &oci::ThrottleDevice| Throttle {
            disk: Disk::Number { major: one.major, minor: one.minor },
            rate: one.rate,
        };
        wanted.iter().flatten().map(one).collect()
    };
    let mut devices = Vec::new();
    for (at, one) in wanted.weight_device.iter().flatten().enumerate() {
        let field = format!("blockIO.weightDevice[{at}]");
        devices.push(DeviceWeight {
            disk: Disk::Number { major: one.major, minor: one.minor },
            weight: weight(one.weight, &format!("{field}.weight"))?,
            leaf_weight: weight(one.leaf_weight, &format!("{field}.leafWeight"))?,
        });
    }
    Ok(Block {
        weight: weight(wanted.weight, "blockIO.weight")?,
        leaf_weight: weight(wanted.leaf_weight, "blockIO.leafWeight")?,
        devices,
        read_bps: throttles(&wanted.throttle_read_bps_device),
        write_bps: throttles(&wanted.throttle_write_bps_device),
        read_iops: throttles(&wanted.throttle_read_iops_device),
        write_iops: throttles(&wanted.throttle_write_iops_device),
    })
}

fn weight(wanted: Option<u16>, field: &str) -> Result<Option<Weight>, Failure> {
    let Some(number) = wanted.filter(|number| *number != 0) else { return Ok(None) };
    let weight = Weight::new(number);
    weight.map(Some).ok_or_else(|| Failure::new(format!("{field}: {number} is not 10 to 1000")))
}

/// `2MB`, as the kernel's files are called.
fn page_size(text: &str, field: &str) -> Result<String, Failure> {
    let number = text.strip_suffix("KB").or_else(|| text.strip_suffix("MB"));
    let number = number.or_else(|| text.strip_suffix("GB")).unwrap_or_default();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || number.starts_with('0') {
        return Err(Failure::new(format!("{field}: {text:?} is no size such as 2MB")));
    }
    Ok(text.to_owned())
}

/// Who may use which device nodes, in order.
pub(crate) fn device_rules(wanted: &Resources) -> Result<Vec<DeviceRule>, Failure> {
    wanted.devices.iter().flatten().enumerate().map(device_rule).collect()
}

fn device_rule((at, wanted): (usize, &oci::DeviceRule)) -> Result<DeviceRule, Failure> {
    let field = |name: &str| format!("linux.resources.devices[{at}].{name}");
    let kind = match wanted.r#type.as_deref().unwrap_or("a") {
        "a" | "" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" | "u" => DeviceKind::Character,
        other => {
            return Err(Failure::new(format!(
                "{}: {other:?} is none of a, b, c and u",
                field("type")
            )));
        }
    };
    let access = wanted.access.clone().filter(|access| !access.is_empty());
    let access = access.unwrap_or_else(|| "rwm".to_owned());
    if !access.bytes().all(|byte| b"rwm".contains(&byte)) {
        return Err(Failure::new(format!(
            "{}: {access:?} has other than r, w, m",
            field("access")
        )));
    }
    // Any number is -1, or none at all.
    let number = |number: Option<i64>, name: &str| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number).map(Some).map_err(|_out_of_range| {
            Failure::new(format!("{}: {number} is no device number", field(name)))
        }),
    };
    Ok(DeviceRule {
        allow: wanted.allow,
        kind,
        major: number(wanted.major, "major")?,
        minor: number(wanted.minor, "minor")?,
        access,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Limits, String> {
        let wanted: Resources = crate::config::from_json(json).map_err(|f| f.to_string())?;
        limits(&wanted).map_err(|failure| failure.to_string())
    }

    #[test]
    fn memory_is_counted_apart_from_swap() {
        let memory = |json: &str| {
            let memory = read(&format!(r#"{{"memory":{json}}}"#))?.memory;
            Ok::<_, String>(format!("{:?} {:?}", memory.max, memory.swap))
        };
        assert_eq!(memory(r#"{"limit":10,"swap":15}"#).unwrap(), "Some(At(10)) Some(At(5))");
        assert_eq!(memory(r#"{"limit":-1,"swap":-1}"#).unwrap(), "Some(Unlimited) Some(Unlimited)");
        assert_eq!(memory(r#"{"limit":0,"swap":0}"#).unwrap(), "None None");
        assert!(memory(r#"{"limit":10,"swap":9}"#).unwrap_err().contains("less than memory.limit"));
        assert!(memory(r#"{"swap":9}"#).unwrap_err().contains("needs memory.limit"));
        assert!(memory(r#"{"swappiness":101}"#).unwrap_err().contains("101 is more"));
        assert!(memory(r#"{"kernel":1}"#).unwrap_err().contains("not supported by this kernel"));
        assert!(memory(r#"{"limit":"1"}"#).unwrap_err().contains("memory.limit: invalid type"));
    }

    #[test]
    fn processors_and_the_rest_are_read() {
        let all = read(
            r#"{"cpu":{"shares":1,"quota":-1,"period":0,"cpus":"0-1","mems":"","idle":1},
                "pids":{"limit":-1},"hugepageLimits":[{"pageSize":"2MB","limit":0}],
                "blockIO":{"weight":0,"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":5}]},
                "unified":{"memory.high":"1"}}"#,
        )
        .unwrap();
        assert_eq!(all.cpu.shares.map(Shares::get), Some(2));
        assert_eq!(all.cpu.quota_us, Some(Max::Unlimited));
        assert_eq!((all.cpu.period_us, all.cpu.idle), (None, Some(true)));
        assert_eq!(all.cpu.cpus.map(|set| set.to_string()).as_deref(), Some("0-1"));
        assert_eq!(all.pids, Some(Max::Unlimited));
        assert_eq!(all.huge_pages["2MB"], Max::At(0));
        assert_eq!(all.block.read_iops[0].rate, 5);
        assert_eq!(all.unified["memory.high"], "1");
        let rows = [
            (r#"{"cpu":{"idle":2}}"#, "cpu.idle: 2 is neither"),
            (r#"{"cpu":{"cpus":"x"}}"#, "cpu.cpus: invalid cpu list"),
            (r#"{"blockIO":{"weight":5}}"#, "blockIO.weight: 5 is not"),
            (r#"{"hugepageLimits":[{"pageSize":"../x","limit":0}]}"#, "is no size such as"),
            (r#"{"unified":{"../x":"1"}}"#, "is no file of a cgroup"),
        ];
        for (json, expected) in rows {
            let said = read(json).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn device_rules_say_all_or_one() {
        let rules = |json: &str| {
            let wanted = format!(r#"{{"devices":[{json}]}}"#);
            let wanted: Resources = crate::config::from_json(&wanted).unwrap();
            match device_rules(&wanted) {
                Ok(rules) => {
                    format!("{:?} {:?} {}", rules[0].kind, rules[0].major, rules[0].access)
                }
                Err(failure) => failure.to_string(),
            }
        };
        assert_eq!(rules(r#"{"allow":false}"#), "All None rwm");
        assert_eq!(
            rules(r#"{"allow":true,"type":"c","major":1,"access":"r"}"#),
            "Character Some(1) r"
        );
        assert!(rules(r#"{"allow":true,"type":"x"}"#).contains("devices[0].type: \"x\""));
        assert!(rules(r#"{"allow":true,"access":"x"}"#).contains("devices[0].access: \"x\""));
        assert!(rules(r#"{"allow":true,"major":-2}"#).contains("devices[0].major: -2"));
    }
}
