//! The default bridge, and guests' places on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_model::time::Timestamp;
use hull_net::endpoint;
use hull_net::mac::Mac;
use hull_net::names::{BadName, Instance, LinkName, OwnerId, Role, Tag};
use hull_net::pool::Pool;
use hull_net::ruleset::{Exit, Ruleset};
use hull_net::{bridge, host, owned, rules, subnet};
use hull_store::Store;
use hull_store::records::Table;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::config;
use crate::error::{Error, Kind, Result};
use crate::record::Endpoint;
use crate::records::of_records;

const NETWORKS: Table = Table::new("networks");
const DEFAULTS: &str = "defaults";

/// Docker's name of the default network.
pub const BRIDGE: &str = "bridge";

/// What stays the same of the three networks that are always there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Defaults {
    /// When they were first made.
    pub created: Timestamp,
    /// Ids of `bridge`, `host` and `none`.
    pub ids: [String; 3],
    /// The bridge's subnet and address; `None` until it is first used, or if it is disabled.
    pub bridge: Option<BridgeNet>,
}

/// The default bridge's addresses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BridgeNet {
    /// The link.
    pub name: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// Its own address.
    pub gateway: Ipv4Addr,
    /// Its largest packet.
    pub mtu: u32,
}

/// The engine's networks.
pub(crate) struct Networks {
    config: config::Bridge,
    instance: Instance,
    store: Arc<Store>,
    state: Mutex<State>,
}

struct State {
    defaults: Defaults,
    pool: Option<Pool>,
    /// By address, the id of the endpoint that has it.
    holders: BTreeMap<Ipv4Addr, String>,
    /// Whether bridge and rules were made by this daemon.
    up: bool,
}

impl Networks {
    /// Reads what is recorded, and brings the kernel's state in line with the endpoints in use:
    /// links of other endpoints are removed, rules are written anew. Blocks.
    pub(crate) fn open(
        store: Arc<Store>,
        instance: Instance,
        config: config::Bridge,
        in_use: &[Endpoint],
    ) -> Result<Self> {
        let defaults = load(&store)?;
        let state = Mutex::new(State { defaults, pool: None, holders: BTreeMap::new(), up: false });
        let networks = Self { config, instance, store, state };
        networks.remove_strays(in_use)?;
        if !in_use.is_empty() {
            networks.ensure(in_use)?;
        }
        Ok(networks)
    }

    /// The networks that are always there.
    pub(crate) fn defaults(&self) -> Defaults {
        self.lock().defaults.clone()
    }

    /// A place on the default bridge, which is made if needed. Blocks.
    pub(crate) fn reserve(&self) -> Result<Endpoint> {
        if self.config.disabled {
            let text = "the default bridge network is disabled: use --network none or host";
            return Err(Error::new(Kind::Invalid, text));
        }
        let id = crate::random::hex_id()?;
        self.ensure(&[])?;
        let mut state = self.lock();
        let State { defaults, pool, holders, .. } = &mut *state;
        let (Some(BridgeNet { gateway, subnet, .. }), Some(pool)) = (&defaults.bridge, pool) else {
            unreachable!("`ensure` made them");
        };
        let full = |source| Error::caused(Kind::Unavailable, "find a free address", source);
        let address = match pool.allocate().map_err(full)? {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => unreachable!("{address} is not of an IPv4 subnet"),
        };
        holders.insert(address, id.clone());
        Ok(Endpoint {
            network: BRIDGE.to_owned(),
            network_id: defaults.ids[0].clone(),
            id,
            address,
            prefix: subnet.prefix_len(),
            gateway: *gateway,
            mac: Mac::for_address(address.into()).octets(),
        })
    }

    /// Connects the guest whose network namespace is `guest`. Blocks.
    pub(crate) fn attach(&self, guest: &OwnedFd, endpoint: &Endpoint) -> Result<()> {
        let plan = self.plan(endpoint)?;
        let attached = endpoint::attach(guest.as_fd(), &plan).map_err(Error::internal(format!(
            "attach the guest to network {}",
            endpoint.network
        )))?;
        tracing::debug!(took = ?attached.took, "attached to the bridge");
        Ok(())
    }

