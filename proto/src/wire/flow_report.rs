//! How one flow stands.

use super::reader::{DecodeError, Reader, TOO_LARGE, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::OUTCOMES_PER_FLOW_MAX;
use crate::base::{Flow, Refusal};

/// How one flow stands, said by either end: as a receiver what became of the messages, as a reliable sender what is no
/// longer worth waiting for.
///
/// ```text
/// offset  bytes
///      0  1      flow: channel in bits 7..2, class in bits 1..0
///      1  1..10  send_floor (LEB128)
///      .  1..10  resolved (LEB128)
///      .  1..10  applied (LEB128)
///      .  1..5   applied_age_us (LEB128)
///      .  3+     superseded, expired, refused: 1..10 each (LEB128)
///      .  1      count of outcomes, at most 128
///      .  ..     outcomes: 1..10 numbers skipped since the one before (LEB128), 1 outcome (0 applied, 1 refused and
///                1+ refusal, 2 expired)
///
/// 02 03 05 05 c413 02 01 00 01 03 02
/// ```
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
    /// As its receiver: how many of all messages did not take effect.
    pub counts: FlowCounts,
}

/// How many messages of a flow arrived and did not take effect, since the session began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Behind a newer one of a `latest` flow.
    pub superseded: u64,
    /// After their time to live.
    pub expired: u64,
    /// For another reason.
    pub refused: u64,
}

impl FlowReport {
    /// Bytes that the report takes in a beat.
    pub fn encoded_len(&self) -> usize {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.into_vec().len()
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.flow(self.flow);
        writer.leb(self.send_floor);
        writer.leb(self.resolved);
        writer.leb(self.applied);
        writer.leb(self.applied_age_us.into());
        writer.leb(self.counts.superseded);
        writer.leb(self.counts.expired);
        writer.leb(self.counts.refused);
        writer.count(self.outcomes.len());
        let mut last = 0;
        for (number, outcome) in &self.outcomes {
            // A list that does not ascend wraps and is refused by its reader.
            writer.leb(number.wrapping_sub(last).wrapping_sub(1));
            outcome.encode(writer);
            last = *number;
        }
    }

    // [WIRE-29]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<FlowReport, DecodeError> {
        let flow = reader.flow()?;
        let send_floor = reader.leb()?;
        let resolved = reader.leb()?;
        let applied = reader.leb()?;
        let applied_age_us = reader.leb_u32(u32::MAX)?;
        let counts = FlowCounts {
            superseded: reader.leb()?,
            expired: reader.leb()?,
            refused: reader.leb()?,
        };
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
            counts,
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

const APPLIED: u8 = 0;
const REFUSED: u8 = 1;
const EXPIRED: u8 = 2;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::limits::BEAT_BYTES_MAX;
    use crate::base::{Channel, Class};
    use crate::wire::vector::assert_vector;

    pub fn flow_report() -> FlowReport {
        FlowReport {
            flow: Flow::new(Channel::SESSION, Class::Reliable),
            send_floor: 3,
            resolved: 5,
            outcomes: vec![(4, Outcome::Expired)],
            applied: 5,
            applied_age_us: 2_500,
            counts: FlowCounts {
                superseded: 2,
                expired: 1,
                refused: 0,
            },
        }
    }

    fn encode(report: &FlowReport) -> Vec<u8> {
        let mut writer = Writer::new();
        report.encode(&mut writer);
        writer.into_vec()
    }

    fn decode(bytes: &[u8]) -> Result<FlowReport, DecodeError> {
        let mut reader = Reader::new(bytes, BEAT_BYTES_MAX)?;
        let report = FlowReport::decode(&mut reader)?;
        reader.finish()?;
        Ok(report)
    }

    #[test]
    fn a_flow_report_looks_like_its_picture() {
        // [WIRE-29]
        assert_vector(
            "02 03 05 05 c413 02 01 00 01 03 02",
            &flow_report(),
            encode,
            decode,
        );
        assert_eq!(flow_report().encoded_len(), 12);
    }

    #[test]
    fn outcomes_ascend() {
        // [WIRE-31]
        let report = |outcomes| FlowReport {
            outcomes,
            ..flow_report()
        };
        let last = report(vec![(1, Outcome::Applied), (u64::MAX, Outcome::Expired)]);
        assert_eq!(decode(&encode(&last)), Ok(last));
        for wrong in [vec![0], vec![4, 4], vec![5, 4]] {
            let outcomes = wrong.iter().map(|&n| (n, Outcome::Expired)).collect();
            assert!(decode(&encode(&report(outcomes))).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn more_than_128_outcomes_are_refused() {
        // [WIRE-29]
        let report = |count| FlowReport {
            outcomes: (1..=count).map(|n| (n, Outcome::Applied)).collect(),
            ..flow_report()
        };
        assert!(decode(&encode(&report(128))).is_ok());
        assert!(decode(&encode(&report(129))).is_err());
    }
}
