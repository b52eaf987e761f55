//! longrein: relay and agent programs, and the controller library on a thread of each controller's node.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use longrein::fleet::{FleetFolder, Order as Papers};
use longrein::local_fleet::{Folder, Plan, Program};
use longrein::{Body, Class, Connection, Lease, Order, Receipt, Settings, Vehicle};
use longrein_io::sections::LinkSection;
use longrein_proto::base::{NodeKind, NodeName};
use longrein_proto::session::Resolution;
use longrein_tests::wan::Node;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::arrivals::{Arrivals, Device};
use super::contestant::{Contestant, Sender};
use super::site::Site;

/// A fleet: one controller for each vehicle.
pub struct Longrein {
    desks: Vec<Desk>,
    _agents: Vec<Program>,
    _devices: Vec<Device>,
    relays: Vec<Program>,
    class: Class,
    _folder: Folder,
}

/// A controller that keeps the lease of its vehicle.
struct Desk {
    lease: Arc<Mutex<Option<Arc<Lease>>>>,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Relays and agents of a fleet, to be started on the nodes of a site.
pub struct Programs {
    pub folder: Folder,
    pub papers: FleetFolder,
    plan: Plan,
}

impl Programs {
    /// Makes papers for all nodes of a site.
    pub fn new(site: &Site<'_>) -> anyhow::Result<Programs> {
        let folder = Folder::new()?;
        let mut orders = Vec::new();
        for pair in 0..site.pairs {
            orders.push(Papers::new(node(NodeKind::Agent, "truck", pair)?));
            orders.push(Papers::new(node(NodeKind::Controller, "desk", pair)?));
        }
        for relay in 0..site.relays {
            orders.push(Papers::new(node(NodeKind::Relay, "relay", relay)?));
        }
        let now_s = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let place = folder.path().join("fleet");
        let papers = FleetFolder::create(&place, "bench".parse()?, &orders, now_s)?;
        let plan = Plan::demo(Plan::sibling_programs()?);
        Ok(Programs {
            folder,
            papers,
            plan,
        })
    }

    /// Starts a relay on its node.
    pub fn relay(&self, site: &Site<'_>, index: usize) -> anyhow::Result<Program> {
        let name = format!("relay-{index}");
        let identity = self.papers.node(&node(NodeKind::Relay, "relay", index)?);
        let address = site.relay_address(index);
        let text = format!(
            "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"{address}:{PORT}\"\n"
        );
        self.start(
            site.relay(index),
            "longrein-relay",
            &name,
            &text,
            "relay ready",
        )
    }

    /// Starts an agent on its node, with this section for its function.
    pub fn agent(&self, site: &Site<'_>, pair: usize, function: &str) -> anyhow::Result<Program> {
        let name = format!("truck-{pair}");
        let identity = self.papers.node(&node(NodeKind::Agent, "truck", pair)?);
        let state = self.folder.path().join(format!("state-{pair}"));
        let mut text =
            format!("state_directory = {state:?}\n[identity]\ndirectory = {identity:?}\n");
        for relay in 0..site.relays {
            let address = site.relay_address(relay);
            text +=
                &format!("[[relay]]\nname = \"relay-{relay}\"\naddress = \"{address}:{PORT}\"\n");
        }
        for link in site.vehicle(pair).interfaces() {
            text += &format!("[[link]]\nname = {link:?}\ninterface = {link:?}\n");
        }
        text += "[[allow]]\nwho = [\"anybody\"]\nmay = [\"command\"]\n";
        text += function;
        self.start(
            site.vehicle(pair),
            "longrein-agent",
            &name,
            &text,
            "agent ready",
        )
    }

    fn start(
        &self,
        on: &Node,
        program: &str,
        name: &str,
        config: &str,
        ready: &str,
    ) -> anyhow::Result<Program> {
        let file = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&file, config)?;
        let start = || {
            self.plan
                .spawn(self.folder.path(), program, name, &file, ready)
        };
        Ok(on.enter(start)?)
    }

    fn settings(&self, site: &Site<'_>, pair: usize) -> anyhow::Result<Settings> {
        let identity = self.papers.node(&node(NodeKind::Controller, "desk", pair)?);
        let mut settings = Settings::new(identity);
        for relay in 0..site.relays {
            let address = format!("{}:{PORT}", site.relay_address(relay));
            settings = settings.relay(format!("relay-{relay}").parse()?, address);
        }
        for interface in site.controller(pair).interfaces() {
            settings.links.push(LinkSection {
                budget_kbit_s: 1_000,
                daily_mb: None,
                daily_telemetry_percent: None,
                daily_warn_percent: None,
                name: interface.parse()?,
                interface: Some(interface.into()),
                count_max: None,
                address: None,
                relay_addresses: Default::default(),
            });
        }
        Ok(settings)
    }
}

