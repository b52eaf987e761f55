//! Beats: the state that both ends of a session repeat to each other on the session channel's `latest` flow.

use super::reader::{DecodeError, Reader, TOO_LARGE, UNKNOWN_KIND};
use super::word::stage;
use super::writer::Writer;
use crate::base::limits::{
    BEAT_BYTES_MAX, FLOWS_PER_BEAT_MAX, FUNCTIONS_MAX, OUTCOMES_PER_FLOW_MAX,
};
use crate::base::{Channel, FencingToken, Flow, NodeName, Refusal, Stage};

/// Answers the other end's newest beat: with the sending time of the beat that carries it, a clock sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEcho {
    /// Sealed sending time of that beat, on its sender's clock.
    pub sent_at_us: u64,
    /// Arrival of that beat, on this beat's sender's clock.
    pub received_at_us: u64,
}

impl ClockEcho {
    fn encode(&self, writer: &mut Writer) {
        writer.u48(self.sent_at_us);
        writer.u48(self.received_at_us);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<ClockEcho, DecodeError> {
        Ok(ClockEcho {
            sent_at_us: reader.u48()?,
            received_at_us: reader.u48()?,
        })
    }
}

/// State of a controller, at TTL/5 while it holds a lease, else at 1 Hz.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerBeat {
    /// Answers the agent's newest beat.
    pub echo: Option<ClockEcho>,
    /// Leases that are to be renewed.
    pub renewals: Vec<Renewal>,
    /// For each flow that the controller receives or sends reliably: see [`FlowReport`].
    pub flows: Vec<FlowReport>,
}

impl ControllerBeat {
    /// The beat's bytes. The caller keeps them within [`BEAT_BYTES_MAX`]: flow reports for which there is no room go into
    /// the next beats.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(if self.echo.is_some() { ECHO } else { 0 });
        if let Some(echo) = &self.echo {
            echo.encode(&mut writer);
        }
        writer.count(self.renewals.len());
        for renewal in &self.renewals {
            writer.channel(renewal.channel);
            writer.token(renewal.token);
        }
        encode_flows(&self.flows, &mut writer);
        writer.into_vec()
    }

    /// The beat that these bytes are.
    ///
    /// # Errors
    /// They are none: the far end is broken. Counted and dropped.
    pub fn decode(bytes: &[u8]) -> Result<ControllerBeat, DecodeError> {
        let mut reader = Reader::new(bytes, BEAT_BYTES_MAX)?;
        let bits = reader.bits(ECHO)?;
        let echo = decode_echo(bits, &mut reader)?;
        let mut renewals = Vec::new();
        for _ in 0..reader.count(FUNCTIONS_MAX)? {
            renewals.push(Renewal {
                channel: reader.channel()?,
                token: reader.token()?,
            });
        }
        let flows = decode_flows(&mut reader)?;
        reader.finish()?;
        Ok(ControllerBeat {
            echo,
            renewals,
            flows,
        })
    }
}

/// Renews one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The function.
    pub channel: Channel,
    /// The lease's token.
    pub token: FencingToken,
}

/// State of an agent, at the same rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentBeat {
    /// Answers the controller's newest beat.
    pub echo: Option<ClockEcho>,
    /// Whether the emergency stop is latched.
    pub stopped: bool,
    /// Generation of the emergency stop: grows with each reset.
    pub stop_generation: u32,
    /// One for each function, in the order of the channels.
    pub functions: Vec<FunctionReport>,
    /// As in [`ControllerBeat`].
    pub flows: Vec<FlowReport>,
}

impl AgentBeat {
    /// The beat's bytes. The caller keeps them within [`BEAT_BYTES_MAX`]: flow reports for which there is no room go into
    /// the next beats.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let echo = if self.echo.is_some() { ECHO } else { 0 };
        let stopped = if self.stopped { STOPPED } else { 0 };
        writer.u8(echo | stopped);
        if let Some(echo) = &self.echo {
            echo.encode(&mut writer);
        }
        writer.leb(self.stop_generation.into());
        let holders = self.holders();
        writer.count(holders.len());
        for holder in &holders {
            writer.node_name(holder);
        }
        writer.count(self.functions.len());
        for function in &self.functions {
            let place = holders
                .iter()
                .position(|&holder| Some(holder) == function.holder.as_ref())
                .and_then(|place| u8::try_from(place + 1).ok())
                .unwrap_or(0);
            writer.u8(function.stage as u8 | (place << 2));
            writer.token(function.token);
        }
        encode_flows(&self.flows, &mut writer);
        writer.into_vec()
    }

    /// The beat that these bytes are.
    ///
    /// # Errors
    /// They are none: the far end is broken. Counted and dropped.
    pub fn decode(bytes: &[u8]) -> Result<AgentBeat, DecodeError> {
        let mut reader = Reader::new(bytes, BEAT_BYTES_MAX)?;
        let bits = reader.bits(ECHO | STOPPED)?;
        let echo = decode_echo(bits, &mut reader)?;
        let stop_generation = reader.leb_u32(u32::MAX)?;
        let mut holders = Vec::new();
        for _ in 0..reader.count(FUNCTIONS_MAX)? {
            holders.push(reader.node_name()?);
        }
        let mut functions = Vec::new();
        for _ in 0..reader.count(FUNCTIONS_MAX)? {
            let byte = reader.u8()?;
            let holder = match usize::from(byte >> 2) {
                0 => None,
                place => Some(holders.get(place - 1).ok_or(TOO_LARGE)?.clone()),
            };
            functions.push(FunctionReport {
                stage: stage(byte & 3)?,
                token: reader.token()?,
                holder,
            });
        }
        let flows = decode_flows(&mut reader)?;
        reader.finish()?;
        let beat = AgentBeat {
            echo,
            stopped: bits & STOPPED != 0,
            stop_generation,
            functions,
            flows,
        };
        // [WIRE-30]
        if !beat.holders().into_iter().eq(&holders) {
            return Err(DecodeError::Malformed(
                "holders are named once, in the order of the functions",
            ));
        }
        Ok(beat)
    }

    /// Who holds functions: each once, in the order of the functions.
    fn holders(&self) -> Vec<&NodeName> {
        let mut holders = Vec::new();
        for holder in self.functions.iter().filter_map(|f| f.holder.as_ref()) {
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        holders
    }
}

