//! What is logged of links.

use longrein_io::drive::Driver;
use longrein_proto::base::Name;
use longrein_proto::path::MeterNews;
use longrein_proto::role::{Agent, SharedAddress};

use crate::metering::megabytes;

/// Two links leave through one address, or no more.
pub(crate) fn tell_shared(news: &SharedAddress) {
    let (link, other) = &news.links;
    match news.address {
        Some(address) => {
            let why = "what lies behind it takes both down";
            tracing::warn!(%link, %other, %address, why, "two links leave through the same public address");
        }
        None => {
            tracing::info!(%link, %other, "two links leave through addresses of their own again")
        }
    }
}

/// Past its budget a link goes on to carry control, and somebody pays for it.
// [SAFE-112]
pub(crate) fn tell_metered(driver: &Driver<Agent>, link: &Name, news: MeterNews) {
    let meters = driver.with(|agent, _| agent.meters());
    let Some(meter) = meters.iter().find(|meter| meter.link == *link) else {
        return;
    };
    let used_mb = megabytes(meter.used_bytes);
    let daily_mb = megabytes(meter.plan.bytes);
    match news {
        MeterNews::NewDay => tracing::info!(%link, daily_mb, "link has the budget of another day"),
        MeterNews::Low => {
            tracing::warn!(%link, used_mb, daily_mb, "link has used much of its daily budget");
        }
        MeterNews::WithoutTelemetry => {
            let why = "the rest of its daily budget is kept for control";
            tracing::warn!(%link, used_mb, daily_mb, why, "link carries no telemetry any more");
        }
        MeterNews::Spent => {
            let why = "control goes on over it, without copies that are not needed";
            tracing::error!(%link, used_mb, daily_mb, why, "link has used its daily budget");
        }
    }
}
