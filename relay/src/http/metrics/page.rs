//! The text of a page of metrics, in either of its formats.

use std::fmt::{Display, Write};
use std::time::Duration;

use longrein_proto::base::Histogram;

use super::catalogue::{Kind, Metric};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' own text, which everything reads.
    Prometheus,
    /// OpenMetrics 1.0, with units.
    OpenMetrics,
}

impl Format {
    /// The format that a request accepts.
    pub(super) fn of(accept: &str) -> Format {
        match accept.contains("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// As the answer names it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page that is being written. Writing to its text cannot fail.
pub(super) struct Page {
    format: Format,
    text: String,
    /// The metric that samples are of.
    name: &'static str,
}

impl Page {
    pub(super) fn new(format: Format) -> Page {
        Page {
            format,
            text: String::new(),
            name: "",
        }
    }

    /// The samples that follow are of this metric.
    pub(super) fn family(&mut self, metric: &'static Metric) -> &mut Page {
        self.name = metric.name;
        // OpenMetrics names a counter without what its samples end in.
        let family = match (self.format, metric.kind) {
            (Format::OpenMetrics, Kind::Counter) => metric.name.trim_end_matches("_total"),
            (Format::OpenMetrics | Format::Prometheus, _) => metric.name,
        };
        let kind = metric.kind.word();
        writeln!(self.text, "# HELP {family} {}", metric.help).ok();
        writeln!(self.text, "# TYPE {family} {kind}").ok();
        if let (Format::OpenMetrics, Some(unit)) = (self.format, metric.unit()) {
            writeln!(self.text, "# UNIT {family} {unit}").ok();
        }
        self
    }

    /// One sample. Values of labels are words and names, in which nothing is to be escaped.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One sample for each value of a label.
    pub(super) fn by<const N: usize>(&mut self, label: &str, samples: [(&str, u64); N]) {
        for (word, value) in samples {
            self.sample(&[(label, word)], value);
        }
    }

    /// All samples of a histogram in seconds.
    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = format!("{:?}", bound.as_secs_f64());
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count());
        self.line("_sum", labels, None, seconds(histogram.sum()));
        self.line("_count", labels, None, histogram.count());
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (label, value) in labels.iter().copied().chain(bound) {
            write!(self.text, "{separator}{label}=\"{value}\"").ok();
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").ok();
    }
}

/// A span as a value.
pub(super) fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNT: Metric = Metric::counter("x_parcels_total", "Parcels.");
    static SIZE: Metric = Metric::gauge("x_size_bytes", "Size.");

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.family(&COUNT).by("reason", [("a", 1), ("b", 2)]);
        page.family(&SIZE).sample(&[], 7);
        page.finish()
    }

    #[test]
    fn a_page_is_in_the_format_that_is_asked_for() {
        assert_eq!(
            page(Format::of("text/plain;version=0.0.4")),
            "# HELP x_parcels_total Parcels.\n# TYPE x_parcels_total counter\n\
             x_parcels_total{reason=\"a\"} 1\nx_parcels_total{reason=\"b\"} 2\n\
             # HELP x_size_bytes Size.\n# TYPE x_size_bytes gauge\nx_size_bytes 7\n"
        );
        assert_eq!(
            page(Format::of("application/openmetrics-text;version=1.0.0,*/*")),
            "# HELP x_parcels Parcels.\n# TYPE x_parcels counter\n\
             x_parcels_total{reason=\"a\"} 1\nx_parcels_total{reason=\"b\"} 2\n\
             # HELP x_size_bytes Size.\n# TYPE x_size_bytes gauge\n# UNIT x_size_bytes bytes\n\
             x_size_bytes 7\n# EOF\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_with_bounds_in_seconds() {
        static DELAY: Metric = Metric::histogram("x_seconds", "Delay.");
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_millis(4));
        let mut page = Page::new(Format::Prometheus);
        page.family(&DELAY).histogram(&[("to", "a")], &histogram);
        let text = page.finish();
        for line in [
            "x_seconds_bucket{to=\"a\",le=\"0.002\"} 0",
            "x_seconds_bucket{to=\"a\",le=\"0.005\"} 1",
            "x_seconds_bucket{to=\"a\",le=\"1.0\"} 1",
            "x_seconds_bucket{to=\"a\",le=\"+Inf\"} 1",
            "x_seconds_sum{to=\"a\"} 0.004",
            "x_seconds_count{to=\"a\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
