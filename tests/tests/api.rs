//! The API as such: versions, headers, error shapes, routes that are not there, who may connect.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use hull_tests::{Daemon, Settings, Tool, daemon, program};
use serde_json::json;

#[test]
fn every_version_from_1_24_to_1_55_answers_and_no_other() {
    let d = daemon!();
    d.run_detached("--name xx busybox sleep 1000");
    for minor in 24..=55 {
        for path in ["info", "version", "containers/json", "containers/xx/json", "images/json"] {
            let answer = d.get(&format!("/v1.{minor}/{path}"));
            assert_eq!(answer.status, 200, "1.{minor} {path}: {}", answer.text());
        }
    }
    let new = d.get("/v1.56/info");
    assert_eq!(new.status, 400);
    assert!(new.message().contains("1.56") && new.message().contains("1.55"), "{}", new.message());
    let old = d.get("/v1.23/info");
    assert_eq!(old.status, 400);
    assert!(old.message().contains("1.23") && old.message().contains("1.24"), "{}", old.message());
    assert_eq!(d.get("/v2.0/info").status, 400);
}

#[test]
fn shapes_turn_where_dockers_turn() {
    let d = daemon!();
    d.docker("run -d --name xx busybox sleep 1000").ok();
    let net = |version: &str| {
        d.get(&format!("/v{version}/containers/xx/json")).json()["NetworkSettings"].clone()
    };
    assert!(net("1.51")["IPAddress"].is_string());
    assert!(net("1.52").get("IPAddress").is_none());
    assert!(net("1.52")["Networks"]["bridge"]["IPAddress"].is_string());
    let kind = |version: &str| {
        let mut client = d.connect();
        let line = format!("POST /v{version}/containers/xx/attach?stream=1&stdout=1");
        client.request(&line, "Connection: Upgrade\r\nUpgrade: tcp\r\n", b"");
        client.head().headers["content-type"].clone()
    };
    assert_eq!(kind("1.41"), "application/vnd.docker.raw-stream");
    assert_eq!(kind("1.42"), "application/vnd.docker.multiplexed-stream");
}

#[test]
fn ping_and_errors_have_dockers_form() {
    let d = daemon!();
    let ping = d.get("/_ping");
    assert_eq!((ping.status, &*ping.text()), (200, "OK"));
    for (header, want) in
        [("api-version", "1.55"), ("ostype", "linux"), ("docker-experimental", "false")]
    {
        assert_eq!(ping.headers[header], want);
    }
    let head = Tool::new("curl", "-sI --unix-socket").arg(d.socket()).arg("http://x/_ping").ok();
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("OK\n\nOK"), "{head}");
    assert!(ping.headers["server"].to_lowercase().contains("hull"), "{:?}", ping.headers);
    for (line, status) in [
        ("GET /containers/none/json", 404),
        ("GET /no/such/path", 404),
        ("PUT /containers/json", 404),
        ("DELETE /info", 404),
        ("GET /containers/json?limit=x", 400),
        ("GET /containers/json?filters=%7B", 400),
    ] {
        let answer = d.call(line);
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        assert_eq!(answer.headers["content-type"], "application/json", "{line}");
        assert!(!answer.message().is_empty());
    }
    let missing = d.get("/containers/none/json");
    assert_eq!(missing.json(), json!({"message": "No such container: none"}));
}

#[test]
fn what_is_not_there_yet_is_501_and_says_so() {
    let d = daemon!();
    for line in [
        "POST /build",
        "GET /swarm",
        "POST /swarm/init",
        "GET /services",
        "GET /nodes",
        "GET /secrets",
        "GET /configs",
        "GET /plugins",
        "POST /containers/x/checkpoints",
        "POST /session",
    ] {
        let answer = d.call(line);
        // Docker itself answers 503 for swarm on a node that is in none.
        assert!([501, 503].contains(&answer.status), "{line}: {} {}", answer.status, answer.text());
        assert!(answer.message().len() > 10, "{line}: {}", answer.message());
    }
}

#[test]
fn the_socket_is_for_root_and_its_group_only() {
    let d = daemon!();
    let mode =
        |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(d.socket()), 0o660);
    assert_eq!(mode(d.data_root()), 0o700);
    let nobody = Tool::new("setpriv", "--reuid 65534 --regid 65534 --clear-groups curl -s");
    let refused = nobody.arg("--unix-socket").arg(d.socket()).arg("http://x/_ping").run();
    assert_eq!(refused.status, 7, "{refused:?}");
}

/// Starts a daemon that must refuse its settings.
fn refused(d: &Daemon, arguments: &[&str]) -> String {
    let roots = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("20").arg(program::hull()).arg("daemon");
    command.arg("--data-root").arg(roots.path().join("d"));
    command.arg("--exec-root").arg(roots.path().join("e"));
    let output = command.args(arguments).current_dir(d.files()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.status.code() != Some(124), "{arguments:?}: {text}");
    text
}

