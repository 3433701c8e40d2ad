//! Names and networks: what is in `/etc`, and the networking that is not there yet.

use hull_tests::daemon;

use crate::{refused, seen};

#[test]
fn hosts_and_resolver_are_as_asked_for() {
    let d = daemon!();
    let flags = "--dns 10.9.8.7 --dns-search example.org --dns-option ndots:3";
    let resolver = seen(&d, flags, "cat /etc/resolv.conf");
    for line in ["nameserver 10.9.8.7", "search example.org", "options ndots:3"] {
        assert!(resolver.contains(line), "{resolver}");
    }
    let hosts = seen(&d, "--add-host db:10.1.2.3 --add-host six:[2001:db8::1]", "cat /etc/hosts");
    assert!(hosts.contains("10.1.2.3\tdb") && hosts.contains("2001:db8::1\tsix"), "{hosts}");
    let gateway = d.docker("run --rm --add-host up:host-gateway busybox cat /etc/hosts").ok();
    let bridge = d.bridge();
    assert!(gateway.contains(&format!("{}\tup", bridge.split('/').next().unwrap())), "{gateway}");
    assert_eq!(
        seen(&d, "--hostname hh --domainname dd", "hostname; cat /proc/sys/kernel/domainname"),
        "hh\ndd"
    );
    for (flags, why) in [
        ("--add-host db", "bad format for add-host"),
        ("--add-host db:what", "invalid IP address in add-host"),
        ("--dns what", "what"),
        ("--hostname 'a b'", "invalid hostname format"),
    ] {
        refused(&d, flags, why);
    }
}

#[test]
fn ports_are_declared_and_their_publishing_is_refused_for_now() {
    let d = daemon!();
    d.docker("create --name cc --expose 80 --expose 53/udp --expose 90-91 busybox").ok();
    let ports = d.inspect("cc")["Config"]["ExposedPorts"].clone();
    let ports: Vec<_> = ports.as_object().unwrap().keys().cloned().collect();
    assert_eq!(ports, ["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
    works_or_says(&d, "-p 8080:80", "HostConfig.PortBindings");
    works_or_says(&d, "-P --expose 80", "HostConfig.PublishAllPorts");
}

#[test]
fn what_only_networks_of_ones_own_have_is_refused_for_now() {
    let d = daemon!();
    d.docker("create --name other busybox").ok();
    works_or_says(&d, "--link other:alias", "HostConfig.Links");
    works_or_says(&d, "--mac-address 92:d0:c6:0a:29:33", "92:d0:c6:0a:29:33");
    for flags in ["--ip 10.1.2.3", "--ip6 2001:db8::33", "--link-local-ip 169.254.1.1"] {
        works_or_says(&d, flags, "EndpointsConfig");
    }
    refused(&d, "--network-alias alias", "network-scoped alias");
    refused(&d, "--network nowhere", "network nowhere not found");
}

/// What is another piece of work: refused by its name, or done.
fn works_or_says(d: &hull_tests::Daemon, flags: &str, field: &str) {
    for tool in [d.docker("create --pull never"), d.hull("create --pull never")] {
        let mut tool = tool;
        for word in flags.split(' ') {
            tool = tool.arg(word);
        }
        let done = tool.arg("busybox").run();
        assert!(done.status == 0 || done.stderr.contains(field), "{done:?}");
    }
}
