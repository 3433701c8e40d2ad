//! Flags and files, right and wrong.

use std::path::Path;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

/// Settings of a command line, with `FILE` in it standing for a file that has this text.
fn read(line: &str, file: &str) -> Result<Settings, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.json");
    std::fs::write(&path, file).unwrap();
    let line = line.replace("FILE", path.to_str().unwrap());
    let words = std::iter::once("daemon").chain(line.split_whitespace());
    let flags = Line::try_parse_from(words).map_err(|error| error.to_string())?.flags;
    flags.settings().map_err(|error| {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text.replace(path.to_str().unwrap(), "FILE")
    })
}

#[test]
fn nothing_given_is_the_default() {
    let settings = read("--config FILE", "").unwrap();
    assert_eq!(settings.data_root, Path::new("/var/lib/hull"));
    assert_eq!(settings.addresses(false)[0].to_string(), "unix:///run/hull/hull.sock");
    assert_eq!(settings.addresses(true)[0].to_string(), "fd://");
    assert!(settings.tls.is_none() && !settings.stop_guests && !settings.bridge_disabled);
    assert_eq!(settings.users, UsersSetting::Own);
}

#[test]
fn a_file_of_dockers_is_understood() {
    let settings = read(
        "--config FILE --stop-guests -G ops",
        r#"{"data-root": "/d", "exec-root": "/e", "hosts": ["unix://", "fd://"], "debug": true,
            "log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": 5},
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": -1}},
            "default-shm-size": 1024, "insecure-registries": ["10.0.0.0/8"], "dns": ["1.1.1.1"],
            "registry-mirrors": ["https://m.example/"], "bip": "10.9.0.1/24", "labels": ["a=b"],
            "live-restore": true, "shutdown-timeout": 3, "init": true, "userns-remap": "default"}"#,
    )
    .unwrap();
    assert_eq!(settings.addresses(true)[0].to_string(), "unix:///e/hull.sock");
    assert_eq!(settings.level, tracing::level_filters::LevelFilter::DEBUG);
    assert_eq!(settings.ulimits[0].soft, Some(1024));
    assert_eq!(settings.ulimits[0].hard, None);
    assert_eq!(settings.bridge_address, Some(("10.9.0.1".parse().unwrap(), 24)));
    assert_eq!(settings.mirrors, ["https://m.example"]);
    assert_eq!(settings.shutdown_timeout.as_secs(), 3);
    assert_eq!(settings.group.as_deref(), Some("ops"));
    let rotation = match settings.log {
        hull_model::log::LogConfig::JsonFile(rotation) => rotation,
        hull_model::log::LogConfig::Discard => panic!("not kept"),
    };
    assert_eq!((rotation.size_max.unwrap().get(), rotation.files), (10 << 20, 5));
    assert!(settings.stop_guests && settings.init);
}

#[test]
fn flags_say_the_same_as_keys() {
    let settings = read(
        "--config FILE -H unix:///x -H tcp://:1 --tlsverify --tlscacert a --tlscert b --tlskey c \
         --log-opt max-size=1k --default-ulimit nproc=5 --userns-default host --bridge none \
         --userns-pool 100000:2 --label a=b --dns-search x.y -D",
        "{}",
    )
    .unwrap();
    assert_eq!(settings.addresses(true).len(), 2);
    assert_eq!(settings.users, UsersSetting::Host);
    assert!(settings.bridge_disabled && settings.tls.is_some());
    assert_eq!(settings.ulimits[0].hard, Some(5));
}

