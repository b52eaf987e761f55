//! A relay that is a hub, and nodes that are connected to it.

use std::ffi::OsStr;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longrein::fleet::{FleetFolder, Order};
use longrein::local_fleet::{Folder, Plan, Program};
use longrein_io::dial::{Dialers, Route, dial};
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_io::socket::Bind;
use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::role::Role;
use longrein_proto::wire::hub::{Answer, Request};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::member::Member;

/// The relay's process and the papers of its fleet.
pub struct Hub {
    pub relay: Program,
    /// How its nodes reach it.
    pub door: Door,
    /// Its configuration.
    pub config: PathBuf,
    folder: Folder,
}

/// What nodes need to reach a relay.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    papers: Arc<FleetFolder>,
}

/// A node at the hub, until its driver is closed or the runtime ends.
pub struct Node<R: Role = Member> {
    pub driver: Driver<R>,
    _dialers: Dialers<R>,
}

impl Hub {
    /// Starts a relay of a fleet with these nodes; `more` is added to its configuration.
    pub async fn start(nodes: &[NodeName], more: &str) -> anyhow::Result<Hub> {
        Hub::start_by(run, nodes, more).await
    }

    /// The same; all threads of the relay share one processor.
    pub async fn start_on_one_core(nodes: &[NodeName], more: &str) -> anyhow::Result<Hub> {
        Hub::start_by(run_on_one_core, nodes, more).await
    }

    async fn start_by(
        run: fn(&Path, &Path) -> anyhow::Result<Program>,
        nodes: &[NodeName],
        more: &str,
    ) -> anyhow::Result<Hub> {
        let folder = Folder::new()?;
        let relay = NodeName::new(NodeKind::Relay, RELAY.parse()?);
        let all = nodes.iter().chain([&relay]);
        let orders: Vec<Order> = all.cloned().map(Order::new).collect();
        let now_s = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let papers = FleetFolder::create(
            &folder.path().join("fleet"),
            "bench".parse()?,
            &orders,
            now_s,
        )?;
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let config = folder.path().join("relay.toml");
        let text = format!(
            "[identity]\ndirectory = {:?}\n[[listen]]\nname = \"main\"\naddress = \"{address}\"\n\
             [connections]\nper_source = 8192\nhalf_open_per_source = 1024\n\
             handshakes_per_s_per_source = 5000\nhandshakes_per_s = 5000\n[log]\nlevel = \"warn\"\n\
             [budget]\nsource_bytes_per_s = 20000000\ndestination_bytes_per_s = 20000000\n\
             [hub]\nenabled = true\ndirectory = {:?}\n{more}",
            papers.node(&relay),
            store(folder.path()),
        );
        std::fs::write(&config, text)?;
        let relay = run(&config, folder.path())?;
        sleep(SETTLE).await;
        Ok(Hub {
            relay,
            door: Door {
                address,
                papers: Arc::new(papers),
            },
            config,
            folder,
        })
    }

    /// Kills the relay's program.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.relay.signal(Signal::KILL)?;
        while !self.relay.has_ended() {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Starts the relay's program again.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.relay = run(&self.config, self.folder.path())?;
        Ok(())
    }

    /// The folder of the hub's store.
    pub fn store(&self) -> PathBuf {
        store(self.folder.path())
    }

    /// Connects members of rooms, at the pace of a core, and waits for all.
    pub async fn connect_all(&self, names: &[NodeName]) -> anyhow::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for (number, name) in names.iter().enumerate() {
            nodes.push(self.door.connect(name)?);
            if number % 10 == 9 {
                sleep(PAUSE).await;
            }
        }
        for node in &nodes {
            node.is_up().await.with_context(|| self.relay.log())?;
        }
        Ok(nodes)
    }
}

impl Door {
    /// Begins to connect a member of rooms.
    pub fn connect(&self, node: &NodeName) -> anyhow::Result<Node> {
        self.connect_as(node, self.address, Member::new)
    }

    /// Begins to connect a node, to the relay or to what stands before it.
    pub fn connect_as<R: Role<Event = ()> + 'static>(
        &self,
        node: &NodeName,
        to: SocketAddr,
        role: impl FnOnce(&Identity) -> R,
    ) -> anyhow::Result<Node<R>> {
        let identity = self.identity(node)?;
        let driver = Driver::start(role(&identity), |_, ()| {})?;
        let dialers = dial(&driver, &identity, vec![self.route(to)?], |_, _| {})?;
        Ok(Node {
            driver,
            _dialers: dialers,
        })
    }

    /// The papers of a node.
    pub fn identity(&self, node: &NodeName) -> anyhow::Result<Identity> {
        Ok(Identity::load(&self.papers.node(node))?)
    }

    /// A way to the relay, or to what stands before it.
    pub fn route(&self, to: SocketAddr) -> anyhow::Result<Route> {
        Ok(Route {
            budget_kbit_s: 2_000,
            link: "cable".parse()?,
            bind: Bind::Any,
            relay: RELAY.parse()?,
            address: to.to_string(),
        })
    }
}

impl<R: Role + 'static> Node<R> {
    /// Waits until it is connected.
    pub async fn is_up(&self) -> anyhow::Result<()> {
        let until = Instant::now() + CONNECT_MAX;
        while self.driver.paths().is_empty() {
            anyhow::ensure!(Instant::now() < until, "a node does not connect");
            sleep(LOOK).await;
        }
        Ok(())
    }
}

impl Node {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, request: Request) -> anyhow::Result<Answer> {
        let ask = self.begin(request)?;
        self.answer(ask).await
    }

    /// Asks; returns the number of the request.
    pub fn begin(&self, request: Request) -> anyhow::Result<u32> {
        self.driver.with(|member, now| member.ask(now, request))
    }

    /// Waits for the answer to a request.
    pub async fn answer(&self, ask: u32) -> anyhow::Result<Answer> {
        let until = Instant::now() + ANSWER_MAX;
        loop {
            if let Some(answer) = self.driver.with(|member, _| member.answer(ask)) {
                return Ok(answer);
            }
            anyhow::ensure!(Instant::now() < until, "the hub does not answer");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn store(folder: &Path) -> PathBuf {
    folder.join("hub")
}

fn run(config: &Path, folder: &Path) -> anyhow::Result<Program> {
    let program = Plan::sibling_programs()?.join("longrein-relay");
    let arguments = [OsStr::new("--config"), config.as_os_str()];
    let log = folder.join("relay.log");
    Ok(Program::start(&program, &arguments, &log)?)
}

fn run_on_one_core(config: &Path, folder: &Path) -> anyhow::Result<Program> {
    let program = Plan::sibling_programs()?.join("longrein-relay");
    let mut arguments = vec![OsStr::new("--cpu-list"), OsStr::new("0")];
    arguments.extend([
        program.as_os_str(),
        OsStr::new("--config"),
        config.as_os_str(),
    ]);
    let log = folder.join("relay.log");
    Ok(Program::start(Path::new("taskset"), &arguments, &log)?)
}

/// The names of so many nodes.
pub fn names(kind: NodeKind, count: usize) -> anyhow::Result<Vec<NodeName>> {
    (0..count)
        .map(|number| Ok(NodeName::new(kind, format!("node-{number}").parse()?)))
        .collect()
}

const RELAY: &str = "east";
const SETTLE: Duration = Duration::from_secs(1);
pub const CONNECT_MAX: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);
/// After ten of them: 125 handshakes a second.
const PAUSE: Duration = Duration::from_millis(80);
