//! The body of `POST /containers/{id}/update`: limits and the restart policy of a container that
//! exists.
//!
//! What a client sends is merged into what the container was created from, field for field as in
//! moby (`container/container_unix.go`, `UpdateContainer`), and the whole is then read as a create is:
//! one mapping for both.

use hull_model::guest::GuestSpec;
use hull_model::limits::Supported;
use serde::Serialize;
use serde_json::Value;

use super::host_config::HostConfig;
use super::unsupported::absent;
use super::{as_sent, create, life, limits};
use crate::json::decode;
use crate::refusal::{Kind, Refusal, Result};

/// A change asked for: checked against the host, to be merged with the container's own settings.
#[derive(Clone, Debug)]
pub struct Update {
    sent: HostConfig,
    /// What the client is told.
    pub warnings: Vec<String>,
}

/// The answer to an update.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateResponse {
    /// What the client should know.
    pub warnings: Vec<String>,
}

/// Reads the body of an update for a host with `cpus` processors.
pub fn read(body: &[u8], supported: &Supported, cpus: u32) -> Result<Update> {
    let mut sent: HostConfig = decode(body, "UpdateConfig")?;
    let mut warnings = Vec::new();
    limits::adjust(&mut sent, supported, cpus, &mut warnings)?;
    sent.pids_limit = sent.pids_limit.map(|pids| pids.max(0));
    check_unchangeable(&sent)?;
    Ok(Update { sent, warnings })
}

/// These are given to a process when it starts, or are nothing that hull changes in one that runs.
fn check_unchangeable(sent: &HostConfig) -> Result<()> {
    absent("Devices", &sent.devices.clone().unwrap_or_default())?;
    absent("DeviceCgroupRules", &sent.device_cgroup_rules.clone().unwrap_or_default())?;
    absent("DeviceRequests", &sent.device_requests.clone().unwrap_or_default())?;
    absent("Ulimits", &sent.ulimits.clone().unwrap_or_default())?;
    absent("OomKillDisable", &sent.oom_kill_disable.unwrap_or_default())?;
    absent("OomScoreAdj", &sent.oom_score_adj)?;
    absent("CgroupParent", &sent.cgroup_parent)?;
    absent("CpuCount", &sent.cpu_count)
}

impl Update {
    /// The container of `spec` after this change. Nothing is changed if it is refused.
    pub fn apply(&self, spec: &GuestSpec) -> Result<GuestSpec> {
        let current = as_sent::restore(&create::write_host(spec), &spec.as_sent);
        let mut host: HostConfig = serde_json::from_value(Value::Object(current))
            .map_err(|error| Refusal::invalid(format_args!("read the container's own: {error}")))?;
        self.merge(&mut host)?;
        let mut changed = spec.clone();
        changed.restart = life::read_restart(&host)?;
        let rlimits = std::mem::take(&mut changed.limits.rlimits);
        changed.limits = hull_model::limits::Limits { rlimits, ..limits::read(&host)? };
        changed.as_sent = as_sent::kept(&host, &create::write_host(&changed));
        Ok(changed)
    }

    fn merge(&self, host: &mut HostConfig) -> Result<()> {
        let sent = &self.sent;
        check_conflicts(sent, host)?;
        set(&mut host.cpu_shares, &sent.cpu_shares);
        set(&mut host.nano_cpus, &sent.nano_cpus);
        set(&mut host.cpu_period, &sent.cpu_period);
        set(&mut host.cpu_quota, &sent.cpu_quota);
        set(&mut host.cpu_realtime_period, &sent.cpu_realtime_period);
        set(&mut host.cpu_realtime_runtime, &sent.cpu_realtime_runtime);
        set(&mut host.cpuset_cpus, &sent.cpuset_cpus);
        set(&mut host.cpuset_mems, &sent.cpuset_mems);
        if sent.memory != 0 {
            // Swap that was not given with a first limit is as much as there is memory.
            if host.memory_swap > 0 && sent.memory > host.memory_swap && sent.memory_swap == 0 {
                return Err(Refusal::invalid(
                    "Memory limit should be smaller than already set memoryswap limit, update the \
                     memoryswap at the same time",
                ));
            }
            host.memory = sent.memory;
        }
        set(&mut host.memory_swap, &sent.memory_swap);
        set(&mut host.memory_reservation, &sent.memory_reservation);
        if host.memory > 0 && host.memory_reservation > host.memory {
            return Err(Refusal::invalid(
                "Minimum memory limit can not be less than memory reservation limit, see usage",
            ));
        }
        set(&mut host.memory_swappiness, &sent.memory_swappiness);
        set(&mut host.kernel_memory_tcp, &sent.kernel_memory_tcp);
        set(&mut host.pids_limit, &sent.pids_limit);
        set(&mut host.blkio_weight, &sent.blkio_weight);
        set(&mut host.blkio_weight_device, &sent.blkio_weight_device);
        set(&mut host.blkio_device_read_bps, &sent.blkio_device_read_bps);
        set(&mut host.blkio_device_write_bps, &sent.blkio_device_write_bps);
        set(&mut host.blkio_device_read_iops, &sent.blkio_device_read_iops);
        set(&mut host.blkio_device_write_iops, &sent.blkio_device_write_iops);
        if !sent.restart_policy.name.is_empty() {
            if host.auto_remove && sent.restart_policy.name != "no" {
                return Err(conflict(
                    "Restart policy cannot be updated because AutoRemove is enabled for the \
                     container",
                ));
            }
            host.restart_policy = sent.restart_policy.clone();
        }
        Ok(())
    }
}

