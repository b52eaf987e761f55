//! A node that speaks with the hub and notes what comes.

use std::collections::BTreeMap;

use longrein_io::clock;
use longrein_io::entropy::SystemEntropy;
use longrein_io::keys::Identity;
use longrein_proto::base::{MonoTime, NodeName};
use longrein_proto::hub::{Caller, CallerEvent, Source};
use longrein_proto::role::{Controller, ControllerEvent, Input, Redial, Role, Transmit};
use longrein_proto::wire::hub::{Answer, LineMessage, Request, TargetOutcome, TargetResult, Tell};

/// A controller of which only the conversation with the hub is used.
pub struct Member {
    controller: Controller,
    /// Microseconds from the sending of each message to here.
    pub delays_us: Vec<u64>,
    /// Numbers of kept messages that did not follow the one before.
    pub gaps: u64,
    /// Messages that came.
    pub heard: u64,
    /// Targets of own messages of which it is known what became of the message there, and those that it was delivered to.
    pub results: u64,
    pub delivered: u64,
    /// The number of the newest message to this node alone.
    directed: u64,
    /// The newest answers.
    pub answers: Vec<(u32, Answer)>,
    /// How nodes stand, as the hub tells: whether each is here, and the revision of that.
    pub presence: BTreeMap<NodeName, (bool, u64)>,
    last: BTreeMap<String, u64>,
}

impl Member {
    pub fn new(identity: &Identity) -> Member {
        let me = identity.node().clone();
        let credential = identity.credential();
        let fleet = identity.fleet().clone();
        let entropy = Box::new(SystemEntropy::new());
        Member {
            controller: Controller::new(me, credential, fleet, entropy),
            delays_us: Vec::new(),
            gaps: 0,
            heard: 0,
            results: 0,
            delivered: 0,
            directed: 0,
            answers: Vec::new(),
            presence: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// Asks the hub something.
    pub fn ask(&mut self, now: MonoTime, request: Request) -> anyhow::Result<u32> {
        Ok(self
            .controller
            .with_hub(now, |caller| caller.ask(request))?)
    }

    /// The answer to a request, when it is there.
    pub fn answer(&mut self, wanted: u32) -> Option<Answer> {
        let at = self.answers.iter().position(|(ask, _)| *ask == wanted)?;
        Some(self.answers.swap_remove(at).1)
    }

    /// Forgets what was noted.
    pub fn clear(&mut self) {
        self.delays_us.clear();
        self.answers.clear();
        (self.heard, self.gaps, self.results, self.delivered) = (0, 0, 0, 0);
    }

    fn hear(&mut self, payload: &[u8]) {
        self.heard += 1;
        if let Some(sent) = payload.first_chunk::<8>() {
            let arrived = clock::now().as_us();
            self.delays_us
                .push(arrived.saturating_sub(u64::from_be_bytes(*sent)));
        }
    }

    fn listen(&mut self, now: MonoTime) {
        while self
            .controller
            .poll_event()
            .is_some_and(|_: ControllerEvent| true)
        {}
        loop {
            let event = self.controller.with_hub(now, Caller::poll_event);
            match event {
                Some(CallerEvent::Message {
                    source,
                    cursor,
                    message: LineMessage::Post(post),
                }) => {
                    self.hear(&post.payload.0);
                    if let Some(cursor) = cursor {
                        let last = self.last.entry(place(&source)).or_default();
                        self.gaps += u64::from(*last != 0 && cursor.number != *last + 1);
                        *last = cursor.number;
                    }
                }
                Some(CallerEvent::Answered { ask, answer }) => self.answers.push((ask, answer)),
                Some(CallerEvent::Told(Tell::Directed(directed))) => {
                    let payload = &directed.post.payload.0;
                    self.hear(payload);
                    if let Some(number) = payload.get(8..).and_then(<[u8]>::first_chunk::<8>) {
                        let number = u64::from_be_bytes(*number);
                        self.gaps += u64::from(number != self.directed + 1);
                        self.directed = number;
                    }
                }
                Some(CallerEvent::Told(Tell::Results { results, .. })) => {
                    let is_delivered =
                        |result: &&TargetResult| result.outcome == TargetOutcome::Delivered;
                    self.delivered += results.iter().filter(is_delivered).count() as u64;
                    self.results += results.len() as u64;
                }
                Some(CallerEvent::Told(Tell::Presence { nodes, .. })) => {
                    let told = nodes.into_iter();
                    let told = told.map(|node| (node.node, (node.present, node.revision)));
                    self.presence.extend(told);
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn place(source: &Source) -> String {
    match source {
        Source::Topic { room, topic } => format!("{room}/{topic}"),
        Source::Members { .. } | Source::Mailbox | Source::Watch(_) => String::new(),
    }
}

impl Role for Member {
    type Event = ();

    fn handle(&mut self, now: MonoTime, input: Input<'_>) {
        self.controller.handle(now, input);
        self.listen(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.controller.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_redial(&mut self) -> Option<Redial> {
        self.controller.poll_redial()
    }

    fn next_timeout(&self) -> Option<MonoTime> {
        self.controller.next_timeout()
    }
}
