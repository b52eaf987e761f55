//! Whom the authority has revoked, as its folder says it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use longrein_io::files::write_atomic;
use longrein_proto::base::NodeName;
use longrein_proto::crypto::Peer;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::FleetError;

/// The authority's list of revocations. Each change has a higher number, also across programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// Number of the list; 0 before the first.
    pub number: u64,
    /// When it was made, in seconds since 1970.
    pub made_s: u64,
    /// Nodes, each with the second until which its certificates, by their begin, count no more.
    pub revoked: BTreeMap<NodeName, u32>,
}

impl RevocationList {
    /// The list of an authority's folder.
    ///
    /// # Errors
    /// [`FleetError::BadRegister`] when its file is damaged, [`FleetError::Io`] when it cannot be read.
    pub fn load(folder: &Path) -> Result<RevocationList, FleetError> {
        let file = file(folder);
        let damaged = || FleetError::BadRegister(file.clone());
        let text: Text = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| damaged())?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(RevocationList::default());
            }
            Err(why) => return Err(FleetError::Io { path: file, why }),
        };
        let entries = text
            .revoked
            .iter()
            .map(|(node, since_s)| Some((node.parse().ok()?, *since_s)));
        Ok(RevocationList {
            number: text.number,
            made_s: text.made_s,
            revoked: entries.collect::<Option<_>>().ok_or_else(damaged)?,
        })
    }

    /// Revokes what these nodes have so far and makes a new list, which is on disk when this returns; without nodes the same list
    /// with a new number and date.
    ///
    /// # Errors
    /// As [`RevocationList::load`]; [`FleetError::File`] when it cannot be written.
    pub fn revoke(
        folder: &Path,
        nodes: &[NodeName],
        now_s: u64,
    ) -> Result<RevocationList, FleetError> {
        let _locked = lock(folder)?;
        let mut list = RevocationList::load(folder)?;
        let since_s = u32::try_from(now_s).unwrap_or(u32::MAX);
        for node in nodes {
            let known = list.revoked.entry(node.clone()).or_default();
            *known = since_s.max(*known);
        }
        list.number += 1;
        list.made_s = now_s.max(list.made_s);
        let text = Text {
            number: list.number,
            made_s: list.made_s,
            revoked: list
                .revoked
                .iter()
                .map(|(node, since_s)| (node.to_string(), *since_s))
                .collect(),
        };
        let text = serde_json::to_value(text).unwrap_or_default();
        write_atomic(&file(folder), format!("{text:#}\n").as_bytes())?;
        Ok(list)
    }

    /// Whether the certificate of this node counts no more.
    pub fn includes(&self, peer: &Peer) -> bool {
        let since_s = self.revoked.get(&peer.node);
        since_s.is_some_and(|since_s| peer.not_before.as_secs() <= u64::from(*since_s))
    }
}

/// The list's file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Text {
    number: u64,
    made_s: u64,
    revoked: BTreeMap<String, u32>,
}

fn file(folder: &Path) -> PathBuf {
    folder.join("revocations.json")
}

/// One change at a time.
fn lock(folder: &Path) -> Result<File, FleetError> {
    let locked = || -> io::Result<File> {
        let opened = File::open(folder)?;
        flock(&opened, FlockOperation::LockExclusive)?;
        Ok(opened)
    };
    locked().map_err(|why| FleetError::Io {
        path: folder.to_path_buf(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_fleet::Folder;

    #[test]
    fn each_list_has_a_higher_number_and_forgets_nobody() {
        let folder = Folder::new().unwrap();
        let path = folder.path();
        assert_eq!(
            RevocationList::load(path).unwrap(),
            RevocationList::default()
        );
        let nodes = ["agent/a", "agent/b"].map(|node| node.parse().unwrap());
        RevocationList::revoke(path, &nodes[..1], 1_000).unwrap();
        let second = RevocationList::revoke(path, &nodes, 1_500).unwrap();
        let expected = BTreeMap::from(nodes.map(|node| (node, 1_500)));
        assert_eq!(
            (second.number, second.made_s, &second.revoked),
            (2, 1_500, &expected)
        );
        // A clock that was set back takes nothing back.
        let third = RevocationList::revoke(path, &[], 900).unwrap();
        assert_eq!(
            (third.number, third.made_s, &third.revoked),
            (3, 1_500, &expected)
        );
        assert_eq!(RevocationList::load(path).unwrap(), third);
    }
}
