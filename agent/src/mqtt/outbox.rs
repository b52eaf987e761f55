//! Commands to devices behind a broker, from the gate to the broker's acknowledgement.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use longrein_proto::base::{FencingToken, MonoTime, Refusal};

use super::config::Qos;
use super::devices::Presence;

/// A command that passed the gate and the last checks, for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceCommand {
    /// Names the outcome.
    pub(crate) ticket: u64,
    /// The lease's token that it came under.
    pub(crate) token: FencingToken,
    /// What was void when it was handed over: see [`Voids`].
    pub(crate) voids: u64,
    pub(crate) device: String,
    pub(crate) payload: Vec<u8>,
    /// When it is no longer to be published.
    pub(crate) deadline: MonoTime,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The broker has it; with QoS 0 it is on its way there.
    Published,
    /// It was never published.
    Refused(Refusal),
    /// It was never published: what it was accepted for is over. Whoever made it void knows why.
    Void,
    /// The broker may have it or not.
    Unsaid,
}

/// What makes commands void that wait, from the control thread on: it takes effect at once, whatever the bridge does.
#[derive(Debug, Default)]
pub(crate) struct Voids {
    /// Grows with each stop, stage and end of a lease.
    number: AtomicU64,
    /// Commands under earlier tokens are void.
    least_token: AtomicU64,
}

impl Voids {
    /// Everything that was handed over so far is void.
    pub(crate) fn all(&self) {
        self.number.fetch_add(1, Ordering::AcqRel);
    }

    /// What came under earlier tokens is void.
    pub(crate) fn before(&self, token: FencingToken) {
        self.least_token.fetch_max(token.0, Ordering::AcqRel);
    }

    /// For a command that is handed over now.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    fn is_void(&self, command: &DeviceCommand) -> bool {
        command.voids < self.number.load(Ordering::Acquire)
            || command.token.0 < self.least_token.load(Ordering::Acquire)
    }
}

/// Commands of one function that wait, and those that the broker has not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<DeviceCommand>,
    in_flight: BTreeMap<u16, InFlight>,
}

#[derive(Debug)]
struct InFlight {
    command: DeviceCommand,
    qos: Qos,
}

impl Outbox {
    /// Takes a command for a device that is there, or was before the broker was lost.
    ///
    /// # Errors
    /// `Absent` for a device that is not there, `TooOften` when too many wait.
    // [SAFE-123]
    pub(crate) fn push(
        &mut self,
        command: DeviceCommand,
        presence: Presence,
    ) -> Result<(), Refusal> {
        if presence == Presence::Offline {
            return Err(Refusal::Absent);
        }
        if self.waiting.len() + self.in_flight.len() >= COMMANDS_MAX {
            return Err(Refusal::TooOften);
        }
        self.waiting.push_back(command);
        Ok(())
    }

    /// Takes out what is over: void, expired, or for a device that is not there any more.
    // [SAFE-121] [SAFE-122] [SAFE-123]
    pub(crate) fn sweep(
        &mut self,
        now: MonoTime,
        voids: &Voids,
        presence: impl Fn(&str) -> Presence,
    ) -> Vec<(u64, Settled)> {
        let mut over = Vec::new();
        self.waiting.retain(|command| {
            let settled = if voids.is_void(command) {
                Settled::Void
            } else if command.deadline <= now {
                Settled::Refused(Refusal::Expired)
            } else if presence(&command.device) == Presence::Offline {
                Settled::Refused(Refusal::Absent)
            } else {
                return true;
            };
            over.push((command.ticket, settled));
            false
        });
        over
    }

    /// The next command for a device that is surely there. Call [`Outbox::sweep`] at the same `now` before.
    pub(crate) fn pop(&mut self, presence: impl Fn(&str) -> Presence) -> Option<DeviceCommand> {
        let sure = |command: &DeviceCommand| presence(&command.device) == Presence::Online;
        let place = self.waiting.iter().position(sure)?;
        self.waiting.remove(place)
    }

    /// A command is on its way under this packet id.
    pub(crate) fn sent(&mut self, packet_id: u16, qos: Qos, command: DeviceCommand) {
        self.in_flight.insert(packet_id, InFlight { command, qos });
    }

