//! Which subnet a network gets that was not given one. Pure.

use ipnet::IpNet;

use crate::pool::overlap;

/// A range that is cut into subnets of one size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// The whole.
    pub base: IpNet,
    /// Prefix length of the pieces.
    pub piece_prefix: u8,
}

/// Every subnet of the ranges is in use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "all subnets of the default ranges overlap this host's routes or other networks (hint: give the network a subnet)"
)]
pub struct NoSubnet;

/// Docker's ranges for local networks (moby `libnetwork/ipamutils`, `localScopeDefaultNetworks`).
const DEFAULT: [(&str, u8); 7] = [
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
];

/// Routes with a shorter prefix are ways out, not networks somebody has: the default route, or the
/// halves and quarters into which VPN clients cut it. 10.0.0.0/8 is the largest network in use.
const NETWORK_PREFIX_MIN: u8 = 8;

/// The ranges when the engine is not configured otherwise.
pub fn default_ranges() -> Vec<Range> {
    let range = |(base, piece_prefix): &(&str, u8)| {
        base.parse().ok().map(|base| Range { base, piece_prefix: *piece_prefix })
    };
    DEFAULT.iter().filter_map(range).collect()
}

/// The first piece of the ranges that overlaps nothing in use: routes and addresses of the host
/// ([`crate::host::Facts::in_use`]) and the subnets of other networks.
pub fn choose(ranges: &[Range], in_use: &[IpNet]) -> Result<IpNet, NoSubnet> {
    let in_use = in_use.iter().filter(|net| net.prefix_len() >= NETWORK_PREFIX_MIN);
    let in_use: Vec<IpNet> = in_use.copied().collect();
    let free = |piece: &IpNet| !in_use.iter().any(|net| overlap(*net, *piece));
    // A range whose pieces would be larger than itself has none.
    let pieces = ranges.iter().filter_map(|range| range.base.subnets(range.piece_prefix).ok());
    pieces.flatten().take(PIECES_MAX).find(free).ok_or(NoSubnet)
}

/// A bound on the search: a /48 cut into /64s is within it, a /8 cut into /30s is not searched through.
const PIECES_MAX: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(in_use: &[&str]) -> String {
        let in_use: Vec<IpNet> = in_use.iter().map(|text| text.parse().unwrap()).collect();
        choose(&default_ranges(), &in_use).map_or("none".to_owned(), |net| net.to_string())
    }

    #[test]
    fn the_first_free_subnet_is_chosen() {
        assert_eq!(chosen(&[]), "172.17.0.0/16");
        assert_eq!(chosen(&["172.17.0.0/16"]), "172.18.0.0/16");
        assert_eq!(chosen(&["172.17.5.9/32"]), "172.18.0.0/16");
        assert_eq!(chosen(&["172.16.0.0/12"]), "192.168.0.0/20");
        assert_eq!(chosen(&["172.16.0.0/12", "192.168.1.0/24"]), "192.168.16.0/20");
        assert_eq!(chosen(&["172.16.0.0/12", "192.168.0.0/16"]), "none");
    }

    #[test]
    fn default_routes_whole_or_in_halves_are_not_networks() {
        assert_eq!(chosen(&["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0"]), "172.17.0.0/16");
        assert_eq!(chosen(&["10.0.0.0/8"]), "172.17.0.0/16");
    }

    #[test]
    fn all_of_dockers_networks_are_there() {
        assert_eq!(default_ranges().len(), DEFAULT.len());
        let mut in_use = Vec::new();
        while let Ok(net) = choose(&default_ranges(), &in_use) {
            in_use.push(net);
        }
        assert_eq!(in_use.len(), 31);
    }

    #[test]
    fn absurd_ranges_end_in_an_error_not_a_hang() {
        let all: IpNet = "fd00::/8".parse().unwrap();
        let range = Range { base: all, piece_prefix: 120 };
        assert_eq!(choose(&[range], &[all]), Err(NoSubnet));
        assert_eq!(choose(&[Range { base: all, piece_prefix: 4 }], &[]), Err(NoSubnet));
    }
}
