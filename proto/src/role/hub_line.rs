//! A node's conversation with the fleet's hub, over its leg to the relay that is one.

use std::sync::Arc;

use super::node::Node;
use crate::base::{MonoTime, NodeName};
use crate::hub::Caller;

/// What agent and controller do alike to speak with the hub.
#[derive(Debug, Default)]
pub(super) struct HubLine {
    caller: Caller,
    /// The relay that is the hub.
    relay: Option<NodeName>,
}

impl HubLine {
    /// What the application asks of the hub, and hears.
    pub(super) const fn caller(&mut self) -> &mut Caller {
        &mut self.caller
    }

    /// A relay has a new leg for this node.
    pub(super) fn on_leg_up(&mut self, relay: &NodeName, is_hub: bool) {
        if is_hub {
            self.relay = Some(relay.clone());
            self.caller.on_hub();
        } else if self.relay.as_ref() == Some(relay) {
            self.relay = None;
            self.caller.on_hub_gone();
        }
    }

    /// A frame came; only the hub sends some.
    pub(super) fn on_frame(&mut self, relay: &NodeName, frame: &[u8], node: &mut Node) {
        if self.relay.as_ref() == Some(relay) {
            self.caller.on_frame(frame);
        } else {
            node.count_malformed_parcel();
        }
    }

    /// A relay has a piece.
    pub(super) fn on_delivered(&mut self, relay: &NodeName, parcel: &Arc<[u8]>) {
        if self.relay.as_ref() == Some(relay) {
            self.caller.on_delivered(parcel);
        }
    }

    /// Puts pieces on the leg.
    pub(super) fn work(&mut self, now: MonoTime, node: &mut Node) {
        let Some(relay) = &self.relay else {
            return;
        };
        // Its window bounds how many there are.
        while let Some(piece) = self.caller.poll_piece(now) {
            if !node.try_send(now, relay, &piece.parcel, now, piece.deadline) {
                self.caller.on_no_room(now, &piece.parcel);
                return;
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.relay.as_ref().and_then(|_| self.caller.next_timeout())
    }
}
