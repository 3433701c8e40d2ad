//! What runs, how it is connected, and how it lives.

use hull_tests::{Settings, daemon};
use serde_json::json;

use crate::{refused, seen};

#[test]
fn files_give_labels_and_variables_and_take_the_id() {
    let d = daemon!();
    let write = |name: &str, text: &str| {
        let path = d.files().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (labels, env) = (write("labels", "# comment\na=1\nb=\n"), write("env", "A=file\nB=2\n"));
    for (name, tool) in [("docker", d.docker("create")), ("hull", d.hull("create"))] {
        let cid = d.files().join(format!("{name}.cid")).display().to_string();
        let tool = tool.arg("--label-file").arg(&labels).arg("--env-file").arg(&env);
        let tool =
            tool.arg("--cidfile").arg(&cid).arg("--env").arg("A=flag").arg("--label").arg("c=3");
        let id = tool.arg("--annotation").arg("x.y=z").arg("busybox").ok();
        assert_eq!(std::fs::read_to_string(&cid).unwrap().trim(), id);
        let seen = d.inspect(&id);
        assert_eq!(seen["Config"]["Labels"], json!({"a": "1", "b": "", "c": "3"}));
        let env = seen["Config"]["Env"].to_string();
        assert!(env.contains("A=flag") && env.contains("B=2") && !env.contains("A=file"), "{env}");
        assert_eq!(seen["HostConfig"]["Annotations"], json!({"x.y": "z"}));
        let twice = d.docker("create --cidfile").arg(&cid).arg("busybox").run();
        assert!(twice.status != 0 && twice.stderr.contains("file"), "{twice:?}");
    }
}

#[test]
fn streams_are_attached_as_asked() {
    let d = daemon!();
    let script = "cat; echo out; echo err >&2; test -t 1 && echo terminal";
    let run = |flags: &str| {
        let tools = [d.docker("run --rm --network none"), d.hull("run --rm --network none")];
        tools.map(|tool| {
            let tool = flags.split_whitespace().fold(tool, |tool, flag| tool.arg(flag));
            let done = tool.arg("busybox").arg("sh").arg("-c").arg(script).input("in\n").run();
            (done.stdout, done.stderr)
        })
    };
    let both =
        |out: &str, err: &str| [(out.to_owned(), err.to_owned()), (out.to_owned(), err.to_owned())];
    assert_eq!(run("--interactive"), both("in\nout\n", "err\n"));
    assert_eq!(run(""), both("out\n", "err\n"));
    assert_eq!(run("--attach stdout"), both("out\n", ""));
    assert_eq!(run("--attach stderr"), both("", "err\n"));
    assert_eq!(run("-a stdin -a stdout -i"), both("in\nout\n", ""));
    let script = "test -t 1 && test -t 0 && echo terminal";
    assert_eq!(seen(&d, "--tty", script), "terminal");
    let id = d.docker("run --detach --network none busybox sleep 1000").ok();
    assert_eq!(id.len(), 64);
    refused(&d, "--attach what", "what");
}

#[test]
fn signals_pass_through_unless_told_otherwise() {
    let d = daemon!();
    let script = "trap 'exit 4' TERM; echo ready; i=0; while test $i -lt 600; do sleep 0.1; i=$((i+1)); done";
    for name in ["docker", "hull"] {
        let start = |flags: &str| {
            let words = format!("run --network none --name {name} {flags} busybox sh -c");
            let tool = if name == "docker" { d.docker(&words) } else { d.hull(&words) };
            let running = tool.arg(script).spawn();
            running.expect("ready");
            running
        };
        let client = start("--rm --sig-proxy=true");
        client.signal(rustix::process::Signal::TERM);
        assert_eq!(client.finish().status, 4);
        let client = start("--sig-proxy=false");
        client.signal(rustix::process::Signal::TERM);
        // Long enough for a signal to have passed, were it to.
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(d.inspect(name)["State"]["Running"], true);
        d.docker(&format!("rm -f {name}")).ok();
    }
}

#[test]
fn detach_keys_are_the_users() {
    let d = daemon!();
    let run = [
        "run",
        "-it",
        "--name",
        "kept",
        "--network",
        "none",
        "--detach-keys",
        "ctrl-a,d",
        "busybox",
        "sh",
    ];
    for own in [false, true] {
        let mut shell = if own { d.hull_terminal(&run) } else { d.docker_terminal(&run) };
        shell.expect("# ");
        shell.write("\x01d");
        shell.finish();
        assert_eq!(d.inspect("kept")["State"]["Running"], true);
        d.docker("rm -f kept").ok();
    }
}

#[test]
fn images_are_pulled_as_asked() {
    let d = daemon!();
    let missing = "--pull never --quiet no-such-image:none";
    for tool in [d.docker(&format!("run {missing}")), d.hull(&format!("run {missing}"))] {
        let done = tool.run();
        assert!(done.status == 125 && done.stderr.contains("No such image"), "{done:?}");
    }
    seen(&d, "--pull missing", "true");
    // Nobody listens there, which it says although the image is there.
    d.docker("tag busybox 127.0.0.1:1/here").ok();
    let run = |pull: &str| format!("run --rm --network none --pull {pull} 127.0.0.1:1/here true");
    for pull in ["missing", "never"] {
        d.docker(&run(pull)).ok();
    }
    for tool in [d.docker(&run("always")), d.hull(&run("always"))] {
        assert_eq!(tool.run().status, 125);
    }
    refused(&d, "--pull what", "what");
    seen(&d, "--platform linux/amd64", "true");
    refused(&d, "--platform linux/s390x", "linux/s390x");
    refused(&d, "--platform what/ever/x/y", "what");
}

#[test]
fn runtime_and_isolation_are_hulls() {
    let d = daemon!();
    for flags in ["--runtime runc", "--runtime io.containerd.runc.v2", "--isolation default"] {
        seen(&d, flags, "true");
    }
    refused(&d, "--runtime what", "unknown or invalid runtime name: what");
    refused(&d, "--isolation hyperv", "invalid isolation 'hyperv' on linux");
}

#[test]
fn who_runs_what_and_where() {
    let d = daemon!();
    assert_eq!(
        seen(&d, "--user alice --group-add 77 --workdir /new/dir", "id -un; id -G; pwd"),
        "alice\n1000 50 77\n/new/dir"
    );
    assert_eq!(
        seen(&d, "-u 33:50 -w /tmp -e A=1", "id -u; id -g; pwd; echo $A"),
        "33\n50\n/tmp\n1"
    );
    let init = seen(&d, "--init", "cat /proc/1/cmdline | tr '\\0' ' '");
    assert!(init.contains("init"), "{init}");
    for tool in [
        d.docker("run --rm --network none --entrypoint echo busybox a"),
        d.hull("run --rm --network none --entrypoint echo busybox a"),
    ] {
        assert_eq!(tool.ok(), "a");
    }
    for name in ["docker-named", "hull-named"] {
        let words = format!("create --name {name} busybox");
        let tool = if name.starts_with("docker") { d.docker(&words) } else { d.hull(&words) };
        tool.ok();
        assert_eq!(d.inspect(name)["Name"], format!("/{name}"));
    }
    refused(&d, "--name c", "Invalid container name (c)");
}

#[test]
fn the_life_is_as_long_as_said() {
    let d = daemon!();
    let id = d
        .docker("create --stop-signal SIGUSR1 --stop-timeout 3 --restart on-failure:2 busybox")
        .ok();
    let seen = d.inspect(&id);
    assert_eq!(seen["Config"]["StopSignal"], "SIGUSR1");
    assert_eq!(seen["Config"]["StopTimeout"], 3);
    assert_eq!(
        seen["HostConfig"]["RestartPolicy"],
        json!({"Name": "on-failure", "MaximumRetryCount": 2})
    );
    for policy in ["no", "always", "unless-stopped", "on-failure"] {
        d.docker(&format!("create --restart {policy} busybox")).ok();
        d.hull(&format!("create --restart {policy} busybox")).ok();
    }
    for (flags, why) in [
        ("--restart what", "unknown policy 'what'"),
        ("--stop-signal what", "invalid signal: what"),
    ] {
        for tool in
            [d.docker(&format!("run {flags} busybox")), d.hull(&format!("run {flags} busybox"))]
        {
            let done = tool.run();
            assert!(done.status == 125 && done.stderr.contains(why), "{done:?}");
        }
    }
    // Gone with its end, with `--rm`.
    d.docker("run --rm --network none --name gone busybox true").ok();
    assert_eq!(d.get("/containers/gone/json").status, 404);
}

#[test]
fn logs_go_where_they_are_sent() {
    let d = daemon!(Settings::default());
    d.docker("run --name file --network none --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 busybox echo kept").ok();
    assert_eq!(d.docker("logs file").ok(), "kept");
    d.docker("run --name none --network none --log-driver none busybox echo lost").ok();
    let said = d.docker("logs none").run();
    assert!(said.status != 0 && said.stderr.contains("does not support reading"), "{said:?}");
    for driver in ["local", "syslog", "journald", "fluentd", "gelf"] {
        refused(
            &d,
            &format!("--log-driver {driver}"),
            &format!("HostConfig.LogConfig.Type={driver}"),
        );
    }
    refused(&d, "--log-driver what", "no log driver named 'what' is registered");
    refused(&d, "--log-opt what=1", "unknown log opt 'what' for json-file log driver");
    refused(&d, "--log-opt compress=true", "compress");
}

#[test]
fn the_api_socket_is_at_dockers_place_or_the_mount_fails() {
    let d = daemon!();
    let done = d.docker("run --rm --network none --use-api-socket busybox true").run();
    let named = done.stderr.contains("/var/run/docker.sock");
    assert!(done.status == 0 || named, "{done:?}");
}
