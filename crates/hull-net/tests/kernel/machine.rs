//! A machine made of network namespaces: a host, guests, an outside. Nothing touches the real network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use hull_net::mac::Mac;
use hull_net::names::Tag;
use hull_net::pool::Pool;
use hull_net::ruleset::{Exit, Ruleset};
use hull_net::{bridge, endpoint, rules};
use hull_sys::namespace::{Kinds, leave};

/// Long enough for a packet on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Long enough to believe that none comes.
pub(crate) const NEVER: Duration = Duration::from_millis(300);

/// A network namespace, gone when dropped.
pub(crate) struct Namespace(pub(crate) File);

impl Namespace {
    pub(crate) fn new() -> Self {
        std::thread::spawn(|| {
            leave(Kinds::NET).expect("tests of hull-net need root");
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        })
        .join()
        .unwrap()
    }

    /// One that belongs to a user namespace in which our root is nobody, as a guest's does.
    #[expect(
        clippy::disallowed_methods,
        reason = "only a process of one thread can leave its users"
    )]
    pub(crate) fn of_other_users() -> Self {
        let mut child = std::process::Command::new("unshare")
            .args(["--user", "--net", "sh", "-c", "echo; read x"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let namespace = Self(File::open(format!("/proc/{}/ns/net", child.id())).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        namespace
    }

    /// Runs `work` in the namespace.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(self.0.as_fd(), None).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a command line there. Panics if it fails.
    pub(crate) fn sh(&self, line: &str) -> String {
        self.run(|| {
            let (success, text) = run(line);
            assert!(success, "{line}: {text}");
            text
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own tools, in a namespace")]
fn run(line: &str) -> (bool, String) {
    let output = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// A host with its networks.
pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    pub(crate) ruleset: Ruleset,
    pools: BTreeMap<String, (bridge::Plan, Vec<Pool>)>,
}

/// A guest attached to a network.
pub(crate) struct Guest {
    pub(crate) namespace: Namespace,
    pub(crate) plan: endpoint::Plan,
}

impl Guest {
    pub(crate) fn address(&self) -> IpAddr {
        self.plan.addresses[0].addr()
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        let namespace = Namespace::new();
        namespace.sh("ip link set lo up");
        let ruleset = Ruleset {
            instance: "hull-test".parse().unwrap(),
            bridges: BTreeMap::new(),
            guards: Vec::new(),
        };
        Self { namespace, ruleset, pools: BTreeMap::new() }
    }

    /// A host joined to an outside machine at 198.51.100.2.
    pub(crate) fn with_outside() -> (Self, Namespace) {
        let (host, outside) = (Self::new(), Namespace::new());
        let pair = "ip link add up0 mtu 1400 type veth peer name up0 mtu 1400 netns";
        host.namespace.run(|| {
            use std::os::fd::AsRawFd;
            let path = format!("/proc/{}/fd/{}", std::process::id(), outside.0.as_raw_fd());
            let (success, text) = run(&format!("{pair} {path}"));
            assert!(success, "{text}");
        });
        host.namespace.sh("ip addr add 198.51.100.1/24 dev up0; ip link set up0 up; ip route add default via 198.51.100.2");
        outside.sh("ip link set lo up; ip addr add 198.51.100.2/24 dev up0; ip link set up0 up");
        (host, outside)
    }

    pub(crate) fn add_network(&mut self, name: &str, exit: Exit, subnets: &[&str]) -> bridge::Plan {
        let pools = subnets.iter().map(|net| Pool::new(net.parse().unwrap()).unwrap());
        let pools: Vec<Pool> = pools.collect();
        let tag: Tag = format!("hull:hull-test:network:{name}").parse().unwrap();
        let gateways = pools.iter().map(|pool| pool.with_prefix(pool.gateway()).unwrap()).collect();
        let plan = bridge::Plan { name: name.parse().unwrap(), tag, gateways, mtu: 1400 };
        self.namespace.run(|| bridge::ensure(&plan)).unwrap();
        self.ruleset.bridges.insert(plan.name.clone(), exit);
        self.apply();
        self.pools.insert(name.to_owned(), (plan.clone(), pools));
        plan
    }

    pub(crate) fn apply(&self) {
        self.namespace.run(|| rules::apply(&self.ruleset)).unwrap();
    }

    /// The plan of a new endpoint.
    pub(crate) fn plan(&mut self, network: &str, id: &str) -> endpoint::Plan {
        let (bridge, pools) = self.pools.get_mut(network).unwrap();
        let mut addresses = Vec::new();
        for pool in pools.iter_mut() {
            let address = pool.allocate().unwrap();
            addresses.push(pool.with_prefix(address).unwrap());
        }
        endpoint::Plan {
            tag: format!("hull:hull-test:endpoint:{id}").parse().unwrap(),
            bridge: bridge.name.clone(),
            name: "eth0".parse().unwrap(),
            mac: Mac::for_address(addresses[0].addr()),
            addresses,
            gateways: pools.iter().map(Pool::gateway).collect(),
            mtu: bridge.mtu,
        }
    }

    pub(crate) fn add_guest(&mut self, network: &str, id: &str) -> Guest {
        let plan = self.plan(network, id);
        let guest = Guest { namespace: Namespace::new(), plan };
        self.attach(&guest).unwrap();
        self.ruleset.guards.push(guest.plan.guard());
        guest
    }

    pub(crate) fn attach(
        &self,
        guest: &Guest,
    ) -> Result<endpoint::Attached, endpoint::EndpointError> {
        self.namespace.run(|| endpoint::attach(guest.namespace.0.as_fd(), &guest.plan))
    }

    pub(crate) fn owned(&self) -> Vec<String> {
        let links = self.namespace.run(|| hull_net::owned::links(&self.ruleset.instance)).unwrap();
        links.into_iter().map(|link| link.tag.to_string()).collect()
    }
}

/// Who the server sees when a client connects, or nothing if the connection is not made.
pub(crate) fn connect(server: &Namespace, client: &Namespace, to: IpAddr) -> Option<IpAddr> {
    let listener = server.run(|| TcpListener::bind(SocketAddr::new(to, 0))).unwrap();
    connect_to(&listener, client, SocketAddr::new(to, listener.local_addr().unwrap().port()))
}

/// The same for a listener and the address by which it is reached.
pub(crate) fn connect_to(
    listener: &TcpListener,
    client: &Namespace,
    to: SocketAddr,
) -> Option<IpAddr> {
    std::thread::scope(|scope| {
        let wait = if reaches(client, to) { SOON } else { NEVER };
        let accepted = scope.spawn(move || {
            listener.set_nonblocking(true).unwrap();
            let deadline = std::time::Instant::now() + wait;
            loop {
                if let Ok((mut stream, peer)) = listener.accept() {
                    // The client may have gone again.
                    let written =
                        stream.set_nonblocking(false).and_then(|()| stream.write_all(b"hello"));
                    return written.ok().map(|()| peer.ip());
                }
                if std::time::Instant::now() > deadline {
                    return None;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        accepted.join().unwrap()
    })
}

fn reaches(client: &Namespace, to: SocketAddr) -> bool {
    /// The kernel repeats a first packet that was lost after 1 s, which happens on a busy machine
    /// while the neighbour's address is still being asked for.
    const REPEATED: Duration = Duration::from_millis(2_500);
    client.run(|| TcpStream::connect_timeout(&to, REPEATED).is_ok())
}

/// A whole exchange over TCP.
pub(crate) fn exchange(server: &Namespace, client: &Namespace, to: IpAddr) -> String {
    let listener = server.run(|| TcpListener::bind(SocketAddr::new(to, 0))).unwrap();
    let to = listener.local_addr().unwrap();
    let serve =
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let text = client.run(|| {
        let mut stream = TcpStream::connect_timeout(&to, SOON).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    serve.join().unwrap();
    text
}

/// Whether a datagram from `from` arrives.
pub(crate) fn datagram(
    server: &Namespace,
    client: &Namespace,
    (from, to): (IpAddr, IpAddr),
) -> bool {
    let receiver = server.run(|| UdpSocket::bind(SocketAddr::new(to, 0))).unwrap();
    receiver.set_read_timeout(Some(NEVER)).unwrap();
    let to = receiver.local_addr().unwrap();
    let sent = client.run(|| UdpSocket::bind(SocketAddr::new(from, 0)).unwrap().send_to(b"x", to));
    sent.is_ok() && receiver.recv(&mut [0; 8]).is_ok()
}
