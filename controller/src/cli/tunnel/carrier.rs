//! A tunnel under way.

use std::net::SocketAddr;
use std::time::Duration;

use longrein_io::shutdown::Shutdown;
use longrein_proto::role::{Order, VehicleStatus};
use longrein_proto::wire::{Body, Telemetry};
use serde_json::{Map, Value, json};
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};

use super::{TunnelArgs, TunnelClass};
use crate::cli::failure::Failure;
use crate::cli::holder::{Change, Holder};
use crate::cli::output::{self, Reader};
use crate::cli::report;
use crate::cli::tally::Tally;
use crate::{Events, RemoteError, SendError, Vehicle, VehicleEvent};

/// Carries datagrams to a function whose lease is held, and telemetry back.
pub(super) struct Carrier {
    args: TunnelArgs,
    socket: UdpSocket,
    vehicle: Vehicle,
    holder: Holder,
    events: Events,
    /// Who sent the last datagram.
    peer: Option<SocketAddr>,
    counts: Counts,
    /// What was sent, and what the vehicle says of it.
    tally: Tally,
    /// Why datagrams were not sent, so that each reason is said once.
    unsent: Vec<SendError>,
}

/// Datagrams here, and receipts of reliable messages.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received: u64,
    without_lease: u64,
    applied: u64,
    refused: u64,
    expired: u64,
    unknown: u64,
    returned: u64,
    not_returned: u64,
}

impl Carrier {
    /// A tunnel whose lease is held; nothing is carried yet.
    pub(super) fn new(
        args: TunnelArgs,
        socket: UdpSocket,
        vehicle: Vehicle,
        holder: Holder,
        events: Events,
    ) -> Carrier {
        Carrier {
            args,
            socket,
            vehicle,
            holder,
            events,
            peer: None,
            counts: Counts::default(),
            tally: Tally::default(),
            unsent: Vec::new(),
        }
    }

