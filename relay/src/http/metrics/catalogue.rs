//! Every metric, with its unit in its name and what it means.

/// One metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

/// How a metric's samples go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of spans by length.
    Histogram,
}

impl Kind {
    /// As the formats call it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

impl Metric {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Metric {
        let kind = Kind::Counter;
        Metric { name, kind, help }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Metric {
        let kind = Kind::Gauge;
        Metric { name, kind, help }
    }

    pub(super) const fn histogram(name: &'static str, help: &'static str) -> Metric {
        let kind = Kind::Histogram;
        Metric { name, kind, help }
    }

    /// Its unit, when that is one that OpenMetrics knows.
    pub(super) fn unit(&self) -> Option<&'static str> {
        let name = self.name.trim_end_matches("_total");
        let units = ["seconds", "bytes", "ratio"].into_iter();
        units.into_iter().find(|unit| name.ends_with(unit))
    }
}

macro_rules! catalogue {
    ($($constant:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) static $constant: Metric = Metric::$kind($name, $help);)*

        /// All of them, in the order of a page.
        #[cfg(test)]
        pub(crate) static ALL: &[&Metric] = &[$(&$constant),*];
    };
}

catalogue! {
    BUILD_INFO: gauge "longrein_relay_build_info" "Always 1; the label says which version runs.";
    READY: gauge "longrein_relay_ready" "Whether a check of /readyz is so (1) or not (0).";
    CERTIFICATE_END: gauge "longrein_relay_certificate_end_timestamp_seconds" "When the relay's certificate ends, in seconds since 1970.";
    NODES: gauge "longrein_relay_nodes" "Nodes that are here.";
    PATHS: gauge "longrein_relay_paths" "Paths to nodes by health.";
    NODES_OMITTED: gauge "longrein_relay_nodes_omitted" "Nodes whose links have no series, as nodes_in_metrics is reached.";
    LINK_UP: gauge "longrein_relay_link_up" "Whether the newest path of a node's link works (1) or is down (0).";
    LINK_LOSS: gauge "longrein_relay_link_loss_ratio" "Share of a link's packets that get lost.";
    LINK_ROUND_TRIP: gauge "longrein_relay_link_round_trip_seconds" "Smoothed round trip of a link.";
    LINK_QUEUE: gauge "longrein_relay_link_queue_seconds" "How long the newest packets of a link queued on the way.";
    FULLEST_LEG: gauge "longrein_relay_fullest_leg_parcels" "Parcels that wait, or are not acknowledged, for the node that has most of them; 1,024 are the most.";
    FORWARDED: counter "longrein_relay_forwarded_parcels_total" "Parcels forwarded.";
    DROPPED_PARCELS: counter "longrein_relay_dropped_parcels_total" "Parcels that were not forwarded, by reason.";
    DROPPED_PACKETS: counter "longrein_relay_dropped_packets_total" "Packets that were dropped, by reason.";
    REFUSALS: counter "longrein_relay_refusals_total" "Nodes, paths and routes that were refused or ended, by reason.";
    PACKETS: counter "longrein_relay_packets_total" "Packets of all paths.";
    PACKET_BYTES: counter "longrein_relay_packet_bytes_total" "Bytes of all packets, without those of QUIC, UDP and IP.";
    PATH_CHANGES: counter "longrein_relay_path_changes_total" "Paths that came up and went down.";
    PATH_DATAGRAMS: counter "longrein_relay_path_datagrams_total" "UDP datagrams of connections that are paths.";
    DELAY: histogram "longrein_relay_parcel_delay_seconds" "Where the time of forwarded parcels went until they left the relay, by part.";
    LISTENER_DATAGRAMS: counter "longrein_relay_listener_datagrams_total" "UDP datagrams at a listener's port, whatever was in them.";
    LISTENER_UNCLAIMED: counter "longrein_relay_listener_unclaimed_datagrams_total" "Those of them that no connection took.";
    LISTENER_OVERFLOWED: counter "longrein_relay_listener_overflowed_datagrams_total" "Those of connections that were lost at the relay, as too many waited for their turn.";
    LISTENER_UNSENT: counter "longrein_relay_listener_unsent_packets_total" "Packets that never left, as the kernel took none and enough of them waited.";
    HANDSHAKES: counter "longrein_relay_handshakes_total" "Handshakes of connections at a listener, by outcome.";
    HANDSHAKE_FAILURES: counter "longrein_relay_handshake_failures_total" "Handshakes that failed, by reason.";
    WEBHOOK_EVENTS: counter "longrein_relay_webhook_events_total" "Events of a webhook, by what became of them.";
    WEBHOOK_FAILED: counter "longrein_relay_webhook_failed_attempts_total" "Times that an event was posted in vain.";
    WEBHOOK_WAITING: gauge "longrein_relay_webhook_waiting_events" "Events that wait for delivery.";
    WEBHOOK_DEAD: gauge "longrein_relay_webhook_dead_letters" "Events that were never taken, and are kept.";
    WEBHOOK_ENABLED: gauge "longrein_relay_webhook_enabled" "Whether a webhook posts (1) or its receiver is gone (0).";
    CPU: counter "process_cpu_seconds_total" "Processor time of the program.";
    RESIDENT: gauge "process_resident_memory_bytes" "Memory of the program that is in RAM.";
    OPEN_FDS: gauge "process_open_fds" "File descriptors that are open.";
    MAX_FDS: gauge "process_max_fds" "File descriptors that may be open.";
    START: gauge "process_start_time_seconds" "When the program started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of the tables of `docs/monitoring.md` that begin with a metric: its name and its kind.
    fn documented() -> Vec<(String, String)> {
        let text = include_str!("../../../../docs/monitoring.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| {
            let (name, rest) = row.split_once('`')?;
            let kind = rest.split('|').nth(1)?.trim();
            let is_metric = ["longrein_relay_", "process_"];
            is_metric
                .iter()
                .any(|prefix| name.starts_with(prefix))
                .then(|| (name.to_string(), kind.to_string()))
        })
        .collect()
    }

    #[test]
    fn the_documentation_names_every_metric_and_no_other() {
        let metrics = ALL.iter();
        let exported: Vec<_> = metrics
            .map(|metric| (metric.name.to_string(), metric.kind.word().to_string()))
            .collect();
        assert_eq!(documented(), exported);
    }

    #[test]
    fn only_counters_end_in_total() {
        for metric in ALL {
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(metric.name.ends_with("_total"), is_counter, "{metric:?}");
        }
    }
}
