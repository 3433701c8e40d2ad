//! A new user's first minutes: nothing is set up, and it works.

use hull_tests::sandbox::Sandbox;
use hull_tests::{Settings, daemon, eventually, images, need};

#[test]
fn the_engine_starts_on_demand_and_runs_hello() {
    need!("unshare", "ip");
    let sandbox = Sandbox::new();
    let done =
        sandbox.run("hull run --rm hello; hull ps -aq; hull run --rm hello >/dev/null", None);
    assert_eq!(done.status, 0, "{done:#?}");
    for word in ["process", "user", "host name", "kernel", "limits", "ms"] {
        assert!(done.stdout.to_lowercase().contains(word), "no {word} in {}", done.stdout);
    }
}

#[test]
fn a_debian_container_from_the_first_shell_to_a_web_server_that_outlives_its_daemon() {
    need!("docker", "busybox", "ip", "nft", "mmdebstrap", "curl");
    let root = images::debian_python();
    let mut d = daemon!(Settings { is_empty: true, ..Settings::default() });
    d.docker("import --change 'CMD [\"bash\"]'").arg(&root).arg("debian:bookworm").ok();
    let mut shell =
        d.docker_terminal(&["run", "--rm", "-it", "--network", "none", "debian:bookworm"]);
    shell.write("cat /etc/os-release; exit 5\n");
    shell.expect("bookworm");
    assert_eq!(shell.finish(), 5);
    // A web server in the background.
    d.docker("run -d --name web -w /srv debian:bookworm python3 -u -m http.server 8000").ok();
    let address = d.docker("inspect -f {{.NetworkSettings.Networks.bridge.IPAddress}} web").ok();
    let url = format!("http://{address}:8000/page");
    d.docker("exec web sh -c 'echo content > /srv/page'").ok();
    let fetch = || hull_tests::Tool::new("curl", &format!("-s --max-time 5 {url}")).run().stdout;
    eventually("it serves", || (fetch() == "content\n").then_some(()));
    let logs = d.docker("logs -f web").spawn();
    logs.expect("Serving HTTP");
    fetch();
    eventually("the request is in the log", || {
        d.docker("logs web").run().stderr.contains("GET /page").then_some(())
    });
    drop(logs);
    d.docker("stop -t 1 web").ok();
    assert_ne!(fetch(), "content\n");
    d.docker("restart -t 1 web").ok();
    let address = d.docker("inspect -f {{.NetworkSettings.Networks.bridge.IPAddress}} web").ok();
    let url = format!("http://{address}:8000/page");
    let fetch = || hull_tests::Tool::new("curl", &format!("-s --max-time 5 {url}")).run().stdout;
    eventually("it serves again", || (fetch() == "content\n").then_some(()));
    // The daemon dies under it, and nobody who uses the server notices.
    d.kill();
    assert_eq!(fetch(), "content\n");
    d.again();
    assert_eq!(fetch(), "content\n");
    eventually("nothing was lost from the log", || {
        let seen = d.docker("logs web").run().stderr;
        (seen.matches("GET /page").count() >= 4).then_some(())
    });
    d.docker("rm -f web").ok();
    assert_eq!(d.docker("ps -aq").ok(), "");
}
