//! Files that say who this node is.

use crate::exit::Exit;
use crate::files::{self, FileError};
use crate::shown::{Dates, Shown};
use crate::{clock, date, known_time};
use longrein_proto::base::{Name, NameError, NodeKind, NodeName};
use longrein_proto::crypto::{CertificateError, Credential, Fleet, KeyError, KeyPair, Peer};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The certificates of the fleet's authorities, in an identity directory.
pub const AUTHORITY_FILE: &str = "authority.pem";
/// This node's certificate, in an identity directory.
pub const CERTIFICATE_FILE: &str = "node.pem";
/// This node's private key (PKCS#8), in an identity directory; nobody else may read it.
pub const KEY_FILE: &str = "node.key";

/// Who this node is: its certificate and key, and the fleet that it believes. Clones are the same one: a certificate that is
/// renewed is that of all of them.
#[derive(Clone, Debug)]
pub struct Identity {
    fleet: Fleet,
    node: NodeName,
    shown: Arc<Shown>,
}

impl Identity {
    /// Reads [`AUTHORITY_FILE`], [`CERTIFICATE_FILE`] and [`KEY_FILE`] of a directory and checks that they belong
    /// together and hold now, by the wall clock and what [`known_time`] says.
    ///
    /// # Errors
    /// What is missing, readable by others, broken, expired or not of this fleet, and what to do about it.
    pub fn load(directory: &Path) -> Result<Identity, IdentityError> {
        Identity::load_at(directory, clock::unix_time())
    }

