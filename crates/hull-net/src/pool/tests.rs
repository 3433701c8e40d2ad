//! Rules of address allocation as tables, and as properties against a naive model.

use super::*;
use proptest::prelude::*;

fn pool(subnet: &str) -> Pool {
    Pool::new(subnet.parse().unwrap()).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_are_given_lowest_first_and_given_again_when_released() {
    let mut pool = pool("172.17.0.0/16");
    assert_eq!(pool.gateway(), address("172.17.0.1"));
    assert_eq!(pool.allocate(), Ok(address("172.17.0.2")));
    assert_eq!(pool.allocate(), Ok(address("172.17.0.3")));
    assert!(pool.release(address("172.17.0.2")));
    assert!(!pool.release(address("172.17.0.2")));
    assert_eq!(pool.allocate(), Ok(address("172.17.0.2")));
    assert_eq!(pool.allocate(), Ok(address("172.17.0.4")));
}

#[test]
fn a_full_subnet_says_so_and_what_to_do() {
    let mut pool = pool("10.0.0.0/30");
    assert_eq!(pool.allocate(), Ok(address("10.0.0.2")));
    let full = pool.allocate().unwrap_err();
    assert!(matches!(full, PoolError::Exhausted { taken: 1, .. }));
    assert!(full.to_string().contains("hint"), "{full}");
    assert!(pool.release(address("10.0.0.2")));
    assert!(pool.allocate().is_ok());
}

#[test]
fn a_gateway_in_the_middle_or_at_the_end_is_skipped() {
    let gateway = |text| Pool::with_gateway("10.0.0.0/29".parse().unwrap(), address(text)).unwrap();
    let given = |mut pool: Pool| -> Vec<String> {
        std::iter::from_fn(|| pool.allocate().ok()).map(|a| a.to_string()[7..].to_owned()).collect()
    };
    assert_eq!(given(gateway("10.0.0.3")), ["1", "2", "4", "5", "6"]);
    assert_eq!(given(gateway("10.0.0.6")), ["1", "2", "3", "4", "5"]);
}

#[test]
fn requested_addresses_are_checked() {
    let mut pool = pool("10.0.0.0/24");
    assert_eq!(pool.claim(address("10.0.0.9")), Ok(()));
    let refused = [
        ("10.0.0.9", PoolError::Taken(address("10.0.0.9"))),
        ("10.0.0.0", PoolError::Reserved(address("10.0.0.0"))),
        ("10.0.0.1", PoolError::Reserved(address("10.0.0.1"))),
        ("10.0.0.255", PoolError::Reserved(address("10.0.0.255"))),
    ];
    for (text, error) in refused {
        assert_eq!(pool.claim(address(text)), Err(error));
    }
    for text in ["10.0.1.1", "::1"] {
        assert!(matches!(pool.claim(address(text)), Err(PoolError::Outside { .. })));
    }
}

#[test]
fn subnets_no_guest_can_live_in_are_refused() {
    let error = |text: &str| Pool::new(text.parse().unwrap()).unwrap_err();
    assert!(matches!(error("10.0.0.1/24"), PoolError::NotASubnet { .. }));
    for text in [
        "127.0.0.0/24",
        "224.0.0.0/24",
        "0.0.0.0/0",
        "::/0",
        "ff02::/64",
        "fe80::/64",
        "0.0.0.0/8",
        "240.0.0.0/8",
    ] {
        assert!(matches!(error(text), PoolError::Unusable(_)), "{text}");
    }
    for text in ["10.0.0.0/32", "fd00::1/128"] {
        assert!(matches!(error(text), PoolError::TooSmall(_)), "{text}");
    }
}

#[test]
fn the_smallest_subnets_have_one_guest() {
    assert_eq!(pool("10.0.0.0/31").allocate(), Ok(address("10.0.0.1")));
    assert_eq!(pool("fd00::/127").allocate(), Ok(address("fd00::1")));
    assert_eq!(pool("fd00::/64").allocate(), Ok(address("fd00::2")));
}

#[test]
fn a_record_is_checked_when_it_is_read_back() {
    let mut pool = pool("10.0.0.0/24");
    pool.allocate().unwrap();
    let text = serde_json::to_string(&pool).unwrap();
    assert_eq!(serde_json::from_str::<Pool>(&text).unwrap(), pool);
    for bad in [
        text.replace("10.0.0.2\"", "10.0.0.1\""),
        text.replace("10.0.0.2\"", "10.9.0.2\""),
        text.replace("10.0.0.0/24", "127.0.0.0/24"),
    ] {
        assert!(serde_json::from_str::<Pool>(&bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn allocation_is_the_lowest_free_address_of_a_naive_model(
        prefix in 24u8..=31, gateway in 0u128..256, steps in prop::collection::vec((0u8..3, 0u32..256), 0..64),
    ) {
        let subnet: IpNet = format!("10.1.2.0/{prefix}").parse().unwrap();
        let Ok(mut pool) = Pool::with_gateway(subnet, to_address(subnet, to_number(subnet.network()) + gateway)) else {
            return Ok(());
        };
        let mut model = BTreeSet::new();
        let hosts: Vec<IpAddr> = subnet.hosts().filter(|host| *host != pool.gateway()).collect();
        for (step, number) in steps {
            let chosen = to_address(subnet, to_number(subnet.network()) + u128::from(number));
            match step {
                0 => {
                    let expected = hosts.iter().find(|host| !model.contains(*host)).copied();
                    prop_assert_eq!(pool.allocate().ok(), expected);
                    model.extend(expected);
                }
                1 => {
                    let free = hosts.contains(&chosen) && !model.contains(&chosen);
                    prop_assert_eq!(pool.claim(chosen).is_ok(), free);
                    if free { model.insert(chosen); }
                }
                _ => prop_assert_eq!(pool.release(chosen), model.remove(&chosen)),
            }
            prop_assert!(pool.taken().eq(model.iter().copied()));
        }
    }
}
