//! Lines that are reported together: a thousand devices are a few messages.

use std::collections::VecDeque;
use std::time::Duration;

use longrein_proto::base::MonoTime;

/// Lines that wait to be reported, for a moment.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    lines: Vec<u8>,
    full: VecDeque<Vec<u8>>,
    due: Option<MonoTime>,
}

impl Batch {
    /// One more line.
    pub(crate) fn push(&mut self, now: MonoTime, line: &str) {
        if !self.lines.is_empty() && self.lines.len() + line.len() > BYTES {
            self.full.push_back(std::mem::take(&mut self.lines));
        }
        if !self.lines.is_empty() {
            self.lines.push(b'\n');
        }
        self.lines.extend_from_slice(line.as_bytes());
        self.due.get_or_insert(now + WAIT);
    }

    /// The next lines that are due: when they fill a message, or the first has waited.
    pub(crate) fn pop(&mut self, now: MonoTime) -> Option<Vec<u8>> {
        if let Some(full) = self.full.pop_front() {
            return Some(full);
        }
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        Some(std::mem::take(&mut self.lines))
    }

    /// When lines are due.
    pub(crate) fn next_timeout(&self) -> Option<MonoTime> {
        self.due
    }
}

/// Bytes of a report: eight envelopes, so that a lost one costs little.
const BYTES: usize = 8 * 1024;
/// How long a line waits for others.
const WAIT: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_us(ms * 1_000)
    }

    #[test]
    fn lines_wait_for_each_other_for_a_moment() {
        let mut batch = Batch::default();
        assert_eq!(batch.next_timeout(), None);
        batch.push(at(0), "a");
        batch.push(at(15), "b");
        assert_eq!(batch.pop(at(19)), None);
        assert_eq!(batch.next_timeout(), Some(at(20)));
        assert_eq!(batch.pop(at(20)), Some(b"a\nb".to_vec()));
        assert_eq!((batch.pop(at(99)), batch.next_timeout()), (None, None));
    }

    #[test]
    fn a_full_report_does_not_wait_and_no_line_is_cut() {
        let mut batch = Batch::default();
        let line = "x".repeat(3_000);
        for _ in 0..5 {
            batch.push(at(0), &line);
        }
        let lines: usize = std::iter::from_fn(|| batch.pop(at(0)))
            .map(|lines| lines.split(|byte| *byte == b'\n').count())
            .sum();
        assert_eq!(lines, 4);
        assert_eq!(batch.pop(at(20)).unwrap().len(), 3_000);
    }
}
