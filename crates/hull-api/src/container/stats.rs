//! `GET /containers/{id}/stats`.
//!
//! The names and which of them are left out when empty are moby's (`api/types/container/stats.go`);
//! what there is depends on the host's generation of cgroups, as the specification says.

use std::collections::BTreeMap;

use hull_model::time::Timestamp;
use hull_model::usage::{self, BlockEntry, Generation, Usage};
use serde::Serialize;

use crate::query::Query;
use crate::refusal::{Refusal, Result};
use crate::version::ApiVersion;

/// How a client wants it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Once, with what is needed for a percentage.
    Once,
    /// Once, and nothing of before.
    OneShot,
    /// Every second.
    Stream,
}

impl Mode {
    /// Reads `stream` and, since 1.41, `one-shot`.
    pub fn parse(query: &Query, version: ApiVersion) -> Result<Self> {
        let one_shot = version.is_at_least(41) && query.flag("one-shot");
        match (query.flag_or("stream", true), one_shot) {
            (true, true) => Err(Refusal::invalid("cannot have stream=true and one-shot=true")),
            (true, false) => Ok(Self::Stream),
            (false, true) => Ok(Self::OneShot),
            (false, false) => Ok(Self::Once),
        }
    }
}

/// What is known of one container's use.
#[derive(Clone, Copy, Debug)]
pub struct StatsView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name, without slash.
    pub name: &'a str,
    /// When.
    pub at: Timestamp,
    /// `None` if it does not run.
    pub usage: Option<&'a Usage>,
    /// Nanoseconds of all the host's processors.
    pub host_cpu: u64,
    /// How many processors the host has.
    pub processors: u32,
    /// The host's bytes of memory: the limit of those that have none.
    pub host_memory: u64,
    /// What percentages are reckoned from.
    pub earlier: Option<EarlierView<'a>>,
}

/// Processor time at a moment before.
#[derive(Clone, Copy, Debug)]
pub struct EarlierView<'a> {
    /// When.
    pub at: Timestamp,
    /// The container's.
    pub cpu: &'a usage::Cpu,
    /// As in [`StatsView`].
    pub host_cpu: u64,
    /// As in [`StatsView`].
    pub processors: u32,
}

/// One answer, or one line of a stream.
#[derive(Clone, Debug, Serialize)]
pub struct Stats<'a> {
    id: &'a str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_type: Option<&'static str>,
    read: String,
    preread: String,
    pids_stats: Pids,
    blkio_stats: Block<'a>,
    num_procs: u32,
    storage_stats: Nothing,
    cpu_stats: Cpu<'a>,
    precpu_stats: Cpu<'a>,
    memory_stats: Memory<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<&'a str, Network>,
}

/// Fields that other systems have.
#[derive(Clone, Copy, Debug, Serialize)]
struct Nothing {}

#[derive(Clone, Debug, Default, Serialize)]
struct Cpu<'a> {
    cpu_usage: CpuUsage<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    system_cpu_usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    online_cpus: u32,
    throttling_data: Throttling,
}

#[derive(Clone, Debug, Default, Serialize)]
struct CpuUsage<'a> {
    total_usage: u64,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    percpu_usage: &'a [u64],
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Memory<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max_usage: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<&'a BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "is_zero")]
    failcnt: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
}

/// `None` is `null`: this host does not keep such a list.
#[derive(Clone, Debug, Default, Serialize)]
struct Block<'a> {
    io_service_bytes_recursive: Option<Vec<Entry<'a>>>,
    io_serviced_recursive: Option<Vec<Entry<'a>>>,
    io_queue_recursive: Option<Vec<Entry<'a>>>,
    io_service_time_recursive: Option<Vec<Entry<'a>>>,
    io_wait_time_recursive: Option<Vec<Entry<'a>>>,
    io_merged_recursive: Option<Vec<Entry<'a>>>,
    io_time_recursive: Option<Vec<Entry<'a>>>,
    sectors_recursive: Option<Vec<Entry<'a>>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Entry<'a> {
    major: u64,
    minor: u64,
    op: &'a str,
    value: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Network {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

/// Go's zero time: no sample.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The answer about `view` to a client of `version`. A container that does not run has a name and
/// nothing else.
pub fn write<'a>(view: &StatsView<'a>, version: ApiVersion) -> Stats<'a> {
    let usage = view.usage;
    let time = |at: Option<Timestamp>| at.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    let earlier = view.earlier.as_ref().filter(|_| usage.is_some());
    let cpu_stats = usage.and_then(|usage| usage.cpu.as_ref());
    Stats {
        id: view.id,
        name: format!("/{}", view.name),
        os_type: version.is_at_least(52).then_some("linux"),
        read: time(usage.map(|_| view.at)),
        preread: time(earlier.map(|earlier| earlier.at)),
        pids_stats: usage.map(pids).unwrap_or_default(),
        blkio_stats: usage.map(block).unwrap_or_default(),
        num_procs: 0,
        storage_stats: Nothing {},
        cpu_stats: cpu_stats
            .map(|used| cpu(used, view.host_cpu, view.processors))
            .unwrap_or_default(),
        precpu_stats: earlier.map(|at| cpu(at.cpu, at.host_cpu, at.processors)).unwrap_or_default(),
        memory_stats: usage
            .and_then(|usage| usage.memory.as_ref())
            .map(|used| memory(used, view.host_memory))
            .unwrap_or_default(),
        networks: usage.map(networks).unwrap_or_default(),
    }
}

