//! Which addresses of a subnet are given to whom. Pure: the state is data that the caller keeps.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The addresses of one subnet: the gateway's, those that are taken, those that are free.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "Record", try_from = "Record")]
pub struct Pool {
    subnet: IpNet,
    gateway: IpAddr,
    taken: BTreeSet<IpAddr>,
}

/// A [`Pool`] as it is kept; checked when read back.
#[derive(Deserialize, Serialize)]
struct Record {
    subnet: IpNet,
    gateway: IpAddr,
    taken: BTreeSet<IpAddr>,
}

/// The address or subnet cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PoolError {
    /// Bits are set past the prefix.
    #[error("invalid subnet {given}: bits are set past the prefix (hint: {meant})")]
    NotASubnet {
        /// What was given.
        given: IpNet,
        /// What was probably meant.
        meant: IpNet,
    },
    /// No guest can live there.
    #[error("subnet {0} cannot be used for guests")]
    Unusable(IpNet),
    /// Room for a gateway and one guest is the least.
    #[error("subnet {0} is too small: it has no address for a guest")]
    TooSmall(IpNet),
    /// All addresses are taken.
    #[error(
        "all {taken} addresses of subnet {subnet} are taken (hint: remove guests, or make a network with a larger subnet)"
    )]
    Exhausted {
        /// Of this subnet.
        subnet: IpNet,
        /// How many guests have one.
        taken: usize,
    },
    /// The address belongs elsewhere.
    #[error("address {address} is not in subnet {subnet}")]
    Outside {
        /// This one.
        address: IpAddr,
        /// The pool's.
        subnet: IpNet,
    },
    /// The address is the network's own, the broadcast address or the gateway's.
    #[error("address {0} is reserved")]
    Reserved(IpAddr),
    /// Another guest has it.
    #[error("address {0} is already in use")]
    Taken(IpAddr),
}

impl Pool {
    /// A pool with nothing taken whose gateway is the subnet's first address.
    pub fn new(subnet: IpNet) -> Result<Self, PoolError> {
        check_subnet(subnet)?;
        let (first, _) = usable(subnet).ok_or(PoolError::TooSmall(subnet))?;
        Self::with_gateway(subnet, to_address(subnet, first))
    }

    /// A pool with nothing taken and this gateway.
    pub fn with_gateway(subnet: IpNet, gateway: IpAddr) -> Result<Self, PoolError> {
        check_subnet(subnet)?;
        let (first, last) = usable(subnet).ok_or(PoolError::TooSmall(subnet))?;
        if !subnet.contains(&gateway) {
            return Err(PoolError::Outside { address: gateway, subnet });
        }
        if !(first..=last).contains(&to_number(gateway)) {
            return Err(PoolError::Reserved(gateway));
        }
        Ok(Self { subnet, gateway, taken: BTreeSet::new() })
    }

    /// Takes the lowest free address.
    pub fn allocate(&mut self) -> Result<IpAddr, PoolError> {
        let exhausted = PoolError::Exhausted { subnet: self.subnet, taken: self.taken.len() };
        let Some((first, last)) = usable(self.subnet) else { return Err(exhausted) };
        let gateway = to_number(self.gateway);
        let mut candidate = first;
        // Both sequences ascend, so the first number that neither holds is the lowest free one.
        for taken in self.taken.iter().map(|address| to_number(*address)) {
            if candidate == gateway {
                candidate += 1;
            }
            if taken > candidate {
                break;
            }
            if taken == candidate {
                candidate += 1;
            }
        }
        if candidate == gateway {
            candidate += 1;
        }
        if candidate > last {
            return Err(exhausted);
        }
        let address = to_address(self.subnet, candidate);
        self.taken.insert(address);
        Ok(address)
    }

    /// Takes the address that was asked for.
    pub fn claim(&mut self, address: IpAddr) -> Result<(), PoolError> {
        if !self.subnet.contains(&address) {
            return Err(PoolError::Outside { address, subnet: self.subnet });
        }
        let inside = usable(self.subnet)
            .is_some_and(|(first, last)| (first..=last).contains(&to_number(address)));
        if !inside || address == self.gateway {
            return Err(PoolError::Reserved(address));
        }
        if !self.taken.insert(address) {
            return Err(PoolError::Taken(address));
        }
        Ok(())
    }

    /// Gives an address back. False if it was not taken.
    pub fn release(&mut self, address: IpAddr) -> bool {
        self.taken.remove(&address)
    }

    /// The subnet.
    pub fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// The gateway's address.
    pub fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// The addresses that are taken, in order.
    pub fn taken(&self) -> impl Iterator<Item = IpAddr> {
        self.taken.iter().copied()
    }

    /// An address with the subnet's prefix length, as a link is given it.
    pub fn with_prefix(&self, address: IpAddr) -> Result<IpNet, PoolError> {
        let outside = PoolError::Outside { address, subnet: self.subnet };
        if !self.subnet.contains(&address) {
            return Err(outside);
        }
        IpNet::new(address, self.subnet.prefix_len()).map_err(|_too_long| outside)
    }
}

impl From<Pool> for Record {
    fn from(pool: Pool) -> Self {
        Self { subnet: pool.subnet, gateway: pool.gateway, taken: pool.taken }
    }
}

impl TryFrom<Record> for Pool {
    type Error = PoolError;

    fn try_from(record: Record) -> Result<Self, PoolError> {
        let mut pool = Self::with_gateway(record.subnet, record.gateway)?;
        record.taken.into_iter().try_for_each(|address| pool.claim(address))?;
        Ok(pool)
    }
}

fn check_subnet(subnet: IpNet) -> Result<(), PoolError> {
    if subnet != subnet.trunc() {
        return Err(PoolError::NotASubnet { given: subnet, meant: subnet.trunc() });
    }
    let never = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/8", "ff00::/8", "fe80::/10"];
    let never = never.iter().filter_map(|text| text.parse::<IpNet>().ok());
    if subnet.prefix_len() == 0 || never.into_iter().any(|net| overlap(net, subnet)) {
        return Err(PoolError::Unusable(subnet));
    }
    Ok(())
}

/// Whether two subnets share an address.
pub(crate) fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other) || other.contains(&one)
}

/// The first and last address that can be given, unless there are fewer than two.
fn usable(subnet: IpNet) -> Option<(u128, u128)> {
    let (network, last) = (to_number(subnet.network()), to_number(subnet.broadcast()));
    let (first, last) = match subnet {
        // Both ends of a point-to-point link are hosts (RFC 3021, RFC 6164).
        _ if last - network == 1 => (network, last),
        // The network's own address and the broadcast address are not.
        IpNet::V4(_) => (network + 1, last.checked_sub(1)?),
        // The first is the routers' anycast address (RFC 4291); there is no broadcast.
        IpNet::V6(_) => (network + 1, last),
    };
    (first < last).then_some((first, last))
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address with this number, of the subnet's family.
fn to_address(subnet: IpNet, number: u128) -> IpAddr {
    match subnet {
        // A number from within an IPv4 subnet has 32 bits.
        IpNet::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpNet::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests;
