//! Commands under way.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use longrein_io::exit::Exit;
use longrein_io::shutdown::Shutdown;
use longrein_proto::base::Class;
use longrein_proto::role::{Order, SendCommandError, VehicleStatus};
use longrein_proto::session::{Resolution, SendError as SessionError};
use longrein_proto::wire::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::payload::Payload;
use super::source::Source;
use super::{CommandArgs, CommandClass};
use crate::cli::failure::Failure;
use crate::cli::holder::Holder;
use crate::cli::output::{self, Reader};
use crate::cli::report;
use crate::cli::tally::Tally;
use crate::{Events, RemoteError, SendError, Vehicle, VehicleEvent};

/// Sends commands under a lease, and hears what becomes of them.
pub(super) struct Errand {
    args: CommandArgs,
    source: Option<Source>,
    vehicle: Vehicle,
    holder: Holder,
    events: Events,
    /// Payloads so far.
    count: u64,
    /// What is to be sent next, and until when.
    next: Option<(Sent, Payload, Instant)>,
    /// What has no receipt yet, by its number in its flow; of a reliable flow only.
    pending: BTreeMap<u64, Sent>,
    /// When the last receipt is overdue.
    overdue: Instant,
    tally: Tally,
    counts: Counts,
}

/// A command, as it is reported.
struct Sent {
    place: u64,
    device: Option<String>,
    bytes: usize,
}

/// What became of commands, by their receipts or before they were sent.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    applied: u64,
    refused: u64,
    expired: u64,
    unknown: u64,
    not_sent: u64,
}

impl Errand {
    /// Nothing is sent yet.
    pub(super) fn new(
        args: CommandArgs,
        source: Source,
        vehicle: Vehicle,
        holder: Holder,
        events: Events,
    ) -> Errand {
        Errand {
            args,
            source: Some(source),
            vehicle,
            holder,
            events,
            count: 0,
            next: None,
            pending: BTreeMap::new(),
            overdue: Instant::now(),
            tally: Tally::default(),
            counts: Counts::default(),
        }
    }

    /// Sends all there is, and hears what becomes of it.
    ///
    /// # Errors
    /// When the input is wrong, somebody else takes the lease, stdout fails, a signal comes, or a command was not applied.
    pub(super) async fn run(mut self, shutdown: &mut Shutdown) -> Result<(), Failure> {
        let ended = self.work(shutdown).await;
        let left = std::mem::take(&mut self.pending);
        for sent in left.into_values() {
            self.tell(&sent, &Resolution::Unknown)?;
        }
        self.sum_up()?;
        let verdict = self.verdict();
        self.holder.release(RELEASE_MAX).await;
        ended.and(verdict)
    }

    async fn work(&mut self, shutdown: &mut Shutdown) -> Result<(), Failure> {
        let mut wrong = Ok(());
        while !self.is_done() {
            let wants = self.next.is_none() && self.pending.len() < PENDING_MAX;
            let until = self.next.as_ref().map(|(_, _, until)| *until);
            let overdue = self.is_all_sent().then_some(self.overdue);
            tokio::select! {
                payload = next(&mut self.source), if wants => match payload {
                    Some(Ok(payload)) => self.on_payload(payload),
                    Some(Err(failure)) => (self.source, wrong) = (None, Err(failure)),
                    None => self.source = None,
                },
                event = self.events.next() => match event {
                    Some(event) => if self.on_event(event)? == Reader::Gone {
                        return Ok(());
                    },
                    None => return Err(RemoteError::Ended.into()),
                },
                change = self.holder.change() => self.holder.insist(change)?,
                () = at(until) => self.give_up()?,
                () = at(overdue) => break,
                signal = shutdown.wait() => return Err(Failure::interrupted(signal)),
            }
            if self.send_next().await? == Reader::Gone {
                return Ok(());
            }
        }
        wrong
    }

    fn is_all_sent(&self) -> bool {
        self.source.is_none() && self.next.is_none()
    }