#[test]
fn tcp_without_verified_clients_is_refused_with_the_reason() {
    let d = daemon!();
    let why = refused(&d, &["-H", "tcp://127.0.0.1:0"]);
    assert!(why.contains("tlsverify") || why.contains("TLS"), "{why}");
    let why = refused(&d, &["-H", "tcp://127.0.0.1:0", "--tls"]);
    assert!(why.contains("tlsverify"), "{why}");
}

#[test]
fn unknown_keys_of_the_configuration_are_named() {
    let d = daemon!();
    let config = d.files().join("daemon.json");
    let try_with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        refused(&d, &["--config", config.to_str().unwrap()])
    };
    assert!(try_with(r#"{"no-such-key": 1}"#).contains("no-such-key"));
    assert!(try_with(r#"{"debug": "yes"}"#).contains("line 1"));
    assert!(try_with("{").contains("daemon.json"));
    assert!(try_with(r#"{"log-driver": "syslog"}"#).contains("syslog"));
    assert!(refused(&d, &["--config", "/no/such/file"]).contains("/no/such/file"));
}

#[test]
fn a_configuration_file_and_a_pidfile_do_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("daemon.json");
    std::fs::write(&config, r#"{"labels": ["a=b"], "init": true, "default-shm-size": "7m"}"#)
        .unwrap();
    let pidfile = dir.path().join("pid");
    let arguments = format!("--config {} --pidfile {}", config.display(), pidfile.display());
    let mut d = daemon!(Settings { arguments, ..Settings::default() });
    assert_eq!(std::fs::read_to_string(&pidfile).unwrap().trim(), d.pid().to_string());
    assert_eq!(d.get("/info").json()["Labels"], json!(["a=b"]));
    let seen = d.docker("run --rm --network none busybox df -k /dev/shm").ok();
    assert!(seen.contains(" 7168 "), "{seen}");
    d.terminate();
    assert!(!pidfile.exists());
    d.again();
}

#[test]
fn two_daemons_do_not_share_roots_but_live_side_by_side() {
    let first = daemon!();
    let mut command = Command::new("timeout");
    command.arg("20").arg(program::hull()).arg("daemon").arg("--data-root").arg(first.data_root());
    let output = command.arg("--exec-root").arg(first.files().join("other")).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("another daemon"), "{why}");
    let second = daemon!();
    first.docker("run -d --name same busybox sleep 1000").ok();
    second.docker("run -d --name same busybox sleep 1000").ok();
    assert_ne!(first.inspect("same")["Id"], second.inspect("same")["Id"]);
    drop(second);
    assert_eq!(first.docker("exec same echo fine").ok(), "fine");
}

#[test]
fn mutual_tls_lets_in_those_with_a_certificate() {
    hull_tests::need!("docker", "busybox", "ip", "nft", "openssl", "curl");
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let ssl = |words: String| Tool::new("openssl", &words).ok();
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    ssl(format!(
        "{new} -x509 -days 2 -subj /CN=ca -keyout {} -out {}",
        path("ca.key"),
        path("ca.pem")
    ));
    for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
        let (key, request) = (path(&format!("{name}.key")), path(&format!("{name}.csr")));
        ssl(format!("{new} -subj /CN={name} -keyout {key} -out {request}"));
        let extensions = format!("subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n");
        std::fs::write(path("ext"), extensions).unwrap();
        let signed = format!("-CA {} -CAkey {} -CAcreateserial", path("ca.pem"), path("ca.key"));
        let out = path(&format!("{name}.pem"));
        ssl(format!(
            "x509 -req -days 2 -in {request} {signed} -extfile {} -out {out}",
            path("ext")
        ));
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tls = format!(
        "--tlsverify --tlscacert {} --tlscert {} --tlskey {}",
        path("ca.pem"),
        path("server.pem"),
        path("server.key")
    );
    // The first -H is the one the harness uses; it is not there by default once one is given.
    let arguments = format!("-H tcp://127.0.0.1:{port} -H unix:// {tls}");
    let d = daemon!(Settings { arguments, ..Settings::default() });
    let url = format!("https://127.0.0.1:{port}/_ping");
    let with = format!("--cert {} --key {}", path("client.pem"), path("client.key"));
    let curl =
        |words: &str| Tool::new("curl", &format!("-s --cacert {} {words} {url}", path("ca.pem")));
    assert_eq!(curl(&with).ok(), "OK");
    assert_ne!(curl("").run().status, 0);
    assert_ne!(Tool::new("curl", &format!("-s http://127.0.0.1:{port}/_ping")).run().stdout, "OK");
    let docker = format!(
        "-H tcp://127.0.0.1:{port} --tlsverify --tlscacert {} --tlscert {} --tlskey {} ps -q",
        path("ca.pem"),
        path("client.pem"),
        path("client.key")
    );
    assert_eq!(d.docker(&docker).ok(), "");
}