#[test]
fn all_unknown_keys_are_named() {
    let error = read("--config FILE", r#"{"debug": true, "iptables": false, "typo": 1}"#);
    let want = "the configuration file FILE has keys that match no option of hull: iptables, typo";
    assert_eq!(error.unwrap_err(), want);
}

#[test]
fn what_flag_and_file_both_say_is_an_error_with_both_values() {
    let file = r#"{"hosts": ["fd://"], "debug": false, "log-opts": {"max-file": "2"}}"#;
    let error = read("--config FILE -H unix:///x --log-opt max-file=3", file).unwrap_err();
    assert_eq!(
        error,
        "the following directives are specified both as a flag and in the configuration file FILE: \
         hosts (from flag: [\"unix:///x\"], from file: [\"fd://\"]), log-opts (from flag: \
         [\"max-file=3\"], from file: [\"max-file=2\"])"
    );
}

#[test]
fn broken_files_say_where() {
    let error = read("--config FILE", "{\"debug\": \"yes\"}").unwrap_err();
    assert!(error.contains("expected a boolean at line 1 column 15"), "{error}");
    assert!(read("--config FILE", "[]").unwrap_err().contains("is not valid"));
    assert!(read("--config FILE", &"[".repeat(100_000)).is_err());
    assert!(read("--config FILE", &" ".repeat(2 << 20)).unwrap_err().contains("longer than"));
    assert!(read("--config /nonexistent", "").unwrap_err().contains("/nonexistent"));
}

#[test]
fn wrong_values_are_named_with_the_reason() {
    for (file, want) in [
        (r#"{"live-restore": false}"#, "invalid live-restore \"false\": guests"),
        (r#"{"data-root": "x"}"#, "invalid data-root \"x\": expected an absolute path"),
        (r#"{"hosts": ["x"]}"#, "invalid hosts \"x\": invalid host"),
        (r#"{"log-level": "x"}"#, "invalid log-level \"x\""),
        (r#"{"log-driver": "syslog"}"#, "invalid log-driver \"syslog\""),
        (r#"{"log-opts": {"max-size": "x"}}"#, "invalid log-opts \"max-size=x\""),
        (r#"{"log-opts": {"max-file": 0}}"#, "invalid log-opts \"max-file=0\""),
        (r#"{"log-opts": {"labels": "a"}}"#, "invalid log-opts \"labels=a\""),
        (r#"{"default-ulimits": {"x": {"Soft": 1, "Hard": 1}}}"#, "invalid default-ulimits"),
        (r#"{"default-ulimits": {"core": {"Soft": 2, "Hard": 1}}}"#, "invalid default-ulimits"),
        (r#"{"default-shm-size": "0"}"#, "invalid default-shm-size"),
        (r#"{"shutdown-timeout": -2}"#, "invalid shutdown-timeout \"-2\""),
        (r#"{"userns-default": "x"}"#, "invalid userns-default"),
        (r#"{"userns-remap": "a", "userns-default": "host"}"#, "invalid userns-remap \"a\""),
        (r#"{"userns-pool": "0:1"}"#, "invalid userns-pool \"0:1\""),
        (r#"{"userns-pool": "100000:0"}"#, "invalid userns-pool"),
        (r#"{"cgroup-parent": "a/../b"}"#, "invalid cgroup-parent"),
        (r#"{"cgroup-parent": "x.slice"}"#, "invalid cgroup-parent"),
        (r#"{"exec-opts": ["native.cgroupdriver=x"]}"#, "invalid exec-opts"),
        (r#"{"exec-opts": ["isolation=process"]}"#, "invalid exec-opts"),
        (
            r#"{"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "hull"}"#,
            "invalid cgroup-parent",
        ),
        (r#"{"bridge": "br0"}"#, "invalid bridge \"br0\""),
        (r#"{"bip": "10.0.0.0/24"}"#, "invalid bip"),
        (r#"{"bip": "10.0.0.1"}"#, "invalid bip"),
        (r#"{"mtu": 5}"#, "invalid mtu \"5\""),
        (r#"{"dns": ["x"]}"#, "invalid dns \"x\""),
        (r#"{"dns-search": ["a\nnameserver 6.6.6.6"]}"#, "invalid dns-search"),
        (r#"{"registry-mirrors": ["ftp://a"]}"#, "invalid registry-mirrors"),
        (r#"{"registry-mirrors": ["https://a/path"]}"#, "invalid registry-mirrors"),
        (r#"{"labels": ["x"]}"#, "invalid labels \"x\""),
        (r#"{"tls": true}"#, "invalid tls \"true\""),
        (r#"{"tlsverify": true}"#, "invalid tlsverify \"true\": tlscacert"),
        (r#"{"tlscert": "/x"}"#, "invalid tlsverify"),
    ] {
        let error = read("--config FILE", file).unwrap_err();
        assert!(error.starts_with(want), "{file}: {error}");
    }
}