    fn is_done(&self) -> bool {
        self.is_all_sent()
            && match self.args.class {
                CommandClass::Reliable => self.pending.is_empty(),
                CommandClass::Unordered => self.tally.is_settled(),
            }
    }

    fn on_payload(&mut self, payload: Payload) {
        self.count += 1;
        let sent = Sent {
            place: self.count,
            device: payload.device.clone(),
            bytes: payload.bytes.len(),
        };
        self.next = Some((sent, payload, Instant::now() + self.ttl()));
    }

    /// Sends what is next, if the lease is held. Its time to live is what is left of it.
    async fn send_next(&mut self) -> Result<Reader, Failure> {
        let Some(lease) = self.holder.lease() else {
            return Ok(Reader::There);
        };
        let Some((sent, payload, until)) = self.next.take() else {
            return Ok(Reader::There);
        };
        let order = Order {
            class: Class::from(self.args.class),
            ttl: (until - Instant::now()).max(Duration::from_millis(1)),
            dead_man: false,
            resume: self.args.resume,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(payload.bytes.clone()),
        };
        match lease.send(order).await {
            Ok(number) => {
                self.tally.on_command(Some(number));
                self.overdue = until + RECEIPT_GRACE;
                match self.args.class {
                    CommandClass::Reliable => drop(self.pending.insert(number, sent)),
                    CommandClass::Unordered => return self.print(&sent, "sent", None),
                }
            }
            // It is sent with the next lease, or once others have their receipt, within its time.
            Err(SendError::LeaseLost) => self.next = Some((sent, payload, until)),
            Err(SendError::Command(SendCommandError::Session(
                SessionError::WindowFull | SessionError::QueueFull,
            ))) => self.next = Some((sent, payload, until)),
            Err(why) => {
                self.counts.not_sent += 1;
                return self.print(&sent, "not_sent", Some(why.to_string()));
            }
        }
        Ok(Reader::There)
    }

