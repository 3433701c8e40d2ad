//! Bridges and endpoints on the real kernel, in namespaces of their own.

use std::os::fd::AsFd;

use crate::machine::{Guest, Host, Namespace, connect, datagram, exchange};
use hull_net::endpoint::EndpointError;
use hull_net::ruleset::Exit;
use hull_net::{bridge, endpoint, host, owned, rules};

#[test]
fn guests_of_one_network_reach_each_other_and_the_gateway() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24", "fd09::/64"]);
    let (one, two) = (host.add_guest("net0", "one"), host.add_guest("net0", "two"));
    for family in 0..2 {
        let to = two.plan.addresses[family].addr();
        assert_eq!(exchange(&two.namespace, &one.namespace, to), "hello");
        let seen = connect(&two.namespace, &one.namespace, to).unwrap();
        assert_eq!(
            seen,
            one.plan.addresses[family].addr(),
            "within a network nothing is translated"
        );
        let gateway = one.plan.gateways[family];
        assert_eq!(exchange(&host.namespace, &one.namespace, gateway), "hello");
    }
    let link = one.namespace.sh("ip -d addr show dev eth0");
    assert!(link.contains("mtu 1400") && link.contains("02:42:0a:09:00:02"), "{link}");
    assert_eq!(exchange(&one.namespace, &one.namespace, "127.0.0.1".parse().unwrap()), "hello");
}

#[test]
fn a_guest_with_users_of_its_own_is_attached_too() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24", "fd09::/64"]);
    let plan = host.plan("net0", "one");
    let guest = Guest { namespace: Namespace::of_other_users(), plan };
    host.attach(&guest).unwrap();
    for gateway in &guest.plan.gateways {
        assert_eq!(exchange(&host.namespace, &guest.namespace, *gateway), "hello");
    }
}

#[test]
fn guests_reach_the_outside_with_the_hosts_address_and_are_not_reached_from_there() {
    let (mut host, outside) = Host::with_outside();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let guest = host.add_guest("net0", "one");
    let outside_address = "198.51.100.2".parse().unwrap();
    let seen = connect(&outside, &guest.namespace, outside_address);
    assert_eq!(seen, Some("198.51.100.1".parse().unwrap()));
    assert_eq!(exchange(&outside, &guest.namespace, outside_address), "hello");
    // A neighbour of the host that knows where the guests are.
    outside.sh("ip route add 10.9.0.0/24 via 198.51.100.1");
    assert_eq!(connect(&guest.namespace, &outside, guest.address()), None);
}

#[test]
fn internal_networks_have_no_way_out_and_routed_ones_keep_their_address() {
    let (mut host, outside) = Host::with_outside();
    host.add_network("inner", Exit::None, &["10.8.0.0/24"]);
    host.add_network("routed", Exit::Routed, &["10.9.0.0/24"]);
    outside.sh("ip route add 10.0.0.0/8 via 198.51.100.1");
    let (inner, routed) = (host.add_guest("inner", "inner"), host.add_guest("routed", "routed"));
    let outside_address = "198.51.100.2".parse().unwrap();
    assert_eq!(connect(&outside, &inner.namespace, outside_address), None);
    assert_eq!(connect(&outside, &routed.namespace, outside_address), Some(routed.address()));
}

#[test]
fn networks_do_not_reach_each_other_nor_the_hosts_loopback() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.8.0.0/24", "fd08::/64"]);
    host.add_network("net1", Exit::Masquerade, &["10.9.0.0/24", "fd09::/64"]);
    let (one, two) = (host.add_guest("net0", "one"), host.add_guest("net1", "two"));
    for family in 0..2 {
        let to = two.plan.addresses[family].addr();
        assert_eq!(connect(&two.namespace, &one.namespace, to), None, "{to}");
    }
    one.namespace.sh("ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via 10.8.0.1; sysctl -qw net.ipv4.conf.all.route_localnet=1");
    let loopback = "127.0.0.1".parse().unwrap();
    assert_eq!(connect(&host.namespace, &one.namespace, loopback), None);
    // Not even where somebody has loosened the host's own setting.
    host.namespace.sh("sysctl -qw net.ipv4.conf.all.route_localnet=1");
    assert_eq!(connect(&host.namespace, &one.namespace, loopback), None);
}

