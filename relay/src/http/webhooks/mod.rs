//! Webhooks: what happens at the hub, posted to business back ends, signed, until they have it.
//!
//! Sources (`sources`, `documents`, `quality`) tell events; the `recorder` stores them with how far it has read (`outbox`); and
//! `delivery` posts what is stored. All of it runs on the thread that serves HTTP and asks the hub as anybody else does.

mod backoff;
mod delivery;
mod documents;
mod hook;
mod kept;
mod mailbox;
mod outbox;
mod quality;
mod recorder;
mod secret;
mod section;
mod sources;
mod window;

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use longrein_proto::base::Name;
use tokio::sync::Semaphore;

pub(super) use self::hook::{Hook, HookStats};
pub(super) use self::kept::{read_webhook_id, webhook_id};
pub(super) use self::outbox::DeadLetter;
use self::secret::SecretError;
use self::section::Event;
pub(super) use self::section::WEBHOOKS_MOST;
pub use self::section::WebhookSection;
use self::sources::{Seen, Source, streams};
use super::client::HttpClient;
use super::{Access, HttpError};
use crate::hub::{Annex, AnnexLoaded};

/// All webhooks of a relay; clones are the same ones.
#[derive(Clone, Default)]
pub(super) struct Webhooks {
    hooks: Arc<[Arc<Hook>]>,
    leftovers: Arc<[longrein_proto::hub::StoreOp]>,
}

/// Why webhooks do not start.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It cannot sign.
    #[error("[[http.webhook]] {name}: {why}")]
    Secret {
        /// Of which webhook.
        name: Name,
        /// What is wrong.
        why: String,
    },
    /// They need the hub's store.
    #[error("[[http.webhook]] is for the fleet's hub: [hub] needs `enabled = true`")]
    NoHub,
}

impl Webhooks {
    /// Those of the configuration, as they were left.
    ///
    /// # Errors
    /// A secret cannot be read, or this relay is no hub.
    pub(super) fn new(
        sections: &[WebhookSection],
        beside: Option<(Annex, AnnexLoaded)>,
    ) -> Result<Webhooks, HttpError> {
        let Some((annex, loaded)) = beside else {
            return match sections {
                [] => Ok(Webhooks::default()),
                [..] => Err(WebhookError::NoHub.into()),
            };
        };
        let credentials = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let client = HttpClient::new().map_err(|error| HttpError::Client(error.to_string()))?;
        let hooks = sections.iter().map(|section| {
            let (folder, client) = (credentials.as_deref(), client.clone());
            let hook = Hook::new(section, folder, client, annex.clone(), &loaded);
            let hook = hook.map_err(|why: SecretError| WebhookError::Secret {
                name: section.name.clone(),
                why: why.to_string(),
            });
            Ok(Arc::new(hook?))
        });
        let hooks = hooks.collect::<Result<Vec<_>, HttpError>>()?;
        let names: BTreeSet<String> = sections.iter().map(|own| own.name.to_string()).collect();
        Ok(Webhooks {
            hooks: hooks.into(),
            leftovers: outbox::leftovers(&loaded, &names).into(),
        })
    }

    /// Each of them, as they are configured.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Hook>> {
        self.hooks.iter()
    }

    /// The one with this name.
    pub(super) fn find(&self, name: &Name) -> Option<&Arc<Hook>> {
        self.hooks.iter().find(|hook| hook.name == *name)
    }

    /// Begins to read and to post, on the runtime that this is called in.
    pub(super) fn start(&self, access: &Access) {
        let Some(desk) = &access.desk else {
            return;
        };
        self.remove_leftovers(access);
        let places = Arc::new(Semaphore::new(REQUESTS_MAX));
        for hook in self.iter() {
            let (told, taken) = recorder::channel();
            tokio::spawn(recorder::record(Arc::clone(hook), taken));
            let source = |name: &str| Source {
                hook: Arc::clone(hook),
                name: name.into(),
                told: told.clone(),
                seen: Seen::default(),
            };
            for (name, wanted) in streams(hook) {
                tokio::spawn(source(&name).run(desk.clone(), wanted));
            }
            for section in hook.section.sections() {
                let source = source(&format!("document/*/{}", documents::part(section)));
                tokio::spawn(documents::read(source, desk.clone(), section));
            }
            if hook.section.has(Event::Quality) {
                tokio::spawn(quality::watch(source("quality"), access.clone()));
            }
            if hook.section.has(Event::Mailbox) {
                tokio::spawn(mailbox::take(Arc::clone(hook), desk.clone()));
            }
            let delivery = delivery::Delivery::new(Arc::clone(hook), Arc::clone(&places));
            tokio::spawn(delivery.run());
        }
    }

    /// What is stored of webhooks that are not configured any more goes.
    fn remove_leftovers(&self, access: &Access) {
        let Some(annex) = access.annex.clone().filter(|_| !self.leftovers.is_empty()) else {
            return;
        };
        let ops = self.leftovers.to_vec();
        tracing::info!(
            what = ops.len(),
            "what is stored of webhooks that are not configured any more is removed"
        );
        tokio::spawn(async move {
            if let Err(error) = annex.commit(ops).await {
                tracing::debug!(%error, "it is not, and tried at the next start");
            }
        });
    }
}

/// Requests of all webhooks at once: each is a connection.
const REQUESTS_MAX: usize = 32;
