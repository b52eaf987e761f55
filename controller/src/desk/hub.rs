//! The conversation with the fleet's hub.

use longrein_proto::base::{Entropy, MonoTime};
use longrein_proto::hub::Caller;
use longrein_proto::wire::hub::MessageId;

use super::Desk;
use crate::hub::Switchboard;

impl Desk {
    /// Does something with the hub, and hands out what it told.
    pub(crate) fn with_hub<T>(
        &mut self,
        now: MonoTime,
        act: impl FnOnce(&mut Switchboard, MonoTime, &mut Caller) -> T,
    ) -> T {
        let board = &mut self.hub;
        self.controller.with_hub(now, |caller| {
            let result = act(board, now, caller);
            while let Some(event) = caller.poll_event() {
                board.on_event(now, caller, event);
            }
            result
        })
    }

    /// Hands out what the hub told.
    pub(super) fn hear_hub(&mut self, now: MonoTime) {
        self.with_hub(now, |board, now, caller| {
            if board.next_timeout().is_some_and(|due| due <= now) {
                board.on_timeout(now, caller);
            }
        });
    }

    /// A random name for a message.
    pub(crate) fn new_message_id(&mut self) -> MessageId {
        let mut id = MessageId::default();
        self.entropy.fill(&mut id.0);
        id
    }
}
