//! A whole fleet on this machine: the real programs, with keys made on the spot, in a folder that goes when it does. For the
//! demo, tests and benchmarks.

mod folder;
mod forwarder;
mod program;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longrein_proto::base::{Name, NodeKind, NodeName};

pub use self::folder::Folder;
pub use self::forwarder::Forwarder;
pub use self::program::Program;
use crate::fleet::{FleetError, FleetFolder, Order};

/// Relays, one agent, and papers for controllers. Everything it started is gone when it is dropped.
#[derive(Debug)]
pub struct LocalFleet {
    agent: Option<Program>,
    relays: Vec<LocalRelay>,
    links: Vec<LocalLink>,
    plan: Plan,
    fleet: FleetFolder,
    folder: Folder,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Folder of the programs `longrein-relay` and `longrein-agent`.
    pub programs: PathBuf,
    /// Names of the relays.
    pub relays: Vec<String>,
    /// Name of the agent.
    pub agent: String,
    /// Names of the agent's links; each reaches every relay through a forwarder of its own, which can be cut.
    pub links: Vec<String>,
    /// Names of the controllers that get papers.
    pub controllers: Vec<String>,
    /// `[[function]]` sections of the agent's configuration (TOML).
    /// `$FLEET` in it is the folder of the fleet's papers.
    pub functions: String,
    /// `[[allow]]` sections of the same: who may do what.
    pub allow: String,
    /// Further lines of each `[[link]]` section of the same.
    pub link_keys: String,
    /// Further sections of each relay's configuration.
    pub relay_sections: String,
    /// Level of the programs' logs.
    pub log_level: String,
}

/// One relay and where it listens.
#[derive(Debug)]
pub struct LocalRelay {
    /// Its name.
    pub name: String,
    /// Where it listens; the same after a restart.
    pub address: SocketAddr,
    program: Option<Program>,
}

/// One link of the agent: a forwarder to each relay.
#[derive(Debug)]
struct LocalLink {
    name: String,
    forwarders: Vec<Forwarder>,
}