    /// Brings up the loopback link of a guest without a network. Blocks.
    pub(crate) fn loopback(guest: &OwnedFd) -> Result<()> {
        endpoint::loopback_up(guest.as_fd()).map_err(Error::internal("bring the loopback link up"))
    }

    /// Takes a guest off its network and gives its address back. Blocks.
    pub(crate) fn detach(&self, endpoint: &Endpoint) -> Result<()> {
        let detached = endpoint::detach(&self.plan(endpoint)?);
        let mut state = self.lock();
        let State { pool, holders, .. } = &mut *state;
        if let Some(pool) = pool
            && holders.get(&endpoint.address) == Some(&endpoint.id)
        {
            holders.remove(&endpoint.address);
            pool.release(endpoint.address.into());
        }
        detached.map_err(Error::internal("take the guest off its network"))
    }

    /// Removes bridge and rules: nothing of this engine is left in the kernel. Blocks.
    pub(crate) fn remove_all(&self) -> Result<()> {
        self.remove_strays(&[])?;
        let Some(net) = self.lock().defaults.bridge.clone() else { return Ok(()) };
        let name = net.name.parse::<LinkName>().map_err(bad_name)?;
        bridge::remove(&name, &self.tag(Role::Network, BRIDGE)?)
            .map_err(Error::internal("remove the bridge"))?;
        rules::remove(&self.instance).map_err(Error::internal("remove the firewall rules"))?;
        self.lock().up = false;
        Ok(())
    }

    /// Makes bridge and rules unless this daemon did already.
    fn ensure(&self, in_use: &[Endpoint]) -> Result<()> {
        let mut state = self.lock();
        if state.up {
            return Ok(());
        }
        let net = self.choose(&state.defaults)?;
        let name = net.name.parse::<LinkName>().map_err(bad_name)?;
        let plan = bridge::Plan {
            name: name.clone(),
            tag: self.tag(Role::Network, BRIDGE)?,
            gateways: vec![of_v4(net.gateway, net.subnet.prefix_len())?],
            mtu: net.mtu,
        };
        if state.defaults.bridge.as_ref() != Some(&net) {
            state.defaults.bridge = Some(net.clone());
            save(&self.store, &state.defaults)?;
        }
        bridge::ensure(&plan).map_err(Error::internal("make the default bridge"))?;
        let mut pool = Pool::with_gateway(net.subnet.into(), net.gateway.into())
            .map_err(Error::internal("use the bridge's subnet"))?;
        let (mut guards, mut holders) = (Vec::new(), BTreeMap::new());
        for endpoint in in_use {
            // A crash or another `bip` may have left a record that does not fit. Its guest has no
            // network then; all others must not be without an engine.
            if let Err(error) = pool.claim(endpoint.address.into()) {
                tracing::warn!(address = %endpoint.address, %error, "cannot take over an address");
                continue;
            }
            holders.insert(endpoint.address, endpoint.id.clone());
            guards.push(plan_on(&net, &self.instance, endpoint)?.guard());
        }
        let bridges = [(name, Exit::Masquerade)].into();
        let ruleset = Ruleset { instance: self.instance.clone(), bridges, guards };
        rules::apply(&ruleset).map_err(Error::internal("write the firewall rules"))?;
        state.pool = Some(pool);
        state.holders = holders;
        state.up = true;
        Ok(())
    }

    /// What is recorded, unless the configuration says otherwise; a free subnet at first.
    fn choose(&self, defaults: &Defaults) -> Result<BridgeNet> {
        let facts = host::Facts::read().map_err(Error::internal("read the host's network"))?;
        let (gateway, subnet) = match (self.config.address, &defaults.bridge) {
            (Some((address, prefix)), _) => {
                let subnet = Ipv4Net::new(address, prefix)
                    .map_err(Error::internal("use the bridge's address"))?;
                (address, subnet.trunc())
            }
            (None, Some(net)) => (net.gateway, net.subnet),
            (None, None) => first_free(&facts)?,
        };
        let name = if self.instance.as_str() == DEFAULT_INSTANCE {
            "hull0".to_owned()
        } else {
            self.tag(Role::Network, BRIDGE)?.link_name().to_string()
        };
        Ok(BridgeNet { name, subnet, gateway, mtu: self.config.mtu.unwrap_or(facts.mtu) })
    }