fn cpu(used: &usage::Cpu, host_cpu: u64, processors: u32) -> Cpu<'_> {
    let usage::Throttling { periods, throttled_periods, throttled_time } = used.throttling;
    Cpu {
        cpu_usage: CpuUsage {
            total_usage: used.total,
            percpu_usage: &used.each,
            usage_in_kernelmode: used.system,
            usage_in_usermode: used.user,
        },
        system_cpu_usage: host_cpu,
        online_cpus: processors,
        throttling_data: Throttling { periods, throttled_periods, throttled_time },
    }
}

fn memory(used: &usage::Memory, host: u64) -> Memory<'_> {
    let v1_only = used.failures.is_some();
    Memory {
        usage: used.used,
        max_usage: used.peak.filter(|_| v1_only).unwrap_or(0),
        stats: Some(&used.details),
        failcnt: used.failures.unwrap_or(0),
        limit: limit(used, host),
    }
}

/// The limit, or what the host has: a client divides by it.
pub(crate) fn limit(memory: &usage::Memory, host: u64) -> u64 {
    match memory.limit {
        Some(limit) if host == 0 || limit < host => limit,
        Some(_) | None => host,
    }
}

/// No limit is nothing in v1 and the largest number in v2, as containerd's readers of them have it.
fn pids(usage: &Usage) -> Pids {
    let Some(pids) = usage.pids else { return Pids::default() };
    let none = match usage.generation {
        Generation::V1 => 0,
        Generation::V2 => u64::MAX,
    };
    Pids { current: pids.current, limit: pids.limit.unwrap_or(none) }
}

fn block(usage: &Usage) -> Block<'_> {
    let block = &usage.block;
    let v1 = usage.generation == Generation::V1;
    let list = |list| v1.then(|| entries(list));
    Block {
        io_service_bytes_recursive: Some(entries(&block.bytes)),
        io_serviced_recursive: list(&block.requests),
        io_queue_recursive: list(&block.queued),
        io_service_time_recursive: list(&block.service_time),
        io_wait_time_recursive: list(&block.wait_time),
        io_merged_recursive: list(&block.merged),
        io_time_recursive: list(&block.time),
        sectors_recursive: list(&block.sectors),
    }
}

fn entries(list: &[BlockEntry]) -> Vec<Entry<'_>> {
    let entry = |one: &BlockEntry| (one.major, one.minor, one.value);
    let named = list.iter().map(|one| (entry(one), one.kind.as_str()));
    named.map(|((major, minor, value), op)| Entry { major, minor, op, value }).collect()
}

fn networks(usage: &Usage) -> BTreeMap<&str, Network> {
    let one = |interface: &usage::Interface| {
        let (rx, tx) = (interface.received, interface.sent);
        Network {
            rx_bytes: rx.bytes,
            rx_packets: rx.packets,
            rx_errors: rx.errors,
            rx_dropped: rx.dropped,
            tx_bytes: tx.bytes,
            tx_packets: tx.packets,
            tx_errors: tx.errors,
            tx_dropped: tx.dropped,
        }
    };
    usage.interfaces.iter().map(|interface| (interface.name.as_str(), one(interface))).collect()
}

