//! When to send an acknowledgement that nothing else carries.

use std::time::Duration;

use crate::base::MonoTime;

/// The acknowledgements that are still to be sent. Each packet carries one, so most need no packet of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AckTimer {
    due: Option<MonoTime>,
    left: u32,
}

impl AckTimer {
    /// A tracked parcel arrived, or one again: the other end does not know that it did. `loss` is that of the way back.
    // [WIRE-45]
    pub(super) fn on_tracked(&mut self, now: MonoTime, loss: f64) {
        self.left = self.left.max(repeats(loss));
        let due = now + ACK_DELAY_MAX;
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// A packet went out, and with it the state.
    pub(super) fn on_packet_sent(&mut self, now: MonoTime) {
        self.left = self.left.saturating_sub(1);
        self.due = (self.left > 0).then(|| now + ACK_DELAY_MAX);
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}

/// So many that one of them arrives 19 times in 20.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 1 to 20"
)]
fn repeats(loss: f64) -> u32 {
    (0.05_f64.ln() / loss.clamp(0.001, 0.97).ln())
        .ceil()
        .clamp(1.0, 20.0) as u32
}

/// Longest wait for a packet that carries the acknowledgement anyway (measured: 3 ms is free of cost at 100 messages a
/// second and adds nothing to retries).
const ACK_DELAY_MAX: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use super::*;

    // [WIRE-45]
    #[test]
    fn acknowledgements_are_repeated_by_loss_and_data_carries_them_for_free() {
        assert_eq!(
            [0.0, 0.05, 0.2, 0.5, 0.8, 0.97].map(repeats),
            [1, 1, 2, 5, 14, 20]
        );
        let at = |ms: u64| MonoTime::from_us(ms * 1_000);
        let mut timer = AckTimer::default();
        timer.on_tracked(at(0), 0.2);
        assert_eq!(timer.next_timeout(), Some(at(3)));
        timer.on_packet_sent(at(1));
        assert_eq!(timer.next_timeout(), Some(at(4)));
        timer.on_packet_sent(at(4));
        assert_eq!(timer.next_timeout(), None);
    }
}
