//! A relay that is a hub, and nodes that are connected to it.

use std::ffi::OsStr;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use longrein::fleet::{FleetFolder, Order};
use longrein::local_fleet::{Folder, Plan, Program};
use longrein_io::dial::{Dialers, Route, dial};
use longrein_io::drive::Driver;
use longrein_io::keys::Identity;
use longrein_io::socket::Bind;
use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::wire::hub::{Answer, Request};
use tokio::time::{Instant, sleep};

use super::member::Member;

/// The relay's process and the papers of its fleet.
pub struct Hub {
    pub relay: Program,
    pub address: SocketAddr,
    papers: FleetFolder,
    config: PathBuf,
    folder: Folder,
}

/// A node at the hub. It ends when this is dropped.
pub struct Node {
    pub driver: Driver<Member>,
    _dialers: Dialers<Member>,
}

impl Hub {
    /// Starts a relay of a fleet with these controllers; `more` is added to its configuration.
    pub async fn start(controllers: usize, more: &str) -> anyhow::Result<Hub> {
        let folder = Folder::new()?;
        let relay = NodeName::new(NodeKind::Relay, RELAY.parse()?);
        let names: Vec<NodeName> = (0..controllers).map(name).collect::<Result<_, _>>()?;
        let orders: Vec<Order> = names
            .iter()
            .chain([&relay])
            .cloned()
            .map(Order::new)
            .collect();
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
             [connections]\nper_source = 8192\nhalf_open_per_source = 1024\n[log]\nlevel = \"warn\"\n\
             [budget]\nsource_bytes_per_s = 20000000\ndestination_bytes_per_s = 20000000\n\
             [hub]\nenabled = true\ndirectory = {:?}\n{more}",
            papers.node(&relay),
            folder.path().join("hub"),
        );
        std::fs::write(&config, text)?;
        let relay = run(&config, folder.path())?;
        sleep(SETTLE).await;
        Ok(Hub {
            relay,
            address,
            papers,
            config,
            folder,
        })
    }

    /// Starts the relay's program again, after it has ended.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.relay = run(&self.config, self.folder.path())?;
        Ok(())
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Connects one of its controllers, by number.
    pub fn connect(&self, number: usize, to: SocketAddr) -> anyhow::Result<Node> {
        let identity = Identity::load(&self.papers.node(&name(number)?))?;
        let driver = Driver::start(Member::new(&identity), |_, ()| {})?;
        let route = Route {
            budget_kbit_s: 2_000,
            link: "cable".parse()?,
            bind: Bind::Any,
            relay: RELAY.parse()?,
            address: to.to_string(),
        };
        let dialers = dial(&driver, &identity, vec![route], |_, _| {})?;
        Ok(Node {
            driver,
            _dialers: dialers,
        })
    }

    /// Connects so many, at the pace of a core, and waits for all.
    pub async fn connect_all(&self, count: usize) -> anyhow::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for number in 0..count {
            nodes.push(self.connect(number, self.address)?);
            if number % 10 == 9 {
                sleep(PAUSE).await;
            }
        }
        for node in &nodes {
            let until = Instant::now() + CONNECT_MAX;
            while node.driver.paths().is_empty() {
                let log = self.relay.log();
                anyhow::ensure!(Instant::now() < until, "a node does not connect: {log}");
                sleep(LOOK).await;
            }
        }
        Ok(nodes)
    }
}

impl Node {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, request: Request) -> anyhow::Result<Answer> {
        let ask = self.driver.with(|member, now| member.ask(now, request))?;
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

fn run(config: &Path, folder: &Path) -> anyhow::Result<Program> {
    let program = Plan::sibling_programs()?.join("longrein-relay");
    let arguments = [OsStr::new("--config"), config.as_os_str()];
    Ok(Program::start(
        &program,
        &arguments,
        &folder.join("relay.log"),
    )?)
}

/// The name of a controller.
pub fn name(number: usize) -> anyhow::Result<NodeName> {
    let name = format!("node-{number}").parse();
    Ok(NodeName::new(NodeKind::Controller, name.context("a name")?))
}

const RELAY: &str = "east";
const SETTLE: Duration = Duration::from_secs(1);
const CONNECT_MAX: Duration = Duration::from_secs(60);
const ANSWER_MAX: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);
/// After ten of them: 125 handshakes a second.
const PAUSE: Duration = Duration::from_millis(80);
