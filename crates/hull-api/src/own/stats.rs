//! `GET /hull/containers/stats`: what all containers use, in one answer.

use hull_model::usage::{self, Traffic};
use serde::{Deserialize, Serialize};

use crate::container::stats::{StatsView, limit};
use crate::query::Query;

/// The path of the route.
pub const PATH: [&str; 3] = ["hull", "containers", "stats"];

/// Which containers a client wants, and how often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatsQuery {
    /// A line every second instead of one answer.
    pub stream: bool,
    /// Also those that do not run.
    pub all: bool,
    /// Names or ids; empty for all there are.
    pub containers: Vec<String>,
}

impl StatsQuery {
    /// Reads `stream`, `all` and any number of `container`.
    pub fn parse(query: &Query) -> Self {
        Self {
            stream: query.flag("stream"),
            all: query.flag("all"),
            containers: query.values("container").map(str::to_owned).collect(),
        }
    }
}

/// One answer, or one line of a stream.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AllStats {
    /// In the order of their names in the request, else of their ids.
    pub containers: Vec<Stats>,
}

/// What one container uses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Stats {
    /// Its id.
    pub id: String,
    /// Its name, without slash.
    pub name: String,
    /// When, in RFC 3339. Absent if it does not run: then all else is zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// Nanoseconds that the percentage is of.
    pub interval: u64,
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// What all its network interfaces received.
    pub received: Direction,
    /// What all its network interfaces sent.
    pub sent: Direction,
    /// Bytes from and to block devices.
    pub block: Block,
    /// Processes and threads.
    pub pids: Pids,
    /// How much of the time it was held up; of each resource that the kernel keeps it for.
    #[serde(default)]
    pub pressure: Pressures,
}

/// Processor time, in nanoseconds since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Cpu {
    /// Percent of one processor, over the interval: 200 is two whole ones.
    pub percent: f64,
    /// All of it.
    pub total: u64,
    /// In programs.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// Held back by its quota.
    pub throttled: u64,
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Memory {
    /// Without page cache that was not used lately.
    pub used: u64,
    /// With it.
    pub charged: u64,
    /// The limit, or what the host has.
    pub limit: u64,
}

/// One direction of all network interfaces together.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it all")]
pub struct Direction {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// Bytes from and to block devices.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it all")]
pub struct Block {
    pub read: u64,
    pub written: u64,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Pressure stall information.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Pressures {
    /// Waiting for a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Pressure>,
    /// Waiting for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Pressure>,
    /// Waiting for block devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<Pressure>,
}

/// How much of the time something waited.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one process did.
    pub some: Stall,
    /// All that had work to do did.
    pub full: Stall,
}

/// Percent of the last 10, 60 and 300 seconds, and microseconds since the start.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the kernel's")]
pub struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

/// What is shown of one container, which used `hundredths` of a percent of a processor.
pub fn write(view: &StatsView<'_>, hundredths: u64) -> Stats {
    let usage = view.usage;
    let interfaces = usage.map(|usage| usage.interfaces.as_slice()).unwrap_or_default();
    let (read, written) = usage.map(|usage| usage.block.read_and_written()).unwrap_or_default();
    let used = usage.and_then(|usage| usage.cpu.as_ref());
    let interval = view.earlier.map_or(0, |earlier| view.at.since(earlier.at).as_nanos());
    Stats {
        id: view.id.to_owned(),
        name: view.name.to_owned(),
        read: usage.map(|_| view.at.to_string()),
        interval: u64::try_from(interval).unwrap_or(u64::MAX),
        cpu: used.map(|used| cpu(used, hundredths)).unwrap_or_default(),
        memory: usage
            .and_then(|usage| usage.memory.as_ref())
            .map(|used| memory(used, view.host_memory))
            .unwrap_or_default(),
        received: direction(interfaces.iter().map(|one| one.received)),
        sent: direction(interfaces.iter().map(|one| one.sent)),
        block: Block { read, written },
        pids: usage
            .and_then(|usage| usage.pids)
            .map(|pids| Pids { current: pids.current, limit: pids.limit })
            .unwrap_or_default(),
        pressure: usage.map(|usage| pressures(&usage.pressure)).unwrap_or_default(),
    }
}

fn cpu(used: &usage::Cpu, hundredths: u64) -> Cpu {
    Cpu {
        percent: percent(hundredths),
        total: used.total,
        user: used.user,
        system: used.system,
        throttled: used.throttling.throttled_time,
    }
}

fn memory(used: &usage::Memory, host: u64) -> Memory {
    Memory { used: used.without_cache(), charged: used.used, limit: limit(used, host) }
}

fn direction(all: impl Iterator<Item = Traffic>) -> Direction {
    all.fold(Direction::default(), |sum, one| Direction {
        bytes: sum.bytes.saturating_add(one.bytes),
        packets: sum.packets.saturating_add(one.packets),
        errors: sum.errors.saturating_add(one.errors),
        dropped: sum.dropped.saturating_add(one.dropped),
    })
}

fn pressures(all: &usage::Pressures) -> Pressures {
    let stall = |one: usage::Stall| Stall {
        avg10: percent(u64::from(one.avg10)),
        avg60: percent(u64::from(one.avg60)),
        avg300: percent(u64::from(one.avg300)),
        total: one.total,
    };
    let pressure = |one: Option<usage::Pressure>| {
        one.map(|one| Pressure { some: stall(one.some), full: stall(one.full) })
    };
    Pressures { cpu: pressure(all.cpu), memory: pressure(all.memory), io: pressure(all.io) }
}

fn percent(hundredths: u64) -> f64 {
    // Nobody has more processors than that, and what is larger would not be exact.
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_model::time::Timestamp;

    #[test]
    fn sums_and_percentages_are_reckoned_and_read_back() {
        let traffic = |bytes| Traffic { bytes, packets: 1, ..Traffic::default() };
        let interface = |bytes| usage::Interface {
            name: "x".to_owned(),
            received: traffic(bytes),
            sent: traffic(0),
        };
        let stall = usage::Stall { avg10: 1_234, ..usage::Stall::default() };
        let usage = usage::Usage {
            cpu: Some(usage::Cpu { total: 9, ..usage::Cpu::default() }),
            memory: Some(usage::Memory { used: 5, limit: Some(u64::MAX), ..Default::default() }),
            interfaces: vec![interface(1), interface(2)],
            pressure: usage::Pressures {
                io: Some(usage::Pressure { some: stall, full: usage::Stall::default() }),
                ..usage::Pressures::default()
            },
            ..usage::Usage::default()
        };
        let view = StatsView {
            id: "a",
            name: "n",
            at: Timestamp::EPOCH,
            usage: Some(&usage),
            host_cpu: 0,
            processors: 1,
            host_memory: 7,
            earlier: None,
        };
        let stats = write(&view, 12_345);
        assert_eq!((stats.cpu.percent, stats.memory.limit), (123.45, 7));
        assert_eq!((stats.received.bytes, stats.received.packets), (3, 2));
        assert_eq!(stats.pressure.io.unwrap().some.avg10, 12.34);
        let text = serde_json::to_string(&stats).unwrap();
        assert!(!text.contains("\"memory\":{\"some\""), "{text}");
        assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
        let stopped = write(&StatsView { usage: None, ..view }, 0);
        assert_eq!((stopped.read, stopped.memory.limit), (None, 0));
    }

    #[test]
    fn queries_name_containers() {
        let query = StatsQuery::parse(&Query::parse(Some("stream=1&container=a&container=b")));
        assert_eq!((query.stream, query.all), (true, false));
        assert_eq!(query.containers, ["a", "b"]);
    }
}