    fn remove_strays(&self, in_use: &[Endpoint]) -> Result<()> {
        let doing = "look for links left over";
        for link in owned::links(&self.instance).map_err(Error::internal(doing))? {
            let known = in_use.iter().any(|endpoint| endpoint.id == link.tag.id.as_str());
            if link.tag.role == Role::Endpoint && !known {
                tracing::info!(link = link.name, "removing a link of a guest that is gone");
                owned::discard(&link).map_err(Error::internal("remove a link left over"))?;
            }
        }
        Ok(())
    }

    fn plan(&self, endpoint: &Endpoint) -> Result<endpoint::Plan> {
        match &self.lock().defaults.bridge {
            Some(net) => plan_on(net, &self.instance, endpoint),
            None => Err(Error::new(Kind::Internal, "the default bridge is not there")),
        }
    }

    fn tag(&self, role: Role, id: &str) -> Result<Tag> {
        let id = id.parse::<OwnerId>().map_err(bad_name)?;
        Ok(Tag { instance: self.instance.clone(), role, id })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The instance whose data is where it is by default.
pub(crate) const DEFAULT_INSTANCE: &str = "hull";

fn plan_on(net: &BridgeNet, instance: &Instance, endpoint: &Endpoint) -> Result<endpoint::Plan> {
    let id = endpoint.id.parse::<OwnerId>().map_err(bad_name)?;
    Ok(endpoint::Plan {
        tag: Tag { instance: instance.clone(), role: Role::Endpoint, id },
        bridge: net.name.parse::<LinkName>().map_err(bad_name)?,
        name: "eth0".parse::<LinkName>().map_err(bad_name)?,
        mac: Mac::for_address(endpoint.address.into()),
        addresses: vec![of_v4(endpoint.address, endpoint.prefix)?],
        gateways: vec![endpoint.gateway.into()],
        mtu: net.mtu,
    })
}

fn first_free(facts: &host::Facts) -> Result<(Ipv4Addr, Ipv4Net)> {
    let free = subnet::choose(&subnet::default_ranges(), &facts.in_use)
        .map_err(|source| Error::caused(Kind::Unavailable, "choose a subnet", source))?;
    match free {
        IpNet::V4(net) => match net.hosts().next() {
            Some(first) => Ok((first, net)),
            None => Err(Error::new(Kind::Internal, format!("{net} has no addresses"))),
        },
        IpNet::V6(net) => Err(Error::new(Kind::Internal, format!("{net} is not IPv4"))),
    }
}

fn of_v4(address: Ipv4Addr, prefix: u8) -> Result<IpNet> {
    IpNet::new(address.into(), prefix).map_err(Error::internal("use an address"))
}

fn bad_name(error: BadName) -> Error {
    Error::caused(Kind::Internal, "name a link", error)
}

fn load(store: &Store) -> Result<Defaults> {
    let doing = "read the networks' records";
    match store.records.get(NETWORKS, DEFAULTS).map_err(of_records(doing))? {
        Some(value) => serde_json::from_slice(&value).map_err(Error::internal(doing)),
        None => {
            let id = crate::random::hex_id;
            let created = Timestamp::from(std::time::SystemTime::now());
            let defaults = Defaults { created, ids: [id()?, id()?, id()?], bridge: None };
            save(store, &defaults)?;
            Ok(defaults)
        }
    }
}

fn save(store: &Store, defaults: &Defaults) -> Result<()> {
    let value =
        serde_json::to_vec(defaults).map_err(Error::internal("write a network's record"))?;
    store.records.put(NETWORKS, DEFAULTS, &value).map_err(of_records("write a network's record"))
}
