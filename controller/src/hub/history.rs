//! A look into the past.

use longrein_proto::wire::hub::{Answer, HistoryEntry, HistoryFrom, Journal, Request};

use super::hub::PAGE_COUNT;
use super::{Hub, HubError};

/// A look into the past of a topic or the own mailbox, page by page.
///
/// ```no_run
/// use longrein::hub::{HistoryFrom, Hub, Journal};
///
/// # async fn example(hub: Hub) -> Result<(), Box<dyn std::error::Error>> {
/// let talk = Journal::Topic { room: "yard".parse()?, topic: "talk".parse()? };
/// let mut newest_first = hub.history(talk).backwards();
/// for entry in newest_first.next_page().await? {
///     println!("{}: {:?}", entry.post.from, entry.post.payload);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct History {
    hub: Hub,
    journal: Journal,
    from: HistoryFrom,
    is_backwards: bool,
    page: u32,
    is_over: bool,
}

impl Hub {
    /// Looks into the past, from the oldest message on unless told otherwise.
    pub fn history(&self, journal: Journal) -> History {
        History {
            hub: self.clone(),
            journal,
            from: HistoryFrom::End,
            is_backwards: false,
            page: PAGE_COUNT,
            is_over: false,
        }
    }
}

impl History {
    /// Begins here.
    #[must_use]
    pub fn from(mut self, from: HistoryFrom) -> History {
        self.from = from;
        self
    }

    /// Goes from newer to older messages, from the newest on unless told otherwise.
    #[must_use]
    pub fn backwards(mut self) -> History {
        self.is_backwards = true;
        self
    }

    /// At most so many messages a page; the hub gives up to 1,000, and fewer when they are long.
    #[must_use]
    pub fn page(mut self, count: u32) -> History {
        self.page = count.clamp(1, PAGE_COUNT);
        self
    }

    /// The next messages; without any it is over.
    ///
    /// # Errors
    /// [`super::HubRefusal::NotFound`] for a topic that is not there, and for a cursor that means nothing any more; see [`Hub`]. It can be
    /// asked again.
    pub async fn next_page(&mut self) -> Result<Vec<HistoryEntry>, HubError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let request = Request::History {
            journal: self.journal.clone(),
            from: self.from,
            backwards: self.is_backwards,
            count: self.page,
        };
        let Answer::History { entries, more } = self.hub.ask(request).await? else {
            return Err(HubError::WrongAnswer);
        };
        match entries.last() {
            Some(last) => self.from = HistoryFrom::After(last.cursor),
            None => self.is_over = true,
        }
        self.is_over |= !more;
        Ok(entries)
    }
}