    /// Says that the tunnel is ready, and carries until a signal comes.
    ///
    /// # Errors
    /// When somebody else takes the lease, or the socket or stdout fail.
    pub(super) async fn carry(mut self, shutdown: &mut Shutdown) -> Result<(), Failure> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        self.drop_waiting(&mut buffer);
        self.say_ready()?;
        let mut report = interval(REPORT_EVERY);
        report.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    let (length, from) = received?;
                    self.on_datagram(buffer.get(..length).unwrap_or_default(), from).await;
                }
                event = self.events.next() => match event {
                    Some(event) => self.on_event(event),
                    None => break Err(RemoteError::Ended.into()),
                },
                change = self.holder.change() => if let Err(failure) = self.on_change(change) {
                    break Err(failure);
                },
                _ = report.tick(), if self.args.json => if self.print_counts()? == Reader::Gone {
                    break Ok(());
                },
                _ = shutdown.wait() => break Ok(()),
            }
        };
        if self.args.json {
            self.print_counts()?;
        }
        self.say_end();
        self.holder.release(RELEASE_MAX).await;
        ended
    }

    /// What arrived before the tunnel was ready is of unknown age.
    fn drop_waiting(&mut self, buffer: &mut [u8]) {
        while self.socket.try_recv_from(buffer).is_ok() {
            self.counts.received += 1;
            self.counts.without_lease += 1;
        }
    }

    fn say_ready(&self) -> Result<(), Failure> {
        let listen = self.socket.local_addr()?;
        eprintln!("tunnel ready on {listen}");
        if self.args.json {
            let ready = json!({
                "event": "ready",
                "listen": listen.to_string(),
                "vehicle": self.args.vehicle.as_str(),
                "function": self.args.function.as_str(),
            });
            output::print([ready.to_string()])?;
        }
        Ok(())
    }

    async fn on_datagram(&mut self, bytes: &[u8], from: SocketAddr) {
        self.counts.received += 1;
        self.peer = Some(from);
        let Some(lease) = self.holder.lease() else {
            self.counts.without_lease += 1;
            return;
        };
        let order = Order {
            class: self.args.class.into(),
            ttl: Duration::from_millis(self.args.ttl_ms.into()),
            dead_man: false,
            resume: self.args.resume,
            application_id: None,
            picture_age: None,
            body: Body::Opaque(bytes.to_vec()),
        };
        let sent = lease.send(order).await;
        self.tally.on_command(sent.as_ref().ok().copied());
        // A lost lease is told by the holder.
        if let Err(why) = sent
            && why != SendError::LeaseLost
            && !self.unsent.contains(&why)
        {
            self.unsent.push(why);
            eprintln!(
                "a datagram of {} bytes is not sent: {why} (said once; all are counted)",
                bytes.len()
            );
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

    fn on_event(&mut self, event: VehicleEvent) {
        match event {
            VehicleEvent::Telemetry {
                function,
                telemetry: Telemetry::Opaque(bytes),
                ..
            } if function == self.args.function => {
                let returned = self
                    .peer
                    .is_some_and(|peer| self.socket.try_send_to(&bytes, peer).is_ok());
                self.counts.returned += u64::from(returned);
                self.counts.not_returned += u64::from(!returned);
            }
            VehicleEvent::Receipt {
                function, outcome, ..
            } if function == self.args.function => {
                let count = match report::outcome_word(&outcome) {
                    "applied" => &mut self.counts.applied,
                    "refused" => &mut self.counts.refused,
                    "expired" => &mut self.counts.expired,
                    _ => &mut self.counts.unknown,
                };
                *count += 1;
            }
            VehicleEvent::Up { .. } => self.tally.on_session(),
            VehicleEvent::Status(status) => self.on_status(&status),
            VehicleEvent::Down { .. }
            | VehicleEvent::Presence { .. }
            | VehicleEvent::Draining { .. }
            | VehicleEvent::Described { .. }
            | VehicleEvent::News { .. }
            | VehicleEvent::Telemetry { .. }
            | VehicleEvent::Receipt { .. }
            | VehicleEvent::LeaseLost { .. } => {}
        }
    }

    fn on_change(&mut self, change: Change) -> Result<(), Failure> {
        if matches!(change, Change::Taken) {
            eprintln!("the lease of {} is held again", self.args.function);
        }
        self.holder.insist(change)
    }

    fn print_counts(&self) -> Result<Reader, Failure> {
        let counts = &self.counts;
        let mut fields = self.figures();
        for (name, figure) in [
            ("event", json!("counters")),
            ("received", json!(counts.received)),
            ("without_lease", json!(counts.without_lease)),
            ("returned", json!(counts.returned)),
            ("not_returned", json!(counts.not_returned)),
            ("missed", json!(self.events.missed())),
        ] {
            fields.insert(name.to_string(), figure);
        }
        Ok(output::print([Value::Object(fields).to_string()])?)
    }

    /// What became of the messages: receipts where the class has them, else what the vehicle reports of the flow.
    fn figures(&self) -> Map<String, Value> {
        let mut fields = self.tally.fields();
        if self.args.class == TunnelClass::Reliable {
            let counts = &self.counts;
            fields.retain(|name, _| name == "sent" || name == "not_sent");
            for (name, count) in [
                ("applied", counts.applied),
                ("refused", counts.refused),
                ("expired", counts.expired),
                ("unknown", counts.unknown),
            ] {
                fields.insert(name.to_string(), json!(count));
            }
        }
        fields
    }

    fn say_end(&self) {
        let counts = &self.counts;
        let became = match self.args.class {
            TunnelClass::Reliable => format!(
                "{}, applied {}, refused {}, expired {}, unknown {}",
                self.tally.sent_line(),
                counts.applied,
                counts.refused,
                counts.expired,
                counts.unknown
            ),
            TunnelClass::Unordered | TunnelClass::Latest => self.tally.line(),
        };
        let (received, without, returned) =
            (counts.received, counts.without_lease, counts.returned);
        eprintln!("received {received}, without lease {without}, returned {returned}; {became}");
    }
}

/// Bytes of the longest UDP datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Between counters.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Of the 500 ms in which the tunnel ends after a signal.
const RELEASE_MAX: Duration = Duration::from_millis(150);