    /// What becomes of the command under this packet id on another connection. What is over may have arrived all the same.
    // [SAFE-121] [SAFE-122] [SAFE-123]
    pub(crate) fn again(
        &mut self,
        now: MonoTime,
        packet_id: u16,
        voids: &Voids,
        presence: impl Fn(&str) -> Presence,
    ) -> Again<'_> {
        let Some(InFlight { command, qos }) = self.in_flight.remove(&packet_id) else {
            return Again::Unknown;
        };
        let is_gone = presence(&command.device) == Presence::Offline;
        if voids.is_void(&command) || command.deadline <= now || is_gone {
            return Again::Over(command.ticket);
        }
        if qos == Qos::AtLeastOnce {
            let before = |other: &DeviceCommand| other.ticket < command.ticket;
            let place = self
                .waiting
                .iter()
                .take_while(|other| before(other))
                .count();
            self.waiting.insert(place, command);
            return Again::Waits;
        }
        let sent = self.in_flight.entry(packet_id);
        Again::Goes(&sent.or_insert(InFlight { command, qos }).command)
    }

    /// The broker has acknowledged the packet, or refused it.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) -> Option<u64> {
        let sent = self.in_flight.remove(&packet_id)?;
        Some(sent.command.ticket)
    }

    /// The broker has forgotten the session: what it did not acknowledge is published anew, unless that could make it twice.
    pub(crate) fn session_lost(&mut self) -> Vec<(u64, Settled)> {
        let mut unsaid = Vec::new();
        for (_, InFlight { command, qos }) in std::mem::take(&mut self.in_flight).into_iter().rev()
        {
            if qos == Qos::AtLeastOnce {
                self.waiting.push_front(command);
            } else {
                unsaid.push((command.ticket, Settled::Unsaid));
            }
        }
        unsaid
    }

    /// When the next one of those that wait is over.
    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        self.waiting.iter().map(|command| command.deadline).min()
    }
}

/// What becomes of a command that was not acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again<'a> {
    /// There is none under this packet id.
    Unknown,
    /// It waits for its device like a new one.
    Waits,
    /// It goes once more under the same packet id.
    Goes(&'a DeviceCommand),
    /// It is void or expired, or its device has gone.
    Over(u64),
}

