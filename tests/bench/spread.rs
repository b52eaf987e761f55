//! Figures of a distribution.

/// A distribution of microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    /// How many values.
    pub count: usize,
    /// Half are at or below.
    pub p50: u64,
    /// 99 of 100 are at or below.
    pub p99: u64,
    /// 999 of 1,000 are at or below.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    /// Of some values; zero of none.
    pub fn of(mut values: Vec<u64>) -> Spread {
        values.sort_unstable();
        let at = |share: usize| {
            let index = (values.len() * share).div_ceil(1_000).saturating_sub(1);
            values.get(index).copied().unwrap_or_default()
        };
        Spread {
            count: values.len(),
            p50: at(500),
            p99: at(990),
            p999: at(999),
            max: at(1_000),
        }
    }

    /// The middle of some spreads, figure by figure.
    pub fn median(spreads: &[Spread]) -> Spread {
        let middle = |figure: fn(&Spread) -> u64| {
            let mut values: Vec<u64> = spreads.iter().map(figure).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Spread {
            count: spreads.iter().map(|spread| spread.count).sum(),
            p50: middle(|spread| spread.p50),
            p99: middle(|spread| spread.p99),
            p999: middle(|spread| spread.p999),
            max: middle(|spread| spread.max),
        }
    }

    /// One row of a table.
    pub fn row(&self, name: &str) -> String {
        format!(
            "{name:<34}{:>8}{:>10}{:>10}{:>10}{:>10}",
            self.count, self.p50, self.p99, self.p999, self.max
        )
    }

    /// The head of a table of rows.
    pub fn head() -> String {
        format!(
            "{:<34}{:>8}{:>10}{:>10}{:>10}{:>10}",
            "µs", "count", "p50", "p99", "p99.9", "max"
        )
    }

    /// As JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "count": self.count, "p50_us": self.p50, "p99_us": self.p99, "p999_us": self.p999, "max_us": self.max,
        })
    }
}
