//! The bounded way out of the control thread.

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{ControlOutput, Sink};

/// A sink that never waits, and its reader for the async side. When the reader falls behind, telemetry is dropped first (half of
/// the places are not for it), verdicts next, stages and adapters last; the handle's `stage` is right in any case.
pub fn bounded_outputs() -> (Sink, Receiver<ControlOutput>) {
    let (sender, receiver) = channel(OUTPUTS_WAITING_MAX);
    let sink = move |output| push(&sender, output);
    (Box::new(sink), receiver)
}

fn push(sender: &Sender<ControlOutput>, output: ControlOutput) {
    let reserve = match &output {
        ControlOutput::Telemetry { .. } => OUTPUTS_WAITING_MAX / 2,
        ControlOutput::Verdict { .. } | ControlOutput::Limited { .. } => OUTPUTS_WAITING_MAX / 8,
        ControlOutput::Stage { .. }
        | ControlOutput::OwnStop { .. }
        | ControlOutput::AdapterUp { .. }
        | ControlOutput::AdapterDown { .. } => 0,
    };
    if sender.capacity() > reserve && sender.try_send(output).is_ok() {
        return;
    }
    // Once for a reader that is stuck is too often for the log: the reader's side knows that it was stuck.
    tracing::trace!("control output dropped");
}

/// Outputs that wait for the async side: twice the commands that can wait, and as much telemetry.
const OUTPUTS_WAITING_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use longrein_proto::base::{Channel, MonoTime, Stage};
    use longrein_proto::wire::Telemetry;

    use super::*;

    #[test]
    fn a_reader_that_falls_behind_loses_telemetry_first_and_stages_last() {
        let (mut sink, mut receiver) = bounded_outputs();
        let channel = Channel::new(1).unwrap();
        let at = MonoTime::ZERO;
        for _ in 0..2_000 {
            sink(ControlOutput::Telemetry {
                channel,
                telemetry: Telemetry::Opaque(Vec::new()),
                at,
            });
        }
        for ticket in 0..2_000 {
            let result = Ok(());
            sink(ControlOutput::Verdict { ticket, result, at });
        }
        let stage = Stage::Hold;
        sink(ControlOutput::Stage { channel, stage, at });
        let mut counts = (0, 0, 0);
        while let Ok(output) = receiver.try_recv() {
            match output {
                ControlOutput::Telemetry { .. } => counts.0 += 1,
                ControlOutput::Verdict { .. } => counts.1 += 1,
                ControlOutput::Stage { .. } => counts.2 += 1,
                ControlOutput::Limited { .. }
                | ControlOutput::OwnStop { .. }
                | ControlOutput::AdapterUp { .. }
                | ControlOutput::AdapterDown { .. } => {}
            }
        }
        assert_eq!(counts, (512, 384, 1));
    }
}
