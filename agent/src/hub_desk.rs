//! The hub, for the vehicle's own programs: how the vehicle shall be, letters for it and from it, and what they report of it.
//!
//! It has no way to the control thread but text for clients, and none to commands, leases and stops.
// [SAFE-138]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use longrein_io::drive::Driver;
use longrein_io::entropy::SystemEntropy;
use longrein_proto::base::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_ITEM_BYTES, DOCUMENT_ITEMS_MAX};
use longrein_proto::base::{Class, Entropy, MonoTime, Name, NodeName};
use longrein_proto::hub::{Caller, CallerEvent, Source};
use longrein_proto::role::Agent;
use longrein_proto::wire::hub::{
    Answer, Bytes, Direct, Directed, HubRefusal, Item, LineMessage, MessageId, Owner, Request,
    Section, Start, TargetOutcome, Targets, Tell, Want,
};
use tokio::sync::mpsc::Receiver;

use crate::hub_json::item;
use crate::letters::{Letters, Settled};
use crate::local::answer::{self, Trouble};
use crate::local::post::{Asked, Desired, HubAsk, Shelf};

/// Speaks with the hub for clients of the local API.
pub(crate) struct HubDesk {
    me: NodeName,
    shelf: Shelf,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    desired: BTreeMap<Name, Item>,
    /// A question for the whole document, as something was missed.
    reading: Option<u32>,
    letters: Letters,
    /// The client that takes letters.
    reader: Option<u64>,
    /// The mailbox is read, or was asked for by this number.
    mailbox: Option<u32>,
    /// Who waits to hear that a letter is sent.
    sends: BTreeMap<u32, (u64, Option<u64>)>,
}

impl HubDesk {
    pub(crate) fn new(me: NodeName, shelf: Shelf) -> HubDesk {
        HubDesk {
            me,
            shelf,
            state: RefCell::default(),
        }
    }

    /// Hears from now on how the vehicle shall be.
    pub(crate) fn open(&self, driver: &Driver<Agent>) {
        let watch = Request::WatchDocument {
            watch: DESIRED,
            owner: Owner::Node(self.me.clone()),
            section: Section::Desired,
        };
        // It is the first question of all.
        let _ = driver.with(|agent, now| agent.with_hub(now, |hub| hub.ask(watch)));
    }

    /// Does what clients ask, until there are none any more.
    pub(crate) async fn serve(self: Rc<Self>, driver: Driver<Agent>, mut asks: Receiver<Asked>) {
        while let Some(asked) = asks.recv().await {
            let (client, id, word) = (asked.client, asked.id, asked.what.word());
            let answered = driver.with(|agent, now| self.on_asked(agent, now, asked));
            match answered {
                Ok(true) => self.tell(client, answer::done(id, word)),
                Ok(false) => {}
                Err(trouble) => self.tell(client, answer::error(id, &trouble)),
            }
            driver.with(|agent, now| self.give(agent, now));
        }
    }

    /// Hears the hub.
    pub(crate) fn on_event(&self, driver: &Driver<Agent>, event: CallerEvent) {
        driver.with(|agent, now| {
            agent.with_hub(now, |hub| self.hear(hub, event));
            self.give(agent, now);
        });
    }

