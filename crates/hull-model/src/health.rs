//! Whether a guest works, as its own test says: what is run, when, and what the outcomes mean.
//!
//! The rules are moby's (`daemon/health.go`). Pure: the engine runs the tests.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::image::Healthcheck;
use crate::time::Timestamp;

/// A test, ready to be run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// The words to execute.
    pub command: Vec<String>,
    /// How long one test may take.
    pub timeout: Duration,
    interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: u32,
}

/// A test that cannot be run.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadCheck {
    /// Its first word.
    #[error("Unknown healthcheck type '{0}' (expected 'CMD', 'CMD-SHELL' or 'NONE')")]
    Kind(String),
    /// Nothing to execute.
    #[error("the health check has no command")]
    NoCommand,
    /// A time between zero and a millisecond, or negative.
    #[error("{0} in Healthcheck cannot be less than 1ms")]
    Time(&'static str),
    /// Or more than could be counted.
    #[error("Retries in Healthcheck cannot be negative")]
    Retries,
}

/// How a guest is doing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Status {
    /// No test has succeeded since it was started, and too few have failed.
    #[default]
    Starting,
    /// Its last test that counted succeeded.
    Healthy,
    /// Too many tests in a row failed, or it ended.
    Unhealthy,
}

impl Status {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Status {
    /// As in a list: `(healthy)`, `(health: starting)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("health: starting"),
            Self::Healthy | Self::Unhealthy => f.write_str(self.name()),
        }
    }
}

/// The outcome of one test.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outcome {
    /// When it began.
    pub start: Timestamp,
    /// When it ended or was given up.
    pub end: Timestamp,
    /// 0 is success; -1 where it gave none.
    pub code: i32,
    /// What it wrote, or why there is no code.
    pub output: String,
}

/// What is known of a guest's health.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    /// How it is doing.
    pub status: Status,
    /// Tests that failed since the last that succeeded.
    pub failing_streak: u32,
    /// The last outcomes, oldest first.
    pub log: Vec<Outcome>,
}

/// Bytes of a test's output that are kept.
pub const OUTPUT_MAX: usize = 4_096;
/// Outcomes that are kept.
const LOG_MAX: usize = 5;

impl Check {
    /// The test that `check` means, `None` if it means none. `shell` runs its shell form; empty is
    /// `/bin/sh -c`.
    pub fn new(check: &Healthcheck, shell: &[String]) -> Result<Option<Self>, BadCheck> {
        let time = |name, nanos: i64, default| match nanos {
            0 => Ok(default),
            nanos if nanos < 1_000_000 => Err(BadCheck::Time(name)),
            nanos => Ok(Duration::from_nanos(nanos.unsigned_abs())),
        };
        let (interval, start_interval) = (Duration::from_secs(30), Duration::from_secs(5));
        let made = Self {
            command: Vec::new(),
            timeout: time("Timeout", check.timeout, Duration::from_secs(30))?,
            interval: time("Interval", check.interval, interval)?,
            start_period: time("StartPeriod", check.start_period, Duration::ZERO)?,
            start_interval: time("StartInterval", check.start_interval, start_interval)?,
            retries: match u32::try_from(check.retries) {
                Ok(0) => 3,
                Ok(retries) => retries,
                Err(_negative_or_huge) => return Err(BadCheck::Retries),
            },
        };
        let command = match check.test.as_deref().unwrap_or_default() {
            [] => return Ok(None),
            [kind, ..] if kind == "NONE" => return Ok(None),
            [kind] if kind == "CMD" || kind == "CMD-SHELL" => return Err(BadCheck::NoCommand),
            [kind, words @ ..] if kind == "CMD" => words.to_vec(),
            [kind, words @ ..] if kind == "CMD-SHELL" => {
                let usual = ["/bin/sh".to_owned(), "-c".to_owned()];
                let shell = if shell.is_empty() { &usual } else { shell };
                [shell, words].concat()
            }
            [kind, ..] => return Err(BadCheck::Kind(kind.clone())),
        };
        Ok(Some(Self { command, ..made }))
    }

    /// How long to wait before the next test of a guest that started `age` ago.
    pub fn pause(&self, status: Status, age: Duration) -> Duration {
        match status {
            Status::Starting if age < self.start_period => self.start_interval,
            Status::Starting | Status::Healthy | Status::Unhealthy => self.interval,
        }
    }
}

impl Health {
    /// The guest starts: nothing is known. What was seen before stays in the log.
    pub fn begin(&mut self) {
        self.status = Status::Starting;
        self.failing_streak = 0;
    }

    /// The guest ended. Docker then calls it unhealthy.
    pub fn end(&mut self) {
        self.status = Status::Unhealthy;
    }

    /// Takes in what a test of a guest that was started at `started` gave.
    pub fn take(&mut self, outcome: Outcome, check: &Check, started: Timestamp) {
        if outcome.code == 0 {
            self.failing_streak = 0;
            self.status = Status::Healthy;
        } else if self.status != Status::Starting
            || outcome.start.since(started) >= check.start_period
        {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= check.retries {
                self.status = Status::Unhealthy;
            }
        }
        let excess = (self.log.len() + 1).saturating_sub(LOG_MAX);
        self.log.drain(..excess);
        self.log.push(outcome);
    }
}

