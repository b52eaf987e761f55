//! The way to the hub for who is no node at a leg but speaks by this program: the HTTP API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use longrein_io::remote::{Remote, RemoteError};
use longrein_proto::base::NodeName;
use longrein_proto::hub::{ClientId, Hub, HubRights, LocalTell, Moment};
use longrein_proto::role::Relay;
use longrein_proto::wire::hub::{Document, LeaveReason, Request, Section, Selector};
use tokio::sync::mpsc;

/// Whom the hub tells what.
#[derive(Clone, Default)]
pub(super) struct Locals(Arc<Mutex<BTreeMap<ClientId, mpsc::Sender<LocalTell>>>>);

/// The way to the hub; clones are the same one.
#[derive(Clone)]
pub struct Desk {
    remote: Remote<Relay>,
    locals: Locals,
}

/// Somebody who speaks to the hub until this is dropped.
pub struct LocalClient {
    id: ClientId,
    desk: Desk,
    tells: mpsc::Receiver<LocalTell>,
    last_ask: u32,
}

/// Why the hub is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The relay's thread is behind, or has ended.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// This relay is no hub.
    #[error("this relay is no hub")]
    NoHub,
    /// What the hub told was not taken in time, so that it tells no more.
    #[error("the hub told more than was taken")]
    Overrun,
}

impl Locals {
    /// Hands on what the hub tells; false when nobody takes it, or not fast enough.
    pub(super) fn tell(&self, client: ClientId, what: LocalTell) -> bool {
        let mut locals = self.lock();
        let is_told = locals
            .get(&client)
            .is_some_and(|tells| tells.try_send(what).is_ok());
        if !is_told {
            locals.remove(&client);
        }
        is_told
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<ClientId, mpsc::Sender<LocalTell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    pub(super) fn new(remote: Remote<Relay>, locals: Locals) -> Desk {
        Desk { remote, locals }
    }

    /// Speaks to the hub in the name of a node, with these rights, and takes what is sent to it.
    ///
    /// # Errors
    /// When the hub is not reached.
    pub async fn open(&self, node: NodeName, rights: HubRights) -> Result<LocalClient, DeskError> {
        let open = move |hub: &mut Hub, at, client| hub.on_local_client(at, client, node, rights);
        self.begin(open).await
    }

    /// Asks the hub in the name of a node, with these rights, and takes nothing that is sent to it.
    ///
    /// # Errors
    /// When the hub is not reached.
    pub async fn open_asker(
        &self,
        node: NodeName,
        rights: HubRights,
    ) -> Result<LocalClient, DeskError> {
        let open = move |hub: &mut Hub, at, client| hub.on_local_asker(at, client, node, rights);
        self.begin(open).await
    }

    async fn begin(
        &self,
        open: impl FnOnce(&mut Hub, Moment, ClientId) + Send + 'static,
    ) -> Result<LocalClient, DeskError> {
        let (tell, tells) = mpsc::channel(TELLS_MAX);
        let own = self.clone();
        // Made where the client is: whoever gave up waiting drops it, and its place at the hub with it.
        let opened = self.remote.ask(move |relay, now| {
            let id = relay.next_client()?;
            own.locals.lock().insert(id, tell);
            relay.with_hub(now, |hub, at| open(hub, at, id))?;
            Some(LocalClient {
                id,
                desk: own,
                tells,
                last_ask: 0,
            })
        });
        opened.await?.ok_or(DeskError::NoHub)
    }

    fn end(&self, client: ClientId) {
        self.locals.lock().remove(&client);
        // A relay that is behind hears it when it tells the client something next.
        let _ = self.remote.call(move |relay, now| {
            let gone = LeaveReason::Ended;
            relay.with_hub(now, |hub, at| hub.on_client_gone(at, client, gone));
        });
    }
}

impl LocalClient {
    /// Asks something; the number of the answer, which comes by [`LocalClient::next`].
    ///
    /// # Errors
    /// When the hub is not reached.
    pub fn ask(&mut self, request: Request) -> Result<u32, DeskError> {
        self.last_ask = self.last_ask.wrapping_add(1);
        let (client, ask) = (self.id, self.last_ask);
        self.desk.remote.call(move |relay, now| {
            relay.with_hub(now, |hub, at| hub.on_ask(at, client, ask, request));
        })?;
        Ok(ask)
    }

    /// Has the hub tell each change of this section of the nodes that are selected then.
    ///
    /// # Errors
    /// When the hub is not reached, or refuses.
    pub async fn watch_fleet_documents(
        &self,
        section: Section,
        of: Selector,
    ) -> Result<(), DeskError> {
        let client = self.id;
        let watched = self.desk.remote.ask(move |relay, now| {
            relay.with_hub(now, |hub, _| {
                hub.watch_fleet_documents(client, 1, section, of).is_ok()
            })
        });
        match watched.await? {
            Some(true) => Ok(()),
            Some(false) => Err(DeskError::Overrun),
            None => Err(DeskError::NoHub),
        }
    }

    /// A page of this section of the nodes that are selected, behind a node; and the node to go on behind, if there are more.
    ///
    /// # Errors
    /// When the hub is not reached.
    pub async fn fleet_documents(
        &self,
        section: Section,
        of: Selector,
        after: Option<NodeName>,
    ) -> Result<(Vec<(NodeName, Document)>, Option<NodeName>), DeskError> {
        let read = self.desk.remote.ask(move |relay, now| {
            relay.with_hub(now, |hub, _| {
                hub.fleet_documents(section, &of, after.as_ref(), DOCUMENTS_PER_CALL)
            })
        });
        read.await?.ok_or(DeskError::NoHub)
    }

    /// What the hub tells next.
    ///
    /// # Errors
    /// [`DeskError::Overrun`]: what was told was not taken in time.
    pub async fn next(&mut self) -> Result<LocalTell, DeskError> {
        self.tells.recv().await.ok_or(DeskError::Overrun)
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.desk.end(self.id);
    }
}

/// What one client has not taken: as much as a topic keeps in memory, and some more.
const TELLS_MAX: usize = 1_024;
/// Documents that are copied in one call: of 64 KiB each at most, and mostly of some hundred bytes.
const DOCUMENTS_PER_CALL: usize = 16;