    fn hear(&self, hub: &mut Caller, event: CallerEvent) {
        let state = &mut *self.state.borrow_mut();
        match event {
            CallerEvent::Up => tracing::info!("hub is reached"),
            CallerEvent::Down => tracing::info!("hub is no more"),
            CallerEvent::Told(Tell::Document {
                watch: DESIRED,
                after,
                revision,
                set,
                removed,
                ..
            }) => {
                if after == 0 {
                    self.replace(state, revision, set);
                } else if after == state.revision {
                    self.change(state, revision, set, removed);
                } else if state.reading.is_none() {
                    let owner = Owner::Node(self.me.clone());
                    let section = Section::Desired;
                    state.reading = hub.ask(Request::Document { owner, section }).ok();
                }
            }
            CallerEvent::Told(Tell::Directed(Directed { post, room })) => {
                let has_reader = state.reader.is_some();
                if !has_reader || !state.letters.add(&post, room.as_ref(), None) {
                    let why = if has_reader { BUSY } else { NO_PROGRAM };
                    let settled = Settled {
                        id: post.id,
                        from: post.from,
                        is_awaited: post.want == Want::Applied,
                        taken_below: None,
                    };
                    say_outcome(hub, settled, declined(why));
                }
            }
            CallerEvent::Message {
                source: Source::Mailbox,
                cursor,
                message: LineMessage::Post(post),
            } => {
                if !state.letters.add(&post, None, cursor) {
                    tracing::warn!(
                        "more letters wait than may; the others are read after a restart"
                    );
                }
            }
            CallerEvent::Answered { ask, answer } => self.on_answer(state, ask, answer),
            CallerEvent::Lost {
                source: Source::Mailbox,
                ..
            } => state.mailbox = None,
            CallerEvent::Told(_)
            | CallerEvent::Message { .. }
            | CallerEvent::Resumed { .. }
            | CallerEvent::Lost { .. } => {}
        }
    }

    fn on_answer(&self, state: &mut State, ask: u32, answer: Answer) {
        if state.reading == Some(ask) {
            state.reading = None;
            if let Answer::Document(document) = answer {
                self.replace(state, document.revision, document.items);
            }
        } else if let Some((client, id)) = state.sends.remove(&ask) {
            let word = if let Answer::Refused(why) = answer {
                answer::error(id, &trouble(why))
            } else {
                answer::done(id, SEND)
            };
            self.tell(client, word);
        } else if state.mailbox == Some(ask) && matches!(answer, Answer::Refused(_)) {
            state.mailbox = None;
        }
    }

