//! Log lines that strangers can cause.

use longrein_proto::base::MonoTime;
use std::time::Duration;

/// Lets one line through every [`EVERY`], and knows how many were held back since.
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    said: Option<MonoTime>,
    unsaid: u64,
}

impl Sparse {
    /// Whether to say it now, and how often it was not said since the last time.
    pub(crate) fn allow(&mut self, now: MonoTime) -> Option<u64> {
        if self.said.is_some_and(|said| now.since(said) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// Six lines a minute are read, and do not fill a disk.
const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_with_a_count() {
        let mut sparse = Sparse::default();
        let start = MonoTime::from_us(1);
        assert_eq!(sparse.allow(start), Some(0));
        assert_eq!(sparse.allow(start), None);
        assert_eq!(sparse.allow(start + EVERY), Some(1));
    }
}
