//! The agent's program: the role and its connections on one thread, the vehicle on another.

use std::fmt;
use std::sync::mpsc;
use std::thread::JoinHandle;

use longrein_io::config::ConfigError;
use longrein_io::keys::{Identity, IdentityError};
use longrein_io::remote::Remote;
use longrein_io::service_manager::ServiceManager;
use longrein_io::{clock, runtime};
use longrein_proto::base::NodeKind;
use longrein_proto::role::Agent;
use tokio::sync::oneshot;

use crate::adapter;
use crate::applied_log::AppliedLog;
use crate::config::Config;
use crate::control_thread::{
    self, ControlConfig, ControlHandle, ControlThread, Sink, bounded_outputs,
};
use crate::error::AgentError;
use crate::local::board::Board;
use crate::local::post::{Office, post};
use crate::local::{LocalFunction, Server};
use crate::mqtt::{self, Lines};
use crate::network::Network;
use crate::state::State;

/// A running agent; it ends in good order when this is dropped.
pub struct Program {
    control: ControlHandle,
    remote: Remote<Agent>,
    end: Option<oneshot::Sender<()>>,
    network: Option<JoinHandle<Result<(), AgentError>>>,
}

impl Program {
    /// The control thread, which guards the vehicle whatever the other threads do.
    pub fn control(&self) -> &ControlHandle {
        &self.control
    }

    /// The role, on the network thread.
    pub fn remote(&self) -> &Remote<Agent> {
        &self.remote
    }

    /// Waits until SIGTERM or SIGINT has ended the agent.
    ///
    /// # Errors
    /// When a thread ended by itself.
    pub fn wait(mut self) -> Result<(), AgentError> {
        self.join()
    }

    /// Ends the agent as SIGTERM does: the vehicle stops and the devices are closed, the leases end, the connections close.
    ///
    /// # Errors
    /// When a thread ended by itself before.
    pub fn end(mut self) -> Result<(), AgentError> {
        self.end = None;
        self.join()
    }

    fn join(&mut self) -> Result<(), AgentError> {
        match self.network.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(AgentError::NetworkEnded),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end = None;
        // Nobody is left to hear how it ended.
        let _ = self.join();
    }
}

/// The identity that the configuration names, when it is an agent's.
///
/// # Errors
/// What is wrong with it and what to do.
pub fn load_identity(config: &Config) -> Result<Identity, IdentityError> {
    let identity = Identity::load(&config.identity.directory)?;
    identity.expect_kind(NodeKind::Agent)?;
    Ok(identity)
}

/// Reads the configuration again, on SIGHUP.
pub type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send>;

/// Starts an agent: the control thread first, then the connections; `manager` is told once both stand.
///
/// # Errors
/// What cannot be used, and what to do.
pub fn start(
    config: &Config,
    reread: Reread,
    manager: ServiceManager,
) -> Result<Program, AgentError> {
    config.check()?;
    let identity = load_identity(config)?;
    let dictionaries = config.dictionaries()?;
    let state = State::open(&config.state_directory)?;
    let (record, slots) = state.load()?;
    let (sink, outputs) = bounded_outputs();
    let board = Board::default();
    let (local, office) = open_local(config, &identity, &board)?.unzip();
    let (mqtt, lines) = mqtt::start(config, &identity.node().name)?.unzip();
    let lines = lines.unwrap_or_default();
    let control = guard(config, record.stop.latched, (local, lines), sink)?;
    let handle = control.handle().clone();
    let (end, ending) = oneshot::channel();
    let (tell, told) = mpsc::channel();
    let network = Network {
        config: config.clone(),
        identity,
        dictionaries,
        _state: state,
        record,
        slots,
        board,
        office,
        control,
        outputs,
        mqtt,
        ending,
        reread,
        manager,
    };
    let network = std::thread::Builder::new()
        .name("network".to_string())
        .spawn(move || runtime::run(async || network.serve(&tell).await)?)?;
    let Ok(remote) = told.recv() else {
        return Err(match network.join() {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => AgentError::NetworkEnded,
        });
    };
    Ok(Program {
        control: handle,
        remote,
        end: Some(end),
        network: Some(network),
    })
}

/// Opens the sockets of the local API, when there are any.
fn open_local(
    config: &Config,
    identity: &Identity,
    board: &Board,
) -> Result<Option<(Server, Office)>, AgentError> {
    if config.local.is_empty() {
        return Ok(None);
    }
    let vehicle = identity.node().name.clone();
    let opened = Server::open(&config.local, vehicle, board.clone(), clock::now());
    let mut server = opened.map_err(|(section, source)| AgentError::Local {
        path: section.path().to_path_buf(),
        source,
    })?;
    let (post, office) = post();
    server.set_post(post);
    Ok(Some((server, office)))
}

/// Opens the devices and has the control thread guard them.
fn guard(
    config: &Config,
    stopped: bool,
    (mut local, mut lines): (Option<Server>, Lines),
    sink: Sink,
) -> Result<ControlThread, AgentError> {
    let applied_log = match &config.record.applied {
        Some(file) => Some(
            AppliedLog::open(file).map_err(|source| AgentError::AppliedLog {
                file: file.clone(),
                source,
            })?,
        ),
        None => None,
    };
    let (mut functions, mut local_functions) = (Vec::new(), Vec::new());
    for (channel, section) in config.functions() {
        let line = lines.remove(&channel);
        let opened = adapter::open(&section.adapter, section.kind.into(), line, clock::now());
        let adapter = opened.map_err(|source| AgentError::Adapter {
            function: section.name.to_string(),
            source,
        })?;
        local_functions.push(LocalFunction {
            channel,
            name: section.name.clone(),
            kind: section.kind.into(),
            seat: adapter.seat(),
        });
        functions.push(control_thread::FunctionConfig {
            channel,
            actuation: section.actuation()?,
            adapter,
        });
    }
    if let Some(local) = &mut local {
        local.set_functions(local_functions);
    }
    let guarded = ControlConfig {
        functions,
        stopped,
        local,
        applied_log,
        clock: clock::now,
    };
    Ok(control_thread::spawn(guarded, sink)?)
}
