//! What webhooks count: as many series of each metric as are configured.

use super::catalogue as all;
use super::page::Page;
use crate::http::webhooks::{HookStats, Webhooks};

pub(super) fn write(page: &mut Page, webhooks: &Webhooks) {
    let hooks = webhooks.iter();
    let stats: Vec<(String, HookStats, bool)> = hooks
        .map(|hook| {
            let is_on = hook.outbox.off().is_none();
            (hook.name.to_string(), hook.stats(), is_on)
        })
        .collect();
    page.family(&all::WEBHOOK_EVENTS);
    for (name, stats, _) in &stats {
        for (outcome, count) in [
            ("recorded", stats.recorded),
            ("delivered", stats.delivered),
            ("dead", stats.died),
            ("too_long", stats.skipped),
        ] {
            page.sample(&[("webhook", name), ("outcome", outcome)], count);
        }
    }
    page.family(&all::WEBHOOK_FAILED);
    for (name, stats, _) in &stats {
        page.sample(&[("webhook", name)], stats.failed);
    }
    page.family(&all::WEBHOOK_WAITING);
    for (name, stats, _) in &stats {
        page.sample(&[("webhook", name)], stats.waiting);
    }
    page.family(&all::WEBHOOK_DEAD);
    for (name, stats, _) in &stats {
        page.sample(&[("webhook", name)], stats.dead);
    }
    page.family(&all::WEBHOOK_ENABLED);
    for (name, _, is_on) in &stats {
        page.sample(&[("webhook", name)], u64::from(*is_on));
    }
}
