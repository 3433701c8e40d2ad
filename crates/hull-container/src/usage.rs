//! What a guest uses, read from its cgroup and from `/proc`.
//!
//! A file that this kernel lacks leaves a gap in the answer. Nothing here waits for the guest, and
//! nothing it can write is believed further than its length is bounded.

mod parse;

use std::fs;
use std::io::Read;
use std::path::Path;

use hull_model::usage::{
    Block, BlockEntry, Cpu, Generation, Interface, Memory, Pids, Pressures, Usage,
};
use rustix::fs::{AtFlags, Mode, OFlags, Stat};

use crate::cgroup::{Cgroup, Directory};

/// The most bytes read from one file. `memory.stat` has 2 KiB; a guest that makes itself a thousand
/// network interfaces is shown the first some hundred.
const FILE_BYTES_MAX: u64 = 64 << 10;

impl Cgroup {
    /// Reads what is used now. `None` if the cgroup does not exist (any more).
    pub fn usage(&self) -> Option<Usage> {
        let unified = self.unified().map(Directory::full);
        let memory = self.v1("memory").map(Directory::full);
        let pids = self.v1("pids").map(Directory::full);
        // On a hybrid host the controllers are in v1, and the pressure in v2.
        let v1 = memory.is_some() || pids.is_some() || self.v1("cpuacct").is_some();
        let pressure = unified.as_deref().map(pressures).unwrap_or_default();
        let usage = if v1 {
            Usage {
                generation: Generation::V1,
                cpu: self.cpu_v1(),
                memory: memory.as_deref().and_then(memory_v1),
                pids: pids.as_deref().and_then(self::pids),
                block: self.v1("blkio").map(|at| block_v1(&at.full())).unwrap_or_default(),
                interfaces: Vec::new(),
                pressure,
            }
        } else {
            let at = unified.as_deref()?;
            Usage {
                generation: Generation::V2,
                cpu: read(at, "cpu.stat").map(|text| parse::cpu_v2(&text)),
                memory: memory_v2(at),
                pids: self::pids(at),
                block: block_v2(at),
                interfaces: Vec::new(),
                pressure,
            }
        };
        (usage.cpu.is_some() || usage.memory.is_some() || usage.pids.is_some()).then_some(usage)
    }

    fn cpu_v1(&self) -> Option<Cpu> {
        let at = self.v1("cpuacct")?.full();
        let each = parse::numbers(&read(&at, "cpuacct.usage_percpu")?);
        let quota = self.v1("cpu").and_then(|cpu| read(&cpu.full(), "cpu.stat"));
        Some(Cpu {
            total: each.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)),
            user: number(&at, "cpuacct.usage_user").unwrap_or(0),
            system: number(&at, "cpuacct.usage_sys").unwrap_or(0),
            each,
            throttling: quota.as_deref().map(parse::throttling_v1).unwrap_or_default(),
        })
    }
}

fn memory_v1(at: &Path) -> Option<Memory> {
    /// v1 says "no limit" with the largest multiple of a page below 2⁶³.
    const UNLIMITED: u64 = 1 << 62;
    Some(Memory {
        used: number(at, "memory.usage_in_bytes")?,
        peak: number(at, "memory.max_usage_in_bytes"),
        failures: number(at, "memory.failcnt"),
        limit: number(at, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED),
        details: read(at, "memory.stat").map(|text| parse::fields(&text)).unwrap_or_default(),
    })
}

fn memory_v2(at: &Path) -> Option<Memory> {
    Some(Memory {
        used: number(at, "memory.current")?,
        // Since Linux 5.19.
        peak: number(at, "memory.peak"),
        failures: None,
        limit: number(at, "memory.max"),
        details: read(at, "memory.stat")
            .map(|text| parse::memory_stat_v2(&text))
            .unwrap_or_default(),
    })
}

fn pids(at: &Path) -> Option<Pids> {
    Some(Pids { current: number(at, "pids.current")?, limit: number(at, "pids.max") })
}

/// What is accounted by whoever accounts it: the throttling layer always, a scheduler sometimes.
fn block_v1(at: &Path) -> Block {
    let list = |names: &[&str]| -> Vec<BlockEntry> {
        let found =
            names.iter().filter_map(|name| read(at, name)).map(|text| parse::block_v1(&text));
        found.into_iter().find(|entries| !entries.is_empty()).unwrap_or_default()
    };
    // CFQ (until Linux 5.0) and BFQ keep the same lists under other names.
    let scheduler = |name: &str| list(&[&format!("blkio.bfq.{name}"), &format!("blkio.{name}")]);
    let common = |name: &str| {
        let throttle = list(&[&format!("blkio.throttle.{name}_recursive")]);
        if throttle.is_empty() { scheduler(&format!("{name}_recursive")) } else { throttle }
    };
    Block {
        bytes: common("io_service_bytes"),
        requests: common("io_serviced"),
        queued: scheduler("io_queued_recursive"),
        service_time: scheduler("io_service_time_recursive"),
        wait_time: scheduler("io_wait_time_recursive"),
        merged: scheduler("io_merged_recursive"),
        time: scheduler("time_recursive"),
        sectors: scheduler("sectors_recursive"),
    }
}

fn block_v2(at: &Path) -> Block {
    let bytes = read(at, "io.stat").map(|text| parse::block_v2(&text)).unwrap_or_default();
    Block { bytes, ..Block::default() }
}

fn pressures(at: &Path) -> Pressures {
    // Reading fails where the kernel was started with `psi=0`.
    let one = |name: &str| read(at, name).and_then(|text| parse::pressure(&text));
    Pressures { cpu: one("cpu.pressure"), memory: one("memory.pressure"), io: one("io.pressure") }
}

/// The network interfaces that the process `pid` sees, the loopback excepted. None if it shares the
/// host's network, and none if it is not (any more) a process of the guest whose cgroups' paths
/// contain `mark`: a number that was given to another process tells nothing.
pub fn interfaces(pid: u32, mark: &str) -> Vec<Interface> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Whatever is read through it is of the process that had this number now, or fails.
    let Ok(dir) = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()) else {
        return Vec::new();
    };
    let read = |name: &str| {
        let file = rustix::fs::openat(&dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        bounded(&fs::File::from(file.ok()?))
    };
    let own = rustix::fs::stat("/proc/self/ns/net");
    let theirs = rustix::fs::statat(&dir, "ns/net", AtFlags::empty());
    let shares =
        |own: Stat, theirs: Stat| (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino);
    let (Ok(own), Ok(theirs), Some(table)) = (own, theirs, read("net/dev")) else {
        return Vec::new();
    };
    if shares(own, theirs) {
        return Vec::new();
    }
    match read("cgroup") {
        Some(groups) if groups.contains(mark) => parse::interfaces(&table),
        Some(_) | None => Vec::new(),
    }
}

fn read(at: &Path, file: &str) -> Option<String> {
    bounded(&fs::File::open(at.join(file)).ok()?)
}

fn bounded(file: &fs::File) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn number(at: &Path, file: &str) -> Option<u64> {
    read(at, file)?.trim().parse().ok()
}