    /// As [`Identity::load`], while the wall clock says `clock`.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn load_at(directory: &Path, clock: UnixTime) -> Result<Identity, IdentityError> {
        let identity = Identity::load_undated(directory)?;
        let file = directory.join(CERTIFICATE_FILE);
        let now = identity.fleet.time(clock);
        let verified = identity.fleet.verify(&identity.certificate(), clock);
        match verified {
            Ok(me) => {
                // [WIRE-149] The authority made it: it is as late as that.
                if clock < now {
                    identity.fleet.note_time(me.not_before);
                }
                Ok(identity)
            }
            Err(CertificateError::Expired { not_after }) => Err(IdentityError::Expired {
                file,
                not_after,
                now,
                remark: known_time::remark(clock, now),
            }),
            Err(CertificateError::NotYetValid { not_before }) => Err(IdentityError::NotYetValid {
                file,
                not_before,
                now,
            }),
            Err(source) => Err(IdentityError::Certificate { file, source }),
        }
    }

    /// As [`Identity::load`], whatever the dates of the certificate: one that is over may be renewed.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn load_undated(directory: &Path) -> Result<Identity, IdentityError> {
        let authority = directory.join(AUTHORITY_FILE);
        let file = directory.join(CERTIFICATE_FILE);
        let anchors = certificates(&authority)?;
        let certificate = certificates(&file)?.swap_remove(0);
        let key = private_key(&directory.join(KEY_FILE))?;
        let unusable = |source| IdentityError::Certificate {
            file: file.clone(),
            source,
        };
        let fleet_name = fleet_of(&certificate).ok_or_else(|| unusable(CertificateError::Name))?;
        let fleet =
            Fleet::new(fleet_name, anchors).map_err(|source| IdentityError::Certificate {
                file: authority,
                source,
            })?;
        fleet.note_time(known_time::read(directory));
        let me = fleet.verify_undated(&certificate).map_err(unusable)?;
        Identity::new(fleet, me, certificate, key).map_err(|source| IdentityError::Pair {
            directory: directory.to_path_buf(),
            source,
        })
    }

    /// Who the owner of these is, whatever this machine takes for the time: whoever is shown the certificate judges its dates.
    ///
    /// # Errors
    /// When they do not belong together.
    pub fn from_parts(
        authority: CertificateDer<'static>,
        certificate: CertificateDer<'static>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Identity, IdentityError> {
        let unusable = |source| IdentityError::Parts { source };
        let fleet = fleet_of(&certificate).ok_or_else(|| unusable(CertificateError::Name))?;
        let fleet = Fleet::new(fleet, vec![authority]).map_err(unusable)?;
        fleet.note_time(known_time::built());
        let me = fleet.verify_undated(&certificate).map_err(unusable)?;
        Identity::new(fleet, me, certificate, key)
            .map_err(|source| IdentityError::Mismatch { source })
    }

    fn new(
        fleet: Fleet,
        me: Peer,
        certificate: CertificateDer<'static>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Identity, KeyError> {
        Ok(Identity {
            fleet,
            shown: Arc::new(Shown::new(certificate, dates(&me), key)?),
            node: me.node,
        })
    }

    /// Shows the certificate that is in the directory now from now on, if it is newer: new connections and sessions have it, and
    /// those that stand stay.
    ///
    /// # Errors
    /// When it cannot be read, or is not of this node and key: then the program has to start again with it.
    pub fn reread(&self, directory: &Path) -> Result<(), IdentityError> {
        let file = directory.join(CERTIFICATE_FILE);
        let certificate = certificates(&file)?.swap_remove(0);
        let me = self.fleet.verify_undated(&certificate);
        let me = me.map_err(|source| IdentityError::Certificate { file, source })?;
        if me.not_before > self.not_before() {
            self.show(certificate)?;
        }
        Ok(())
    }

    /// Shows another certificate of the same node and key from now on.
    ///
    /// # Errors
    /// When it is not of this node and key.
    pub fn show(&self, certificate: CertificateDer<'static>) -> Result<(), IdentityError> {
        let me = self.fleet.verify_undated(&certificate);
        let me = me.map_err(|source| IdentityError::Parts { source })?;
        if me.node != self.node {
            let source = CertificateError::Name;
            return Err(IdentityError::Parts { source });
        }
        self.shown
            .replace(certificate, dates(&me))
            .map_err(|source| IdentityError::Mismatch { source })
    }

    /// The fleet.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// This node.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The first second of the newest certificate.
    pub fn not_before(&self) -> UnixTime {
        self.shown.dates().not_before
    }

    /// The last second of the newest certificate.
    pub fn not_after(&self) -> UnixTime {
        self.shown.dates().not_after
    }

    /// SHA-256 of the newest certificate (DER).
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        let sum = ring::digest::digest(&ring::digest::SHA256, &self.certificate());
        fingerprint.copy_from_slice(sum.as_ref());
        fingerprint
    }

    /// The newest certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.shown.pair().certificate().to_vec().into()
    }

    /// The newest certificate and the key as the protocol's handshakes and statements use them.
    pub fn credential(&self) -> Arc<KeyPair> {
        self.shown.pair()
    }

    /// # Errors
    /// When this node is of another kind than its program is for.
    pub fn expect_kind(&self, kind: NodeKind) -> Result<(), IdentityError> {
        if self.node.kind == kind {
            Ok(())
        } else {
            Err(IdentityError::OtherKind {
                node: self.node.clone(),
                expected: kind,
            })
        }
    }

    pub(crate) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    pub(crate) fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        self.shown.key()
    }

    /// A secret that stays the same over restarts of this node, for one purpose.
    pub(crate) fn derive(&self, purpose: &[u8]) -> ring::hmac::Tag {
        let key = self.key().secret_pkcs8_der();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        ring::hmac::sign(&key, purpose)
    }
}

fn dates(me: &Peer) -> Dates {
    Dates {
        not_before: me.not_before,
        not_after: me.not_after,
    }
}

/// The certificates of a fleet's authorities, as [`AUTHORITY_FILE`] has them.
///
/// # Errors
/// When the file cannot be read or holds none.
pub fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    certificates(file)
}

/// At least one certificate.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bytes = files::read(file)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, pem::Error>>()
        .map_err(|_| IdentityError::Pem {
            file: file.to_path_buf(),
            what: "certificate",
        })?;
    if certificates.is_empty() {
        return Err(IdentityError::Pem {
            file: file.to_path_buf(),
            what: "certificate",
        });
    }
    Ok(certificates)
}

