//! What is known of a guest: kept on disk, and shown to readers as it is.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::guest::GuestSpec;
use crate::health::Health;
use crate::id::GuestId;
use crate::id_range::IdRange;
use crate::image::Digest;
use crate::life::State;
use crate::mount::{Origin, Propagation, Target};
use crate::name::Name;
use crate::namespace::HostUser;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One guest. Only its own task changes it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct GuestRecord {
    /// For good.
    pub id: GuestId,
    /// Unique among guests; can be changed.
    pub name: Name,
    /// When it was created.
    pub created: Timestamp,
    /// What it is, with the image's defaults filled in.
    pub spec: GuestSpec,
    /// The image it was created from.
    pub image: Digest,
    /// Where it is in its life.
    pub state: State,
    /// Its first process on the host, while alive.
    pub pid: Option<u32>,
    /// When it was last started.
    pub started: Option<Timestamp>,
    /// How it last ended; kept while it runs again.
    pub exit: Option<Exit>,
    /// Whether the kernel found no memory for something in it since it was last started.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Why it last could not start; empty if it could.
    pub error: String,
    /// Whether the last stop was a user's wish.
    pub stopped_by_user: bool,
    /// How often its restart policy started it in a row.
    pub restarts: u32,
    /// Whether it is ended and waits for its policy to start it again.
    pub restarting: bool,
    /// The host ids it runs under; `None` while not alive, or in the host's user namespace.
    pub id_range: Option<IdRange>,
    /// Why it shares the host's user namespace; `None` if it has its own.
    pub host_user: Option<HostUser>,
    /// Its place on a network, while alive.
    pub endpoint: Option<Endpoint>,
    /// Its volumes and bind mounts, resolved.
    pub mounts: Vec<MountPoint>,
    /// How it is doing, if it has a health check and was started.
    #[serde(default)]
    pub health: Option<Health>,
}

/// A guest's place on a network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// The network's id, 64 hexadecimal digits.
    pub network_id: String,
    /// Its own id, 64 hexadecimal digits.
    pub id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Where it sends what is not for its own network.
    pub gateway: Ipv4Addr,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// A bind mount or volume as it is, after names are resolved.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MountPoint {
    /// The volume's name; `None` for a bind mount.
    pub volume: Option<Name>,
    /// Whether the volume was made for this guest and goes with it (`rm -v`, `--rm`).
    pub anonymous: bool,
    /// Where it comes from on the host.
    pub source: PathBuf,
    /// Where it is inside.
    pub target: Target,
    /// Whether it can be written.
    pub read_only: bool,
    /// Of a bind mount.
    pub propagation: Propagation,
    /// How it was asked for.
    pub origin: Origin,
}
