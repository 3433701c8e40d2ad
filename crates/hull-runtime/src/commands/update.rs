//! `update`.

use std::path::Path;
use std::str::FromStr;

use super::{Session, cgroup, expect_status};
use crate::arguments::Options;
use crate::config::resources::{BlockIo, Cpu, Memory, Pids};
use crate::config::{self, Resources};
use crate::failure::Failure;
use crate::state::Status;

/// Changes a container's limits.
pub(super) fn update(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.lock(options.operand(0))?;
    let fitting = [Status::Created, Status::Running, Status::Paused];
    expect_status(&record, entry.status(&record), &fitting, "update")?;
    let wanted = match options.value("resources") {
        Some("-") => parse(&config::read_all(std::io::stdin().lock())?, "standard input")?,
        Some(path) => parse(&config::read(Path::new(path))?, path)?,
        None => by_flags(options)?,
    };
    cgroup::update(&record, &wanted)?;
    Ok(0)
}

fn parse(text: &str, from: &str) -> Result<Resources, Failure> {
    config::from_json(text).map_err(|failure| failure.during(from))
}

fn by_flags(options: &Options) -> Result<Resources, Failure> {
    for name in ["l3-cache-schema", "mem-bw-schema"] {
        if options.value(name).is_some_and(|schema| !schema.is_empty()) {
            return Err(Failure::new(format!(
                "--{name}: classes of service cannot be changed by update; hint: write to the \
                 schemata of its directory in /sys/fs/resctrl"
            )));
        }
    }
    let bytes = |name| size(options, name);
    fn number<T: FromStr>(options: &Options, name: &str) -> Result<Option<T>, Failure> {
        // Callers pass empty values for what they do not mean.
        if options.value(name) == Some("") { Ok(None) } else { options.number(name) }
    }
    let text = |name| options.value(name).map(str::to_owned);
    Ok(Resources {
        memory: Some(Memory {
            limit: bytes("memory")?,
            reservation: bytes("memory-reservation")?,
            swap: bytes("memory-swap")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(options, "cpu-share")?,
            quota: number(options, "cpu-quota")?,
            burst: number(options, "cpu-burst")?,
            period: number(options, "cpu-period")?,
            realtime_runtime: number(options, "cpu-rt-runtime")?,
            realtime_period: number(options, "cpu-rt-period")?,
            cpus: text("cpuset-cpus"),
            mems: text("cpuset-mems"),
            idle: number(options, "cpu-idle")?,
        }),
        pids: Some(Pids { limit: number(options, "pids-limit")? }),
        block_io: Some(BlockIo { weight: number(options, "blkio-weight")?, ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// Bytes, with a unit such as `m` if there is one.
fn size(options: &Options, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = options.value(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = || Failure::new(format!("invalid value {text:?} for --{name}: bytes, or 512m"));
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'i']);
    let (digits, shift) = match digits.char_indices().last() {
        Some((at, 'k')) => (&digits[..at], 10),
        Some((at, 'm')) => (&digits[..at], 20),
        Some((at, 'g')) => (&digits[..at], 30),
        Some((at, 't')) => (&digits[..at], 40),
        _ => (digits, 0),
    };
    let number: i64 = digits.parse().map_err(|_not_a_number| bad())?;
    number.checked_mul(1 << shift).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{COMMANDS, Order};

    fn flags(words: &str) -> Result<Resources, Failure> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let command = COMMANDS.iter().find(|command| command.name == "update").unwrap();
        by_flags(&Options::parse(command.flags, Order::Any, &words).unwrap())
    }

    #[test]
    fn flags_are_resources() {
        let read = flags("--memory 64m --memory-swap -1 --cpu-quota= --cpuset-cpus 0 id").unwrap();
        let memory = read.memory.unwrap();
        assert_eq!((memory.limit, memory.swap), (Some(64 << 20), Some(-1)));
        let cpu = read.cpu.unwrap();
        assert_eq!((cpu.quota, cpu.cpus.as_deref()), (None, Some("0")));
        for bad in ["--memory x id", "--memory 9999999999g id", "--pids-limit 1.5 id"] {
            assert!(flags(bad).is_err(), "{bad}");
        }
        assert!(flags("--l3-cache-schema L3:0=f id").is_err());
    }
}
