//! The instance's rules on the real kernel, in namespaces of their own.

use crate::machine::{Guest, Host, Namespace, connect};
use hull_net::endpoint::EndpointError;
use hull_net::mac::Mac;
use hull_net::rules::{self, Observed, RulesError};
use hull_net::ruleset::{Exit, Guard};

fn observe(host: &Host) -> Observed {
    host.namespace.run(|| rules::observe(&host.ruleset.instance)).unwrap()
}

#[test]
fn what_is_applied_is_observed_and_applying_again_changes_nothing() {
    let mut host = Host::new();
    assert!(observe(&host).is_empty());
    host.add_network("net0", Exit::Masquerade, &["10.8.0.0/24", "fd08::/64"]);
    host.add_network("net1", Exit::None, &["10.9.0.0/24"]);
    let guest = host.add_guest("net0", "one");
    // By steps and at once come to the same.
    assert_eq!(observe(&host), Observed::expected(&host.ruleset));
    let listed = host.namespace.sh("nft list ruleset");
    host.apply();
    assert_eq!(observe(&host), Observed::expected(&host.ruleset));
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(host.namespace.sh("nft list ruleset")), sorted(listed));
    let listed = host.namespace.sh("nft list ruleset");
    for line in [
        "iifname @bridges ip daddr 127.0.0.0/8 drop comment \"guests do not reach the host's loopback\"",
        "type ifname\n\t\telements = { \"net0\" }",
        "ct state established,related accept comment \"replies\"",
        "iifname @masqueraded oifname != @bridges masquerade comment",
        "oifname @bridges drop comment \"networks apart\"",
    ] {
        assert!(listed.contains(line), "{line}\n{listed}");
    }
    host.namespace.run(|| hull_net::endpoint::detach(&guest.plan)).unwrap();
    host.ruleset.guards.clear();
    assert_eq!(observe(&host), Observed::expected(&host.ruleset));
}

#[test]
fn tables_of_others_are_never_touched() {
    let mut host = Host::new();
    host.namespace.sh("nft add table inet other; nft add chain inet other c '{ type filter hook forward priority 0; policy drop; }'; nft add table ip hull-test; nft add table inet hull-test2");
    let before = host.namespace.sh("nft list ruleset");
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    let _guest = host.add_guest("net0", "one");
    host.apply();
    host.namespace.run(|| rules::remove(&host.ruleset.instance)).unwrap();
    assert_eq!(host.namespace.sh("nft list ruleset"), before);
}

#[test]
fn a_flushed_ruleset_is_noticed_and_repaired() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.8.0.0/24"]);
    host.add_network("net1", Exit::Masquerade, &["10.9.0.0/24"]);
    let (one, two) = (host.add_guest("net0", "one"), host.add_guest("net1", "two"));
    let expected = Observed::expected(&host.ruleset);
    for damage in [
        "nft flush ruleset",
        "nft flush chain inet hull-test forward",
        "nft flush set bridge hull-test macs",
        "nft delete table bridge hull-test",
    ] {
        host.namespace.sh(damage);
        assert_ne!(observe(&host), expected, "{damage}");
        host.apply();
        assert_eq!(observe(&host), expected, "{damage}");
        assert_eq!(connect(&two.namespace, &one.namespace, two.address()), None);
    }
}

#[test]
fn no_guest_is_attached_without_rules() {
    let mut host = Host::new();
    host.add_network("net0", Exit::Masquerade, &["10.9.0.0/24"]);
    host.namespace.sh("nft flush ruleset");
    let guest = Guest { namespace: Namespace::new(), plan: host.plan("net0", "one") };
    let refused = host.attach(&guest).unwrap_err();
    assert!(matches!(&refused, EndpointError::Rules(RulesError::Missing { .. })), "{refused}");
    assert_eq!(host.owned(), ["hull:hull-test:network:net0"]);
    host.apply();
    host.attach(&guest).unwrap();
}

#[test]
fn two_thousand_endpoints_are_one_transaction() {
    let mut host = Host::new();
    host.ruleset.guards = (0..2000)
        .map(|number: u16| {
            let [high, low] = number.to_be_bytes();
            let address = std::net::IpAddr::from([10, 9, high, low]);
            let port = format!("p{number}").parse().unwrap();
            Guard { port, mac: Mac::for_address(address), addresses: vec![address] }
        })
        .collect();
    let start = std::time::Instant::now();
    host.apply();
    let took = start.elapsed();
    assert_eq!(observe(&host), Observed::expected(&host.ruleset));
    #[expect(clippy::print_stdout, reason = "a figure for people")]
    {
        println!("apply 2000 endpoints: {took:?}");
    }
}