/// How a function stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionReport {
    /// Stage of its watchdog.
    pub stage: Stage,
    /// Token of the newest lease.
    pub token: FencingToken,
    /// Who holds it.
    pub holder: Option<NodeName>,
}

/// How one flow stands, said by either end: as a receiver what became of the messages, as a reliable sender what is no
/// longer worth waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowReport {
    /// The flow.
    pub flow: Flow,
    /// As its sender: numbers below this one will not be sent (again); their receipts are no longer needed.
    pub send_floor: u64,
    /// As its receiver: every number up to this one is resolved.
    pub resolved: u64,
    /// As its receiver: what became of single numbers at or above the other end's send floor, oldest first, at most 128.
    /// A number up to `resolved` that is not listed was applied.
    pub outcomes: Vec<(u64, Outcome)>,
    /// As its receiver: the highest number that was applied, 0 before the first.
    pub applied: u64,
    /// Age of that message when it was applied, in µs.
    pub applied_age_us: u32,
}

impl FlowReport {
    /// Bytes that the report takes in a beat.
    pub fn encoded_len(&self) -> usize {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_vec().len()
    }

    fn encode(&self, writer: &mut Writer) {
        writer.flow(self.flow);
        writer.leb(self.send_floor);
        writer.leb(self.resolved);
        writer.leb(self.applied);
        writer.leb(self.applied_age_us.into());
        writer.count(self.outcomes.len());
        let mut last = 0;
        for (number, outcome) in &self.outcomes {
            // A list that does not ascend wraps and is refused by its reader.
            writer.leb(number.wrapping_sub(last).wrapping_sub(1));
            outcome.encode(writer);
            last = *number;
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<FlowReport, DecodeError> {
        let flow = reader.flow()?;
        let send_floor = reader.leb()?;
        let resolved = reader.leb()?;
        let applied = reader.leb()?;
        let applied_age_us = reader.leb_u32(u32::MAX)?;
        let mut outcomes = Vec::new();
        let mut last = 0_u64;
        for _ in 0..reader.count(OUTCOMES_PER_FLOW_MAX)? {
            // [WIRE-31]
            last = reader
                .leb()?
                .checked_add(1)
                .and_then(|gap| last.checked_add(gap))
                .ok_or(TOO_LARGE)?;
            outcomes.push((last, Outcome::decode(reader)?));
        }
        Ok(FlowReport {
            flow,
            send_floor,
            resolved,
            outcomes,
            applied,
            applied_age_us,
        })
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// It did not, and why.
    Refused(Refusal),
    /// Its time to live was over.
    Expired,
}

impl Outcome {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Outcome::Applied => writer.u8(APPLIED),
            Outcome::Refused(refusal) => {
                writer.u8(REFUSED);
                writer.refusal(refusal);
            }
            Outcome::Expired => writer.u8(EXPIRED),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Outcome, DecodeError> {
        match reader.u8()? {
            APPLIED => Ok(Outcome::Applied),
            REFUSED => Ok(Outcome::Refused(reader.refusal()?)),
            EXPIRED => Ok(Outcome::Expired),
            _ => Err(UNKNOWN_KIND),
        }
    }
}

fn decode_echo(bits: u8, reader: &mut Reader<'_>) -> Result<Option<ClockEcho>, DecodeError> {
    if bits & ECHO == 0 {
        Ok(None)
    } else {
        ClockEcho::decode(reader).map(Some)
    }
}

fn encode_flows(flows: &[FlowReport], writer: &mut Writer) {
    writer.count(flows.len());
    for flow in flows {
        flow.encode(writer);
    }
}

fn decode_flows(reader: &mut Reader<'_>) -> Result<Vec<FlowReport>, DecodeError> {
    let mut flows = Vec::new();
    for _ in 0..reader.count(FLOWS_PER_BEAT_MAX)? {
        flows.push(FlowReport::decode(reader)?);
    }
    Ok(flows)
}

/// Bit: an echo follows.
const ECHO: u8 = 0x01;
/// Bit: the emergency stop is latched.
const STOPPED: u8 = 0x02;

const APPLIED: u8 = 0;
const REFUSED: u8 = 1;
const EXPIRED: u8 = 2;
