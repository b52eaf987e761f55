//! Who is connected, and what all of them are told.

mod requests;

use std::io;
use std::time::Duration;

use longrein_proto::base::{Channel, MonoTime, Name, Refusal, Stage};
use longrein_proto::leg::Budget;
use longrein_proto::wire::{FunctionKind, Telemetry};
use rustix::event::{PollFd, PollFlags};

use super::answer::{self, FunctionLine, Hello, Standing, StateLine, Trouble};
use super::board::{Board, NetworkView};
use super::client::Client;
use super::post::{Asked, Desired, HubAsk, Post};
use super::seat::Seat;
use super::socket::{self, Door, Heard, MESSAGE_MAX};
use crate::config::{LocalLevel, LocalSection};

/// The sockets and their clients. All calls come from the control thread and return at once.
#[derive(Debug)]
pub struct Server {
    vehicle: Name,
    doors: Vec<(LocalSection, Door)>,
    /// No door is looked at before.
    doors_due: MonoTime,
    clients: Vec<Client>,
    next_id: u64,
    functions: Vec<LocalFunction>,
    board: Board,
    post: Option<Post>,
    /// How the vehicle shall be, as far as that is known.
    desired: Option<Desired>,
    /// Clients that have gone and took letters.
    gone: Vec<u64>,
    network: NetworkView,
    /// What every client was told last, and when.
    told: Option<(StateLine, MonoTime)>,
    lines: Budget,
    buffer: Vec<u8>,
}

/// A function, as the local API sees it.
#[derive(Debug)]
pub struct LocalFunction {
    /// Its channel.
    pub channel: Channel,
    /// Its name.
    pub name: Name,
    /// What its commands are.
    pub kind: FunctionKind,
    /// The place of its device, when its adapter is `local`.
    pub seat: Option<Seat>,
}

/// How a function stands.
#[derive(Clone, Copy, Debug)]
pub struct FunctionStanding {
    /// Its stage.
    pub stage: Stage,
    /// Whether the emergency stop is latched.
    pub stopped: bool,
    /// Whether its device is there.
    pub device_up: bool,
}

/// What a client wants of the control thread.
#[derive(Debug)]
pub enum Wish {
    /// Stop the vehicle.
    Stop,
    /// Have a function stand.
    MinimalRisk(Channel),
    /// Tell controllers something of a function.
    Telemetry(Channel, Telemetry),
}

impl Server {
    /// Opens the sockets of these sections.
    ///
    /// # Errors
    /// Which section's, and what the system says.
    pub fn open(
        sections: &[LocalSection],
        vehicle: Name,
        board: Board,
        now: MonoTime,
    ) -> Result<Server, (LocalSection, io::Error)> {
        let mut doors = Vec::new();
        for section in sections {
            match Door::open(section) {
                Ok(door) => doors.push((section.clone(), door)),
                Err(error) => return Err((section.clone(), error)),
            }
        }
        Ok(Server {
            vehicle,
            doors,
            doors_due: now,
            clients: Vec::new(),
            next_id: 1,
            functions: Vec::new(),
            board,
            post: None,
            desired: None,
            gone: Vec::new(),
            network: NetworkView::default(),
            told: None,
            lines: Budget::new(now, LINES_PER_S, LINES_BURST),
            buffer: vec![0; MESSAGE_MAX],
        })
    }

    /// The functions that there are.
    pub fn set_functions(&mut self, functions: Vec<LocalFunction>) {
        self.functions = functions;
    }

    /// Clients speak with the hub by this.
    pub fn set_post(&mut self, post: Post) {
        self.post = Some(post);
    }

    /// Lets clients in and hears them. `act` does what they want, or says why not.
    pub fn turn(&mut self, now: MonoTime, act: &mut dyn FnMut(Wish) -> Result<(), Refusal>) {
        self.let_in(now);
        for mut client in std::mem::take(&mut self.clients) {
            self.hear(now, &mut client, act);
            if client.ended {
                self.part(now, &client);
            } else {
                self.clients.push(client);
            }
        }
    }

    /// Tells every client how the vehicle stands, when that has changed or a second has passed.
    pub fn tell(&mut self, now: MonoTime, standings: impl Iterator<Item = FunctionStanding>) {
        self.tell_of_hub(now);
        if let Some(view) = self.board.take() {
            self.network = view;
        }
        if self.clients.is_empty() {
            self.told = None;
            return;
        }
        let line = self.line(standings);
        let is_due = self
            .told
            .as_ref()
            .is_none_or(|(told, at)| now.since(*at) >= TELL_EVERY || !told.says_the_same_as(&line));
        if is_due {
            let message = answer::state(now.as_us(), &line);
            for client in &mut self.clients {
                client.send(&message);
            }
            self.told = Some((line, now));
        }
    }

    /// Passes on what the network thread says of the hub: it is text for clients, and ends here.
    // [SAFE-138]
    fn tell_of_hub(&mut self, now: MonoTime) {
        let Some(post) = &self.post else {
            return;
        };
        self.gone.retain(|client| !post.ask(gone(*client)));
        if let Some(words) = post.take() {
            for (number, word) in words.own {
                if let Some(client) = self.clients.iter_mut().find(|c| c.id == number) {
                    client.note_hub_word(word);
                }
            }
            if let Some(desired) = words.desired {
                for client in &mut self.clients {
                    client.note_desired(&desired.changed);
                }
                self.desired = Some(desired);
            }
        }
        for client in &mut self.clients {
            client.tell_of_hub(now, self.desired.as_ref());
        }
    }

