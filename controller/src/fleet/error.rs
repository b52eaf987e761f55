//! Why a fleet's files cannot be made.

use std::io;
use std::path::PathBuf;

use longrein_io::files::FileError;
use longrein_proto::base::NodeName;

/// Why a fleet's files cannot be made. Nothing is ever overwritten.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The file or folder exists: choose another folder or name, or move it away.
    #[error("{} is there already and is not overwritten: choose another name or folder, or move it away", .0.display())]
    Exists(PathBuf),
    /// The folder holds no authority: `fleet init` makes one.
    #[error("{} has no authority: `longrein fleet init` makes one", .0.display())]
    NoAuthority(PathBuf),
    /// The authority's files are damaged: restore them from a backup.
    #[error("{} is no authority that this program made ({why}): restore it from a backup", .path.display())]
    BadAuthority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The same node is ordered twice in one call.
    #[error("{0} is named twice")]
    NamedTwice(NodeName),
    /// Only relays, agents, controllers and services get certificates.
    #[error("{0}: a fleet has one authority and it is there already")]
    SecondAuthority(NodeName),
    /// Too many or too long groups: a handshake has no room for such a certificate.
    #[error(
        "{node}: its certificate would have {bytes} bytes and may have {max}: give it fewer or shorter groups"
    )]
    TooLarge {
        /// The node.
        node: NodeName,
        /// Bytes of the certificate.
        bytes: usize,
        /// Most bytes of a certificate.
        max: usize,
    },
    /// What the authority wrote down is damaged: restore it from a backup.
    #[error("{} is damaged: restore it from a backup", .0.display())]
    BadRegister(PathBuf),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading or writing failed.
    #[error("{}: {why}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// The certificate could not be made; the system gives no randomness, or a name is too long.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}
