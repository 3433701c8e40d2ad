//! Command lines against the request the docker CLI 28.2.2 sends for them, recorded.
//!
//! `tests/docker.rs` compares with the real CLI where it is installed.

use std::path::Path;

use clap::Parser as _;
use serde_json::{Value, json};

use super::{ContainerFlags, Surroundings, request};

#[derive(clap::Parser)]
#[command(disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    flags: ContainerFlags,
    #[arg(trailing_var_arg = true)]
    rest: Vec<String>,
}

fn send(line: &str) -> Result<Value, String> {
    let words = std::iter::once("x").chain(line.split_whitespace()).chain(["image"]);
    let line = Line::try_parse_from(words).map_err(|error| {
        std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
    })?;
    let around = Surroundings {
        directory: Path::new("/home/me"),
        variable: &|name| (name == "HOME").then(|| "/root".to_owned()),
        read: &|path| match path.to_str() {
            Some("env") => Ok("A=1\n# c\n\nHOME\nNOPE\nB=x y\n".to_owned()),
            Some("labels") => Ok("la=1\nlb\n".to_owned()),
            Some("profile") => Ok("{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }".to_owned()),
            Some("bad") => Ok("a b=1".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        },
    };
    let made = request(&line.flags, &line.rest[0], &line.rest[1..], &around)?;
    Ok(serde_json::to_value(made).unwrap())
}

/// What a line changes in the request of a line without flags.
fn changed(line: &str) -> Result<Value, String> {
    fn differences(base: &Value, made: &Value) -> Value {
        let (Some(base), Some(made)) = (base.as_object(), made.as_object()) else {
            return made.clone();
        };
        let mut changes = serde_json::Map::new();
        for (key, value) in made {
            let before = base.get(key).unwrap_or(&Value::Null);
            if before != value {
                let change = match key.as_str() {
                    "HostConfig" => differences(before, value),
                    _ => value.clone(),
                };
                changes.insert(key.clone(), change);
            }
        }
        Value::Object(changes)
    }
    Ok(differences(&send("").unwrap(), &send(line)?))
}

fn host(value: &Value) -> Value {
    json!({ "HostConfig": value })
}

#[test]
fn flags_of_the_process() {
    for (line, want) in [
        ("-i", json!({"AttachStdin": true, "OpenStdin": true, "StdinOnce": true})),
        ("-a stdin", json!({"AttachStdin": true, "AttachStdout": false, "AttachStderr": false})),
        ("-t", json!({"Tty": true})),
        (
            "--env-file env -e HOME -e NOPE -e X=",
            json!({"Env": ["A=1", "HOME=/root", "B=x y", "HOME=/root", "NOPE", "X="]}),
        ),
        ("-l a=b -l c --label-file labels", json!({"Labels": {"a": "b", "c": "", "la": "1"}})),
        ("-h a.b --domainname d", json!({"Hostname": "a.b", "Domainname": "d"})),
        ("--entrypoint=", json!({"Entrypoint": [""]})),
        (
            "--init -w /t -u 1:2",
            json!({"HostConfig": {"Init": true}, "WorkingDir": "/t", "User": "1:2"}),
        ),
        (
            "--annotation a=b --group-add 5",
            host(&json!({"Annotations": {"a": "b"}, "GroupAdd": ["5"]})),
        ),
        ("--stop-signal 9 --stop-timeout -1", json!({"StopSignal": "9", "StopTimeout": -1})),
    ] {
        assert_eq!(changed(line), Ok(want), "{line}");
    }
}

#[test]
fn flags_of_storage_and_life() {
    for (line, want) in [
        (
            "-v ./rel/../x:/b:ro -v vol:/d -v /anon",
            json!({"HostConfig": {"Binds": ["/home/me/x:/b:ro", "vol:/d"]}, "Volumes": {"/anon": {}}}),
        ),
        ("--tmpfs /t:size=1m --tmpfs /u", host(&json!({"Tmpfs": {"/t": "size=1m", "/u": ""}}))),
        (
            "--restart on-failure:3",
            host(&json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})),
        ),
        ("--log-driver none", host(&json!({"LogConfig": {"Type": "none", "Config": {}}}))),
        (
            "--health-cmd true --health-interval 5s",
            json!({"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_i64}}),
        ),
        ("--no-healthcheck", json!({"Healthcheck": {"Test": ["NONE"]}})),
    ] {
        assert_eq!(changed(line), Ok(want), "{line}");
    }
}

#[test]
fn flags_of_limits_and_isolation() {
    for (line, want) in [
        ("-m 1.5g --memory-swap -1", host(&json!({"Memory": 1_610_612_736, "MemorySwap": -1}))),
        ("--cpus 1.5 -c 512", host(&json!({"NanoCpus": 1_500_000_000, "CpuShares": 512}))),
        (
            "--ulimit nofile=1:2 --ulimit core=0",
            host(&json!({"Ulimits": [
                {"Name": "core", "Hard": 0, "Soft": 0}, {"Name": "nofile", "Hard": 2, "Soft": 1}
            ]})),
        ),
        (
            "--pids-limit -1 --oom-score-adj -500",
            host(&json!({"PidsLimit": -1, "OomScoreAdj": -500})),
        ),
        (
            "--cap-add sys_admin --cap-add NET_ADMIN --cap-drop all",
            host(&json!({"CapAdd": ["CAP_NET_ADMIN", "CAP_SYS_ADMIN"], "CapDrop": ["ALL"]})),
        ),
        (
            "--security-opt seccomp=profile --security-opt systempaths=unconfined",
            host(&json!({
                "SecurityOpt": ["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"],
                "MaskedPaths": [], "ReadonlyPaths": []
            })),
        ),
        (
            "--device /dev/null:rw --device vendor.com/gpu=0",
            host(&json!({
                "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rw"}],
                "DeviceRequests": [{"Driver": "cdi", "Count": 0, "DeviceIDs": ["vendor.com/gpu=0"], "Capabilities": null, "Options": null}]
            })),
        ),
    ] {
        assert_eq!(changed(line), Ok(want), "{line}");
    }
}

