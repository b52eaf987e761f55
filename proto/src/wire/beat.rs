//! Beats: the state that both ends of a session repeat to each other on the session channel's `latest` flow.

use super::FlowReport;
use super::reader::{DecodeError, Reader, TOO_LARGE};
use super::word::stage;
use super::writer::Writer;
use crate::base::limits::{BEAT_BYTES_MAX, FLOWS_PER_BEAT_MAX, FUNCTIONS_MAX};
use crate::base::{Channel, FencingToken, NodeName, Stage};

/// Answers the other end's newest beat: with the sending time of the beat that carries it, a clock sample.
///
/// ```text
/// offset  bytes
///      0  6      sent_at_us
///      6  6      received_at_us
///
/// 0000d693a400 0000d693c340
/// ```
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
///
/// ```text
/// offset  bytes
///      0  1      bit 0: echo, others zero
///      1  [12]   echo, see ClockEcho
///      .  1      count of renewals, at most 62
///      .  ..     renewals: 1 channel, 1..10 token (LEB128)
///      .  1      count of flow reports, at most 64
///      .  ..     flow reports, see FlowReport
///
/// 01 0000d693a400 0000d693c340 01 01 07 01 02 03 05 05 c413 02 01 00 01 03 02
/// ```
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
    // [WIRE-27]
    pub fn decode(bytes: &[u8]) -> Result<ControllerBeat, DecodeError> {
        // [WIRE-26]
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
///
/// ```text
/// offset  bytes
///      0  1      bit 0: echo, bit 1: stopped, bit 2: times, others zero
///      1  [12]   echo, see ClockEcho
///      .  1..5   stop_generation (LEB128)
///      .  1      count of holders, at most 62
///      .  ..     holders, each once, in the order of the functions: 1 kind, 2+ name
///      .  1      count of functions, at most 62
///      .  ..     functions: 1 stage in bits 1..0 and place of the holder (from 1, 0 is none) in bits 7..2,
///                1..10 token (LEB128)
///      .  1      count of flow reports, at most 64
///      .  ..     flow reports, see FlowReport
///      .  [5+]   times of the newest command, see LegTimes
///
/// 06 04 01 02 04 6465736b 02 04 07 03 00 00 02 904e 05 904e 03
/// ```
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
    /// Where the time of this session's newest applied command went.
    pub times: Option<LegTimes>,
}

/// Where a command's time went, leg by leg, each in units of 10 µs.
///
/// ```text
/// offset  bytes
///      0  5+     controller, uplink, relay, downlink, agent: 1..5 each (LEB128)
///
/// 02 904e 05 904e 03
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegTimes {
    /// Held by the controller.
    pub controller_10us: u32,
    /// On the way to the relay.
    pub uplink_10us: u32,
    /// Held by the relay.
    pub relay_10us: u32,
    /// On the way to the agent.
    pub downlink_10us: u32,
    /// Held by the agent until it took effect.
    pub agent_10us: u32,
}

