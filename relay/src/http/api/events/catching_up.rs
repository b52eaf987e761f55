//! What a client missed, read page by page as fast as it reads, before it hears what comes next.

use std::collections::VecDeque;
use std::time::Duration;

use longrein_proto::hub::LocalTell;
use longrein_proto::wire::hub::{
    Answer, Cursor, HistoryEntry, HistoryFrom, Journal, Request, Tell,
};
use tokio::time::timeout;

use super::wanted::From;
use crate::http::api::messages::unexpected;
use crate::http::api::refusal::{accepted, unreached};
use crate::http::problem::Problem;
use crate::hub::{DeskError, LocalClient};

/// A local client that waits for answers, and keeps for later what else it is told meanwhile.
pub(super) struct Asking {
    client: LocalClient,
    aside: VecDeque<LocalTell>,
}

impl Asking {
    pub(super) fn new(client: LocalClient) -> Asking {
        Asking {
            client,
            aside: VecDeque::new(),
        }
    }

    /// What the hub answers.
    ///
    /// # Errors
    /// It refuses, or is not reached.
    pub(super) async fn ask(&mut self, request: Request) -> Result<Answer, Problem> {
        accepted(self.ask_freely(request).await?)
    }

    /// The same, a refusal too.
    ///
    /// # Errors
    /// The hub is not reached.
    pub(super) async fn ask_freely(&mut self, request: Request) -> Result<Answer, Problem> {
        let asked = self.client.ask(request).map_err(unreached)?;
        loop {
            let told = timeout(PATIENCE, self.client.next()).await;
            let told = told.map_err(|_| Problem::behind("the hub does not answer in time"))?;
            match told.map_err(unreached)? {
                LocalTell::Own(Tell::Answer { ask, answer }) if ask == asked => return Ok(answer),
                _ if self.aside.len() >= ASIDE_MAX => return Err(unreached(DeskError::Overrun)),
                told @ (LocalTell::Own(_) | LocalTell::Line { .. }) => self.aside.push_back(told),
            }
        }
    }

    /// What the hub tells next.
    ///
    /// # Errors
    /// What it told was not taken fast enough.
    pub(super) async fn next(&mut self) -> Result<LocalTell, DeskError> {
        match self.aside.pop_front() {
            Some(told) => Ok(told),
            None => self.client.next().await,
        }
    }
}

/// A look through what is kept in a journal.
pub(super) struct Past {
    journal: Journal,
    from: HistoryFrom,
    is_over: bool,
}

impl Past {
    /// Behind a message; without one from where the client wants to begin.
    pub(super) fn new(journal: Journal, after: Option<Cursor>, from: From) -> Past {
        Past {
            journal,
            from: after.map_or(HistoryFrom::End, HistoryFrom::After),
            is_over: after.is_none() && from == From::Now,
        }
    }

    /// The next page; none at the end, and of a journal that has nothing to show.
    ///
    /// # Errors
    /// The hub is not reached.
    pub(super) async fn next(
        &mut self,
        asking: &mut Asking,
    ) -> Result<Option<Vec<HistoryEntry>>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        let request = Request::History {
            journal: self.journal.clone(),
            from: self.from,
            backwards: false,
            count: PAGE,
        };
        let answer = asking.ask_freely(request).await?;
        if let Answer::Refused(_) = answer {
            // Nothing was published yet, or the place is of another store: the subscription says that.
            self.is_over = true;
            return Ok(None);
        }
        let Answer::History { entries, more } = answer else {
            return Err(unexpected());
        };
        self.is_over = !more;
        if let Some(last) = entries.last() {
            self.from = HistoryFrom::After(last.cursor);
        }
        Ok(Some(entries))
    }
}

/// Messages of a page: with the longest ones, what the client may leave unread.
const PAGE: u32 = 64;
/// What is told beside answers.
const ASIDE_MAX: usize = 4_096;
/// For an answer of the hub's.
const PATIENCE: Duration = Duration::from_secs(5);