    /// Adds what is to wake the control thread.
    pub fn wake_on<'a>(&'a self, now: MonoTime, fds: &mut Vec<PollFd<'a>>) {
        if self.doors_due <= now {
            let doors = self.doors.iter();
            fds.extend(doors.map(|(_, door)| PollFd::new(&door.socket, PollFlags::IN)));
        }
        let clients = self.clients.iter();
        fds.extend(clients.map(|client| PollFd::new(&client.socket, PollFlags::IN)));
    }

    // [SAFE-135]
    fn let_in(&mut self, now: MonoTime) {
        if now < self.doors_due {
            return;
        }
        for place in 0..self.doors.len() {
            for _ in 0..CLIENTS_PER_DOOR_MAX {
                let Some(socket) = self.doors.get(place).and_then(|(_, door)| door.accept()) else {
                    break;
                };
                self.doors_due = now + DOORS_REST;
                let client = Client::new(self.next_id, place, socket, now);
                self.next_id += 1;
                self.welcome(now, client);
            }
        }
    }

    fn welcome(&mut self, now: MonoTime, mut client: Client) {
        let there = self
            .clients
            .iter()
            .filter(|c| c.door == client.door)
            .count();
        if there >= CLIENTS_PER_DOOR_MAX {
            client.complain(None, &Trouble::TooMany);
            return;
        }
        if let (Some(peer), true) = (client.peer(), self.may_log(now)) {
            tracing::info!(
                client = client.id,
                pid = peer.pid.as_raw_nonzero().get(),
                uid = peer.uid.as_raw(),
                gid = peer.gid.as_raw(),
                level = self.level(&client).as_str(),
                "local client is connected"
            );
        }
        let functions = self.functions.iter().map(|function| FunctionLine {
            name: function.name.as_str(),
            kind: answer::kind_name(function.kind),
            claimable: function.seat.is_some() && self.allows(&client, function),
        });
        let hello = answer::hello(&Hello {
            api: API,
            vehicle: self.vehicle.as_str(),
            level: self.level(&client).as_str(),
            functions: functions.collect(),
        });
        client.send(&hello);
        if let Some((line, _)) = &self.told {
            client.send(&answer::state(now.as_us(), line));
        }
        if self.desired.is_some() {
            client.note_desired([]);
        }
        self.clients.push(client);
    }

    fn hear(
        &mut self,
        now: MonoTime,
        client: &mut Client,
        act: &mut dyn FnMut(Wish) -> Result<(), Refusal>,
    ) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..MESSAGES_PER_TURN_MAX {
            if client.ended {
                break;
            }
            // An observer has nothing to say that is long.
            let room = match self.level(client) {
                LocalLevel::Observer => OBSERVER_MESSAGE_MAX.min(buffer.len()),
                LocalLevel::Device => buffer.len(),
            };
            let Some(buffer) = buffer.get_mut(..room) else {
                break;
            };
            let bytes = match socket::receive(&client.socket, buffer) {
                Heard::Nothing => break,
                Heard::End => {
                    client.ended = true;
                    break;
                }
                Heard::Message(bytes) => Some(bytes),
                Heard::TooLong => None,
            };
            if !client.may_send(now, bytes.unwrap_or(room)) {
                client.complain(None, &Trouble::TooOften);
                client.ended = true;
                break;
            }
            match bytes.and_then(|bytes| buffer.get(..bytes)) {
                Some(message) => self.on_message(now, client, message, act),
                None => client.complain(None, &Trouble::TooLong),
            }
        }
        self.buffer = buffer;
    }

    fn level(&self, client: &Client) -> LocalLevel {
        let door = self.doors.get(client.door);
        door.map_or(LocalLevel::Observer, |(section, _)| section.level)
    }

    /// A client has gone: what it was the device of has none.
    fn part(&mut self, now: MonoTime, client: &Client) {
        for seat in self.functions.iter().filter_map(|f| f.seat.as_ref()) {
            seat.leave(client.id);
        }
        if client.asked_hub {
            self.gone.push(client.id);
        }
        if self.may_log(now) {
            tracing::info!(client = client.id, "local client is gone");
        }
    }

    fn line(&self, standings: impl Iterator<Item = FunctionStanding>) -> StateLine {
        let mut stopped = false;
        let holders = self.network.holders.iter().map(Clone::clone);
        let holders = holders.chain(std::iter::repeat(None));
        let functions = self.functions.iter().zip(standings).zip(holders);
        let functions = functions
            .map(|((function, standing), holder)| {
                stopped |= standing.stopped;
                Standing {
                    name: function.name.to_string(),
                    stage: standing.stage.to_string(),
                    device_up: standing.device_up,
                    holder,
                }
            })
            .collect();
        StateLine {
            stopped,
            functions,
            network_boottime_us: self.network.at_us,
            paths: self.network.paths.clone(),
        }
    }

    /// No client fills the log, which the control thread waits for.
    fn may_log(&mut self, now: MonoTime) -> bool {
        self.lines.try_spend(now, 1)
    }
}

fn gone(client: u64) -> Asked {
    Asked {
        client,
        id: None,
        what: HubAsk::Gone,
    }
}

/// Version of the local API.
const API: u32 = 1;
/// Clients at one socket: a vehicle's drivers of devices, and some that look on.
const CLIENTS_PER_DOOR_MAX: usize = 8;
/// Messages of one client in one turn of the control thread.
const MESSAGES_PER_TURN_MAX: usize = 16;
/// Bytes of a message of an observer: whatever it says is refused.
const OBSERVER_MESSAGE_MAX: usize = 1_024;
/// After somebody came in nobody does for so long: who connects again and again does not keep the thread awake.
const DOORS_REST: Duration = Duration::from_millis(10);
/// How often a client is told how the vehicle stands when nothing has changed: so it sees that the agent is there.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Lines a second that clients can cause in the log, and at once.
const LINES_PER_S: u64 = 2;
const LINES_BURST: u64 = 40;
