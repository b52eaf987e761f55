//! Why an agent does not run.

use std::io;
use std::path::PathBuf;

use longrein_io::config::ConfigError;
use longrein_io::enrol::EnrolError;
use longrein_io::exit::Exit;
use longrein_io::files::FileError;
use longrein_io::keys::IdentityError;
use longrein_proto::base::Name;

use crate::adapter::AdapterConfigError;
use crate::mqtt::BrokerError;
use crate::state::StateError;

/// Why an agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The identity cannot be used.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// The identity that systemd hands over cannot be kept.
    #[error("identity: {0}")]
    Credentials(#[from] FileError),
    /// It cannot become a node.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// What it knew before its restart cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A function's device cannot be opened.
    #[error("[[function]] {function}: {source}")]
    Adapter {
        /// The function.
        function: String,
        /// Why not.
        source: AdapterConfigError,
    },
    /// A broker's section cannot be used.
    #[error("[[mqtt]] {name}: {source}")]
    Broker {
        /// The broker.
        name: Name,
        /// Why not.
        source: BrokerError,
    },
    /// The record of applied commands cannot be written.
    #[error("[record] applied: cannot open {}: {source}", .file.display())]
    AppliedLog {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A socket of the local API cannot be opened.
    #[error("[[local]] {}: {source}", .path.display())]
    Local {
        /// The socket's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The identity's key is of no use to TLS.
    #[error("identity: its key cannot be used for TLS: {0}")]
    Key(String),
    /// The doctor found what does not work.
    #[error("{failed} checks fail")]
    Unwell {
        /// How many.
        failed: usize,
    },
    /// The thread that guards the vehicle has ended by itself.
    #[error("the control thread has ended: this is a fault of the program; every device is closed")]
    ControlEnded,
    /// The thread that guards the vehicle does not turn any more.
    #[error(
        "the control thread is stuck: this is a fault of the program or the machine; the devices hear nothing any more"
    )]
    ControlStuck,
    /// The thread that speaks with the relays has ended by itself.
    #[error("the network thread has ended: this is a fault of the program; every device is closed")]
    NetworkEnded,
    /// The system refused something that it always gives.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl AgentError {
    /// The program's exit code.
    pub fn exit(&self) -> Exit {
        match self {
            AgentError::Config(error) => error.exit(),
            AgentError::Identity(error) => error.exit(),
            AgentError::Enrol(error) => error.exit(),
            AgentError::Key(_) | AgentError::Broker { .. } => Exit::Usage,
            AgentError::Adapter { source, .. } => match source {
                AdapterConfigError::Kind { .. }
                | AdapterConfigError::Value { .. }
                | AdapterConfigError::NoBroker { .. } => Exit::Usage,
                AdapterConfigError::Socket { .. } => Exit::Failed,
            },
            AgentError::State(_)
            | AgentError::Unwell { .. }
            | AgentError::Credentials(_)
            | AgentError::AppliedLog { .. }
            | AgentError::Local { .. }
            | AgentError::ControlEnded
            | AgentError::ControlStuck
            | AgentError::NetworkEnded
            | AgentError::System(_) => Exit::Failed,
        }
    }
}