#[test]
fn guests_cannot_forge_addresses() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24", "fd09::/64"]);
    let (one, two) = (host.add_guest("net0", "one"), host.add_guest("net0", "two"));
    let gateway = one.plan.gateways[0];
    let other = "10.9.0.77".parse().unwrap();
    assert!(datagram(&host.namespace, &one.namespace, (one.address(), gateway)));
    one.namespace.sh("ip addr add 10.9.0.77/24 dev eth0; ip addr add fd09::77/64 dev eth0 nodad");
    assert!(!datagram(&host.namespace, &one.namespace, (other, gateway)));
    assert!(!datagram(&two.namespace, &one.namespace, (other, two.address())));
    let (six, gateway6) = ("fd09::77".parse().unwrap(), one.plan.gateways[1]);
    assert!(datagram(&host.namespace, &one.namespace, (one.plan.addresses[1].addr(), gateway6)));
    assert!(!datagram(&host.namespace, &one.namespace, (six, gateway6)));
    // Nobody answers for an address that is not theirs: not by ARP, not by neighbour discovery.
    host.namespace.sh("ping -c1 -W1 10.9.0.77 || true; ping -c1 -W1 fd09::77 || true");
    let neighbours = host.namespace.sh("ip neigh");
    for forged in ["10.9.0.77", "fd09::77"] {
        let entry = neighbours.lines().find(|line| line.starts_with(&format!("{forged} ")));
        assert!(entry.is_none_or(|line| !line.contains("lladdr")), "{neighbours}");
    }
    // Nor send as somebody else's hardware address, which would turn the bridge's frames to them.
    one.namespace.sh(
        "ip link set eth0 down; ip link set eth0 address 02:42:0a:09:00:03; ip link set eth0 up",
    );
    assert!(!datagram(&host.namespace, &one.namespace, (one.address(), gateway)));
    assert!(datagram(&host.namespace, &two.namespace, (two.address(), gateway)));
}

#[test]
fn a_bridge_is_made_once_and_repaired_when_it_differs() {
    let mut host = Host::new();
    let plan = host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24", "fd09::/64"]);
    let ensure = || host.namespace.run(|| bridge::ensure(&plan)).unwrap();
    assert!(!ensure());
    for damage in [
        "ip addr del 10.9.0.1/24 dev net0",
        "ip addr add 10.66.0.1/24 dev net0",
        "ip link set net0 down",
        "ip link set net0 mtu 1300",
        "ip link set net0 address 02:00:00:00:00:01",
        "ip link del net0",
    ] {
        host.namespace.sh(damage);
        assert!(ensure(), "{damage}");
        assert!(!ensure(), "{damage}");
    }
    let shown = host.namespace.sh("ip -d addr show dev net0");
    assert!(shown.contains("10.9.0.1/24") && !shown.contains("10.66"), "{shown}");
    let forwarding = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/net0/accept_ra";
    assert_eq!(host.namespace.sh(forwarding), "1\n0\n");
}

#[test]
fn a_network_without_ipv6_has_none() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let guest = host.add_guest("net0", "one");
    assert_eq!(guest.namespace.sh("ip -6 addr show dev eth0"), "");
    assert_eq!(host.namespace.sh("ip -6 addr show | grep -v host | grep inet6 || true"), "");
}

#[test]
fn a_link_of_the_name_that_is_not_ours_is_left_alone() {
    let mut host = Host::new();
    let plan = host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    host.namespace.sh("ip link del net0; ip link add net0 type bridge");
    let refused = host.namespace.run(|| bridge::ensure(&plan)).unwrap_err();
    assert!(refused.to_string().contains("net0 exists and is not ours"), "{refused}");
    assert!(host.namespace.run(|| bridge::remove(&plan.name, &plan.tag)).is_err());
    host.namespace.sh("ip link show net0; ip link del net0");
    host.namespace.run(|| bridge::ensure(&plan)).unwrap();
    let guest = Guest { namespace: Namespace::new(), plan: host.plan("net0", "one") };
    let name = guest.plan.tag.link_name();
    host.namespace.sh(&format!("ip link add {name} type bridge"));
    assert!(matches!(host.attach(&guest), Err(EndpointError::Foreign(_))));
    host.namespace.sh(&format!("ip link show {name}"));
}

#[test]
fn attaching_again_converges_from_any_half_made_state() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let guest = host.add_guest("net0", "one");
    let name = guest.plan.tag.link_name();
    for damage in [
        "true".to_owned(),
        format!("ip link set {name} down"),
        format!("ip link set {name} nomaster"),
        format!("ip link del {name}"),
        "nft flush set bridge hull-test ipv4".to_owned(),
    ] {
        host.namespace.sh(&damage);
        host.attach(&guest).unwrap();
        assert_eq!(exchange(&host.namespace, &guest.namespace, guest.plan.gateways[0]), "hello");
    }
    guest.namespace.sh("ip addr flush dev eth0; ip link set lo down");
    host.attach(&guest).unwrap();
    assert_eq!(exchange(&host.namespace, &guest.namespace, guest.plan.gateways[0]), "hello");
    assert_eq!(host.owned(), ["hull:hull-test:network:net0", "hull:hull-test:endpoint:one"]);
}