/// Commands of one function that wait for their broker: three seconds of 200 a second, fewer than an agent keeps open.
pub(crate) const COMMANDS_MAX: usize = 640;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    fn command(ticket: u64, deadline_ms: u64) -> DeviceCommand {
        DeviceCommand {
            ticket,
            token: FencingToken(7),
            voids: 0,
            device: "pump".to_string(),
            payload: b"on".to_vec(),
            deadline: at(deadline_ms),
        }
    }

    fn online(_: &str) -> Presence {
        Presence::Online
    }

    fn unsure(_: &str) -> Presence {
        Presence::Unsure
    }

    fn offline(_: &str) -> Presence {
        Presence::Offline
    }

    /// SAFE-123
    #[test]
    fn a_command_for_a_device_that_is_not_there_is_refused_and_never_published() {
        let mut outbox = Outbox::default();
        let refused = outbox.push(command(1, 100), Presence::Offline);
        assert_eq!(refused, Err(Refusal::Absent));
        outbox.push(command(2, 100), Presence::Online).unwrap();
        let swept = outbox.sweep(at(0), &Voids::default(), offline);
        assert_eq!(swept, [(2, Settled::Refused(Refusal::Absent))]);
        assert_eq!(outbox.pop(online), None);
    }

    /// SAFE-121
    #[test]
    fn a_command_that_expires_while_the_broker_is_away_is_never_published() {
        let mut outbox = Outbox::default();
        let voids = Voids::default();
        outbox.push(command(1, 100), Presence::Unsure).unwrap();
        outbox.push(command(2, 200), Presence::Unsure).unwrap();
        assert_eq!(outbox.pop(unsure), None, "nobody knows whether it is there");
        assert_eq!(outbox.next_timeout(), Some(at(100)));
        let swept = outbox.sweep(at(100), &voids, online);
        assert_eq!(swept, [(1, Settled::Refused(Refusal::Expired))]);
        assert_eq!(outbox.pop(online).unwrap().ticket, 2);
    }

    /// SAFE-122
    #[test]
    fn what_waits_is_void_from_a_stop_the_end_of_its_lease_and_a_newer_token_on() {
        let mut outbox = Outbox::default();
        let voids = Voids::default();
        outbox.push(command(1, 100), Presence::Online).unwrap();
        voids.all();
        let later = DeviceCommand {
            voids: voids.number(),
            ..command(2, 100)
        };
        outbox.push(later, Presence::Online).unwrap();
        let swept = outbox.sweep(at(0), &voids, online);
        assert_eq!(swept, [(1, Settled::Void)]);
        voids.before(FencingToken(8));
        let swept = outbox.sweep(at(0), &voids, online);
        assert_eq!(swept, [(2, Settled::Void)]);
    }

    /// SAFE-121 SAFE-122 SAFE-123
    #[test]
    fn what_was_not_acknowledged_is_published_again_only_while_it_is_in_force() {
        let mut outbox = Outbox::default();
        let voids = Voids::default();
        for (packet_id, deadline_ms) in [(1, 100), (2, 500), (3, 500), (4, 500)] {
            let ticket = u64::from(packet_id);
            outbox.sent(packet_id, Qos::ExactlyOnce, command(ticket, deadline_ms));
        }
        let mut again = |id, presence: fn(&str) -> Presence| match outbox.again(
            at(200),
            id,
            &voids,
            presence,
        ) {
            Again::Goes(command) => Ok(command.ticket),
            Again::Over(ticket) => Err(ticket),
            Again::Unknown | Again::Waits => Err(0),
        };
        assert_eq!(again(1, unsure), Err(1));
        assert_eq!(again(2, unsure), Ok(2));
        assert_eq!(again(4, offline), Err(4));
        assert_eq!(again(9, unsure), Err(0));
        assert_eq!(outbox.acknowledged(2), Some(2));
        voids.all();
        assert_eq!(outbox.again(at(200), 3, &voids, online), Again::Over(3));
        assert_eq!(outbox.acknowledged(3), None);
    }

    /// SAFE-123
    #[test]
    fn with_qos_1_what_was_not_acknowledged_waits_for_its_device_in_its_place() {
        let mut outbox = Outbox::default();
        let voids = Voids::default();
        for packet_id in [1, 2] {
            outbox.sent(packet_id, Qos::AtLeastOnce, command(packet_id.into(), 500));
        }
        outbox.push(command(3, 500), Presence::Unsure).unwrap();
        for packet_id in [2, 1] {
            assert_eq!(outbox.again(at(0), packet_id, &voids, unsure), Again::Waits);
        }
        assert_eq!(outbox.pop(unsure), None);
        let order: Vec<u64> = std::iter::from_fn(|| outbox.pop(online))
            .map(|c| c.ticket)
            .collect();
        assert_eq!(order, [1, 2, 3]);
    }

    #[test]
    fn a_broker_that_forgot_the_session_gets_once_more_what_may_be_twice_and_nothing_else() {
        let mut outbox = Outbox::default();
        outbox.sent(4, Qos::AtLeastOnce, command(1, 100));
        outbox.sent(5, Qos::ExactlyOnce, command(2, 100));
        outbox.sent(6, Qos::AtLeastOnce, command(3, 100));
        assert_eq!(outbox.session_lost(), [(2, Settled::Unsaid)]);
        assert_eq!(outbox.pop(online).unwrap().ticket, 1);
        assert_eq!(outbox.pop(online).unwrap().ticket, 3);
    }

    #[test]
    fn no_more_than_the_bound_wait() {
        let mut outbox = Outbox::default();
        for ticket in 0..COMMANDS_MAX as u64 {
            outbox.push(command(ticket, 100), Presence::Online).unwrap();
        }
        let refused = outbox.push(command(0, 100), Presence::Online);
        assert_eq!(refused, Err(Refusal::TooOften));
    }
}
