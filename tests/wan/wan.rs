//! A network that runs.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::device::Device;
use super::flap::Flap;
use super::forwarder::Forwarder;
use super::lateness::Lateness;
use super::namespace::Namespace;
use super::network::Network;
use super::plan::NodePlan;
use super::profile::{Profile, ProfileError};
use super::shaper::Counters;

/// Nodes that reach each other by the network's interfaces only. All of it goes when it is dropped or the process ends.
#[derive(Debug)]
pub struct Wan {
    // Dropped first: afterwards nothing comes any more.
    forwarder: Forwarder,
    nodes: Vec<Node>,
    seed: u64,
}

/// A node of a network.
#[derive(Debug)]
pub struct Node {
    name: String,
    namespace: Namespace,
    ports: Vec<Port>,
}

/// An interface of a node.
#[derive(Debug)]
struct Port {
    name: String,
    address: Mutex<Ipv4Addr>,
    index: usize,
    /// The number of its routing table, its rule, and its routes' metric.
    table: u8,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum WanError {
    /// A profile that cannot be.
    #[error("{interface}: {why}")]
    Profile {
        /// Whose.
        interface: String,
        /// Why.
        why: ProfileError,
    },
    /// The system does not let us; needs root.
    #[error("cannot {what}: {why}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        why: io::Error,
    },
    /// The program `ip` does not do what it should.
    #[error("ip: {0}")]
    Ip(String),
}

impl Wan {
    /// Makes the nodes and carries packets between them from now on. Node n has the addresses 10.77.n.1, 10.77.n.2 and so on,
    /// in the order of its interfaces. Chance comes from the seed; the order of packets comes from real time.
    ///
    /// # Errors
    /// [`WanError`]; nothing is left then.
    pub fn start(seed: u64, plans: &[NodePlan]) -> Result<Wan, WanError> {
        let mut network = Network::new(seed);
        let (mut nodes, mut devices) = (Vec::new(), Vec::new());
        for (number, plan) in (0_u8..).zip(plans) {
            let namespace = Namespace::new().map_err(system("make a network namespace"))?;
            let mut ports = Vec::new();
            for (table, interface) in TABLES.zip(&plan.interfaces) {
                let address = Ipv4Addr::new(10, 77, number, table);
                let index = network
                    .add(address, interface.up, interface.down)
                    .map_err(|why| WanError::Profile {
                        interface: format!("{} of {}", interface.name, plan.name),
                        why,
                    })?;
                let device = namespace
                    .enter(|| Device::new(&interface.name))
                    .and_then(|device| device)
                    .map_err(system(&format!("make the device {}", interface.name)))?;
                devices.push(device);
                ports.push(Port {
                    name: interface.name.clone(),
                    address: Mutex::new(address),
                    index,
                    table,
                });
            }
            namespace
                .enter(|| configure(&ports.iter().collect::<Vec<_>>()))
                .map_err(system("enter a network namespace"))??;
            nodes.push(Node {
                name: plan.name.clone(),
                namespace,
                ports,
            });
        }
        let forwarder =
            Forwarder::start(network, devices).map_err(system("start the forwarder"))?;
        Ok(Wan {
            forwarder,
            nodes,
            seed,
        })
    }

