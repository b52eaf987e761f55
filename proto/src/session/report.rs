//! Which flows a beat reports, when not all fit.

use std::collections::BTreeSet;

use crate::base::Flow;
use crate::base::limits::{FLOWS_PER_BEAT_MAX, REPORT_BYTES_MAX};
use crate::wire::FlowReport;

/// Takes turns: flows with news first, then the others from where the last report stopped.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    news: BTreeSet<u8>,
    /// First flow byte of the next turn.
    turn: u8,
    /// Something that the far end waits for changed since the last report.
    wanted: bool,
}

impl Reporter {
    /// The flow's state changed; `wanted` when the far end waits for it.
    pub(super) fn on_news(&mut self, flow: Flow, wanted: bool) {
        self.news.insert(flow.to_byte());
        self.wanted |= wanted;
    }

    pub(super) const fn wanted(&self) -> bool {
        self.wanted
    }

    /// Reports of as many of `flows` as fit. `report` makes the report of one flow with outcomes of at most so many bytes.
    // [WIRE-98]
    pub(super) fn report(
        &mut self,
        flows: &BTreeSet<u8>,
        mut report: impl FnMut(Flow, usize) -> FlowReport,
    ) -> Vec<FlowReport> {
        let order: Vec<u8> = self
            .news
            .intersection(flows)
            .chain(flows.range(self.turn..))
            .chain(flows.range(..self.turn))
            .copied()
            .collect();
        let mut room = REPORT_BYTES_MAX;
        let (mut done, mut reports) = (BTreeSet::new(), Vec::new());
        for byte in order {
            let Some(flow) = Flow::from_byte(byte) else {
                continue;
            };
            if done.contains(&byte) {
                continue;
            }
            let outcomes = room.saturating_sub(BARE_BYTES_MAX).min(OUTCOME_BYTES_MAX);
            let one = report(flow, outcomes);
            let bytes = one.encoded_len();
            if bytes > room || reports.len() == FLOWS_PER_BEAT_MAX {
                self.turn = byte;
                break;
            }
            room -= bytes;
            done.insert(byte);
            reports.push(one);
        }
        self.news = self.news.difference(&done).copied().collect();
        self.wanted = false;
        reports
    }
}

/// Most bytes of a flow's report without outcomes, and of the first outcome's number.
const BARE_BYTES_MAX: usize = 56;
/// Most bytes of one flow's outcomes, so that one flow leaves room for others.
const OUTCOME_BYTES_MAX: usize = 250;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Outcome;

    fn long(flow: Flow, outcome_bytes_max: usize) -> FlowReport {
        FlowReport {
            flow,
            send_floor: 1,
            resolved: 1,
            outcomes: (1..)
                .take(outcome_bytes_max / 3)
                .map(|number| (number, Outcome::Expired))
                .collect(),
            applied: 0,
            applied_age_us: 0,
            counts: crate::wire::FlowCounts::default(),
        }
    }

    // [WIRE-98]
    #[test]
    fn every_flow_has_its_turn_and_a_report_never_outgrows_its_room() {
        let flows: BTreeSet<u8> = (0..252).collect();
        let mut reporter = Reporter::default();
        let mut seen = BTreeSet::new();
        for _ in 0..252 {
            let reports = reporter.report(&flows, long);
            assert!(!reports.is_empty());
            let bytes: usize = reports.iter().map(FlowReport::encoded_len).sum();
            assert!(bytes <= REPORT_BYTES_MAX, "{bytes}");
            seen.extend(reports.iter().map(|r| r.flow.to_byte()));
        }
        assert_eq!(seen, flows);
    }

    #[test]
    fn a_flow_with_news_goes_first() {
        let flows: BTreeSet<u8> = (0..252).collect();
        let mut reporter = Reporter::default();
        let news = Flow::from_byte(202).unwrap();
        reporter.on_news(news, true);
        assert!(reporter.wanted());
        let reports = reporter.report(&flows, long);
        assert_eq!(reports[0].flow, news);
        assert!(!reporter.wanted());
        assert_ne!(reporter.report(&flows, long)[0].flow, news);
    }
}
