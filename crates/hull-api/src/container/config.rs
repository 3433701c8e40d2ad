//! `Config`: what runs in a container, as Docker writes it.

use hull_model::guest::GuestSpec;
use hull_model::health::Check;
use hull_model::image::Healthcheck;
use hull_model::process::{Process, Streams, WindowSize};
use serde::{Deserialize, Serialize};

use super::host_config::{HostConfig, Map, Set};
use super::{life, mounts};
use crate::json::{Nothing, Words, is_default};
use crate::refusal::{Refusal, Result, quote};

/// The portable part of a container. Times in `Healthcheck` are nanoseconds, `StopTimeout` is
/// seconds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the names are Docker's, documented in its API reference")]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub exposed_ports: Option<Set>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Option<Vec<String>>,
    pub cmd: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Of Windows: without effect on Linux, in Docker as in hull.
    #[serde(skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    pub image: String,
    pub volumes: Option<Set>,
    pub working_dir: String,
    pub entrypoint: Option<Words>,
    #[serde(skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub mac_address: String,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<Map>,
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Words>,
}

/// Longest host name and domain name (`sethostname(2)`, `HOST_NAME_MAX`).
const HOSTNAME_MAX: usize = 64;

/// Puts what `config` asks for into `spec`; mounts and networks are the caller's.
pub(super) fn read(config: &Config, host: &HostConfig, spec: &mut GuestSpec) -> Result<()> {
    check_unsupported(config)?;
    spec.image.clone_from(&config.image);
    spec.hostname = hostname("hostname", &config.hostname)?;
    spec.domainname = hostname("domainname", &config.domainname)?;
    spec.process = Process {
        entrypoint: config.entrypoint.clone().map(|words| words.0),
        cmd: config.cmd.clone().map(|words| words.0),
        env: read_env(config.env.as_deref().unwrap_or_default())?,
        cwd: read_cwd(&config.working_dir)?,
        user: config.user.clone(),
        groups: host.group_add.clone().unwrap_or_default(),
    };
    spec.streams = Streams {
        tty: config.tty,
        stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        attach: [config.attach_stdin, config.attach_stdout, config.attach_stderr],
        window: read_window(host.console_size),
    };
    spec.stop_signal = match config.stop_signal.as_str() {
        "" => None,
        name => Some(name.parse().map_err(Refusal::invalid)?),
    };
    spec.stop_timeout = config.stop_timeout.map(life::read_stop_timeout);
    spec.labels = config.labels.clone().unwrap_or_default();
    let ports = config.exposed_ports.iter().flatten().map(|(port, _)| read_port(port));
    spec.exposed_ports = ports.collect::<Result<_>>()?;
    spec.healthcheck = read_healthcheck(config.healthcheck.as_ref())?;
    spec.shell = config.shell.clone().map(|words| words.0).unwrap_or_default();
    Ok(())
}

/// Writes what [`read`] put into `spec`; `short_id` stands for a host name that nobody chose.
pub(super) fn write(spec: &GuestSpec, short_id: &str) -> Config {
    let Process { entrypoint, cmd, env, cwd, user, groups: _ } = &spec.process;
    let [attach_stdin, attach_stdout, attach_stderr] = spec.streams.attach;
    let ports: Set = spec.exposed_ports.iter().map(|port| (port.clone(), Nothing {})).collect();
    Config {
        hostname: if spec.hostname.is_empty() { short_id } else { &spec.hostname }.to_owned(),
        domainname: spec.domainname.clone(),
        user: user.clone(),
        attach_stdin,
        attach_stdout,
        attach_stderr,
        exposed_ports: (!ports.is_empty()).then_some(ports),
        tty: spec.streams.tty,
        open_stdin: spec.streams.stdin,
        stdin_once: spec.streams.stdin_once,
        env: Some(env.clone()),
        cmd: cmd.clone().map(Words),
        healthcheck: spec.healthcheck.clone(),
        shell: Some(Words(spec.shell.clone())).filter(|words| !words.0.is_empty()),
        image: spec.image.clone(),
        volumes: mounts::volumes(&spec.mounts),
        working_dir: cwd.clone().unwrap_or_default(),
        entrypoint: entrypoint.clone().map(Words),
        labels: Some(spec.labels.clone()),
        stop_signal: spec.stop_signal.map(|signal| signal.to_string()).unwrap_or_default(),
        stop_timeout: spec.stop_timeout.map(life::write_stop_timeout),
        ..Config::default()
    }
}

fn check_unsupported(config: &Config) -> Result<()> {
    let refuse =
        |field: &str, value: &str| Err(Refusal::unsupported(&format!("Config.{field}"), value));
    if !config.mac_address.is_empty() {
        return refuse("MacAddress", &config.mac_address);
    }
    match &config.on_build {
        Some(steps) if !steps.is_empty() => refuse("OnBuild", &steps.join(", ")),
        _ => Ok(()),
    }
}

/// Printable, and short enough for the kernel; Docker takes underscores and dots as well.
fn hostname(what: &str, text: &str) -> Result<String> {
    let printable = text.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    match printable && text.len() <= HOSTNAME_MAX {
        true => Ok(text.to_owned()),
        false => Err(Refusal::invalid(format_args!("invalid {what} format: {}", quote(text)))),
    }
}