/// `check` with what it leaves open taken from `image`, field by field (moby `daemon/commit.go`).
pub fn merge(check: Option<Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(mut check), Some(image)) = (check.clone(), image) else {
        return check.or_else(|| image.cloned());
    };
    if check.test.as_ref().is_none_or(Vec::is_empty) {
        check.test.clone_from(&image.test);
    }
    for (own, below) in [
        (&mut check.interval, image.interval),
        (&mut check.timeout, image.timeout),
        (&mut check.start_period, image.start_period),
        (&mut check.start_interval, image.start_interval),
        (&mut check.retries, image.retries),
    ] {
        if *own == 0 {
            *own = below;
        }
    }
    Some(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn test(words: &[&str]) -> Healthcheck {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Healthcheck { test: Some(words), ..Healthcheck::default() }
    }

    fn command(words: &[&str], shell: &[&str]) -> String {
        let shell: Vec<_> = shell.iter().map(|word| (*word).to_owned()).collect();
        match Check::new(&test(words), &shell) {
            Ok(check) => check.map_or("none".to_owned(), |check| check.command.join("|")),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn every_form_of_a_test_is_read() {
        assert_eq!(command(&[], &[]), "none");
        assert_eq!(command(&["NONE"], &[]), "none");
        assert_eq!(command(&["CMD", "a", "b c"], &[]), "a|b c");
        assert_eq!(command(&["CMD-SHELL", "a && b"], &[]), "/bin/sh|-c|a && b");
        assert_eq!(command(&["CMD-SHELL", "a"], &["/bin/ash", "-ec"]), "/bin/ash|-ec|a");
        assert_eq!(command(&["CMD"], &[]), "the health check has no command");
        assert!(command(&["EXEC", "a"], &[]).starts_with("Unknown healthcheck type 'EXEC'"));
        let bad = |check: Healthcheck| Check::new(&check, &[]).unwrap_err().to_string();
        let of = || test(&["CMD", "a"]);
        assert_eq!(
            bad(Healthcheck { interval: 5, ..of() }),
            "Interval in Healthcheck cannot be less than 1ms"
        );
        assert_eq!(
            bad(Healthcheck { start_period: -SECOND, ..of() }),
            "StartPeriod in Healthcheck cannot be less than 1ms"
        );
        assert_eq!(
            bad(Healthcheck { retries: -1, ..of() }),
            "Retries in Healthcheck cannot be negative"
        );
    }

    fn run(check: &Healthcheck, outcomes: &[(u64, i32)]) -> (Health, String) {
        let check = Check::new(check, &[]).unwrap().unwrap();
        let at = |seconds: u64| Timestamp::from_nanos(1_000_000_000 * (1_000 + seconds));
        let mut health = Health::default();
        health.begin();
        let mut seen = Vec::new();
        for (second, code) in outcomes {
            let outcome = Outcome {
                start: at(*second),
                end: at(*second),
                code: *code,
                output: String::new(),
            };
            health.take(outcome, &check, at(0));
            seen.push(health.status.name());
        }
        (health, seen.join(" "))
    }

    #[test]
    fn retries_in_a_row_make_it_unhealthy_and_one_success_heals() {
        let (health, seen) =
            run(&test(&["CMD", "a"]), &[(1, 1), (2, 1), (3, 0), (4, 1), (5, 1), (6, 2), (7, 0)]);
        assert_eq!(seen, "starting starting healthy healthy healthy unhealthy healthy");
        assert_eq!(health.failing_streak, 0);
        let codes: Vec<_> = health.log.iter().map(|outcome| outcome.code).collect();
        assert_eq!(codes, [0, 1, 1, 2, 0], "the last five");
        let (health, seen) =
            run(&Healthcheck { retries: 1, ..test(&["CMD", "a"]) }, &[(1, -1), (2, 1)]);
        assert_eq!((seen.as_str(), health.failing_streak), ("unhealthy unhealthy", 2));
    }

    #[test]
    fn failures_while_it_starts_do_not_count_until_it_was_healthy_once() {
        let check = Healthcheck { start_period: 10 * SECOND, retries: 2, ..test(&["CMD", "a"]) };
        let (health, seen) = run(&check, &[(1, 1), (2, 1), (9, 1), (10, 1), (11, 1)]);
        assert_eq!(seen, "starting starting starting starting unhealthy");
        assert_eq!(health.failing_streak, 2);
        let (_, seen) = run(&check, &[(1, 0), (2, 1), (3, 1)]);
        assert_eq!(seen, "healthy healthy unhealthy");
        let check = Check::new(&check, &[]).unwrap().unwrap();
        let pause = |status, age| check.pause(status, Duration::from_secs(age)).as_secs();
        assert_eq!(pause(Status::Starting, 1), 5);
        assert_eq!(pause(Status::Starting, 10), 30);
        assert_eq!(pause(Status::Healthy, 1), 30);
    }

    #[test]
    fn the_image_fills_in_what_the_user_leaves_open() {
        let image = Healthcheck { interval: 1, timeout: 2, retries: 3, ..test(&["CMD", "image"]) };
        let mine = Healthcheck { interval: 9, ..Healthcheck::default() };
        let merged = merge(Some(mine), Some(&image)).unwrap();
        assert_eq!(merged, Healthcheck { interval: 9, ..image.clone() });
        assert_eq!(merge(None, Some(&image)), Some(image.clone()));
        assert_eq!(merge(Some(test(&["NONE"])), None), Some(test(&["NONE"])));
        assert_eq!(merge(Some(test(&["NONE"])), Some(&image)).unwrap().test, test(&["NONE"]).test);
    }
}
