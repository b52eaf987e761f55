//! What becomes of what clients say, and what each may.

use longrein_proto::base::{MonoTime, Refusal};
use longrein_proto::wire::{FunctionKind, Telemetry};

use super::super::answer::{self, Trouble};
use super::super::client::Client;
use super::super::post::{Asked, HubAsk};
use super::super::request::{Ask, Request};
use super::super::seat::Seat;
use super::{LocalFunction, Server, Wish};
use crate::config::LocalLevel;

impl Server {
    pub(super) fn on_message(
        &mut self,
        now: MonoTime,
        client: &mut Client,
        message: &[u8],
        act: &mut dyn FnMut(Wish) -> Result<(), Refusal>,
    ) {
        // [SAFE-134] Whatever it is.
        if self.level(client) == LocalLevel::Observer {
            let id = Request::from_json(message).map_or_else(|(id, _)| id, |request| request.id);
            return client.complain(id, &Trouble::NotAllowed);
        }
        let request = match Request::from_json(message) {
            Ok(request) => request,
            Err((id, what)) => return client.complain(id, &Trouble::Malformed(what)),
        };
        if let Ask::Hub(what) = request.ask {
            return self.ask_hub(client, request.id, what);
        }
        let (id, word) = (request.id, request.ask.word());
        let is_answered = !matches!(request.ask, Ask::Ack { .. } | Ask::Telemetry { .. });
        match self.carry_out(now, client, request.ask, act) {
            Ok(()) => {
                client.praise();
                if is_answered || id.is_some() {
                    client.send(&answer::done(id, word));
                }
            }
            Err(trouble) => client.complain(id, &trouble),
        }
    }

    /// The answer comes from the network thread, with the hub's.
    fn ask_hub(&self, client: &mut Client, id: Option<u64>, what: HubAsk) {
        client.asked_hub = true;
        let asked = Asked {
            client: client.id,
            id,
            what,
        };
        match &self.post {
            Some(post) if post.ask(asked) => client.praise(),
            // It is no fault of the client's.
            Some(_) => client.send(&answer::error(id, &Trouble::Busy)),
            None => client.complain(id, &Trouble::NoHub),
        }
    }

    fn carry_out(
        &mut self,
        now: MonoTime,
        client: &Client,
        ask: Ask,
        act: &mut dyn FnMut(Wish) -> Result<(), Refusal>,
    ) -> Result<(), Trouble> {
        match ask {
            // [SAFE-131]
            Ask::Stop { why } => {
                // Every stop that a client says has its effect.
                let _ = act(Wish::Stop);
                if self.may_log(now) {
                    tracing::warn!(client = client.id, why, "local client stops the vehicle");
                }
                Ok(())
            }
            Ask::MinimalRisk { function, why } => {
                let channel = self.function(client, &function)?.channel;
                act(Wish::MinimalRisk(channel)).map_err(|_| Trouble::NoWatchdog)?;
                if self.may_log(now) {
                    tracing::warn!(
                        client = client.id,
                        function,
                        why,
                        "local client asks for minimal risk"
                    );
                }
                Ok(())
            }
            Ask::Telemetry {
                function,
                telemetry,
            } => {
                let function = self.function(client, &function)?;
                let fits = match (&telemetry, function.kind) {
                    (Telemetry::Vehicle(_), FunctionKind::Drive)
                    | (Telemetry::Opaque(_), FunctionKind::Opaque) => true,
                    (Telemetry::Vehicle(_), FunctionKind::Opaque)
                    | (Telemetry::Opaque(_), FunctionKind::Drive) => false,
                };
                if !fits {
                    return Err(Trouble::WrongKind);
                }
                let _ = act(Wish::Telemetry(function.channel, telemetry));
                Ok(())
            }
            Ask::Hub(_) => Err(Trouble::NoHub),
            Ask::Ack { function, seq } => {
                let seat = self.seat(client, &function)?;
                let is_own = seat.on_ack(client.id, seq);
                is_own.then_some(()).ok_or(Trouble::NotClaimed)
            }
            Ask::Claim { function } => {
                let name = self.function(client, &function)?.name.clone();
                let seat = self.seat(client, &function)?;
                if !seat.claim(client.id, client.socket.clone(), &name) {
                    return Err(Trouble::Taken);
                }
                if self.may_log(now) {
                    tracing::info!(client = client.id, function, "local client is the device");
                }
                Ok(())
            }
            Ask::Release { function } => {
                let is_own = self.seat(client, &function)?.leave(client.id);
                is_own.then_some(()).ok_or(Trouble::NotClaimed)
            }
        }
    }

    /// The function of this name, if the client may have to do with it.
    fn function(&self, client: &Client, name: &str) -> Result<&LocalFunction, Trouble> {
        let mut functions = self.functions.iter();
        let function = functions
            .find(|function| function.name.as_str() == name)
            .ok_or(Trouble::NoSuchFunction)?;
        if self.allows(client, function) {
            Ok(function)
        } else {
            Err(Trouble::NotAllowed)
        }
    }

    fn seat(&self, client: &Client, name: &str) -> Result<&Seat, Trouble> {
        let seat = self.function(client, name)?.seat.as_ref();
        seat.ok_or(Trouble::NotLocal)
    }

    // [SAFE-134]
    pub(super) fn allows(&self, client: &Client, function: &LocalFunction) -> bool {
        let door = self.doors.get(client.door);
        door.is_some_and(|(section, _)| section.is_for(&function.name))
    }
}