    /// The time of what is next is over.
    fn give_up(&mut self) -> Result<(), Failure> {
        if let Some((sent, ..)) = self.next.take() {
            self.counts.expired += 1;
            let why = match self.holder.lease() {
                Some(_) => "it could not be sent in its time to live",
                None => "the lease was not held in its time to live",
            };
            self.print(&sent, "expired", Some(why.to_string()))?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: VehicleEvent) -> Result<Reader, Failure> {
        match event {
            VehicleEvent::Receipt {
                function,
                number,
                outcome,
            } if function == self.args.function => match self.pending.remove(&number) {
                Some(sent) => self.tell(&sent, &outcome),
                None => Ok(Reader::There),
            },
            // The next session counts anew.
            VehicleEvent::Down { .. } => {
                let lost = std::mem::take(&mut self.pending);
                let mut lost = lost.into_values();
                lost.try_fold(Reader::There, |_, sent| {
                    self.tell(&sent, &Resolution::Unknown)
                })
            }
            VehicleEvent::Up { .. } => {
                self.tally.on_session();
                Ok(Reader::There)
            }
            VehicleEvent::Status(status) => {
                self.on_status(&status);
                Ok(Reader::There)
            }
            VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Described { .. }
            | VehicleEvent::News { .. }
            | VehicleEvent::Telemetry { .. }
            | VehicleEvent::Receipt { .. }
            | VehicleEvent::LeaseLost { .. } => Ok(Reader::There),
        }
    }

    fn on_status(&mut self, status: &VehicleStatus) {
        let functions = report::functions(&self.vehicle);
        let flow = report::flow(&functions, &self.args.function, self.args.class.into());
        let mut reports = status.beat.flows.iter();
        if let Some(report) = reports.find(|report| Some(report.flow) == flow) {
            self.tally.on_report(report);
        }
    }

    /// Counts what became of a command, and prints it.
    fn tell(&mut self, sent: &Sent, outcome: &Resolution) -> Result<Reader, Failure> {
        let (count, why) = match outcome {
            Resolution::Applied => (&mut self.counts.applied, None),
            Resolution::Refused(why) => (&mut self.counts.refused, Some(why.to_string())),
            Resolution::Expired => (&mut self.counts.expired, None),
            Resolution::Unknown => {
                let why = "the vehicle said nothing of it in time: it may be done or not";
                (&mut self.counts.unknown, Some(why.to_string()))
            }
        };
        *count += 1;
        self.print(sent, report::outcome_word(outcome), why)
    }

    fn print(&self, sent: &Sent, outcome: &str, why: Option<String>) -> Result<Reader, Failure> {
        let line = if self.args.json {
            let command = json!({
                "event": "command",
                "number": sent.place,
                "device": sent.device,
                "bytes": sent.bytes,
                "outcome": outcome,
                "why": why,
            });
            command.to_string()
        } else {
            let device = sent.device.as_ref().map(|device| format!(" to {device}"));
            let why = why.map(|why| format!(": {why}"));
            format!(
                "{}{}: {}{}",
                sent.place,
                device.unwrap_or_default(),
                outcome.replace('_', " "),
                why.unwrap_or_default()
            )
        };
        Ok(output::print([line])?)
    }

    /// Says what became of all.
    fn sum_up(&self) -> Result<(), Failure> {
        let counts = &self.counts;
        let mut fields = self.tally.fields();
        if self.args.class == CommandClass::Reliable {
            fields.retain(|name, _| name == "sent");
            fields.insert("applied".into(), json!(counts.applied));
            fields.insert("refused".into(), json!(counts.refused));
            fields.insert("expired".into(), json!(counts.expired));
            fields.insert("unknown".into(), json!(counts.unknown));
        }
        fields.insert("not_sent".into(), json!(counts.not_sent));
        fields.insert("event".into(), json!("summary"));
        if self.args.json {
            output::print([Value::Object(fields).to_string()])?;
        } else if self.args.class == CommandClass::Unordered {
            eprintln!("{}", self.tally.line());
        }
        Ok(())
    }

    /// What counts most of what went wrong.
    fn verdict(&self) -> Result<(), Failure> {
        let reported = match self.args.class {
            CommandClass::Reliable => Default::default(),
            CommandClass::Unordered => self.tally.counts(),
        };
        let refused = self.counts.refused + reported.refused;
        let expired = self.counts.expired + reported.expired;
        let is_unreported = match self.args.class {
            CommandClass::Reliable => self.counts.unknown > 0,
            CommandClass::Unordered => !self.tally.is_settled(),
        };
        let of = self.count;
        let failed = |exit, line: String| Err(Failure::new(exit, line));
        if refused > 0 {
            return failed(Exit::Refused, format!("{refused} of {of} refused"));
        }
        if expired > 0 {
            return failed(Exit::Expired, format!("{expired} of {of} expired"));
        }
        if is_unreported {
            let line = "the vehicle did not say what became of all commands";
            return failed(Exit::Unreachable, line.to_string());
        }
        match self.counts.not_sent {
            0 => Ok(()),
            not_sent => failed(Exit::Failed, format!("{not_sent} of {of} not sent")),
        }
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(self.args.ttl_ms.into())
    }
}

/// The next payload; waits for ever when there is no source.
async fn next(source: &mut Option<Source>) -> Option<Result<Payload, Failure>> {
    match source {
        Some(source) => source.next().await,
        None => pending().await,
    }
}

/// Waits until then, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Commands without a receipt; the protocol takes 128.
const PENDING_MAX: usize = 64;
/// What has no receipt so long after its time to live gets none: the session says so itself after a second.
const RECEIPT_GRACE: Duration = Duration::from_millis(1_500);
/// For giving the lease back; it lapses by itself soon after.
const RELEASE_MAX: Duration = Duration::from_millis(250);
