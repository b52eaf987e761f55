//! What goes to clients, piece by piece, so that nobody waits for somebody else's messages.

use std::sync::Arc;

use super::{Hub, HubEffect, LocalTell};
use crate::hub::carrier::Piece;
use crate::hub::client::{Client, LiveMessage, Reader};
use crate::hub::feed::{Feed, Kept};
use crate::hub::{ClientId, Moment};
use crate::wire::hub::{Line, Tell};

/// What a reader gets next on a line.
enum Step {
    /// A piece of a message; whether it was the last one.
    Piece(Arc<[u8]>, bool),
    /// These numbers do not come.
    Skip {
        from: u64,
        below: u64,
    },
    /// What follows this number has to be read first.
    Read(u64),
    Nothing,
}

impl Hub {
    /// The next piece for a client's leg. Clients take turns.
    pub fn poll_piece(&mut self, at: Moment) -> Option<(ClientId, Piece)> {
        while let Some(client) = self.queue.pop_front() {
            if let Some(piece) = self.next_piece(at, client) {
                self.queue.push_back(client);
                self.counters.pieces += 1;
                self.note_timeout(at, client);
                return Some((client, piece));
            }
            if let Some(idle) = self.clients.get_mut(&client) {
                idle.is_queued = false;
            }
            self.note_timeout(at, client);
        }
        None
    }

    /// A client's leg has brought a piece.
    pub fn on_delivered(&mut self, at: Moment, client: ClientId, parcel: &Arc<[u8]>) {
        let Some(listener) = self.clients.get_mut(&client) else {
            return;
        };
        if let Some(tag) = listener.carrier.on_delivered(parcel) {
            self.sends.on_delivered(at.now, tag);
        }
        self.enqueue(client);
    }

    /// A client's leg has no room for a piece.
    pub fn on_no_room(&mut self, at: Moment, client: ClientId, parcel: &Arc<[u8]>) {
        if let Some(listener) = self.clients.get_mut(&client) {
            listener.carrier.on_no_room(at.now, parcel);
            // The leg says nothing of its own accord: the time-out comes back to it.
            if let Some(timeout) = listener.timeout.take() {
                self.timeouts.remove(&(timeout, client));
            }
            self.note_timeout(at, client);
        }
    }

    /// There is something new on a line.
    pub(super) fn wake(&mut self, line: Line) {
        let Some(feed) = self.feeds.get(&line) else {
            return;
        };
        let mut local = Vec::new();
        for id in &feed.readers {
            let Some(reader) = self.clients.get_mut(id) else {
                continue;
            };
            reader.turn(line);
            if reader.is_local {
                local.push(*id);
            } else if !std::mem::replace(&mut reader.is_queued, true) {
                self.queue.push_back(*id);
            }
        }
        for client in local {
            self.enqueue(client);
        }
    }

    /// A message that goes at once or never, to all who read a line.
    pub(super) fn spread(&mut self, line: Line, message: &LiveMessage) {
        let Some(feed) = self.feeds.get(&line) else {
            return;
        };
        for id in &feed.readers {
            if let Some(reader) = self
                .clients
                .get_mut(id)
                .and_then(|c| c.readers.get_mut(&line))
            {
                reader.add_live(message.clone());
            }
        }
        self.wake(line);
    }

    fn next_piece(&mut self, at: Moment, id: ClientId) -> Option<Piece> {
        let client = self.clients.get_mut(&id)?;
        if client.is_local {
            self.tell_lines(at, id);
            return None;
        }
        if let Some(again) = client.carrier.next_again(at.now) {
            return Some(again);
        }
        loop {
            let client = self.clients.get_mut(&id)?;
            if !client.carrier.has_room() {
                return None;
            }
            if let Some(own) = client.carrier.next_own(at.now) {
                return Some(own);
            }
            let line = client.turns.pop_front()?;
            let reader = client.readers.get_mut(&line)?;
            reader.is_turned = false;
            if let Some((parcel, until)) = next_live(at, reader) {
                client.turn(line);
                return Some(client.carrier.launch(at.now, parcel, Some(until)));
            }
            let Some(feed) = self.feeds.get(&line) else {
                continue;
            };
            match next_kept(at, reader, feed) {
                Step::Piece(parcel, is_last) => {
                    self.counters.deliveries += u64::from(is_last);
                    client.turn(line);
                    return Some(client.carrier.launch(at.now, parcel, None));
                }
                Step::Skip { from, below } => {
                    client.turn(line);
                    self.tell(id, Tell::Skipped { line, from, below });
                }
                Step::Read(from) => self.read_page(id, line, from),
                Step::Nothing => {}
            }
        }
    }

