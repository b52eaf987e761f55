//! The built-in simulated vehicle as a device.

use std::time::Duration;

use longrein_proto::base::{MonoTime, Refusal};
use longrein_proto::control::{Applied, Output};
use longrein_proto::wire::Telemetry;
use rustix::event::PollFd;

use super::config::SimConfig;
use super::{Adapter, SimVehicle, Taken};

/// Runs a [`SimVehicle`] in the control thread.
#[derive(Debug)]
pub struct SimAdapter {
    vehicle: SimVehicle,
    feed_interval: Duration,
    telemetry_interval: Duration,
    telemetry_due: MonoTime,
}

impl SimAdapter {
    /// A vehicle that stands at the origin.
    pub fn new(config: &SimConfig, now: MonoTime) -> SimAdapter {
        SimAdapter {
            vehicle: SimVehicle::new(config, now),
            feed_interval: Duration::from_millis(config.feed_ms.into()),
            telemetry_interval: Duration::from_millis(config.telemetry_ms.into()),
            telemetry_due: now,
        }
    }
}

impl Adapter for SimAdapter {
    fn is_up(&self) -> bool {
        true
    }

    fn on_command(
        &mut self,
        _now: MonoTime,
        _applied: &Applied,
        _output: &Output,
    ) -> Result<Taken, Refusal> {
        Ok(Taken::Done)
    }

    fn on_output(&mut self, now: MonoTime, output: &Output) {
        self.vehicle.on_output(now, output);
    }

    fn poll(&mut self, now: MonoTime) -> Option<Telemetry> {
        if now < self.telemetry_due {
            return None;
        }
        // On the grid while on time; a pause is not made up for.
        let next = self.telemetry_due + self.telemetry_interval;
        self.telemetry_due = if next > now {
            next
        } else {
            now + self.telemetry_interval
        };
        self.vehicle.advance(now);
        Some(Telemetry::Vehicle(self.vehicle.state()))
    }

    fn wake_on<'a>(&'a self, _fds: &mut Vec<PollFd<'a>>) {}

    fn feed_interval(&self) -> Duration {
        self.feed_interval
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_its_state_at_its_rate_and_not_in_bursts_after_a_pause() {
        let start = MonoTime::from_us(1_000_000);
        let mut sim = SimAdapter::new(&SimConfig::default(), start);
        assert!(sim.poll(start).is_some());
        assert!(sim.poll(start + Duration::from_millis(49)).is_none());
        assert!(sim.poll(start + Duration::from_millis(50)).is_some());
        let later = start + Duration::from_secs(5);
        assert!(sim.poll(later).is_some());
        assert!(sim.poll(later).is_none());
    }
}