/// Why a local fleet does not come up.
#[derive(Debug, thiserror::Error)]
pub enum LocalFleetError {
    /// Papers cannot be made.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A file, socket or thread cannot be made.
    #[error("cannot make a fleet on this machine: {0}")]
    Io(#[from] std::io::Error),
    /// A program cannot be started.
    #[error("cannot start {}: {why}; build it first, for example with ./dev demo", program.display())]
    Start {
        /// Its file.
        program: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A program does not get ready.
    #[error("{name} did not get ready within {} s; its log:\n{log}", READY_MAX.as_secs())]
    NotReady {
        /// Its name.
        name: String,
        /// What it said.
        log: String,
    },
    /// A program ends before it is ready.
    #[error("{name} ended before it was ready; its log:\n{log}")]
    Ended {
        /// Its name.
        name: String,
        /// What it said.
        log: String,
    },
    /// A name in the plan is none.
    #[error("{0:?} is no name")]
    Name(String),
}

impl Plan {
    /// Two relays, an agent with two links and a simulated vehicle, one controller.
    pub fn demo(programs: PathBuf) -> Plan {
        Plan {
            programs,
            relays: vec!["relay-a".into(), "relay-b".into()],
            agent: "truck-17".into(),
            links: vec!["lte".into(), "wifi".into()],
            controllers: vec!["desk".into()],
            functions: DRIVE.into(),
            allow: ALLOW.into(),
            link_keys: String::new(),
            relay_sections: String::new(),
            log_level: "info".into(),
        }
    }

    /// Makes an authority and papers for all nodes in `fleet` below this folder.
    ///
    /// # Errors
    /// A name that is none, or what [`FleetFolder::create`] says.
    pub fn papers(&self, folder: &Path) -> Result<FleetFolder, LocalFleetError> {
        let mut orders = vec![Order::new(node(NodeKind::Agent, &self.agent)?)];
        for relay in &self.relays {
            orders.push(Order::new(node(NodeKind::Relay, relay)?));
        }
        for controller in &self.controllers {
            orders.push(Order::new(node(NodeKind::Controller, controller)?));
        }
        let name: Name = "local"
            .parse()
            .map_err(|_| LocalFleetError::Name("local".into()))?;
        let folder = folder.join(FLEET);
        Ok(FleetFolder::create(&folder, name, &orders, unix_now_s())?)
    }

    /// Starts one of the programs with this configuration file, its log in the folder, and waits until the log says `ready`.
    ///
    /// # Errors
    /// It does not start or does not get ready.
    pub fn spawn(
        &self,
        folder: &Path,
        file: &str,
        name: &str,
        config: &Path,
        ready: &str,
    ) -> Result<Program, LocalFleetError> {
        let program = self.programs.join(file);
        let log = folder.join(format!("{name}.log"));
        let mut started =
            Program::start(&program, &["--config".as_ref(), config.as_os_str()], &log)
                .map_err(|why| LocalFleetError::Start { program, why })?;
        if started.wait_for(ready, READY_MAX) {
            return Ok(started);
        }
        let (name, log) = (name.to_owned(), started.log());
        Err(match started.has_ended() {
            true => LocalFleetError::Ended { name, log },
            false => LocalFleetError::NotReady { name, log },
        })
    }

    /// The folder that the running program is in: where its siblings are when cargo built them.
    ///
    /// # Errors
    /// When the system does not say where the running program is.
    pub fn sibling_programs() -> std::io::Result<PathBuf> {
        let this = std::env::current_exe()?;
        let folder = this.parent().map(Path::to_path_buf).unwrap_or_default();
        // Tests run from a folder below.
        Ok(match folder.file_name() {
            Some(name) if name == "deps" || name == "examples" => {
                folder.parent().map_or(folder.clone(), Path::to_path_buf)
            }
            Some(_) | None => folder,
        })
    }
}

impl LocalFleet {
    /// Makes papers and starts everything, relays first.
    ///
    /// # Errors
    /// [`LocalFleetError`]; what was started until then is ended.
    pub fn start(plan: Plan) -> Result<LocalFleet, LocalFleetError> {
        let folder = Folder::new()?;
        let fleet = plan.papers(folder.path())?;
        let mut local = LocalFleet {
            agent: None,
            relays: Vec::new(),
            links: Vec::new(),
            plan,
            fleet,
            folder,
        };
        for name in local.plan.relays.clone() {
            local.add_relay(name)?;
        }
        for name in local.plan.links.clone() {
            let to = local.relays.iter().map(|relay| relay.address);
            let forwarders = to.map(Forwarder::start).collect::<Result<_, _>>()?;
            local.links.push(LocalLink { name, forwarders });
        }
        local.start_agent()?;
        Ok(local)
    }

    /// The relays.
    pub fn relays(&self) -> &[LocalRelay] {
        &self.relays
    }

    /// The papers of a node.
    pub fn identity(&self, kind: NodeKind, name: &str) -> Result<PathBuf, LocalFleetError> {
        Ok(self.fleet.node(&node(kind, name)?))
    }

    /// The folder that goes when the fleet does.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that gets one line for each applied command.
    pub fn applied_log(&self) -> PathBuf {
        self.folder.path().join("applied.jsonl")
    }

    /// The agent, while it runs.
    pub fn agent(&mut self) -> Option<&mut Program> {
        self.agent.as_mut()
    }

    /// Ends a relay without a word, as a power cut does.
    pub fn kill_relay(&mut self, index: usize) {
        if let Some(program) = self
            .relays
            .get_mut(index)
            .and_then(|relay| relay.program.take())
        {
            program.kill();
        }
    }

    /// Asks a relay to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time; it is killed then.
    pub fn stop_relay(&mut self, index: usize) -> Result<(), LocalFleetError> {
        let relay = self.relays.get_mut(index);
        match relay.and_then(|relay| relay.program.take()) {
            Some(mut program) => Ok(program.terminate()?),
            None => Ok(()),
        }
    }

    /// Starts a dead relay again, at its old address.
    ///
    /// # Errors
    /// It does not come up.
    pub fn restart_relay(&mut self, index: usize) -> Result<(), LocalFleetError> {
        let Some((name, address)) = self
            .relays
            .get(index)
            .map(|relay| (relay.name.clone(), relay.address))
        else {
            return Ok(());
        };
        let program = self.start_relay(&name, address)?;
        if let Some(relay) = self.relays.get_mut(index) {
            relay.program = Some(program);
        }
        Ok(())
    }

    /// Cuts a link of the agent in both directions, or joins it again: its packets vanish without a word.
    pub fn cut_link(&self, index: usize, cut: bool) {
        for forwarder in self
            .links
            .get(index)
            .iter()
            .flat_map(|link| &link.forwarders)
        {
            forwarder.cut(cut);
        }
    }

    /// Ends the agent without a word.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// Asks the agent to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time; it is killed then.
    pub fn stop_agent(&mut self) -> Result<(), LocalFleetError> {
        match self.agent.take() {
            Some(mut agent) => Ok(agent.terminate()?),
            None => Ok(()),
        }
    }

    /// Starts the agent (again), with what it stored.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_agent(&mut self) -> Result<(), LocalFleetError> {
        self.agent = None;
        let config = self.folder.path().join("agent.toml");
        std::fs::write(&config, self.agent_config()?)?;
        let agent = self.plan.spawn(
            self.folder.path(),
            "longrein-agent",
            &self.plan.agent,
            &config,
            "agent ready",
        )?;
        self.agent = Some(agent);
        Ok(())
    }

    fn add_relay(&mut self, name: String) -> Result<(), LocalFleetError> {
        let address = free_address()?;
        let program = self.start_relay(&name, address)?;
        self.relays.push(LocalRelay {
            name,
            address,
            program: Some(program),
        });
        Ok(())
    }

    fn start_relay(&self, name: &str, address: SocketAddr) -> Result<Program, LocalFleetError> {
        let identity = self.identity(NodeKind::Relay, name)?;
        let config = self.folder.path().join(format!("{name}.toml"));
        let text = format!(
            "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"{address}\"\n[log]\nlevel = {:?}\n{}",
            self.plan.log_level, self.plan.relay_sections
        );
        std::fs::write(&config, text)?;
        self.plan.spawn(
            self.folder.path(),
            "longrein-relay",
            name,
            &config,
            "relay ready",
        )
    }

    fn agent_config(&self) -> Result<String, LocalFleetError> {
        let identity = self.identity(NodeKind::Agent, &self.plan.agent)?;
        let state = self.folder.path().join("state");
        let applied = self.applied_log();
        let mut text = format!(
            "state_directory = {state:?}\n[identity]\ndirectory = {identity:?}\n[record]\napplied = {applied:?}\n[log]\nlevel = {:?}\n",
            self.plan.log_level
        );
        for relay in &self.relays {
            text += &format!(
                "[[relay]]\nname = {:?}\naddress = \"{}\"\n",
                relay.name, relay.address
            );
        }
        for link in &self.links {
            let addresses = self.relays.iter().zip(&link.forwarders);
            let addresses: Vec<String> = addresses
                .map(|(relay, forwarder)| format!("{:?} = \"{}\"", relay.name, forwarder.address()))
                .collect();
            text += &format!(
                "[[link]]\nname = {:?}\naddress = \"127.0.0.1\"\nrelay_addresses = {{ {} }}\n{}\n",
                link.name,
                addresses.join(", "),
                self.plan.link_keys
            );
        }
        let fleet = self.folder.path().join(FLEET);
        let functions = self
            .plan
            .functions
            .replace("$FLEET", &fleet.display().to_string());
        Ok(text + &self.plan.allow + &functions)
    }
}

fn node(kind: NodeKind, name: &str) -> Result<NodeName, LocalFleetError> {
    let name = name
        .parse()
        .map_err(|_| LocalFleetError::Name(name.to_owned()))?;
    Ok(NodeName::new(kind, name))
}

/// An address of this machine on which nobody listens.
fn free_address() -> std::io::Result<SocketAddr> {
    std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

fn unix_now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Of all papers, below the fleet's folder.
const FLEET: &str = "fleet";
/// Longest wait for a program to get ready: loading keys and binding sockets takes some 10 ms.
const READY_MAX: Duration = Duration::from_secs(20);

/// Everybody of the fleet may do everything.
const ALLOW: &str = r#"
[[allow]]
who = ["anybody"]
may = ["observe", "command", "stop", "reset", "supervise"]
"#;

/// A simulated vehicle.
const DRIVE: &str = r#"
[[function]]
name = "drive"
kind = "drive"
limits = { speed_max_mm_s = 5000, curvature_max_per_km = 1000, rate_max_hz = 200 }
adapter = { kind = "sim" }
"#;