fn private_key(file: &Path) -> Result<PrivatePkcs8KeyDer<'static>, IdentityError> {
    let bytes = files::read(file)?;
    let mode = fs::metadata(file)
        .map_err(|source| FileError::reading(file, source))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::KeyReadable {
            file: file.to_path_buf(),
            mode,
        });
    }
    PrivatePkcs8KeyDer::from_pem_slice(&bytes).map_err(|_| IdentityError::Pem {
        file: file.to_path_buf(),
        what: "PKCS#8 private key",
    })
}

/// The fleet that a certificate claims to be of: the authority's signature over it is checked afterwards.
pub(crate) fn fleet_of(certificate: &CertificateDer<'_>) -> Option<Name> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let uri = parsed.valid_uri_names().next()?;
    let (fleet, _) = uri.strip_prefix("longrein://")?.split_once('/')?;
    fleet.parse().map_err(|_: NameError| ()).ok()
}

/// Why this node cannot say who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file is missing or cannot be read.
    #[error("{}{}", .0, folder_hint(.0))]
    File(#[from] FileError),
    /// The private key is open to others.
    #[error("{} can be read by others (mode {mode:03o}): run `chmod 600 {}`, and replace the key if others were on this machine", .file.display(), .file.display())]
    KeyReadable {
        /// The key.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file has other content than it should.
    #[error("{} holds no {what} in PEM form", .file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// The certificate is over.
    #[error("{} expired on {}: it is {} now{remark}; renew it with the fleet's authority", .file.display(), date::utc(*.not_after), date::utc(*.now))]
    Expired {
        /// The certificate.
        file: PathBuf,
        /// Its last second.
        not_after: UnixTime,
        /// What this machine takes for now.
        now: UnixTime,
        /// Why, when its clock says something else.
        remark: String,
    },
    /// The certificate begins later.
    #[error("{} is valid from {} only and it is {} now: is this machine's clock right?", .file.display(), date::utc(*.not_before), date::utc(*.now))]
    NotYetValid {
        /// The certificate.
        file: PathBuf,
        /// Its first second.
        not_before: UnixTime,
        /// What this machine takes for now.
        now: UnixTime,
    },
    /// The certificate cannot be used.
    #[error("{}: {source}", .file.display())]
    Certificate {
        /// The certificate.
        file: PathBuf,
        /// What is wrong.
        source: CertificateError,
    },
    /// Key and certificate do not belong together.
    #[error("{}: {source} ({CERTIFICATE_FILE} and {KEY_FILE} must be made together)", .directory.display())]
    Pair {
        /// Where they are.
        directory: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// Certificates that came otherwise than in files cannot be used.
    #[error("the certificate cannot be used: {source}")]
    Parts {
        /// What is wrong.
        source: CertificateError,
    },
    /// A key and a certificate that came otherwise than in files do not belong together.
    #[error("{source}")]
    Mismatch {
        /// What is wrong.
        source: KeyError,
    },
    /// This node is something else.
    #[error("this identity is {node}, but {} is needed here", article(*.expected))]
    OtherKind {
        /// What the certificate names.
        node: NodeName,
        /// What it should be.
        expected: NodeKind,
    },
}

impl IdentityError {
    /// The exit code of a program that cannot go on without an identity.
    pub fn exit(&self) -> Exit {
        match self {
            IdentityError::Expired { .. } | IdentityError::NotYetValid { .. } => Exit::Expired,
            IdentityError::File(_)
            | IdentityError::KeyReadable { .. }
            | IdentityError::Pem { .. }
            | IdentityError::Certificate { .. }
            | IdentityError::Pair { .. }
            | IdentityError::Parts { .. }
            | IdentityError::Mismatch { .. }
            | IdentityError::OtherKind { .. } => Exit::Usage,
        }
    }
}

/// A file that is not there is most often looked for in the wrong folder.
fn folder_hint(error: &FileError) -> &'static str {
    if error.source.kind() == ErrorKind::NotFound {
        ": is this the folder that `longrein fleet init` made for this node? (--identity or [identity] directory)"
    } else {
        ""
    }
}

fn article(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Agent => "an agent",
        NodeKind::Controller => "a controller",
        NodeKind::Service => "a service",
        NodeKind::Relay => "a relay",
        NodeKind::Authority => "an authority",
        NodeKind::Newcomer => "a token",
    }
}