#[test]
fn the_modes_without_a_network_have_no_endpoint() {
    for mode in ["none", "host", "container:abc"] {
        let made = send(&format!("--network {mode}")).unwrap();
        assert_eq!(made["HostConfig"]["NetworkMode"], mode);
        assert_eq!(made["NetworkingConfig"], json!({"EndpointsConfig": {}}));
    }
}

#[test]
fn mistakes_are_told_in_dockers_words() {
    for (line, want) in [
        ("--restart always --rm", "conflicting options: cannot specify both --restart and --rm"),
        ("--sysctl foo=1", "sysctl 'foo=1' is not allowed"),
        ("--uts x", "--uts: invalid UTS mode"),
        ("--env =x", "invalid environment variable: =x"),
        ("--env-file nosuch", "open nosuch: entity not found"),
        ("--env-file bad", "variable 'a b' contains whitespaces in bad"),
        ("--memory-swappiness 200", "invalid value: 200. Valid memory swappiness range is 0-100"),
        ("--shm-size -1", "invalid size: '-1'"),
        ("-p a:b", "invalid containerPort: b"),
        ("-p 70000:80", "invalid hostPort: 70000"),
        ("--add-host a", "bad format for add-host: \"a\""),
        ("--ulimit x", "invalid ulimit argument: x"),
        ("--device relative", "relative is not an absolute path"),
        ("--log-driver none --log-opt a=b", "invalid logging opts for driver none"),
        ("--no-healthcheck --health-cmd x", "--no-healthcheck conflicts with --health-* options"),
        ("--health-interval -1s", "--health-interval cannot be negative"),
        ("--pid container:", "--pid: invalid PID mode"),
        ("--mac-address zz", "zz is not a valid mac address"),
        ("--dns foo", "IP address is not correctly formatted: foo"),
        ("--attach foo", "valid streams are STDIN, STDOUT and STDERR"),
        (
            "--network none --network-alias x",
            "network-scoped aliases are only supported for user-defined networks",
        ),
    ] {
        assert_eq!(changed(line).unwrap_err(), want, "{line}");
    }
}
