//! One sample, and the moments before it that percentages are reckoned from.

use std::collections::VecDeque;
use std::sync::Arc;

use hull_model::time::Timestamp;
use hull_model::usage::{Cpu, CpuShare, Usage};
use tokio::time::Instant;

use super::clock::HostCpu;
use super::schedule;

/// Moments kept of a guest: a second's worth, if it is asked about as often as it is sampled.
const KEPT: usize = 12;

/// What a guest uses at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// When.
    pub at: Timestamp,
    /// Nothing if it does not run.
    pub usage: Option<Usage>,
    /// Nanoseconds of all the host's processors together, idle or not.
    pub host_cpu: u64,
    /// How many processors the host has.
    pub processors: u32,
    /// About a second before, or less if nobody asked then; `None` if there was nothing before.
    pub earlier: Option<Earlier>,
    pub(super) taken: Instant,
}

/// Processor time at a moment before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Earlier {
    /// When.
    pub at: Timestamp,
    /// The guest's.
    pub cpu: Cpu,
    /// As [`Reading::host_cpu`].
    pub host_cpu: u64,
    /// As [`Reading::processors`].
    pub processors: u32,
}

impl Reading {
    /// How much of one processor the guest uses, in hundredths of a percent.
    pub fn cpu_hundredths(&self) -> u64 {
        let now = self.usage.as_ref().and_then(|usage| usage.cpu.as_ref());
        let (Some(now), Some(earlier)) = (now, &self.earlier) else { return 0 };
        let now = CpuShare { guest: now.total, host: self.host_cpu };
        let before = CpuShare { guest: earlier.cpu.total, host: earlier.host_cpu };
        now.hundredths_since(before, self.processors)
    }
}

/// What was sampled for one guest.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) at: Timestamp,
    pub(super) taken: Instant,
    pub(super) host: HostCpu,
    pub(super) usage: Option<Usage>,
    /// Which of its lives it is in.
    pub(super) started: Option<Timestamp>,
}

/// The moments before, of one life of a guest.
#[derive(Debug, Default)]
pub(super) struct Ring {
    moments: VecDeque<(Instant, Earlier)>,
    started: Option<Timestamp>,
}

impl Ring {
    /// Takes a sample in, and gives it with what is known from before.
    pub(super) fn add(&mut self, sampled: Sampled) -> Arc<Reading> {
        let Sampled { at, taken, host, usage, started } = sampled;
        if usage.is_none() || self.started != started {
            self.moments.clear();
        }
        self.started = started;
        let times: Vec<Instant> = self.moments.iter().map(|(taken, _)| *taken).collect();
        let earlier = schedule::earlier(&times, taken).and_then(|at| self.moments.get(at));
        let earlier = earlier.map(|(_, earlier)| earlier.clone());
        if let Some(cpu) = usage.as_ref().and_then(|usage| usage.cpu.clone()) {
            if self.moments.len() == KEPT {
                self.moments.pop_front();
            }
            let HostCpu { total, processors } = host;
            self.moments.push_back((taken, Earlier { at, cpu, host_cpu: total, processors }));
        }
        let HostCpu { total: host_cpu, processors } = host;
        Arc::new(Reading { at, usage, host_cpu, processors, earlier, taken })
    }

    /// Whether there is only one moment to reckon from.
    pub(super) fn is_alone(&self) -> bool {
        self.moments.len() == 1
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sampled(ms: u64, start: Instant, cpu: Option<u64>, life: u64) -> Sampled {
        let usage = cpu
            .map(|total| Usage { cpu: Some(Cpu { total, ..Cpu::default() }), ..Usage::default() });
        Sampled {
            at: Timestamp::from_nanos(ms * 1_000_000),
            taken: start + Duration::from_millis(ms),
            host: HostCpu { total: ms * 2_000_000, processors: 2 },
            usage,
            started: Some(Timestamp::from_nanos(life)),
        }
    }

    #[test]
    fn percentages_are_of_one_life_only() {
        let (mut ring, start) = (Ring::default(), Instant::now());
        let first = ring.add(sampled(0, start, Some(0), 1));
        assert!(first.earlier.is_none() && ring.is_alone());
        let second = ring.add(sampled(100, start, Some(50_000_000), 1));
        assert_eq!(second.cpu_hundredths(), 5_000);
        let third = ring.add(sampled(1_100, start, Some(1_050_000_000), 1));
        assert_eq!(third.cpu_hundredths(), 10_000);
        let ended = ring.add(sampled(1_200, start, None, 1));
        assert_eq!((ended.cpu_hundredths(), ended.earlier.is_none()), (0, true));
        assert!(!ring.is_alone(), "one that does not run waits for nothing");
        ring.add(sampled(1_300, start, Some(9), 1));
        assert!(ring.add(sampled(1_400, start, Some(9), 2)).earlier.is_none());
    }

    #[test]
    fn the_ring_is_bounded() {
        let (mut ring, start) = (Ring::default(), Instant::now());
        for n in 0..1_000 {
            ring.add(sampled(n * 100, start, Some(n), 1));
        }
        assert_eq!(ring.moments.len(), KEPT);
    }
}