    /// Whether it is done; if not, the answer comes later.
    fn on_asked(&self, agent: &mut Agent, now: MonoTime, asked: Asked) -> Result<bool, Trouble> {
        let state = &mut *self.state.borrow_mut();
        match asked.what {
            HubAsk::Report { key, value } => {
                let value = value.map(|text| Bytes::from(text.into_bytes()));
                agent.report_own(now, &key, value).map_err(trouble)?;
                Ok(true)
            }
            HubAsk::Letters => {
                if state.reader.is_some_and(|reader| reader != asked.client) {
                    return Err(Trouble::Taken);
                }
                state.reader = Some(asked.client);
                if state.mailbox.is_none() {
                    let from = Start::Oldest;
                    let read = Request::Mailbox { from };
                    state.mailbox = agent.with_hub(now, |hub| hub.ask(read)).ok();
                }
                Ok(true)
            }
            HubAsk::Gone => {
                if state.reader == Some(asked.client) {
                    state.reader = None;
                    for settled in state.letters.on_reader_gone() {
                        agent.with_hub(now, |hub| say_outcome(hub, settled, declined(NO_PROGRAM)));
                    }
                }
                state.sends.retain(|_, (client, _)| *client != asked.client);
                Ok(false)
            }
            HubAsk::Outcome {
                letter,
                declined: why,
            } => {
                let is_reader = state.reader == Some(asked.client);
                let settled = is_reader.then(|| state.letters.settle(letter)).flatten();
                let settled = settled.ok_or(Trouble::NoSuchLetter)?;
                let outcome = why.map_or(TargetOutcome::Applied, TargetOutcome::Declined);
                agent.with_hub(now, |hub| say_outcome(hub, settled, Some(outcome)));
                Ok(true)
            }
            HubAsk::Send {
                to,
                flow,
                ttl,
                is_kept,
                payload,
            } => {
                let mut id = MessageId::default();
                SystemEntropy::new().fill(&mut id.0);
                let send = Request::Send(Direct {
                    to: Targets::Nodes(to),
                    flow,
                    class: Class::Reliable,
                    ttl_ms: u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX),
                    id,
                    is_kept,
                    want: Want::Nothing,
                    payload: Bytes::from(payload.into_bytes()),
                });
                let ask = agent.with_hub(now, |hub| hub.is_up().then(|| hub.ask(send)));
                let ask = ask.ok_or(Trouble::NoHub)?.map_err(|_| Trouble::Busy)?;
                state.sends.insert(ask, (asked.client, asked.id));
                Ok(false)
            }
        }
    }

    /// Gives the reader what it may have.
    fn give(&self, agent: &mut Agent, now: MonoTime) {
        let state = &mut *self.state.borrow_mut();
        let Some(reader) = state.reader else {
            return;
        };
        while let Some(letter) = state.letters.next() {
            if !self.shelf.put(reader, letter) {
                // Nobody reads here: as if the reader had gone, until it asks again.
                state.reader = None;
                for settled in state.letters.on_reader_gone() {
                    agent.with_hub(now, |hub| say_outcome(hub, settled, declined(BUSY)));
                }
                return;
            }
        }
    }

    fn replace(&self, state: &mut State, revision: u64, items: Vec<Item>) {
        let now: BTreeMap<Name, Item> = items
            .into_iter()
            .map(|item| (item.key.clone(), item))
            .collect();
        let differs = |key: &&Name| {
            let value = |items: &BTreeMap<Name, Item>| items.get(*key).map(|i| i.value.clone());
            value(&now) != value(&state.desired)
        };
        let keys = now.keys().chain(state.desired.keys());
        let changed = keys.filter(differs).cloned().collect();
        state.desired = now;
        self.show(state, revision, changed);
    }

    fn change(&self, state: &mut State, revision: u64, set: Vec<Item>, removed: Vec<Name>) {
        let mut changed = BTreeSet::new();
        for item in set {
            changed.insert(item.key.clone());
            state.desired.insert(item.key.clone(), item);
        }
        for key in removed {
            state.desired.remove(&key);
            changed.insert(key);
        }
        self.show(state, revision, changed);
    }

    fn show(&self, state: &mut State, revision: u64, changed: BTreeSet<Name>) {
        state.revision = revision;
        // No honest hub says more than a document may hold, and no other one fills the memory, or the clients' sockets.
        let mut bytes = 0;
        let mut places = 0;
        state.desired.retain(|key, item| {
            bytes += key.as_str().len() + item.value.0.len() + DOCUMENT_ITEM_BYTES;
            places += 1;
            bytes <= DOCUMENT_BYTES_MAX && places <= DOCUMENT_ITEMS_MAX
        });
        let items: Vec<String> = state.desired.values().map(item).collect();
        self.shelf.put_desired(Desired {
            revision,
            items: format!("{{{}}}", items.join(",")),
            changed,
        });
    }

    fn tell(&self, client: u64, word: String) {
        if !self.shelf.put(client, word) {
            tracing::debug!(client, "local client is told nothing: too much waits");
        }
    }
}

/// Says what became of a letter, to whom wants to hear it, and what the mailbox need not keep.
fn say_outcome(hub: &mut Caller, settled: Settled, outcome: Option<TargetOutcome>) {
    // What finds no room here: its sender hears that nobody knows, and the mailbox keeps it.
    if let Some(outcome) = outcome.filter(|_| settled.is_awaited) {
        let (id, from) = (settled.id, settled.from);
        let _ = hub.ask(Request::Outcome { id, from, outcome });
    }
    if let Some(below) = settled.taken_below {
        let _ = hub.ask(Request::Taken { below });
    }
}

fn declined(why: &str) -> Option<TargetOutcome> {
    why.parse().ok().map(TargetOutcome::Declined)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the others have their own words"
)]
fn trouble(why: HubRefusal) -> Trouble {
    match why {
        HubRefusal::Full => Trouble::Full,
        HubRefusal::TooLarge => Trouble::TooLarge,
        HubRefusal::NotFound => Trouble::NoHub,
        HubRefusal::Busy | HubRefusal::TooOften { .. } | HubRefusal::Degraded => Trouble::Busy,
        why => Trouble::Refused(why.to_string()),
    }
}

/// The number of the watch of how the vehicle shall be.
const DESIRED: u32 = 1;
/// Why a letter is declined for which nobody is here.
const NO_PROGRAM: &str = "no-program";
/// Why a letter is declined when too many wait.
const BUSY: &str = "busy";
/// The word of a client that sends a letter.
const SEND: &str = "send";