pub fn start(
    site: &Site<'_>,
    class: Class,
    arrivals: &[Arc<Arrivals>],
) -> anyhow::Result<Longrein> {
    let programs = Programs::new(site)?;
    let relays = (0..site.relays)
        .map(|relay| programs.relay(site, relay))
        .collect::<anyhow::Result<_>>()?;
    let (mut desks, mut agents, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    let lease = if class == Class::Reliable {
        format!("lease_ttl_ms = {}\n", RELIABLE_TTL.as_millis())
    } else {
        String::new()
    };
    for (pair, arrivals) in arrivals.iter().enumerate() {
        let socket = site
            .vehicle(pair)
            .enter(|| UdpSocket::bind("127.0.0.1:0"))?;
        let function = format!(
            "[[function]]\nname = \"{FUNCTION}\"\nkind = \"opaque\"\nwatchdog = false\n{lease}\
             adapter = {{ kind = \"udp\", send_to = \"{}\" }}\n",
            socket.local_addr()?
        );
        devices.push(Device::start(socket, arrivals)?);
        arrivals.begin();
        agents.push(programs.agent(site, pair, &function)?);
        let settings = programs.settings(site, pair)?;
        desks.push(Desk::start(site.controller(pair), settings, pair));
    }
    Ok(Longrein {
        desks,
        _agents: agents,
        _devices: devices,
        relays,
        class,
        _folder: programs.folder,
    })
}

impl Desk {
    fn start(controller: &Node, settings: Settings, pair: usize) -> Desk {
        let lease = Arc::new(Mutex::new(None));
        let (end, ending) = watch::channel(false);
        let slot = Arc::clone(&lease);
        let thread =
            controller.enter(|| std::thread::spawn(move || keep(&settings, pair, &slot, ending)));
        Desk {
            lease,
            end,
            thread: Some(thread),
        }
    }
}

/// Connects, and takes the lease again whenever it is lost.
fn keep(
    settings: &Settings,
    pair: usize,
    slot: &Mutex<Option<Arc<Lease>>>,
    mut ending: watch::Receiver<bool>,
) {
    let set = |lease| *slot.lock().unwrap_or_else(PoisonError::into_inner) = lease;
    let function = FUNCTION.parse().expect("letters are a name");
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let connection = tokio::select! {
            _ = ending.wait_for(|end| *end) => return,
            connection = connect(settings) => connection,
        };
        let drive = async {
            // Kept over lost leases: it comes back by itself when its session is lost.
            let vehicle = open(&connection, pair).await;
            loop {
                match vehicle.take(&function).await {
                    Ok(lease) => {
                        let lease = Arc::new(lease);
                        set(Some(Arc::clone(&lease)));
                        lease.lost().await;
                        set(None);
                    }
                    Err(_) => sleep(PAUSE).await,
                }
            }
        };
        tokio::select! {
            _ = ending.wait_for(|end| *end) => {}
            () = drive => {}
        }
        set(None);
        connection.close().await;
    });
}

async fn connect(settings: &Settings) -> Connection {
    loop {
        match Connection::connect(settings.clone()).await {
            Ok(connection) => return connection,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn open(connection: &Connection, pair: usize) -> Vehicle {
    let name = format!("truck-{pair}");
    let name = name.parse().expect("letters and digits are a name");
    loop {
        match connection.open(&name).await {
            Ok(vehicle) => return vehicle,
            Err(_) => sleep(PAUSE).await,
        }
    }
}

impl Contestant for Longrein {
    fn sender(&mut self, pair: usize) -> anyhow::Result<Box<dyn Sender>> {
        let desk = self.desks.get(pair).context("a desk for each pair")?;
        Ok(Box::new(Wire {
            lease: Arc::clone(&desk.lease),
            class: self.class,
            runtime: Builder::new_current_thread().enable_all().build()?,
            receipts: Vec::new(),
        }))
    }

    fn kill_relay(&mut self) {
        if !self.relays.is_empty() {
            self.relays.remove(0).kill();
        }
    }
}

impl Drop for Longrein {
    fn drop(&mut self) {
        for desk in &self.desks {
            // Fails only when the thread has ended.
            let _ = desk.end.send(true);
        }
        for desk in &mut self.desks {
            if let Some(thread) = desk.thread.take() {
                // One that panicked has said so.
                let _ = thread.join();
            }
        }
    }
}

/// Sends under whatever lease there is.
struct Wire {
    lease: Arc<Mutex<Option<Arc<Lease>>>>,
    class: Class,
    runtime: Runtime,
    receipts: Vec<(u64, Receipt)>,
}

impl Sender for Wire {
    fn send(&mut self, body: &str) -> bool {
        let lease = self
            .lease
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(lease) = lease else { return false };
        let bytes = Body::Opaque(body.as_bytes().to_vec());
        if self.class == Class::Reliable {
            let sent = self
                .runtime
                .block_on(lease.send_reliable(bytes, RELIABLE_TTL));
            let number = body.trim_end_matches('x').parse();
            match (sent, number) {
                (Ok(receipt), Ok(number)) => {
                    self.receipts.push((number, receipt));
                    true
                }
                _ => false,
            }
        } else {
            let order = Order {
                class: self.class,
                ttl: LATEST_TTL,
                dead_man: true,
                resume: false,
                application_id: None,
                picture_age: None,
                body: bytes,
            };
            self.runtime.block_on(lease.send(order)).is_ok()
        }
    }

    fn confirmed(&mut self) -> Option<Vec<u64>> {
        if self.class != Class::Reliable {
            return None;
        }
        let receipts = std::mem::take(&mut self.receipts);
        let confirmed = async {
            let mut confirmed = Vec::new();
            for (number, receipt) in receipts {
                // What is not resolved by now is not called applied.
                let outcome = timeout(Duration::ZERO, receipt.outcome()).await;
                if matches!(outcome, Ok(Resolution::Applied)) {
                    confirmed.push(number);
                }
            }
            confirmed
        };
        Some(self.runtime.block_on(confirmed))
    }
}

fn node(kind: NodeKind, name: &str, index: usize) -> anyhow::Result<NodeName> {
    Ok(NodeName::new(kind, format!("{name}-{index}").parse()?))
}

pub const CONFIGURATION: &str = "defaults; one function of opaque commands to a UDP device; reliable with 5 s to live under a \
     lease that lapses after as long, latest with 200 ms under the default of 500 ms";
const FUNCTION: &str = "probe";
const PORT: u16 = 4_433;
/// Until then a reliable message is worth something.
pub const RELIABLE_TTL: Duration = Duration::from_secs(5);
/// Until then a command is.
pub const LATEST_TTL: Duration = Duration::from_millis(200);
/// Before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);
