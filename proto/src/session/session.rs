//! One session.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use super::incoming::Incoming;
use super::judge::BEATS;
use super::outgoing::{Outgoing, clock_reading};
use super::report::Reporter;
use super::sender::is_reliable;
use super::{Delivery, Dictionaries, FarClock, FlowStats, Outbound, Receipt, Rejection, SendError};
use crate::base::limits::BEATS_REMEMBERED;
use crate::base::{Channel, ClockSample, Flow, MonoTime, Name, NodeName, SessionId};
use crate::crypto::{OpenKey, SealKey};
use crate::wire::{ClockEcho, DictionaryTag, FlowCounts, FlowReport, Outcome, SealedHeader};

/// Two nodes end to end: seals what this one sends, and delivers what the other sent, once, in order and in time.
///
/// The role carries [`Outbound`]s to every leg, and puts [`Session::report`] into its beats, which are messages of the
/// session channel's `latest` flow; of a beat that was delivered to it, it hands the same parts to [`Session::on_report`].
pub struct Session {
    id: SessionId,
    peer: NodeName,
    outgoing: Outgoing,
    incoming: Incoming,
    clock: FarClock,
    reporter: Reporter,
    /// Sending times of the newest own beats.
    beats: VecDeque<u64>,
    /// Answer to the newest beat of the far end.
    echo: Option<ClockEcho>,
    unknown_echoes: u64,
    ended: bool,
}

/// What happened to a session, beside its flows and rejections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Envelopes that were sealed.
    pub sealed: u64,
    /// Envelopes that opened.
    pub opened: u64,
    /// Messages that were compressed.
    pub compressed: u64,
    /// Messages whose compressed bytes are garbled.
    pub garbled: u64,
    /// Messages that were compressed with a dictionary which this end lacks.
    pub without_dictionary: u64,
    /// Messages in fragments that were given up for want of room.
    pub assemblies_dropped: u64,
    /// Changes to the next key for sealing.
    pub key_rotations: u64,
    /// Echoes of a beat that was not sent, or too long ago.
    pub unknown_echoes: u64,
    /// Clock samples that contradict themselves.
    pub clock_rejected: u64,
    /// Clock samples that contradict everything before: a clock was stepped.
    pub clock_stepped: u64,
    /// Flow reports that speak of numbers that were never sent.
    pub false_reports: u64,
}

impl Session {
    /// A session whose handshake is complete. `sample` is the handshake's clock sample, if this end has one.
    pub fn new(
        id: SessionId,
        peer: NodeName,
        seal: SealKey,
        open: OpenKey,
        sample: Option<ClockSample>,
        dictionaries: Dictionaries,
    ) -> Session {
        let mut clock = FarClock::new();
        if let Some(sample) = sample {
            clock.on_sample(sample);
        }
        Session {
            id,
            peer,
            outgoing: Outgoing::new(id, seal, dictionaries.clone()),
            incoming: Incoming::new(id, open, dictionaries),
            clock,
            reporter: Reporter::default(),
            beats: VecDeque::new(),
            echo: None,
            unknown_echoes: 0,
            ended: false,
        }
    }

    /// The session's number.
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// The other end.
    pub const fn peer(&self) -> &NodeName {
        &self.peer
    }

    /// What is known of the far end's clock.
    pub const fn clock(&self) -> &FarClock {
        &self.clock
    }

    /// The dictionaries that the far end is to be told of.
    pub fn dictionaries(&self) -> Vec<DictionaryTag> {
        self.outgoing.dictionaries().tags()
    }

    /// The far end has these dictionaries. What is the same here is used from now on.
    // [WIRE-126]
    pub fn on_dictionaries(&mut self, theirs: &[DictionaryTag]) {
        self.outgoing.on_dictionaries(theirs);
    }

    /// A channel is this function's: its messages are compressed with the dictionary that is meant for the function, once the
    /// far end has said that it has the same.
    pub fn name_channel(&mut self, channel: Channel, function: &Name) {
        self.outgoing.name_channel(channel, function);
    }

    /// Seals a message that is worth something for `ttl` (whole milliseconds) from now, and returns its number: that of
    /// its last envelope.
    ///
    /// # Errors
    /// The message is not sent, and says why: see [`SendError`].
    pub fn send(
        &mut self,
        now: MonoTime,
        flow: Flow,
        ttl: Duration,
        message: &[u8],
    ) -> Result<u64, SendError> {
        if self.ended {
            return Err(SendError::Ended);
        }
        let number = self.outgoing.send(now, flow, ttl, message)?;
        if flow == BEATS {
            self.beats.push_back(clock_reading(now));
            if self.beats.len() > BEATS_REMEMBERED {
                self.beats.pop_front();
            }
        }
        Ok(number)
    }

    /// Envelopes of a flow that may be sent before one of those without a receipt is resolved.
    pub fn room(&self, flow: Flow) -> u64 {
        self.outgoing.room(flow)
    }

    /// The next envelope to offer to every leg.
    pub fn poll_transmit(&mut self) -> Option<Outbound> {
        self.outgoing.poll_transmit()
    }

    /// Reliable envelopes that have neither receipt nor passed deadline, stops first: to be offered again to a leg that
    /// comes (back), and to every leg now and then.
    pub fn unresolved(&self) -> impl Iterator<Item = &Outbound> {
        self.outgoing.unresolved()
    }

    /// Takes an envelope from a leg.
    ///
    /// # Errors
    /// It is dropped, and says why: see [`Rejection`]. To be counted.
    pub fn on_sealed(
        &mut self,
        now: MonoTime,
        header: SealedHeader,
        ciphertext: &[u8],
    ) -> Result<(), Rejection> {
        if self.ended {
            return Err(Rejection::Ended);
        }
        self.watching(header.flow, |session| {
            session
                .incoming
                .on_sealed(now, &session.clock, header, ciphertext)
        })
    }