#[test]
fn an_attachment_that_fails_leaves_nothing() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let before = host.namespace.run(|| rules::observe(&host.ruleset.instance)).unwrap();
    let guest = Guest { namespace: Namespace::new(), plan: host.plan("net0", "one") };
    guest.namespace.sh("ip link add eth0 type bridge");
    assert!(matches!(host.attach(&guest), Err(EndpointError::NameTaken(_))));
    let mut elsewhere = Guest { namespace: Namespace::new(), plan: host.plan("net0", "two") };
    elsewhere.plan.gateways = vec!["203.0.113.9".parse().unwrap()];
    let refused = host.attach(&elsewhere).unwrap_err().to_string();
    assert!(refused.contains("203.0.113.9"), "{refused}");
    elsewhere.plan.bridge = "nowhere".parse().unwrap();
    assert!(matches!(host.attach(&elsewhere), Err(EndpointError::NoBridge(_))));
    // A descriptor that is no namespace at all.
    let null = std::fs::File::open("/dev/null").unwrap();
    let plan = host.plan("net0", "three");
    assert!(host.namespace.run(|| endpoint::attach(null.as_fd(), &plan)).is_err());
    assert_eq!(host.owned(), ["hull:hull-test:network:net0"]);
    assert_eq!(host.namespace.run(|| rules::observe(&host.ruleset.instance)).unwrap(), before);
}

#[test]
fn removal_leaves_nothing() {
    let mut host = Host::new();
    let plan = host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let (one, two) = (host.add_guest("net0", "one"), host.add_guest("net0", "two"));
    for _ in 0..2 {
        host.namespace.run(|| endpoint::detach(&one.plan)).unwrap();
    }
    one.namespace.sh("! ip link show eth0");
    // The other ends as guests do: its namespace goes, and the kernel takes the link along.
    drop(two.namespace);
    host.namespace.run(|| endpoint::detach(&two.plan)).unwrap();
    for _ in 0..2 {
        host.namespace.run(|| bridge::remove(&plan.name, &plan.tag)).unwrap();
        host.namespace.run(|| rules::remove(&host.ruleset.instance)).unwrap();
    }
    assert_eq!(host.owned(), Vec::<String>::new());
    assert_eq!(host.namespace.sh("nft list ruleset"), "");
    assert_eq!(host.namespace.sh("ip -br link | grep -v ^lo || true"), "");
    host.namespace.run(|| endpoint::detach(&one.plan)).unwrap();
}

#[test]
fn links_of_another_engine_are_not_listed() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    host.namespace.sh("ip link add x type bridge; ip link set x alias hull:other:network:x; ip link add y type bridge; ip link set y alias 'hull:hull-test:network'");
    let links = host.namespace.run(|| owned::links(&host.ruleset.instance)).unwrap();
    assert_eq!(links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["net0"]);
}

#[test]
fn loopback_comes_up_alone_for_a_guest_without_network() {
    let (host, guest) = (Host::new(), Namespace::new());
    host.namespace.run(|| endpoint::loopback_up(guest.0.as_fd())).unwrap();
    assert_eq!(exchange(&guest, &guest, "127.0.0.1".parse().unwrap()), "hello");
}

#[test]
fn the_hosts_facts_are_its_subnets_and_the_mtu_of_its_way_out() {
    let (host, _outside) = Host::with_outside();
    host.namespace.sh("ip route add 172.17.0.0/16 via 198.51.100.2 table 77; ip link add hi mtu 9000 type bridge; ip addr add 10.3.0.5/24 dev hi");
    let facts = host.namespace.run(host::Facts::read).unwrap();
    assert_eq!(facts.mtu, 1400);
    let chosen = hull_net::subnet::choose(&hull_net::subnet::default_ranges(), &facts.in_use);
    assert_eq!(chosen.unwrap().to_string(), "172.18.0.0/16");
    assert!(facts.in_use.contains(&"10.3.0.0/24".parse().unwrap()), "{facts:?}");
}

#[test]
fn attach_cost() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/16"]);
    let mut took = Vec::new();
    let mut guests = Vec::new();
    for id in 0..100 {
        let guest = Guest { namespace: Namespace::new(), plan: host.plan("net0", &id.to_string()) };
        let (all, phases) = host.namespace.run(|| {
            let start = std::time::Instant::now();
            let attached = endpoint::attach(guest.namespace.0.as_fd(), &guest.plan).unwrap();
            (start.elapsed(), attached.took)
        });
        took.push((all, phases));
        guests.push(guest);
    }
    took.sort_by_key(|(all, _)| *all);
    let (start, plan) = (std::time::Instant::now(), &guests[0].plan);
    host.namespace.run(|| endpoint::detach(plan)).unwrap();
    let (median, p95, detach) = (took[50], took[95], start.elapsed());
    #[expect(clippy::print_stdout, reason = "a figure for people")]
    {
        println!("attach: median {median:?}\n        95 % {p95:?}\n        detach {detach:?}");
    }
}