/// Go's `omitempty` of a number.
fn is_zero<N: Copy + Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn usage(generation: Generation) -> Usage {
        let v1 = generation == Generation::V1;
        let entry =
            |kind: &str, value| BlockEntry { major: 8, minor: 0, kind: kind.to_owned(), value };
        Usage {
            generation,
            cpu: Some(usage::Cpu {
                total: 30,
                user: 20,
                system: 10,
                each: if v1 { vec![10, 20] } else { Vec::new() },
                throttling: usage::Throttling::default(),
            }),
            memory: Some(usage::Memory {
                used: 100,
                peak: Some(200),
                failures: v1.then_some(3),
                limit: None,
                details: [("inactive_file".to_owned(), 5)].into(),
            }),
            pids: Some(usage::Pids { current: 2, limit: None }),
            block: usage::Block { bytes: vec![entry("read", 7)], ..usage::Block::default() },
            interfaces: vec![usage::Interface { name: "eth0".to_owned(), ..Default::default() }],
            ..Usage::default()
        }
    }

    fn shown(usage: Option<&Usage>, version: &str) -> Value {
        let cpu = usage::Cpu { total: 10, ..usage::Cpu::default() };
        let at = Timestamp::from_nanos;
        let earlier = EarlierView { at: at(1_000_000_000), cpu: &cpu, host_cpu: 50, processors: 2 };
        let view = StatsView {
            id: "abc",
            name: "web",
            at: at(2_000_000_000),
            usage,
            host_cpu: 90,
            processors: 2,
            host_memory: 1_000,
            earlier: Some(earlier),
        };
        serde_json::to_value(write(&view, version.parse().unwrap())).unwrap()
    }

    #[test]
    fn both_generations_have_what_docker_shows_of_them() {
        let v1 = shown(Some(&usage(Generation::V1)), "1.44");
        assert_eq!((&v1["name"], &v1["id"]), (&json!("/web"), &json!("abc")));
        assert_eq!(v1["read"], "1970-01-01T00:00:02Z");
        assert_eq!(v1["preread"], "1970-01-01T00:00:01Z");
        assert_eq!(v1["cpu_stats"]["cpu_usage"]["percpu_usage"], json!([10, 20]));
        assert_eq!(v1["cpu_stats"]["system_cpu_usage"], 90);
        assert_eq!(v1["cpu_stats"]["online_cpus"], 2);
        assert_eq!(v1["precpu_stats"]["cpu_usage"]["total_usage"], 10);
        assert_eq!(
            v1["memory_stats"],
            json!({"usage": 100, "max_usage": 200, "failcnt": 3, "limit": 1_000,
                   "stats": {"inactive_file": 5}})
        );
        assert_eq!(v1["pids_stats"], json!({"current": 2}));
        assert_eq!(v1["blkio_stats"]["io_queue_recursive"], json!([]));
        assert_eq!(v1["networks"]["eth0"]["rx_bytes"], 0);
        let v2 = shown(Some(&usage(Generation::V2)), "1.44");
        assert!(v2["cpu_stats"]["cpu_usage"].get("percpu_usage").is_none());
        assert!(v2["memory_stats"].get("max_usage").is_none());
        assert!(v2["memory_stats"].get("failcnt").is_none());
        assert_eq!(v2["pids_stats"]["limit"], u64::MAX);
        assert_eq!(
            v2["blkio_stats"]["io_service_bytes_recursive"],
            json!([{"major": 8, "minor": 0, "op": "read", "value": 7}])
        );
        assert_eq!(v2["blkio_stats"]["io_serviced_recursive"], Value::Null);
    }

    #[test]
    fn a_stopped_container_has_zeros_and_its_name() {
        let none = shown(None, "1.44");
        assert_eq!((&none["read"], &none["preread"]), (&json!(NEVER), &json!(NEVER)));
        assert_eq!(none["name"], "/web");
        assert_eq!((&none["memory_stats"], &none["pids_stats"]), (&json!({}), &json!({})));
        assert_eq!(none["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert!(none["cpu_stats"].get("online_cpus").is_none());
        assert!(none.get("networks").is_none() && none.get("os_type").is_none());
        assert_eq!(shown(None, "1.52")["os_type"], "linux");
    }

    #[test]
    fn modes_are_read_as_docker_reads_them() {
        let mode = |query: &str, version: &str| {
            Mode::parse(&Query::parse(Some(query)), version.parse().unwrap())
        };
        for (query, want) in [
            ("", Mode::Stream),
            ("stream=true", Mode::Stream),
            ("stream=0", Mode::Once),
            ("stream=false&one-shot=1", Mode::OneShot),
        ] {
            assert_eq!(mode(query, "1.44"), Ok(want), "{query}");
        }
        assert_eq!(
            mode("one-shot=true", "1.44").unwrap_err().message,
            "cannot have stream=true and one-shot=true"
        );
        assert_eq!(mode("stream=0&one-shot=1", "1.40"), Ok(Mode::Once));
    }
}
