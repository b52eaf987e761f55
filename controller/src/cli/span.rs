//! Spans of time as people write them.

use std::str::FromStr;

/// A span of at least a second and at most ten years: `90s`, `15m`, `12h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(u64);

impl Span {
    /// Its length.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Span, SpanError> {
        let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
        let parse = |(unit, seconds): (&str, u64)| {
            let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
            count.checked_mul(seconds)
        };
        let seconds = units.into_iter().find_map(parse);
        let seconds = seconds.filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
        seconds.map(Span).ok_or(SpanError)
    }
}

/// Ten years.
const SECONDS_MAX: u64 = 3_650 * 86_400;

/// A text that is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a span is a number and one of s, m, h and d, up to 3650d: for example 90s, 15m, 12h or 7d"
)]
pub struct SpanError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(text.parse::<Span>().map(Span::seconds), Ok(seconds));
        }
        for wrong in [
            "",
            "1",
            "h",
            "0s",
            "-1h",
            "1 h",
            "3651d",
            "99999999999999999999d",
            "1w",
        ] {
            assert_eq!(wrong.parse::<Span>(), Err(SpanError), "{wrong}");
        }
    }
}