impl LegTimes {
    fn encode(self, writer: &mut Writer) {
        for part in self.parts() {
            writer.leb(part.into());
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<LegTimes, DecodeError> {
        Ok(LegTimes {
            controller_10us: reader.leb_u32(u32::MAX)?,
            uplink_10us: reader.leb_u32(u32::MAX)?,
            relay_10us: reader.leb_u32(u32::MAX)?,
            downlink_10us: reader.leb_u32(u32::MAX)?,
            agent_10us: reader.leb_u32(u32::MAX)?,
        })
    }

    /// The parts in the order of the journey.
    pub const fn parts(self) -> [u32; 5] {
        [
            self.controller_10us,
            self.uplink_10us,
            self.relay_10us,
            self.downlink_10us,
            self.agent_10us,
        ]
    }
}

impl AgentBeat {
    /// The beat's bytes. The caller keeps them within [`BEAT_BYTES_MAX`]: flow reports for which there is no room go into
    /// the next beats.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let echo = if self.echo.is_some() { ECHO } else { 0 };
        let stopped = if self.stopped { STOPPED } else { 0 };
        let times = if self.times.is_some() { TIMES } else { 0 };
        writer.u8(echo | stopped | times);
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
        if let Some(times) = self.times {
            times.encode(&mut writer);
        }
        writer.into_vec()
    }

    /// The beat that these bytes are.
    ///
    /// # Errors
    /// They are none: the far end is broken. Counted and dropped.
    // [WIRE-28]
    pub fn decode(bytes: &[u8]) -> Result<AgentBeat, DecodeError> {
        let mut reader = Reader::new(bytes, BEAT_BYTES_MAX)?;
        let bits = reader.bits(ECHO | STOPPED | TIMES)?;
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
        let times = match bits & TIMES {
            0 => None,
            _ => Some(LegTimes::decode(&mut reader)?),
        };
        reader.finish()?;
        let beat = AgentBeat {
            echo,
            stopped: bits & STOPPED != 0,
            stop_generation,
            functions,
            flows,
            times,
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
/// Times stand at the end of an agent's beat.
const TIMES: u8 = 0x04;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::flow_report::tests::flow_report;
    use crate::wire::vector::{assert_vector, hex};

    #[test]
    fn a_controller_beat_looks_like_its_picture() {
        // [WIRE-27]
        let beat = ControllerBeat {
            echo: Some(ClockEcho {
                sent_at_us: 3_600_000_000,
                received_at_us: 3_600_008_000,
            }),
            renewals: vec![Renewal {
                channel: Channel::new(1).unwrap(),
                token: FencingToken(7),
            }],
            flows: vec![flow_report()],
        };
        assert_vector(
            "01 0000d693a400 0000d693c340 01 01 07 01 02 03 05 05 c413 02 01 00 01 03 02",
            &beat,
            ControllerBeat::encode,
            ControllerBeat::decode,
        );
    }

    #[test]
    fn an_agent_beat_looks_like_its_picture() {
        // [WIRE-28] [WIRE-30]
        let beat = AgentBeat {
            echo: None,
            stopped: true,
            stop_generation: 4,
            functions: vec![
                FunctionReport {
                    stage: Stage::Nominal,
                    token: FencingToken(7),
                    holder: Some("controller/desk".parse().unwrap()),
                },
                FunctionReport {
                    stage: Stage::MinimalRisk,
                    token: FencingToken(0),
                    holder: None,
                },
            ],
            flows: vec![],
            times: Some(LegTimes {
                controller_10us: 2,
                uplink_10us: 10_000,
                relay_10us: 5,
                downlink_10us: 10_000,
                agent_10us: 3,
            }),
        };
        assert_vector(
            "06 04 01 02 04 6465736b 02 04 07 03 00 00 02 904e 05 904e 03",
            &beat,
            AgentBeat::encode,
            AgentBeat::decode,
        );
    }

    #[test]
    fn holders_are_named_once_in_order_and_only_when_they_hold() {
        // [WIRE-30]
        for right in ["00 00 00 00 00", "00 00 02 020161 020162 02 0400 0800 00"] {
            assert!(AgentBeat::decode(&hex(right)).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("00 00 01 020161 01 0000 00", "no function names it"),
            ("00 00 02 020161 020161 02 0400 0800 00", "named twice"),
            ("00 00 02 020161 020162 02 0800 0400 00", "in another order"),
            ("00 00 01 020161 01 0800 00", "no such place"),
        ] {
            assert!(AgentBeat::decode(&hex(wrong)).is_err(), "{why}");
        }
    }

    #[test]
    fn a_beat_over_its_limits_is_refused() {
        // [WIRE-26] [WIRE-27] [WIRE-28]
        let report = FlowReport {
            outcomes: vec![],
            ..flow_report()
        };
        let mut beat = ControllerBeat {
            flows: vec![report; FLOWS_PER_BEAT_MAX],
            ..ControllerBeat::default()
        };
        assert!(ControllerBeat::decode(&beat.encode()).is_ok());
        beat.flows.push(flow_report());
        assert!(ControllerBeat::decode(&beat.encode()).is_err());

        beat.flows.clear();
        let renewal = Renewal {
            channel: Channel::SESSION,
            token: FencingToken(0),
        };
        beat.renewals = vec![renewal; FUNCTIONS_MAX + 1];
        assert!(ControllerBeat::decode(&beat.encode()).is_err());

        let function = FunctionReport {
            stage: Stage::Hold,
            token: FencingToken(u64::MAX),
            holder: None,
        };
        let mut beat = AgentBeat {
            functions: vec![function; FUNCTIONS_MAX],
            ..AgentBeat::default()
        };
        assert!(AgentBeat::decode(&beat.encode()).is_ok());
        beat.flows = vec![flow_report(); 40];
        assert!(beat.encode().len() > BEAT_BYTES_MAX);
        assert!(AgentBeat::decode(&beat.encode()).is_err());
    }

    #[test]
    fn a_beat_of_62_functions_and_eight_holders_with_the_longest_names_leaves_room() {
        // [WIRE-26]
        let functions = (0..FUNCTIONS_MAX)
            .map(|n| FunctionReport {
                stage: Stage::Nominal,
                token: FencingToken(10_000),
                holder: format!("controller/{}", format!("{}", n % 8).repeat(48))
                    .parse()
                    .ok(),
            })
            .collect();
        let beat = AgentBeat {
            functions,
            flows: vec![flow_report(); 30],
            ..AgentBeat::default()
        };
        assert!(beat.encode().len() <= BEAT_BYTES_MAX);
    }
}
