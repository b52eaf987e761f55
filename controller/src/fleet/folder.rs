//! The folder in which an operator keeps a fleet's authority and the files of its nodes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use longrein_io::enrol::EnrolmentToken;
use longrein_io::{clock, known_time};
use longrein_proto::base::{Name, NodeKind, NodeName};

use super::{Authority, FleetError, Register, RevocationList, TokenOrder, Validity};

/// The folder of a fleet: `authority/` and one `<kind>-<name>/` for each node, to be copied to that node.
#[derive(Debug)]
pub struct FleetFolder {
    path: PathBuf,
    authority: Authority,
}

/// A node that shall have a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The node.
    pub node: NodeName,
    /// The groups that it belongs to.
    pub groups: Vec<Name>,
    /// How long its certificate is valid.
    pub days: u32,
}

impl Order {
    /// A node without groups, whose certificate has the usual life of its kind.
    pub fn new(node: NodeName) -> Order {
        let days = match node.kind {
            NodeKind::Controller => Validity::DAYS_CONTROLLER,
            NodeKind::Agent
            | NodeKind::Service
            | NodeKind::Relay
            | NodeKind::Authority
            | NodeKind::Newcomer => Validity::DAYS_MACHINE,
        };
        Order {
            node,
            groups: Vec::new(),
            days,
        }
    }
}

impl FleetFolder {
    /// Makes a new authority in the folder, which may exist but have none, and the nodes of the orders.
    ///
    /// # Errors
    /// As [`FleetFolder::add`]; [`FleetError::Exists`] also when there is an authority.
    pub fn create(
        path: &Path,
        fleet: Name,
        orders: &[Order],
        now_s: u64,
    ) -> Result<FleetFolder, FleetError> {
        let authority = path.join(Self::AUTHORITY);
        if authority.exists() {
            return Err(FleetError::Exists(authority));
        }
        let folder = FleetFolder {
            path: path.to_path_buf(),
            authority: Authority::new(fleet, now_s)?,
        };
        folder.check(orders)?;
        fs::create_dir_all(path).map_err(|why| FleetError::Io {
            path: path.to_path_buf(),
            why,
        })?;
        folder.authority.save(&authority)?;
        folder.add(orders, now_s)?;
        Ok(folder)
    }

    /// The folder that [`FleetFolder::create`] made.
    ///
    /// # Errors
    /// Those of [`Authority::load`].
    pub fn open(path: &Path) -> Result<FleetFolder, FleetError> {
        Ok(FleetFolder {
            path: path.to_path_buf(),
            authority: Authority::load(&path.join(Self::AUTHORITY))?,
        })
    }

    /// Issues a certificate for each order and returns the nodes' folders. Makes none when one of them cannot be made
    /// because it exists or is named twice.
    ///
    /// # Errors
    /// [`FleetError::Exists`], [`FleetError::NamedTwice`], [`FleetError::SecondAuthority`], [`FleetError::Io`].
    pub fn add(&self, orders: &[Order], now_s: u64) -> Result<Vec<PathBuf>, FleetError> {
        self.check(orders)?;
        orders
            .iter()
            .map(|order| {
                let validity = Validity::days(now_s, order.days);
                let files = self.authority.issue(&order.node, &order.groups, validity)?;
                let folder = self.node(&order.node);
                files.write(&folder)?;
                Ok(folder)
            })
            .collect()
    }

    /// Makes a token, and writes down what it is for.
    ///
    /// # Errors
    /// [`FleetError::File`] when the system refuses, [`FleetError::Certificate`] when it gives no randomness.
    pub fn token(&self, order: &TokenOrder, now_s: u64) -> Result<EnrolmentToken, FleetError> {
        let (text, token) = self.authority.token(order, now_s)?;
        self.register().write_token(&token)?;
        Ok(text)
    }

    /// Revokes what these nodes have so far; without nodes the list gets a new number and date.
    ///
    /// # Errors
    /// Those of [`RevocationList::revoke`].
    pub fn revoke(&self, nodes: &[NodeName], now_s: u64) -> Result<RevocationList, FleetError> {
        RevocationList::revoke(&self.path.join(Self::AUTHORITY), nodes, now_s)
    }

    /// Whom the authority has revoked.
    ///
    /// # Errors
    /// Those of [`RevocationList::load`].
    pub fn revocations(&self) -> Result<RevocationList, FleetError> {
        RevocationList::load(&self.path.join(Self::AUTHORITY))
    }

    /// Whether the authority has certified this node, by hand or for a token.
    ///
    /// # Errors
    /// Those of [`Register::signed`].
    pub fn knows(&self, node: &NodeName) -> Result<bool, FleetError> {
        Ok(self.node(node).exists() || self.register().signed(node)?.is_some())
    }

    /// The time for certificates, in seconds since 1970, as the authority of the folder `path` knows it.
    // [WIRE-149]
    pub fn now_s(path: &Path) -> u64 {
        let known = known_time::read(&path.join(Self::AUTHORITY));
        clock::unix_time().max(known).as_secs()
    }

    /// Where the authority's own files are.
    pub fn authority_directory(&self) -> PathBuf {
        self.path.join(Self::AUTHORITY)
    }

    /// What the authority has written down.
    pub fn register(&self) -> Register {
        Register::new(self.path.join(Self::AUTHORITY))
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where the files of the node are, whether they exist or not.
    pub fn node(&self, node: &NodeName) -> PathBuf {
        self.path
            .join(format!("{}-{}", node.kind.as_str(), node.name))
    }

    fn check(&self, orders: &[Order]) -> Result<(), FleetError> {
        let mut seen = BTreeSet::new();
        for Order { node, .. } in orders {
            if node.kind == NodeKind::Authority {
                return Err(FleetError::SecondAuthority(node.clone()));
            }
            if !seen.insert(node) {
                return Err(FleetError::NamedTwice(node.clone()));
            }
            let folder = self.node(node);
            if folder.exists() {
                return Err(FleetError::Exists(folder));
            }
        }
        Ok(())
    }

    const AUTHORITY: &str = "authority";
}