    /// Whoever speaks by the program is told whole messages; its program bounds what waits.
    fn tell_lines(&mut self, at: Moment, id: ClientId) {
        loop {
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            let Some(line) = client.turns.pop_front() else {
                return;
            };
            let (Some(reader), Some(feed)) = (client.readers.get_mut(&line), self.feeds.get(&line))
            else {
                continue;
            };
            reader.is_turned = false;
            let mut told: Vec<LocalTell> = reader
                .live
                .drain(..)
                .map(|live| LocalTell::Line {
                    line,
                    number: live.number,
                    is_kept: false,
                    message: live.message,
                })
                .collect();
            let mut read = None;
            loop {
                reader.piece = 0;
                match next_message(at, reader, feed) {
                    Ok(kept) => {
                        reader.next = kept.number + 1;
                        told.push(LocalTell::Line {
                            line,
                            number: kept.number,
                            is_kept: true,
                            message: kept.message,
                        });
                    }
                    Err(Step::Skip { from, below }) => {
                        told.push(LocalTell::Own(Tell::Skipped { line, from, below }));
                    }
                    Err(Step::Read(from)) => {
                        read = Some(from);
                        break;
                    }
                    Err(Step::Piece(..) | Step::Nothing) => break,
                }
            }
            self.counters.deliveries += told.len() as u64;
            let effects = told
                .into_iter()
                .map(|what| HubEffect::Tell { client: id, what });
            self.effects.extend(effects);
            if let Some(from) = read {
                self.read_page(id, line, from);
            }
        }
    }

    /// Notes when a client's carrier wants to be asked, unless it is to be asked before anyway.
    fn note_timeout(&mut self, at: Moment, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if client.timeout.is_none()
            && let Some(due) = client.carrier.next_timeout()
        {
            let due = due.max(at.now);
            client.timeout = Some(due);
            self.timeouts.insert((due, id));
        }
    }
}

fn next_live(at: Moment, reader: &mut Reader) -> Option<(Arc<[u8]>, crate::base::MonoTime)> {
    loop {
        let live = reader.live.front_mut()?;
        if live.until <= at.now && !live.is_begun {
            reader.live.pop_front();
            continue;
        }
        live.is_begun = true;
        let (parcel, until) = (live.pieces.pop_front(), live.until);
        if live.pieces.is_empty() {
            reader.live.pop_front();
        }
        if let Some(parcel) = parcel {
            return Some((parcel, until));
        }
    }
}

fn next_kept(at: Moment, reader: &mut Reader, feed: &Feed) -> Step {
    let kept = match next_message(at, reader, feed) {
        Ok(kept) => kept,
        Err(step) => return step,
    };
    let Some(parcel) = kept.pieces.get(reader.piece).map(Arc::clone) else {
        return Step::Nothing;
    };
    reader.piece += 1;
    let is_last = reader.piece >= kept.pieces.len();
    if is_last {
        reader.next = kept.number + 1;
        reader.piece = 0;
    }
    Step::Piece(parcel, is_last)
}

/// The message that a reader gets next, with the number that it waits for.
fn next_message(at: Moment, reader: &mut Reader, feed: &Feed) -> Result<Kept, Step> {
    while reader
        .page
        .front()
        .is_some_and(|kept| kept.number < reader.next)
    {
        reader.page.pop_front();
    }
    if reader.next >= feed.next() {
        return Err(Step::Nothing);
    }
    let skip_to = |reader: &mut Reader, below: u64| {
        let from = std::mem::replace(&mut reader.next, below);
        reader.piece = 0;
        Err(Step::Skip { from, below })
    };
    let Some(kept) = reader
        .page
        .front()
        .or_else(|| feed.in_ring(reader.next))
        .cloned()
    else {
        let first = feed.head.first;
        return if reader.next < first {
            skip_to(reader, first)
        } else if feed.journal.is_none() {
            skip_to(reader, feed.next())
        } else if reader.is_asked {
            Err(Step::Nothing)
        } else {
            reader.is_asked = true;
            Err(Step::Read(reader.next))
        };
    };
    if kept.number > reader.next {
        return skip_to(reader, kept.number);
    }
    // What has begun to go goes to its end.
    if kept.until_ms <= at.unix_ms && reader.piece == 0 {
        return skip_to(reader, kept.number + 1);
    }
    Ok(kept)
}

impl Client {
    /// A page came for a line.
    pub(super) fn on_page(&mut self, line: Line, kept: impl Iterator<Item = Kept>) {
        if let Some(reader) = self.readers.get_mut(&line) {
            reader.is_asked = false;
            reader.page.extend(kept);
        }
        self.turn(line);
    }
}
