//! One webhook: where it goes, what it reads, and what it counts.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use longrein_io::clock;
use longrein_proto::base::{Name, NodeName};
use longrein_proto::hub::{HubRight, HubRights};
use longrein_proto::wire::hub::MessageId;
use tokio::sync::watch;

use super::backoff;
use super::kept::{Kept, webhook_id};
use super::outbox::Outbox;
use super::secret::{SecretError, Secrets};
use super::section::WebhookSection;
use crate::http::api::Caller;
use crate::http::client::HttpClient;
use crate::hub::{Annex, AnnexError, AnnexLoaded};

/// One webhook.
pub(in crate::http) struct Hook {
    pub(in crate::http) name: Name,
    pub(in crate::http) outbox: Outbox,
    pub(in crate::http) counts: HookCounts,
    pub(super) section: WebhookSection,
    /// Numbers of the mailbox below this are delivered.
    pub(super) mail: watch::Sender<u64>,
    is_on: watch::Sender<bool>,
    uri: Uri,
    secrets: Secrets,
    client: HttpClient,
}

/// What a webhook did since the program's start.
#[derive(Debug, Default)]
pub(in crate::http) struct HookCounts {
    recorded: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    skipped: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct HookStats {
    /// Events that were stored.
    pub(in crate::http) recorded: u64,
    /// Events that were delivered.
    pub(in crate::http) delivered: u64,
    /// Attempts that failed.
    pub(in crate::http) failed: u64,
    /// Events that died.
    pub(in crate::http) died: u64,
    /// Events that were too long.
    pub(in crate::http) skipped: u64,
    /// Events that wait now.
    pub(in crate::http) waiting: u64,
    /// Dead events that are kept now.
    pub(in crate::http) dead: u64,
}

/// What came of posting an event.
pub(super) enum Posted {
    /// The receiver has it.
    Taken,
    /// Not yet; not before so long, when the receiver wishes that.
    Failed { why: String, wish: Duration },
    /// The receiver wants nothing any more.
    Gone,
}

impl Hook {
    pub(super) fn new(
        section: &WebhookSection,
        credentials: Option<&Path>,
        client: HttpClient,
        annex: Annex,
        loaded: &AnnexLoaded,
    ) -> Result<Hook, SecretError> {
        let secrets = Secrets::read(&section.secret_file, credentials)?;
        let outbox = Outbox::new(section.name.clone(), &section.url, annex, loaded);
        Ok(Hook {
            name: section.name.clone(),
            is_on: watch::Sender::new(outbox.off().is_none()),
            mail: watch::Sender::new(0),
            outbox,
            counts: HookCounts::default(),
            section: section.clone(),
            // It is checked with the configuration.
            uri: section.url.parse().unwrap_or_default(),
            secrets,
            client,
        })
    }

    /// In whose name it reads, and what it may.
    pub(super) fn caller(&self) -> Caller {
        Caller {
            node: self.section.node(),
            rights: HubRights::from_iter([HubRight::Read, HubRight::Join]),
        }
    }

    /// In whose name it reads.
    pub(in crate::http) fn node(&self) -> NodeName {
        self.section.node()
    }

    /// Where it goes, without what may be secret in it.
    pub(in crate::http) fn host(&self) -> String {
        let authority = self.uri.authority().map(|authority| authority.as_str());
        // A name and a password may stand before the host.
        let host = authority.and_then(|authority| authority.rsplit('@').next());
        host.unwrap_or_default().to_string()
    }

    pub(in crate::http) fn stats(&self) -> HookStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (waiting, dead) = self.outbox.counts();
        HookStats {
            recorded: of(&self.counts.recorded),
            delivered: of(&self.counts.delivered),
            failed: of(&self.counts.failed),
            died: of(&self.counts.dead),
            skipped: of(&self.counts.skipped),
            waiting,
            dead,
        }
    }

    /// Returns when it is on.
    pub(super) async fn until_on(&self) {
        self.until(true).await;
    }

    /// Returns when it is off.
    pub(super) async fn until_off(&self) {
        self.until(false).await;
    }

    async fn until(&self, wanted: bool) {
        let mut is_on = self.is_on.subscribe();
        // It is here as long as this is.
        drop(is_on.wait_for(|is_on| *is_on == wanted).await);
    }

    /// Reads and posts, or does neither. Not to be given up.
    ///
    /// # Errors
    /// Then it stays as it is.
    pub(in crate::http) async fn switch(&self, is_on: bool) -> Result<(), AnnexError> {
        let off = (!is_on).then_some(self.section.url.as_str());
        self.outbox.switch(off).await?;
        self.is_on.send_replace(is_on);
        Ok(())
    }

    /// Posts an event once.
    pub(super) async fn post(&self, id: MessageId, kept: &Kept) -> Posted {
        let (id, now_s) = (webhook_id(id), clock::unix_ms() / 1_000);
        let body = kept.body.get().to_string();
        let signature = self.secrets.sign(&id, now_s, body.as_bytes());
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-signature", signature),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        match self.client.post(&self.uri, headers, body.into()).await {
            Ok((status, _)) if status.is_success() => Posted::Taken,
            Ok((StatusCode::GONE, _)) => Posted::Gone,
            Ok((status, headers)) => {
                let wish = headers.get(header::RETRY_AFTER);
                Posted::Failed {
                    why: format!("the answer is {status}"),
                    wish: backoff::wish(wish.and_then(|value| value.to_str().ok())),
                }
            }
            Err(error) => Posted::Failed {
                why: error.to_string(),
                wish: Duration::ZERO,
            },
        }
    }
}

impl HookCounts {
    pub(super) fn add_recorded(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(0);
        self.recorded.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn add_delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_dead(&self) {
        self.dead.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }
}