/// `NAME=VALUE`; a name alone takes the variable away from the image's.
pub(crate) fn read_env(pairs: &[String]) -> Result<Vec<String>> {
    match pairs.iter().find(|pair| pair.is_empty() || pair.starts_with('=')) {
        None => Ok(pairs.to_vec()),
        Some(bad) => {
            Err(Refusal::invalid(format_args!("invalid environment variable: {}", quote(bad))))
        }
    }
}

fn read_cwd(path: &str) -> Result<Option<String>> {
    match path {
        "" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        other => Err(Refusal::invalid(format_args!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            quote(other)
        ))),
    }
}

/// Rows, then columns; 0 is not known yet.
pub(crate) fn read_window([rows, columns]: [u16; 2]) -> Option<WindowSize> {
    (rows > 0 && columns > 0).then_some(WindowSize { rows, columns })
}

/// `80` or `80/tcp`, written with the protocol. Clients turn ranges into single ports themselves.
fn read_port(text: &str) -> Result<String> {
    let bad = || Refusal::invalid(format_args!("invalid port specification: {:?}", quote(text)));
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && matches!(protocol.as_str(), "tcp" | "udp" | "sctp") => {
            Ok(format!("{port}/{protocol}"))
        }
        _ => Err(bad()),
    }
}

/// A test that can be run, or `NONE`, which switches the image's off; what it leaves open is the
/// image's.
fn read_healthcheck(check: Option<&Healthcheck>) -> Result<Option<Healthcheck>> {
    let check = check.filter(|check| {
        let test_is_empty = check.test.as_ref().is_none_or(Vec::is_empty);
        !test_is_empty || !is_default(&Healthcheck { test: None, ..(*check).clone() })
    });
    if let Some(check) = check {
        Check::new(check, &[]).map_err(Refusal::invalid)?;
    }
    Ok(check.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::decode;

    fn round(text: &str) -> Result<Config, String> {
        let config: Config = decode(text.as_bytes(), "Config").map_err(|r| r.message)?;
        let mut spec = GuestSpec::default();
        read(&config, &HostConfig::default(), &mut spec).map_err(|refusal| refusal.message)?;
        Ok(write(&spec, "0123456789ab"))
    }

    #[test]
    fn every_field_survives_the_way_there_and_back() {
        let text = r#"{"Hostname":"h","Domainname":"d","User":"u:g","AttachStdin":true,
            "AttachStdout":true,"AttachStderr":true,"ExposedPorts":{"80/tcp":{},"53/udp":{}},
            "Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":["A=1","B"],"Cmd":["a","b"],
            "Image":"debian","WorkingDir":"/w","Entrypoint":["e"],"Labels":{"k":"v"},
            "StopSignal":"SIGQUIT","StopTimeout":-1,"Shell":["ash","-c"],
            "Healthcheck":{"Test":["CMD-SHELL","a"],"Interval":1000000,"Retries":2}}"#;
        let sent: Config = decode(text.as_bytes(), "Config").unwrap();
        assert_eq!(round(text), Ok(sent));
    }

    #[test]
    fn wrong_values_are_refused_in_dockers_words() {
        for (text, message) in [
            (r#"{"Env":["=a"]}"#, "invalid environment variable: =a"),
            (r#"{"Env":[""]}"#, "invalid environment variable: "),
            (
                r#"{"WorkingDir":"w"}"#,
                "the working directory 'w' is invalid, it needs to be an absolute path",
            ),
            (r#"{"StopSignal":"x"}"#, "invalid signal: x"),
            (r#"{"Hostname":"a b"}"#, "invalid hostname format: a b"),
            (r#"{"ExposedPorts":{"x":{}}}"#, "invalid port specification: \"x\""),
            (r#"{"OnBuild":["RUN x"]}"#, "hull does not support Config.OnBuild=RUN x yet"),
            (
                r#"{"MacAddress":"02:42:00:00:00:01"}"#,
                "hull does not support Config.MacAddress=02:42:00:00:00:01 yet",
            ),
        ] {
            assert_eq!(round(text), Err(message.to_owned()));
        }
        assert!(round(&format!(r#"{{"Hostname":"{}"}}"#, "a".repeat(65))).is_err());
        let why = round(r#"{"Healthcheck":{"Test":["EXEC","true"]}}"#).unwrap_err();
        assert!(why.contains("Unknown healthcheck type 'EXEC'"), "{why}");
        let why = round(r#"{"Healthcheck":{"Interval":5}}"#).unwrap_err();
        assert_eq!(why, "Interval in Healthcheck cannot be less than 1ms");
        assert_eq!(round(r#"{"Healthcheck":{"Test":[]}}"#).unwrap().healthcheck, None);
    }

    #[test]
    fn ports_are_numbers_with_a_protocol() {
        for (sent, read) in [("80", "80/tcp"), ("53/UDP", "53/udp"), ("0080/sctp", "80/sctp")] {
            assert_eq!(read_port(sent), Ok(read.to_owned()));
        }
        for bad in ["", "/tcp", "80/", "80/x", "65536", "8-9", "-1", "+1", "é"] {
            assert!(read_port(bad).is_err(), "{bad}");
        }
    }
}
