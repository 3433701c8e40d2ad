//! How a guest lives: restart policy, log, init, signals and times.

use std::time::Duration;

use hull_model::bytes::Bytes;
use hull_model::guest::StopTimeout;
use hull_model::log::{LogConfig, Rotation};
use hull_model::restart::RestartPolicy;

use super::host_config::{self, HostConfig, Map};
use super::limits::number;
use crate::refusal::{Refusal, Result, quote};

/// The restart policy; the texts are moby's (`api/types/container`, `ValidateRestartPolicy`).
pub(super) fn read_restart(host: &HostConfig) -> Result<RestartPolicy> {
    let host_config::RestartPolicy { name, maximum_retry_count } = &host.restart_policy;
    let retries = u32::try_from(*maximum_retry_count).map_err(|_out_of_range| {
        Refusal::invalid(if *maximum_retry_count < 0 {
            "invalid restart policy: maximum retry count cannot be negative"
        } else {
            "invalid restart policy: maximum retry count is too large"
        })
    })?;
    let policy = match name.as_str() {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure { retries },
        other => {
            return Err(Refusal::invalid(format_args!(
                "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'",
                quote(other)
            )));
        }
    };
    if retries > 0 && !matches!(policy, RestartPolicy::OnFailure { .. }) {
        return Err(Refusal::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    if host.auto_remove && policy != RestartPolicy::No {
        return Err(Refusal::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(policy)
}

/// Writes `policy` as [`read_restart`] reads it.
pub(super) fn write_restart(policy: RestartPolicy) -> host_config::RestartPolicy {
    let (name, retries) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure { retries } => ("on-failure", retries),
    };
    host_config::RestartPolicy { name: name.to_owned(), maximum_retry_count: retries.into() }
}

/// Log drivers that Docker has and hull has not.
const OTHER_DRIVERS: [&str; 9] =
    ["local", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "etwlogs", "gcplogs"];

/// Where output goes. What is not said comes from `default`, the daemon's own setting.
pub(super) fn read_log(log: &host_config::LogConfig, default: LogConfig) -> Result<LogConfig> {
    match log.r#type.as_str() {
        "" if log.config.is_empty() => Ok(default),
        "" | "json-file" => {
            let base = match default {
                LogConfig::JsonFile(rotation) => rotation,
                LogConfig::Discard => Rotation::default(),
            };
            read_rotation(&log.config, base).map(LogConfig::JsonFile)
        }
        "none" => match log.config.keys().next() {
            None => Ok(LogConfig::Discard),
            Some(key) => Err(unknown_option(key, "none")),
        },
        other if OTHER_DRIVERS.contains(&other) => {
            Err(Refusal::unsupported("HostConfig.LogConfig.Type", other))
        }
        other => Err(Refusal::invalid(format_args!(
            "logger: no log driver named '{}' is registered",
            quote(other)
        ))),
    }
}

/// Writes `log` as [`read_log`] reads it.
pub(super) fn write_log(log: LogConfig) -> host_config::LogConfig {
    let (name, config) = match log {
        LogConfig::Discard => ("none", Map::new()),
        LogConfig::JsonFile(rotation) => {
            let mut config = Map::from([("max-file".to_owned(), rotation.files.to_string())]);
            if let Some(size) = rotation.size_max {
                config.insert("max-size".to_owned(), write_size(size));
            }
            ("json-file", config)
        }
    };
    host_config::LogConfig { r#type: name.to_owned(), config }
}

fn unknown_option(key: &str, driver: &str) -> Refusal {
    Refusal::invalid(format_args!("unknown log opt '{}' for {driver} log driver", quote(key)))
}

fn read_rotation(options: &Map, mut rotation: Rotation) -> Result<Rotation> {
    for (key, value) in options {
        let bad =
            || Refusal::invalid(format_args!("invalid value for log opt {key}: {}", quote(value)));
        match (key.as_str(), value.as_str()) {
            ("max-size", "-1") => rotation.size_max = None,
            ("max-size", value) => {
                let size = human_size(value).filter(|size| *size > 0).ok_or_else(bad)?;
                rotation.size_max = Some(Bytes::new(size));
            }
            ("max-file", value) => {
                rotation.files = value.parse().map_err(|_not_a_number| bad())?;
                if rotation.files < 1 {
                    return Err(Refusal::invalid("max-file cannot be less than 1"));
                }
            }
            ("mode", "" | "blocking") | ("compress", "false") => {}
            (
                "mode" | "compress" | "max-buffer-size" | "labels" | "labels-regex" | "env"
                | "env-regex" | "tag",
                value,
            ) => {
                let field = format!("HostConfig.LogConfig.Config[{key}]");
                return Err(Refusal::unsupported(&field, value));
            }
            (key, _) => return Err(unknown_option(key, "json-file")),
        }
    }
    Ok(rotation)
}

/// A size with decimal units, `10m` being 10,000,000 (go-units `FromHumanSize`).
pub(crate) fn human_size(text: &str) -> Option<u64> {
    size(text, 1_000)
}

/// A size with binary units, `64m` being 67,108,864 (go-units `RAMInBytes`).
pub(crate) fn binary_size(text: &str) -> Option<u64> {
    size(text, 1_024)
}

fn size(text: &str, unit: u64) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (amount, suffix) = lower.split_at(digits);
    let exponent = match suffix.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let factor = unit.checked_pow(exponent)?;
    match amount.split_once('.') {
        None => amount.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) => {
            let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
            let part: u128 = match part.len() {
                1..=9 => part.parse().ok()?,
                _ => return None,
            };
            let scale = 10_u128.pow(u32::try_from(amount.len() - amount.find('.')? - 1).ok()?);
            whole.checked_add(u64::try_from(part * u128::from(factor) / scale).ok()?)
        }
    }
}

fn write_size(size: Bytes) -> String {
    match size.get() {
        n if n.is_multiple_of(1_000_000) => format!("{}m", n / 1_000_000),
        n if n.is_multiple_of(1_000) => format!("{}k", n / 1_000),
        n => n.to_string(),
    }
}

/// `ShmSize` in bytes; 0 is the default.
pub(super) fn read_shm(size: i64) -> Result<Option<Bytes>> {
    match u64::try_from(size) {
        Ok(0) => Ok(None),
        Ok(size) => Ok(Some(Bytes::new(size))),
        Err(_negative) => Err(Refusal::invalid("SHM size can not be less than 0")),
    }
}

/// Docker's size of `/dev/shm` (moby `daemon/config`, `DefaultShmSize`).
const SHM_DEFAULT: Bytes = Bytes::mib(64);

/// Writes `size` as [`read_shm`] reads it.
pub(super) fn write_shm(size: Option<Bytes>) -> i64 {
    number(size.unwrap_or(SHM_DEFAULT).get())
}

/// A stop timeout in seconds; anything negative is for ever.
pub(crate) fn read_stop_timeout(seconds: i64) -> StopTimeout {
    match u64::try_from(seconds) {
        Ok(seconds) => StopTimeout::After(Duration::from_secs(seconds)),
        Err(_negative) => StopTimeout::Never,
    }
}

/// Writes `timeout` as [`read_stop_timeout`] reads it.
pub(super) fn write_stop_timeout(timeout: StopTimeout) -> i64 {
    match timeout {
        StopTimeout::After(time) => number(time.as_secs()),
        StopTimeout::Never => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart(name: &str, maximum_retry_count: i64, auto_remove: bool) -> String {
        let restart_policy =
            host_config::RestartPolicy { name: name.to_owned(), maximum_retry_count };
        let host = HostConfig { restart_policy, auto_remove, ..HostConfig::default() };
        match read_restart(&host) {
            Ok(policy) => {
                let back = write_restart(policy);
                format!("{} {}", back.name, back.maximum_retry_count)
            }
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn restart_policies_are_dockers() {
        assert_eq!(restart("", 0, true), "no 0");
        assert_eq!(restart("no", 0, false), "no 0");
        assert_eq!(restart("always", 0, false), "always 0");
        assert_eq!(restart("unless-stopped", 0, false), "unless-stopped 0");
        assert_eq!(restart("on-failure", 3, false), "on-failure 3");
        assert!(restart("always", 3, false).contains("can only be used with 'on-failure'"));
        assert!(restart("on-failure", -1, false).contains("cannot be negative"));
        assert!(restart("x", 0, false).contains("unknown policy 'x'"));
        assert!(restart("always", 0, true).contains("can't create 'AutoRemove' container"));
    }

    fn log(name: &str, options: &[(&str, &str)]) -> String {
        let config = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let sent = host_config::LogConfig { r#type: name.to_owned(), config };
        match read_log(&sent, LogConfig::default()) {
            Ok(log) => {
                let back = write_log(log);
                format!("{} {:?}", back.r#type, back.config.values().collect::<Vec<_>>())
            }
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn logs_are_dockers_with_bounds() {
        assert_eq!(log("", &[]), r#"json-file ["3", "10m"]"#);
        assert_eq!(log("json-file", &[("max-size", "1500")]), r#"json-file ["3", "1500"]"#);
        assert_eq!(
            log("json-file", &[("max-size", "1k"), ("max-file", "7")]),
            r#"json-file ["7", "1k"]"#
        );
        assert_eq!(log("json-file", &[("max-size", "-1")]), r#"json-file ["3"]"#);
        assert_eq!(log("none", &[]), "none []");
        assert_eq!(log("json-file", &[("x", "1")]), "unknown log opt 'x' for json-file log driver");
        assert_eq!(
            log("none", &[("max-size", "1")]),
            "unknown log opt 'max-size' for none log driver"
        );
        assert_eq!(log("foo", &[]), "logger: no log driver named 'foo' is registered");
        assert!(
            log("syslog", &[]).contains("hull does not support HostConfig.LogConfig.Type=syslog")
        );
        assert!(log("json-file", &[("max-file", "0")]).contains("less than 1"));
        for bad in ["", "x", "0", "1x", "99999999999999999999", "1.2.3", "-5", "1."] {
            assert!(log("json-file", &[("max-size", bad)]).starts_with("invalid value"), "{bad}");
        }
        assert!(log("json-file", &[("compress", "true")]).contains("LogConfig.Config[compress]"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(human_size("1.5k"), Some(1_500));
        assert_eq!(binary_size("64m"), Some(64 << 20));
        assert_eq!(binary_size("1.5 GiB"), Some(3 << 29));
        assert_eq!(binary_size("20000p"), None);
    }

    #[test]
    fn negative_stop_timeouts_are_for_ever() {
        assert_eq!(write_stop_timeout(read_stop_timeout(7)), 7);
        assert_eq!(read_stop_timeout(-1), StopTimeout::Never);
        assert_eq!(write_stop_timeout(StopTimeout::Never), -1);
    }

    proptest::proptest! {
        #[test]
        fn no_size_panics(text in "[0-9.]{0,25}[a-zA-Z ]{0,3}") {
            size(&text, 1_024);
        }
    }
}
