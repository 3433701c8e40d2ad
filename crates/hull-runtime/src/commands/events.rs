//! `events`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hull_container::cgroup::Stats;
use serde_json::{Value, json};

use super::{Session, ended_within, expect_status};
use crate::arguments::Options;
use crate::failure::Failure;
use crate::help::say;
use crate::state::{self, Status};

/// How often the count of out-of-memory kills is looked at.
const OOM_INTERVAL: Duration = Duration::from_millis(200);

/// Prints statistics once, or statistics and out-of-memory events until the container ends.
pub(super) fn events(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.open(options.operand(0))?;
    let fitting = [Status::Created, Status::Running, Status::Paused];
    expect_status(&record, entry.status(&record), &fitting, "watch")?;
    let stats = || event("stats", &record.id, &data(&record.cgroup.stats()));
    if options.is("stats") {
        return say(&stats());
    }
    let interval = duration(options.value("interval").unwrap_or("5s"))?;
    let Some(init) = record.init else { return Ok(0) };
    let Some(process) = state::open_process(&init)? else { return Ok(0) };
    let mut kills = record.cgroup.oom_kills();
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let ended = ended_within(process.as_fd(), left.min(OOM_INTERVAL))?;
        let now = record.cgroup.oom_kills();
        for _ in kills..now {
            say(&event("oom", &record.id, &Value::Null))?;
        }
        kills = now;
        if ended {
            return Ok(0);
        }
        if Instant::now() >= next {
            say(&stats())?;
            next += interval;
        }
    }
}

fn event(kind: &str, id: &str, data: &Value) -> String {
    let mut event = json!({"type": kind, "id": id});
    if !data.is_null() {
        event["data"] = data.clone();
    }
    format!("{event}\n")
}

/// In the shape of runc's `events`.
fn data(stats: &Stats) -> Value {
    let blocks = |operation: &str, bytes: Option<u64>| {
        bytes.map(|value| json!({"op": operation, "value": value}))
    };
    let bytes: Vec<Value> =
        [blocks("Read", stats.block_read_bytes), blocks("Write", stats.block_written_bytes)]
            .into_iter()
            .flatten()
            .collect();
    json!({
        "cpu": {
            "usage": {
                "total": stats.cpu_total_ns,
                "user": stats.cpu_user_ns.unwrap_or(0),
                "kernel": stats.cpu_system_ns.unwrap_or(0),
            },
            "throttling": {
                "periods": stats.cpu_periods,
                "throttledPeriods": stats.cpu_throttled_periods,
                "throttledTime": stats.cpu_throttled_ns,
            },
        },
        "memory": {
            "usage": {
                "usage": stats.memory_bytes,
                "limit": stats.memory_max_bytes.unwrap_or(u64::MAX),
                "failcnt": stats.oom_kills,
            },
            "raw": {"total_inactive_file": stats.memory_inactive_file_bytes.unwrap_or(0)},
        },
        "pids": {"current": stats.pids, "limit": stats.pids_max},
        "blkio": {"ioServiceBytesRecursive": bytes},
    })
}

/// A duration as Go writes it: a number and `ms`, `s`, `m` or `h`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let units = [("ms", 1_u64), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*factor)
    });
    match parsed {
        Some(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
        _ => Err(Failure::new(format!("--interval {text:?} is no duration such as 5s or 500ms"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        for bad in ["", "5", "0s", "-1s", "99999999999999999999h", "s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn events_are_lines_of_json() {
        assert_eq!(event("oom", "a", &Value::Null), "{\"id\":\"a\",\"type\":\"oom\"}\n");
        let stats = Stats { memory_bytes: Some(5), ..Stats::default() };
        assert_eq!(data(&stats)["memory"]["usage"]["usage"], 5);
    }
}
