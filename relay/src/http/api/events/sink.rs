//! Where events go: a stream of server-sent events, or a webhook.

use std::future::Future;

use serde::Serialize;

use super::body::{Unread, Writer};

/// Takes events in the order in which they happened.
pub(in crate::http) trait Sink: Sync {
    /// Takes an event, when there is room. Who comes again with `id` gets what was behind it.
    ///
    /// # Errors
    /// Nothing is taken any more.
    fn write(
        &self,
        name: &str,
        id: Option<&str>,
        data: &(impl Serialize + Sync),
    ) -> impl Future<Output = Result<(), Unread>> + Send;

    /// Nothing happened for a while.
    fn beat(&self) {}

    /// Returns when nothing is taken any more.
    fn gone(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

impl Sink for Writer {
    async fn write(
        &self,
        name: &str,
        id: Option<&str>,
        data: &(impl Serialize + Sync),
    ) -> Result<(), Unread> {
        Writer::write(self, name, id, data).await
    }

    fn beat(&self) {
        Writer::beat(self);
    }

    async fn gone(&self) {
        Writer::gone(self).await;
    }
}
