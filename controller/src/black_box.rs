//! What a controller writes into its record, when it has one: what it was told, and what it sent.

use std::io;
use std::sync::Arc;

use longrein_io::clock;
use longrein_io::recorder::{Commanded, Event, Fingerprint, Recorder, Told};
use longrein_proto::base::{Class, FencingToken, MonoTime, NodeName};
use longrein_proto::crypto::Credential;
use longrein_proto::role::{ControllerEvent, Order};
use longrein_proto::session::Resolution;
use longrein_proto::wire::Command;

use crate::settings::RecordSection;

/// Feeds a recorder. A function is called `vehicle/function` here, as a controller may drive several vehicles.
pub(crate) struct BlackBox {
    recorder: Recorder,
    commands: bool,
    telemetry: bool,
}

impl BlackBox {
    /// As the settings say; with the program's start as first entry.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        section: &RecordSection,
        node: &NodeName,
        fingerprint: [u8; 32],
        credential: Arc<dyn Credential>,
    ) -> io::Result<BlackBox> {
        let recorder = Recorder::start(section.directory.clone(), section.bytes_max(), credential)?;
        recorder.record(
            clock::now(),
            &Event::Start {
                node: node.to_string(),
                version: VERSION.to_string(),
                fingerprint: Fingerprint(fingerprint),
            },
        );
        Ok(BlackBox {
            recorder,
            commands: section.commands,
            telemetry: section.telemetry,
        })
    }

    /// Takes what the role tells; `function` is the one that it tells it of, when it does.
    pub(crate) fn on_event(&self, at: MonoTime, event: &ControllerEvent, function: String) {
        let event = match event {
            ControllerEvent::SessionUp { vehicle, .. } => Event::SessionBegun {
                session: 0,
                peer: vehicle.to_string(),
                certificate: None,
            },
            ControllerEvent::SessionDown { vehicle, why } => Event::SessionEnded {
                session: 0,
                peer: vehicle.to_string(),
                why: why.to_string(),
            },
            ControllerEvent::Granted { vehicle, token, .. } => Event::LeaseGranted {
                function,
                holder: format!("granted by {vehicle}"),
                token: token.0,
            },
            ControllerEvent::Clock {
                vehicle,
                difference,
            } => Event::peer_clock(vehicle, *difference),
            ControllerEvent::News { vehicle, news } => Event::news(function, vehicle, news),
            ControllerEvent::Revocations { number, .. } => Event::Revocations { list: *number },
            ControllerEvent::LeaseLost { vehicle, how, .. } => Event::LeaseEnded {
                function,
                holder: format!("granted by {vehicle}"),
                token: 0,
                why: how
                    .as_ref()
                    .map_or("the vehicle says so".to_string(), ToString::to_string),
            },
            ControllerEvent::Refused { vehicle, why, .. } => Event::Refused {
                peer: vehicle.to_string(),
                asked: "request".to_string(),
                function: None,
                number: None,
                why: why.to_string(),
            },
            ControllerEvent::Receipt {
                number, outcome, ..
            } => Event::Receipt {
                function,
                number: *number,
                outcome: word(outcome),
            },
            ControllerEvent::Telemetry { telemetry, .. } if self.telemetry => Event::Telemetry {
                function,
                telemetry: Told(telemetry.encode()),
            },
            ControllerEvent::Stopped {
                vehicle,
                generation,
                latched,
                ..
            } => Event::Note {
                subject: "stop".to_string(),
                text: format!("{vehicle} answers: generation {generation}, latched {latched}"),
            },
            ControllerEvent::StopUnanswered { vehicle, .. } => Event::Note {
                subject: "stop".to_string(),
                text: format!("{vehicle} does not answer"),
            },
            ControllerEvent::Telemetry { .. }
            | ControllerEvent::Coming { .. }
            | ControllerEvent::Offered { .. }
            | ControllerEvent::Described { .. }
            | ControllerEvent::Done { .. }
            | ControllerEvent::Status { .. }
            | ControllerEvent::Presence { .. }
            | ControllerEvent::Nodes { .. }
            | ControllerEvent::RelayUp { .. }
            | ControllerEvent::Draining { .. }
            | ControllerEvent::Health { .. } => return,
        };
        self.recorder.record(at, &event);
    }

    /// A command was sent.
    pub(crate) fn on_command(
        &self,
        at: MonoTime,
        function: String,
        token: FencingToken,
        number: u64,
        order: Order,
    ) {
        if !self.commands {
            return;
        }
        let command = Command {
            token,
            dead_man: order.dead_man,
            resume: order.resume,
            application_id: order.application_id,
            picture_age: order.picture_age,
            body: order.body,
        };
        let event = Event::Command {
            function,
            class: match order.class {
                Class::Latest => "latest",
                Class::Unordered => "unordered",
                Class::Reliable => "reliable",
                Class::Stop => "stop",
            }
            .to_string(),
            number,
            age_us: None,
            error_us: None,
            verdict: "sent".to_string(),
            why: None,
            command: Commanded(command.encode()),
        };
        self.recorder.record(at, &event);
    }

    /// An emergency stop is sent, until the vehicle answers.
    pub(crate) fn on_stop(&self, at: MonoTime, vehicle: &NodeName) {
        let event = Event::Note {
            subject: "stop".to_string(),
            text: format!("sent to {vehicle}"),
        };
        self.recorder.record(at, &event);
    }
}

fn word(outcome: &Resolution) -> String {
    match outcome {
        Resolution::Applied => "applied".to_string(),
        Resolution::Refused(why) => format!("refused: {why}"),
        Resolution::Expired => "expired".to_string(),
        Resolution::Unknown => "unknown".to_string(),
    }
}

/// Program and version, as an entry says them.
const VERSION: &str = concat!("longrein ", env!("CARGO_PKG_VERSION"));