    /// What keeps this process from making a network; none when nothing does.
    pub fn missing() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root can make network namespaces".into());
        }
        let tried = Namespace::new()
            .and_then(|namespace| namespace.enter(|| Device::new("probe").map(|_| ()))?);
        tried
            .err()
            .map(|why| format!("no network namespace with a TUN device: {why}"))
    }

    /// A node.
    ///
    /// # Panics
    /// When the plan has none of this name.
    pub fn node(&self, name: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.name == name);
        found.unwrap_or_else(|| panic!("no node {name}"))
    }

    /// Changes the profiles of an interface, up and down, while it runs.
    ///
    /// # Errors
    /// When what comes out cannot be; nothing changes then.
    ///
    /// # Panics
    /// When there is no such node or interface.
    pub fn change(
        &self,
        node: &str,
        interface: &str,
        change: impl FnOnce(&mut Profile, &mut Profile),
    ) -> Result<(), ProfileError> {
        let index = self.node(node).port(interface).index;
        self.forwarder.state().network.change(index, change)
    }

    /// Switches an interface on or off, both ways.
    ///
    /// # Panics
    /// When there is no such node or interface.
    pub fn switch(&self, node: &str, interface: &str, on: bool) {
        self.change(node, interface, |up, down| (up.on, down.on) = (on, on))
            .expect("on and off can both be");
    }

    /// Takes an interface from its node, as far as this kind of flap does.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// When there is no such node or interface.
    pub fn take(&self, node: &str, interface: &str, flap: Flap) -> Result<(), WanError> {
        let node = self.node(node);
        let port = node.port(interface);
        let (name, address, table) = (&port.name, port.address(), port.table);
        let without_rule = format!("rule del priority {table}\n");
        match flap {
            Flap::Down => node.ip(&format!("{without_rule}link set dev {name} down\n")),
            Flap::Address | Flap::Renumber => node.ip(&format!(
                "{without_rule}address del {address}/32 dev {name}\n"
            )),
            Flap::Delete => {
                self.forwarder.delete(port.index);
                node.ip(&without_rule)
            }
        }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// When there is no such node or interface.
    pub fn give_back(&self, node: &str, interface: &str, flap: Flap) -> Result<(), WanError> {
        let node = self.node(node);
        let port = node.port(interface);
        match flap {
            Flap::Down | Flap::Address => {}
            Flap::Renumber => {
                let [a, b, c, d] = port.address().octets();
                // One of two in turn.
                let other = Ipv4Addr::new(a, b, c, d ^ 0x80);
                *port.address.lock().unwrap_or_else(PoisonError::into_inner) = other;
                self.forwarder.state().network.renumber(port.index, other);
            }
            Flap::Delete => {
                let device = node.enter(|| Device::new(interface));
                let device = device.map_err(system(&format!("make the device {interface}")))?;
                let replaced = self.forwarder.replace(port.index, device);
                replaced.map_err(system("watch a device"))?;
            }
        }
        node.enter(|| configure(&[port]))
    }

    /// What became of an interface's packets, up and down.
    ///
    /// # Panics
    /// When there is no such node or interface.
    pub fn counters(&self, node: &str, interface: &str) -> (Counters, Counters) {
        let index = self.node(node).port(interface).index;
        self.forwarder.state().network.counters(index)
    }

    /// Packets that went nowhere: no such address, more under way than can be, or refused by a device.
    pub fn strays(&self) -> u64 {
        let state = self.forwarder.state();
        state.network.strays() + state.refused
    }

    /// How late packets were handed over so far.
    pub fn lateness(&self) -> Lateness {
        self.forwarder.state().lateness.clone()
    }

    /// Whether the forwarder runs before all ordinary threads; delays are exact only then.
    pub fn is_realtime(&self) -> bool {
        self.forwarder.is_realtime()
    }

    /// The seed that chance comes from.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the network had the seed {}", self.seed);
        }
    }
}

impl Node {
    /// Does something on a thread inside the node: sockets that it opens are the node's, and so are the programs that it starts.
    ///
    /// # Panics
    /// When this process may not enter what it made.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let done = self.namespace.enter(work);
        done.expect("who made a namespace may enter it")
    }

    /// The names of its interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(|port| port.name.as_str())
    }

    /// The address of an interface; a socket that is bound to it leaves by it.
    ///
    /// # Panics
    /// When there is no such interface.
    pub fn address(&self, interface: &str) -> Ipv4Addr {
        self.port(interface).address()
    }

    fn ip(&self, commands: &str) -> Result<(), WanError> {
        self.enter(|| ip(commands))
    }

    fn port(&self, interface: &str) -> &Port {
        let found = self.ports.iter().find(|port| port.name == interface);
        found.unwrap_or_else(|| panic!("{} has no interface {interface}", self.name))
    }
}

impl Port {
    fn address(&self) -> Ipv4Addr {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the interfaces of the calling thread's namespace their addresses and routes: what is bound to an address or to an
/// interface leaves by it, everything else by the first.
fn configure(ports: &[&Port]) -> Result<(), WanError> {
    let mut commands = String::from("link set dev lo up\n");
    for port in ports {
        let (name, address, table) = (&port.name, port.address(), port.table);
        commands += &format!(
            "link set dev {name} txqueuelen {DEVICE_QUEUE_PACKETS} up\n\
             address replace {address}/32 dev {name}\n\
             route replace {NETWORK} dev {name} src {address} metric {table}\n\
             route replace {NETWORK} dev {name} src {address} table {table}\n\
             rule add from {address} lookup {table} priority {table}\n"
        );
    }
    ip(&commands)
}

/// Has `ip` do these commands in the calling thread's namespace.
fn ip(commands: &str) -> Result<(), WanError> {
    let run = || {
        let mut ip = Command::new("ip")
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = ip.stdin.take() {
            stdin.write_all(commands.as_bytes())?;
        }
        ip.wait_with_output()
    };
    let ended = run().map_err(system("run ip, of the package iproute2"))?;
    if ended.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&ended.stderr);
        Err(WanError::Ip(said.trim().into()))
    }
}

fn system(what: &str) -> impl FnOnce(io::Error) -> WanError + use<> {
    let what = what.to_string();
    move |why| WanError::System { what, why }
}

/// All nodes. Whatever else a program looks for, such as a name server, it learns at once that it is not there.
const NETWORK: &str = "10.77.0.0/16";
/// Numbers of routing tables and metrics, one for each interface, and the ends of their addresses.
const TABLES: std::ops::Range<u8> = 1..128;
/// What a device holds until the forwarder reads it, some ms: it must not be where packets are lost.
const DEVICE_QUEUE_PACKETS: u32 = 8_192;
