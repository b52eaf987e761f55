//! `/metrics`: what the relay counts, for Prometheus and whatever reads its formats.
//!
//! The counts live where they are made; a page is written from them when somebody asks.

pub(crate) mod catalogue;
mod nodes;
mod page;
mod process;
mod webhooks;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use longrein_io::clock;
use longrein_proto::role::{Delays, ForwardingDelays, RelayCounters};

use self::catalogue as all;
use self::nodes::Census;
use self::page::{Format, Page};
use super::problem::Problem;
use super::webhooks::Webhooks;
use super::{Access, health};
use crate::counts::Counts;

/// `GET /metrics`.
pub(super) async fn page(
    State(access): State<Access>,
    Extension(hooks): Extension<Webhooks>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT);
    let format = Format::of(accept.and_then(|value| value.to_str().ok()).unwrap_or(""));
    let counts = access.counts().await?;
    let (delays, fullest) = access
        .ask(|relay, _| (*relay.delays(), relay.waiting()))
        .await?;
    let checks = health::checks(&access).await?;
    let mut census = Census::new(access.nodes_in_metrics);
    access.each_node(|node| census.take(node)).await?;

    let mut page = Page::new(format);
    page.family(&all::BUILD_INFO)
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(&all::READY);
    for check in checks {
        page.sample(&[("check", check.name)], u64::from(check.wrong.is_none()));
    }
    let not_after_s = access.identity.not_after().as_secs();
    page.family(&all::CERTIFICATE_END).sample(&[], not_after_s);
    census.write(&mut page);
    page.family(&all::FULLEST_LEG).sample(&[], count(fullest));
    write_forwarding(&mut page, &counts);
    write_delays(&mut page, &delays);
    write_listeners(&mut page, &counts);
    webhooks::write(&mut page, &hooks);
    process::write(&mut page, access.started_s);
    let kind = [(header::CONTENT_TYPE, format.content_type())];
    Ok((kind, page.finish()).into_response())
}

fn write_forwarding(page: &mut Page, counts: &Counts) {
    let RelayCounters {
        forwarded,
        malformed_packets,
        unexpected_packets,
        malformed_parcels,
        without_route,
        absent,
        expired,
        over_source_budget,
        over_destination_budget,
        stops_without_lease,
        overflows,
        over_handshake_rate,
        over_query_rate,
        evicted_routes,
        refused_routes,
        refused_seats,
        revoked,
        ended_papers,
        refused_twins,
        received_packets,
        received_bytes,
        sent_packets,
        sent_bytes,
    } = counts.relay;
    page.family(&all::FORWARDED).sample(&[], forwarded);
    page.family(&all::DROPPED_PARCELS).by(
        "reason",
        [
            ("malformed", malformed_parcels),
            ("without_route", without_route),
            ("absent", absent),
            ("expired", expired),
            ("over_source_budget", over_source_budget),
            ("over_destination_budget", over_destination_budget),
            ("stop_without_lease", stops_without_lease),
            ("overflow", overflows),
            ("over_handshake_rate", over_handshake_rate),
            ("over_query_rate", over_query_rate),
        ],
    );
    page.family(&all::DROPPED_PACKETS).by(
        "reason",
        [
            ("malformed", malformed_packets),
            ("unexpected", unexpected_packets),
            ("path_gone", counts.drive.dropped_no_path),
        ],
    );
    page.family(&all::REFUSALS).by(
        "reason",
        [
            ("route_evicted", evicted_routes),
            ("route_refused", refused_routes),
            ("too_many_seats", refused_seats),
            ("runs_twice", refused_twins),
            ("revoked", revoked),
            ("certificate_ended", ended_papers),
        ],
    );
    page.family(&all::PACKETS).by(
        "direction",
        [("received", received_packets), ("sent", sent_packets)],
    );
    page.family(&all::PACKET_BYTES).by(
        "direction",
        [("received", received_bytes), ("sent", sent_bytes)],
    );
    page.family(&all::PATH_CHANGES).by(
        "change",
        [
            ("up", counts.drive.paths_up),
            ("down", counts.drive.paths_down),
        ],
    );
    page.family(&all::PATH_DATAGRAMS)
        .sample(&[], counts.drive.datagrams);
}

fn write_delays(page: &mut Page, delays: &ForwardingDelays) {
    page.family(&all::DELAY);
    for (
        to,
        Delays {
            sender,
            uplink,
            relay,
        },
    ) in [("agents", delays.to_agents), ("others", delays.to_others)]
    {
        for (part, histogram) in [("sender", sender), ("uplink", uplink), ("relay", relay)] {
            page.histogram(&[("to", to), ("part", part)], &histogram);
        }
    }
}

fn write_listeners(page: &mut Page, counts: &Counts) {
    let listeners = &counts.listeners;
    page.family(&all::LISTENER_DATAGRAMS);
    for (name, counts) in listeners {
        page.sample(&[("listener", name)], counts.datagrams);
    }
    page.family(&all::LISTENER_UNCLAIMED);
    for (name, counts) in listeners {
        page.sample(&[("listener", name)], counts.unclaimed);
    }
    page.family(&all::LISTENER_OVERFLOWED);
    for (name, counts) in listeners {
        page.sample(&[("listener", name)], counts.overflowed);
    }
    page.family(&all::LISTENER_UNSENT);
    for (name, counts) in listeners {
        page.sample(&[("listener", name)], counts.unsent);
    }
    page.family(&all::HANDSHAKES);
    for (name, counts) in listeners {
        let failed = counts.failed.values().sum();
        for (outcome, count) in [
            ("offered", counts.offered),
            ("accepted", counts.accepted),
            ("retried", counts.retried),
            ("refused_full", counts.refused_full),
            ("refused_source", counts.refused_source),
            ("late", counts.late),
            ("failed", failed),
            ("silent", counts.silent),
            ("replaced", counts.replaced),
        ] {
            page.sample(&[("listener", name), ("outcome", outcome)], count);
        }
    }
    page.family(&all::HANDSHAKE_FAILURES);
    for (name, counts) in listeners {
        for (why, count) in &counts.failed {
            page.sample(&[("listener", name), ("reason", &why.to_string())], *count);
        }
    }
}

fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Now, for [`Access::started_s`].
pub(crate) fn now_s() -> u64 {
    clock::unix_ms() / 1_000
}