/// `--cpus` is a quota in another unit, so one is not changed below the other.
fn check_conflicts(sent: &HostConfig, host: &HostConfig) -> Result<()> {
    for (other, what) in [(host.cpu_period, "Period"), (host.cpu_quota, "Quota")] {
        if sent.nano_cpus > 0 && other > 0 {
            return Err(conflict(&format!(
                "Conflicting options: Nano CPUs cannot be updated as CPU {what} has already been set"
            )));
        }
    }
    for (own, what) in [(sent.cpu_period, "Period"), (sent.cpu_quota, "Quota")] {
        if own > 0 && host.nano_cpus > 0 {
            return Err(conflict(&format!(
                "Conflicting options: CPU {what} cannot be updated as NanoCPUs has already been set"
            )));
        }
    }
    Ok(())
}

/// Zero is "not given".
fn set<T: Clone + Default + PartialEq>(value: &mut T, sent: &T) {
    if *sent != T::default() {
        value.clone_from(sent);
    }
}

fn conflict(message: &str) -> Refusal {
    Refusal { kind: Kind::Conflict, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use hull_model::limits::Max;
    use hull_model::log::LogConfig;
    use serde_json::json;

    use super::*;
    use crate::container::create::{Context, read as read_create};
    use crate::version::ApiVersion;

    fn supported() -> Supported {
        Supported {
            memory: true,
            swap: true,
            reservation: true,
            swappiness: true,
            pids: true,
            cpu_shares: true,
            cpu_quota: true,
            cpus: "0-3".parse().ok(),
            mems: "0".parse().ok(),
            block_weight: true,
            block_throttle: true,
            ..Supported::default()
        }
    }

    fn created(host: &Value) -> GuestSpec {
        let context = Context {
            version: ApiVersion::MAX,
            cpus: 4,
            supported: supported(),
            log: LogConfig::default(),
            caller: None,
        };
        let body = json!({ "Image": "x", "HostConfig": host }).to_string();
        read_create(body.as_bytes(), &context).unwrap().spec
    }

    /// The fields of `HostConfig` named, after an update of a container; or why not.
    fn updated(host: &Value, update: &Value, fields: &[&str]) -> Result<Vec<Value>, String> {
        let spec = created(host);
        let read = read(update.to_string().as_bytes(), &supported(), 4);
        let spec = read
            .and_then(|update| update.apply(&spec))
            .map_err(|refusal| format!("{} {}", refusal.status(), refusal.message))?;
        let shown = as_sent::restore(&create::write_host(&spec), &spec.as_sent);
        Ok(fields.iter().map(|field| shown[*field].clone()).collect())
    }

    const MIB: i64 = 1 << 20;

    #[test]
    fn only_what_is_given_changes() {
        let host = json!({ "Memory": 64 * MIB, "CpuShares": 512, "PidsLimit": 10 });
        let fields = ["Memory", "MemorySwap", "CpuShares", "PidsLimit", "CpusetCpus"];
        let change = |update| updated(&host, &update, &fields);
        assert_eq!(
            change(json!({})).unwrap(),
            [json!(64 * MIB), json!(128 * MIB), json!(512), json!(10), json!("")]
        );
        assert_eq!(
            change(json!({ "Memory": 100 * MIB, "PidsLimit": -1, "CpusetCpus": "1" })).unwrap(),
            [json!(100 * MIB), json!(128 * MIB), json!(512), json!(0), json!("1")]
        );
        assert_eq!(
            change(json!({ "Memory": 200 * MIB, "MemorySwap": -1 })).unwrap()[..2],
            [json!(200 * MIB), json!(-1)]
        );
        // What goes to the kernel says so too.
        let update = read(br#"{"PidsLimit": 0, "CpuQuota": -1}"#, &supported(), 4).unwrap();
        let limits = update.apply(&created(&host)).unwrap().limits;
        assert_eq!(
            (limits.pids, limits.cpu.quota_us),
            (Some(Max::Unlimited), Some(Max::Unlimited))
        );
    }

    #[test]
    fn processors_are_changed_in_the_unit_they_were_given_in() {
        let nano = json!({ "NanoCpus": 1_000_000_000_i64 });
        let quota = json!({ "CpuQuota": 50_000 });
        let fields = ["NanoCpus", "CpuQuota", "CpuPeriod"];
        assert_eq!(
            updated(&nano, &json!({ "NanoCpus": 2_000_000_000_i64 }), &fields).unwrap(),
            [json!(2_000_000_000_i64), json!(0), json!(0)]
        );
        assert_eq!(
            updated(&quota, &json!({ "CpuPeriod": 50_000 }), &fields).unwrap(),
            [json!(0), json!(50_000), json!(50_000)]
        );
        let refused = updated(&nano, &quota, &fields).unwrap_err();
        assert_eq!(
            refused,
            "409 Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
        );
        let refused = updated(&quota, &nano, &fields).unwrap_err();
        assert!(refused.starts_with("409 Conflicting options: Nano CPUs cannot"), "{refused}");
    }

    #[test]
    fn restart_policies_change_unless_it_removes_itself() {
        let policy = |name: &str, count| json!({ "RestartPolicy": { "Name": name, "MaximumRetryCount": count } });
        let change = |host: &Value, update: &Value| updated(host, update, &["RestartPolicy"]);
        let changed = change(&json!({}), &policy("on-failure", 3)).unwrap();
        assert_eq!(changed[0], policy("on-failure", 3)["RestartPolicy"]);
        let kept = change(&policy("always", 0), &json!({ "Memory": 64 * MIB })).unwrap();
        assert_eq!(kept[0]["Name"], "always");
        let auto = json!({ "AutoRemove": true });
        let refused = change(&auto, &policy("always", 0)).unwrap_err();
        assert!(refused.starts_with("409 Restart policy cannot be updated"), "{refused}");
        assert!(change(&auto, &policy("no", 0)).is_ok());
        assert!(change(&json!({}), &policy("x", 0)).unwrap_err().starts_with("400 "));
        assert!(change(&json!({}), &policy("always", 1)).unwrap_err().starts_with("400 "));
    }

    #[test]
    fn wrong_values_and_what_cannot_change_are_refused() {
        let host = json!({ "Memory": 64 * MIB, "MemoryReservation": 32 * MIB });
        let refused = |update: Value| updated(&host, &update, &[]).unwrap_err();
        assert!(refused(json!({ "Memory": 1 })).starts_with("400 Minimum memory limit"));
        assert!(refused(json!({ "Memory": 16 * MIB })).contains("memory reservation"));
        assert!(refused(json!({ "Memory": 256 * MIB })).contains("already set memoryswap"));
        assert!(refused(json!({ "MemorySwap": 32 * MIB })).contains("larger than memory limit"));
        assert!(refused(json!({ "CpusetCpus": "0-9" })).contains("CPUs are not available"));
        assert!(refused(json!({ "CpuQuota": 1 })).contains("CPU cfs quota"));
        assert!(refused(json!({ "BlkioWeight": 1 })).contains("10 to 1000"));
        for field in [
            json!({ "Devices": [{ "PathOnHost": "/dev/null" }] }),
            json!({ "Ulimits": [{ "Name": "core" }] }),
            json!({ "DeviceCgroupRules": ["c 1:3 r"] }),
            json!({ "OomScoreAdj": 5 }),
            json!({ "CgroupParent": "x" }),
        ] {
            let message = refused(field.clone());
            assert!(message.starts_with("501 hull does not support HostConfig."), "{message}");
        }
        assert!(refused(json!({ "Memory": "x" })).starts_with("400 invalid JSON"));
    }

    #[test]
    fn what_the_host_cannot_do_is_dropped_and_told() {
        let update = json!({ "Memory": 64 * MIB, "PidsLimit": 5 }).to_string();
        let update = read(update.as_bytes(), &Supported::default(), 4).unwrap();
        assert_eq!(update.warnings.len(), 2);
        let spec = created(&json!({}));
        let after = update.apply(&spec).unwrap();
        assert_eq!((after.limits.memory.max, after.limits.pids), (None, None));
    }
}
