//! How a document's record is named in the store.

use crate::wire::hub::{Owner, Section};

/// All sections.
pub(super) const SECTIONS: [Section; 3] =
    [Section::Attributes, Section::Desired, Section::Reported];

/// The record's key, for instance `node/agent/truck-17/attributes`, `room/yard/attributes`: no name has a slash.
pub(super) fn write(owner: &Owner, section: Section) -> String {
    let section = word(section);
    match owner {
        Owner::Node(node) => format!("node/{node}/{section}"),
        Owner::Room(room) => format!("room/{room}/{section}"),
    }
}

/// What [`write()`] made this key of.
pub(super) fn read(key: &str) -> Option<(Owner, Section)> {
    let (owner, last) = key.rsplit_once('/')?;
    let section = SECTIONS.into_iter().find(|s| word(*s) == last)?;
    let owner = match owner.split_once('/')? {
        ("node", node) => Owner::Node(node.parse().ok()?),
        ("room", room) => Owner::Room(room.parse().ok()?),
        _ => return None,
    };
    Some((owner, section))
}

fn word(section: Section) -> &'static str {
    match section {
        Section::Attributes => "attributes",
        Section::Desired => "desired",
        Section::Reported => "reported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NodeKind;

    #[test]
    fn every_document_has_its_own_key() {
        let node = NodeKind::ALL.map(|kind| format!("{}/attributes", kind.as_str()));
        let nodes = node.iter().map(|node| Owner::Node(node.parse().unwrap()));
        let rooms = ["agent", "node"].map(|room| Owner::Room(room.parse().unwrap()));
        for owner in nodes.chain(rooms) {
            for section in SECTIONS {
                let key = write(&owner, section);
                assert_eq!(read(&key), Some((owner.clone(), section)), "{key}");
            }
        }
        let truck = Owner::Node("agent/truck-17".parse().unwrap());
        let key = write(&truck, Section::Attributes);
        assert_eq!(key, "node/agent/truck-17/attributes");
        let yard = Owner::Room("yard".parse().unwrap());
        assert_eq!(write(&yard, Section::Reported), "room/yard/reported");
    }

    #[test]
    fn what_is_no_key_is_not_read() {
        for wrong in [
            "",
            "/",
            "attributes",
            "room/attributes",
            "room//attributes",
            "room/yard",
            "room/yard/else",
            "room/a/b/attributes",
            "room/Yard/attributes",
            "node/truck-17/attributes",
            "node/driver/truck-17/attributes",
            "node/agent/truck-17/attributes/",
            "else/yard/attributes",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