    /// The next message of the far end.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.incoming.poll_delivery()
    }

    /// What became of a delivered message. The first word counts; the far end learns it with the next beat.
    pub fn on_outcome(&mut self, flow: Flow, number: u64, outcome: Outcome) {
        self.watching(flow, |session| {
            session.incoming.on_outcome(flow, number, outcome);
        });
    }

    /// The parts of the next beat: the echo of the far end's newest beat, and the state of the flows, of which as many as
    /// fit beside leases and stages.
    pub fn report(&mut self) -> (Option<ClockEcho>, Vec<FlowReport>) {
        let (outgoing, incoming) = (&self.outgoing, &self.incoming);
        let flows: BTreeSet<u8> = outgoing
            .reliable_flows()
            .chain(incoming.flows())
            .filter(|&flow| flow != BEATS.to_byte())
            .collect();
        let reports = self.reporter.report(&flows, |flow, outcome_bytes_max| {
            let mut report = FlowReport {
                flow,
                send_floor: outgoing.floor(flow),
                resolved: 0,
                outcomes: Vec::new(),
                applied: 0,
                applied_age_us: 0,
                counts: FlowCounts::default(),
            };
            incoming.report(&mut report, outcome_bytes_max);
            report
        });
        (self.echo, reports)
    }

    /// Whether the far end waits for something that the next beat says: a receipt, or a floor. The role need not wait for
    /// the beat's time then.
    pub const fn report_wanted(&self) -> bool {
        self.reporter.wanted()
    }

    /// Takes the same parts of a beat that was delivered at `now` and sent at `sent_at_us` of the far clock.
    // [WIRE-86] [WIRE-98] [WIRE-100]
    pub fn on_report(
        &mut self,
        now: MonoTime,
        sent_at_us: u64,
        echo: Option<ClockEcho>,
        flows: &[FlowReport],
    ) {
        if self.ended {
            return;
        }
        self.echo = Some(ClockEcho {
            sent_at_us,
            received_at_us: clock_reading(now),
        });
        if let Some(echo) = echo {
            self.on_echo(now, sent_at_us, echo);
        }
        for report in flows {
            if self.outgoing.on_report(report) {
                self.reporter.on_news(report.flow, false);
            }
            if report.send_floor > 1 && is_reliable(report.flow.class) {
                self.watching(report.flow, |session| {
                    session
                        .incoming
                        .on_floor(now, &session.clock, report.flow, report.send_floor);
                });
            }
        }
    }

    /// The next word on an own reliable message.
    pub fn poll_receipt(&mut self) -> Option<Receipt> {
        self.outgoing.poll_receipt()
    }

    /// Ends the session: all own reliable messages without a receipt become unknown, and nothing is sent or delivered any
    /// more.
    pub fn end(&mut self) {
        self.ended = true;
        self.outgoing.end();
        self.incoming.end();
    }

    /// Gives up what is over.
    pub fn on_timeout(&mut self, now: MonoTime) {
        self.incoming.on_key_timeout(now);
        if self.ended {
            return;
        }
        let risen = self.outgoing.on_timeout(now);
        let over = self.incoming.on_timeout(now, &self.clock);
        for flow in risen.into_iter().chain(over) {
            self.reporter.on_news(flow, true);
        }
    }

    /// When [`Session::on_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<MonoTime> {
        let flows = if self.ended {
            [None, None]
        } else {
            [self.outgoing.next_timeout(), self.incoming.next_timeout()]
        };
        flows
            .into_iter()
            .flatten()
            .chain(self.incoming.next_key_timeout())
            .min()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        let (sent, received) = (self.outgoing.counts, self.incoming.counts);
        Counters {
            sealed: sent.sealed,
            opened: received.opened,
            compressed: sent.compressed,
            garbled: received.garbled,
            without_dictionary: received.without_dictionary,
            assemblies_dropped: received.assemblies_dropped,
            key_rotations: sent.key_rotations,
            unknown_echoes: self.unknown_echoes,
            clock_rejected: self.clock.rejected(),
            clock_stepped: self.clock.stepped(),
            false_reports: sent.false_reports,
        }
    }

    /// What became of the messages of each incoming flow.
    pub fn flow_stats(&self) -> impl Iterator<Item = (Flow, FlowStats)> {
        self.incoming.stats()
    }

    /// The highest own number that the far end says it applied, and its age then, if that was known.
    pub fn applied_by_peer(&self, flow: Flow) -> Option<(u64, Option<Duration>)> {
        self.outgoing.applied(flow)
    }

    /// Only an own beat that was sent lately counts, whose sending time nobody else knows.
    // [WIRE-100]
    fn on_echo(&mut self, now: MonoTime, far_sent_us: u64, echo: ClockEcho) {
        if self.beats.contains(&echo.sent_at_us) {
            self.clock.on_sample(ClockSample {
                sent: MonoTime::from_us(echo.sent_at_us),
                far_received_us: echo.received_at_us,
                far_sent_us,
                received: now,
            });
        } else {
            self.unknown_echoes += 1;
        }
    }

    /// Does something to an incoming flow, and wants a report when that settled messages whose sender waits for a receipt.
    fn watching<T>(&mut self, flow: Flow, act: impl FnOnce(&mut Session) -> T) -> T {
        let settled = self.incoming.settled(flow);
        let result = act(self);
        let wanted = is_reliable(flow.class) && self.incoming.settled(flow) != settled;
        self.reporter.on_news(flow, wanted);
        result
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
