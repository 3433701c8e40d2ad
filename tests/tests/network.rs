//! Networks: none, host, and the first bridge.

use std::io::{Read, Write};
use std::net::TcpListener;

use hull_tests::daemon;

#[test]
fn none_has_loopback_and_nothing_else() {
    let d = daemon!();
    let seen = d.docker("run --rm --network none busybox sh -c 'ls /sys/class/net; ip route; ping -c1 -W2 127.0.0.1 >/dev/null && echo up'");
    assert_eq!(seen.ok(), "lo\nup");
}

#[test]
fn host_is_the_hosts_and_inspect_says_what_that_costs() {
    let d = daemon!();
    let own = std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let seen = d.docker("run --name hn --network host busybox readlink /proc/self/ns/net").ok();
    assert_eq!(seen, own);
    assert_eq!(d.inspect("hn")["HostConfig"]["NetworkMode"], "host");
    // The host's network needs the host's user namespace.
    assert_eq!(d.inspect("hn")["Hull"]["UserNamespace"], "host");
}

#[test]
fn the_bridge_gives_an_address_and_the_way_out() {
    let d = daemon!();
    d.docker("run -d --name bb busybox sleep 1000").ok();
    let gateway = d.bridge().trim_end_matches("/24").to_owned();
    let net = d.inspect("bb")["NetworkSettings"]["Networks"]["bridge"].clone();
    assert_eq!(net["Gateway"], *gateway);
    assert_eq!(net["IPPrefixLen"], 24);
    let address = net["IPAddress"].as_str().unwrap();
    let run = |command: &str| d.docker(&format!("exec bb {command}")).ok();
    assert!(run("ip addr show eth0").contains(&format!("inet {address}/24")));
    assert!(run("ip link show eth0").contains(net["MacAddress"].as_str().unwrap()));
    assert!(run("ip route").contains(&format!("default via {gateway}")));
    assert!(run("cat /etc/hosts").contains(address));
    assert!(run("cat /etc/resolv.conf").contains("nameserver"));
    run(&format!("ping -c1 -W2 {gateway}"));
}

#[test]
fn what_leaves_the_host_has_the_hosts_address() {
    let d = daemon!();
    hull_tests::need!("unshare", "nsenter");
    // A network beyond the host: a namespace with a link of its own to it.
    let far = hull_tests::Tool::new("unshare", "--net sleep 60").spawn();
    let name = format!("htf{}", far.pid());
    let ip = |words: &str| hull_tests::Tool::new("ip", words).ok();
    let subnet = format!("10.{}.{}", 200 + far.pid() % 50, far.pid() / 50 % 256);
    hull_tests::eventually("it has a namespace of its own", || {
        let net = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        (net(&far.pid().to_string()) != net("self")).then_some(())
    });
    ip(&format!("link add {name} type veth peer name far0 netns {}", far.pid()));
    ip(&format!("addr add {subnet}.1/24 dev {name}"));
    ip(&format!("link set {name} up"));
    let inside = |words: &str| {
        let nsenter = format!("--net --target {} {words}", far.pid());
        hull_tests::Tool::new("nsenter", &nsenter)
    };
    inside(&format!("ip addr add {subnet}.2/24 dev far0")).ok();
    inside("ip link set far0 up").ok();
    let script = format!(
        "import socket\ns = socket.create_server(('{subnet}.2', 8000))\nprint('ready', flush=True)\n\
         c, a = s.accept()\nc.send(a[0].encode())\n"
    );
    let server = inside("python3 -c").arg(script).spawn();
    server.expect("ready");
    let seen = d.docker(&format!("run --rm busybox nc -w 5 {subnet}.2 8000")).input("").ok();
    // There is no route back to the bridge over there: an answer at all shows the translation.
    assert_eq!(seen, format!("{subnet}.1"));
}

#[test]
fn guests_on_the_bridge_reach_each_other_and_the_host_reaches_them() {
    let d = daemon!();
    d.docker("run -d --name server busybox httpd -f -p 8080 -h /var/www").ok();
    let address = d.inspect("server")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].clone();
    let url = format!("http://{}:8080/index.html", address.as_str().unwrap());
    let seen = hull_tests::eventually("it answers", || {
        let seen = d.docker(&format!("run --rm busybox wget -qO- {url}")).run();
        (seen.status == 0).then_some(seen.stdout)
    });
    assert_eq!(seen, "hello from www\n");
    assert_eq!(hull_tests::Tool::new("curl", &format!("-s {url}")).ok(), "hello from www");
}

#[test]
fn a_guest_cannot_take_anothers_address_or_listen_to_its_packets() {
    let d = daemon!();
    d.docker("run -d --name aa busybox sleep 1000").ok();
    d.docker("run -d --name bb busybox sleep 1000").ok();
    let address = |name: &str| {
        let seen = d.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].clone();
        seen.as_str().unwrap().to_owned()
    };
    assert_ne!(address("aa"), address("bb"));
    // No right to configure links inside, by default.
    let why = d.docker(&format!("exec aa ip addr add {}/24 dev eth0", address("bb"))).run();
    assert_ne!(why.status, 0, "{why:?}");
}

#[test]
fn the_hosts_services_are_reached_by_the_gateways_address() {
    let d = daemon!();
    // The bridge is there once somebody has used it.
    d.docker("run --rm busybox true").ok();
    let gateway = d.bridge().trim_end_matches("/24").to_owned();
    let listener = TcpListener::bind((gateway.as_str(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut client, from) = listener.accept().unwrap();
        let mut text = [0; 5];
        client.read_exact(&mut text).unwrap();
        client.write_all(&text).unwrap();
        from.ip().to_string()
    });
    let seen =
        d.docker(&format!("run --rm -i busybox nc -w 5 {gateway} {port}")).input("hello").ok();
    assert_eq!(seen, "hello");
    assert!(server.join().unwrap().starts_with(gateway.trim_end_matches('1')));
}

#[test]
fn many_starts_at_once_get_addresses_of_their_own() {
    let d = daemon!();
    let seen: Vec<String> = std::thread::scope(|scope| {
        let d = &d;
        let run = move |_| d.docker("run -d busybox sleep 1000").ok();
        let starts: Vec<_> = (0..8).map(|at| scope.spawn(move || run(at))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let mut addresses: Vec<_> = seen
        .iter()
        .map(|id| d.inspect(id)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].to_string())
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 8, "{addresses:?}");
}

#[test]
fn networks_are_listed_and_unknown_ones_refused() {
    let d = daemon!();
    let list = d.get("/networks").json();
    let mut names: Vec<_> =
        list.as_array().unwrap().iter().map(|net| net["Name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bridge", "host", "none"]);
    let why = d.docker("run --rm --network no-such-net busybox true").fails(125);
    assert!(why.contains("no-such-net"), "{why}");
    assert_eq!(d.docker("ps -aq").ok(), "");
}
