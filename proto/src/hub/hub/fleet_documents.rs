//! Documents of all nodes that a selector fits, for who speaks by the hub's program.

use super::Hub;
use super::watching::Facts;
use crate::base::NodeName;
use crate::hub::{ClientId, HubRight, is_selected};
use crate::wire::hub::{Document, HubRefusal, Owner, Section, Selector};

/// A watch of a section of many nodes.
#[derive(Clone, Debug)]
pub(super) struct FleetWatch {
    watch: u32,
    section: Section,
    of: Selector,
}

impl Hub {
    /// From now on a client is told each change of this section of the nodes that are selected then. How they stand is read by
    /// [`Hub::fleet_documents`].
    ///
    /// # Errors
    /// `NotAllowed`: it may not read.
    pub fn watch_fleet_documents(
        &mut self,
        client: ClientId,
        watch: u32,
        section: Section,
        of: Selector,
    ) -> Result<(), HubRefusal> {
        self.expect_right(client, HubRight::Read)?;
        let wide = FleetWatch { watch, section, of };
        self.fleet_watches.insert(client, wide);
        Ok(())
    }

    /// This section of the nodes that are selected, by node, behind one of them; looks at `count` at most. Without a node to go on
    /// behind it was the last page.
    pub fn fleet_documents(
        &self,
        section: Section,
        of: &Selector,
        after: Option<&NodeName>,
        count: usize,
    ) -> (Vec<(NodeName, Document)>, Option<NodeName>) {
        let facts = self.facts();
        let (mut page, mut last) = (Vec::new(), None);
        for (looked, (node, document)) in self.documents.of_nodes(section, after).enumerate() {
            if looked >= count {
                return (page, last);
            }
            last = Some(node.clone());
            if is_selected(of, node, &facts) {
                page.push((node.clone(), document.clone()));
            }
        }
        (page, None)
    }

    /// Who watches a document among many, and by which number.
    pub(super) fn fleet_watchers(&self, owner: &Owner, section: Section) -> Vec<(ClientId, u32)> {
        let Owner::Node(node) = owner else {
            return Vec::new();
        };
        let facts = self.facts();
        let watches = self.fleet_watches.iter();
        let fitting = watches
            .filter(|(_, wide)| wide.section == section && is_selected(&wide.of, node, &facts));
        fitting
            .map(|(client, wide)| (*client, wide.watch))
            .collect()
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            presence: &self.presence,
            rooms: &self.rooms,
            documents: &self.documents,
        }
    }
}
