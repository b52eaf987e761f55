//! A fleet of real programs on a network.

use std::net::SocketAddr;
use std::path::PathBuf;

use longrein::Settings;
use longrein::fleet::FleetFolder;
use longrein::local_fleet::{Folder, LocalFleetError, Plan, Program};
use longrein_io::sections::LinkSection;
use longrein_proto::base::{NameError, NodeKind, NodeName};

use super::plan::{CONTROLLER, VEHICLE};
use super::wan::Wan;

/// Relays and an agent, each on its node of a network, and papers for controllers. All of it ends when it is dropped.
#[derive(Debug)]
pub struct WanFleet {
    agent: Program,
    relays: Vec<Program>,
    plan: Plan,
    papers: FleetFolder,
    folder: Folder,
    wan: Wan,
}

/// Why a fleet does not come up.
#[derive(Debug, thiserror::Error)]
pub enum WanFleetError {
    /// Papers, files or programs.
    #[error(transparent)]
    Fleet(#[from] LocalFleetError),
    /// A file cannot be written.
    #[error("cannot make a fleet: {0}")]
    Io(#[from] std::io::Error),
    /// A name in the plan is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl WanFleet {
    /// Starts the plan's relays, each on the node of its name, and its agent on [`VEHICLE`], where each interface is a link of
    /// the same name; the plan's own links are for a fleet without a network.
    ///
    /// # Errors
    /// [`WanFleetError`]; what was started until then is ended.
    pub fn start(wan: Wan, plan: Plan) -> Result<WanFleet, WanFleetError> {
        let links: String = wan
            .node(VEHICLE)
            .interfaces()
            .map(|name| {
                let keys = &plan.link_keys;
                format!("[[link]]\nname = {name:?}\ninterface = {name:?}\n{keys}\n")
            })
            .collect();
        WanFleet::start_with_links(wan, plan, &links)
    }

    /// The same with these sections of links for the agent.
    ///
    /// # Errors
    /// As [`WanFleet::start`].
    pub fn start_with_links(wan: Wan, plan: Plan, links: &str) -> Result<WanFleet, WanFleetError> {
        let folder = Folder::new()?;
        let papers = plan.papers(folder.path())?;
        let identity = |kind, name: &str| {
            let name = NodeName::new(kind, name.parse()?);
            Ok::<_, WanFleetError>(papers.node(&name))
        };
        let log = format!("[log]\nlevel = {:?}\n", plan.log_level);
        let mut relays = Vec::new();
        let mut relay_sections = String::new();
        for name in &plan.relays {
            let address = relay_address(&wan, name);
            let identity = identity(NodeKind::Relay, name)?;
            let text = format!(
                "[identity]\ndirectory = {identity:?}\n[[listen]]\nname = \"main\"\naddress = \"{address}\"\n{log}"
            );
            let config = folder.path().join(format!("{name}.toml"));
            std::fs::write(&config, text)?;
            let start = || {
                plan.spawn(
                    folder.path(),
                    "longrein-relay",
                    name,
                    &config,
                    "relay ready",
                )
            };
            relays.push(wan.node(name).enter(start)?);
            relay_sections += &format!("[[relay]]\nname = {name:?}\naddress = \"{address}\"\n");
        }
        let identity = identity(NodeKind::Agent, &plan.agent)?;
        let (state, applied) = (folder.path().join("state"), applied_log(&folder));
        let text = format!(
            "state_directory = {state:?}\n[identity]\ndirectory = {identity:?}\n[record]\napplied = {applied:?}\n\
             {log}{relay_sections}{links}{}{}",
            plan.allow, plan.functions
        );
        let config = folder.path().join("agent.toml");
        std::fs::write(&config, text)?;
        let start = || {
            plan.spawn(
                folder.path(),
                "longrein-agent",
                &plan.agent,
                &config,
                "agent ready",
            )
        };
        let agent = wan.node(VEHICLE).enter(start)?;
        Ok(WanFleet {
            agent,
            relays,
            plan,
            papers,
            folder,
            wan,
        })
    }

    /// Its agent.
    pub fn agent(&self) -> &Program {
        &self.agent
    }

    /// Its network.
    pub fn wan(&self) -> &Wan {
        &self.wan
    }

    /// What a controller of this name needs to know; each interface of [`CONTROLLER`] is a link of the same name. It has to
    /// connect inside that node.
    ///
    /// # Errors
    /// A name that is none.
    pub fn settings(&self, controller: &str) -> Result<Settings, WanFleetError> {
        let name = NodeName::new(NodeKind::Controller, controller.parse()?);
        let mut settings = Settings::new(self.papers.node(&name));
        for relay in &self.plan.relays {
            let address = relay_address(&self.wan, relay);
            settings = settings.relay(relay.parse()?, address.to_string());
        }
        for interface in self.wan.node(CONTROLLER).interfaces() {
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

    /// Its agent, to be ended.
    pub fn agent_mut(&mut self) -> &mut Program {
        &mut self.agent
    }

    /// Where its agent keeps what it knows after a restart.
    pub fn state_directory(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The file that gets one line for each applied command.
    pub fn applied_log(&self) -> PathBuf {
        applied_log(&self.folder)
    }

    /// Asks agent and relays to end, and waits until they have.
    ///
    /// # Errors
    /// One does not end in time; it is killed then.
    pub fn stop(&mut self) -> std::io::Result<()> {
        self.agent.terminate()?;
        self.relays.iter_mut().try_for_each(Program::terminate)
    }
}

fn applied_log(folder: &Folder) -> PathBuf {
    folder.path().join("applied.jsonl")
}

/// Where a relay listens: on the first interface of its node.
fn relay_address(wan: &Wan, relay: &str) -> SocketAddr {
    let node = wan.node(relay);
    let interface = node.interfaces().next().expect("a relay has an interface");
    SocketAddr::new(node.address(interface).into(), RELAY_PORT)
}

/// On the relay's own address, so that none is in its way.
const RELAY_PORT: u16 = 4_433;
