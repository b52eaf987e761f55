//! The body that events are written into: bounded, and its last word always has room.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::http::api::payload;

/// What the client reads.
pub(super) struct EventBody {
    events: mpsc::Receiver<Bytes>,
    last: Arc<Mutex<Option<Bytes>>>,
}

/// What the stream writes.
pub(super) struct Writer {
    events: mpsc::Sender<Bytes>,
    last: Arc<Mutex<Option<Bytes>>>,
}

/// The client is gone, or reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Unread {
    Gone,
    Slow,
}

pub(super) fn pair() -> (EventBody, Writer) {
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    let last = Arc::default();
    let writer = Writer {
        events: sender,
        last: Arc::clone(&last),
    };
    (EventBody { events, last }, writer)
}

impl Writer {
    /// Writes an event, when there is room.
    ///
    /// # Errors
    /// The client is gone, or took nothing for [`UNREAD_MAX`].
    pub(super) async fn write(
        &self,
        name: &str,
        id: Option<&str>,
        data: &impl Serialize,
    ) -> Result<(), Unread> {
        let event = event(name, id, data);
        match timeout(UNREAD_MAX, self.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unread::Gone),
            Err(_) => Err(Unread::Slow),
        }
    }

    /// Shows that the stream is there, when there is room.
    pub(super) fn beat(&self) {
        // Where there is no room, more than this is on its way.
        drop(self.events.try_send(Bytes::from_static(b": alive\n\n")));
    }

    /// The last word, which comes when what was written before is read.
    pub(super) fn end(self, why: &str) {
        let event = event("end", None, &serde_json::json!({ "why": why }));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(event);
    }

    /// Returns when the client is gone.
    pub(super) async fn gone(&self) {
        self.events.closed().await;
    }
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.events.poll_recv(context);
        next.map(|event| {
            let last = || {
                self.last
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
            };
            event.or_else(last).map(|event| Ok(Frame::data(event)))
        })
    }
}

/// An event as HTML §9.2.6 has it; JSON has no line breaks of its own.
fn event(name: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    let data = payload::text(data).replace(['\r', '\n'], " ");
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

/// Events that are written and not read: with as many bytes as the longest messages have, 6 MiB.
const EVENTS_MAX: usize = 64;
/// How long a client that takes nothing keeps its stream.
const UNREAD_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn who_reads_too_slowly_is_told_so_last() {
        let (body, writer) = pair();
        for _ in 0..EVENTS_MAX {
            assert_eq!(writer.write("topic", Some("1"), &json!({})).await, Ok(()));
        }
        let data = json!({});
        let waiting = timeout(Duration::ZERO, writer.write("topic", None, &data)).await;
        assert!(waiting.is_err(), "there is room for more");
        writer.end("slow");
        let text = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.starts_with("event: topic\nid: 1\ndata: {}\n\n"));
        assert!(text.ends_with("event: end\ndata: {\"why\":\"slow\"}\n\n"));
        assert_eq!(text.matches("event: topic").count(), EVENTS_MAX);
    }

    #[tokio::test]
    async fn who_is_gone_gets_nothing_more() {
        let (body, writer) = pair();
        drop(body);
        writer.gone().await;
        assert_eq!(
            writer.write("topic", None, &json!({})).await,
            Err(Unread::Gone)
        );
    }
}
