//! Leases between operators: waiting, offers and handovers, preemption and revocation.

use super::persisting::Pending;
use super::{Agent, AgentEvent, LeaseEndReason, function_mut};
use crate::base::{
    Channel, FencingToken, MonoTime, NodeName, OfferId, Reason, Refusal, Right, SessionId,
};
use crate::control::{Handover, LeaseEnd, OfferOver};
use crate::wire::{FunctionKind, Granted, News, OfferEnd, Removal, Renewal, Reply};

impl Agent {
    /// A lease, or the place among those who wait for it.
    // [SAFE-96]
    pub(super) fn on_wait(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        channel: Channel,
    ) -> Option<Reply> {
        match self.on_take(now, id, ask, channel) {
            Some(Reply::Refused(Refusal::HeldBy(_))) => {
                let function = function_mut(&mut self.functions, channel)?;
                function.waiting.join(id, ask).err().map(Reply::Refused)
            }
            answer => answer,
        }
    }

    pub(super) fn on_leave(&mut self, now: MonoTime, id: SessionId, channel: Channel) -> Reply {
        let function = function_mut(&mut self.functions, channel);
        let left = function.and_then(|function| function.waiting.leave(id));
        if let Some(ask) = left {
            self.reply(now, id, ask, Reply::Refused(Refusal::NotLeased));
        }
        Reply::Done
    }

    /// Whoever waits first gets a lease that is free.
    // [SAFE-96]
    pub(super) fn give_to_next(&mut self, now: MonoTime, channel: Channel) {
        loop {
            let function = function_mut(&mut self.functions, channel);
            let free = function.filter(|function| function.session().is_none());
            if !self.persisting.has_room() {
                // It is tried again when something is on disk.
                return;
            }
            let Some((session, ask)) = free.and_then(|function| function.waiting.pop()) else {
                return;
            };
            match self.on_take(now, session, ask, channel) {
                None => return,
                Some(refused) => self.reply(now, session, ask, refused),
            }
        }
    }

    // [SAFE-94]
    pub(super) fn on_preempt(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        (channel, reason): (Channel, Reason),
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        let (by, priority) = (guest.peer.clone(), guest.priority(channel));
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        if !guest.may(Right::Command, channel) {
            return Some(self.not_allowed(id, Right::Command));
        }
        if let Err(why) = function.check_bar(now, &by) {
            return Some(Reply::Refused(why));
        }
        let other = function.session().filter(|session| *session != id);
        if let Some(other) = other {
            let holder = function.lease.holder().cloned();
            let outranked = self
                .guests
                .get(&other)
                .is_none_or(|held| held.priority(channel) < priority);
            if !outranked {
                let refusal = holder.map_or(Refusal::NotLeased, Refusal::HeldBy);
                return Some(Reply::Refused(refusal));
            }
            self.remove_lease(now, channel, Removal::Preempted { by, reason }, false);
        }
        let answer = self.on_take(now, id, ask, channel);
        if answer.is_some() {
            self.give_to_next(now, channel);
        }
        answer
    }

    // [SAFE-95]
    pub(super) fn on_revoke(
        &mut self,
        now: MonoTime,
        id: SessionId,
        channel: Channel,
        reason: Reason,
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        let by = guest.peer.clone();
        if !guest.may(Right::Supervise, channel) {
            return Some(self.not_allowed(id, Right::Supervise));
        }
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        let Some(holder) = function.lease.holder().cloned() else {
            return Some(Reply::Refused(Refusal::NotLeased));
        };
        function.bar(now, holder);
        self.remove_lease(now, channel, Removal::Revoked { by, reason }, true);
        Some(Reply::Done)
    }

    /// The policy has changed: nobody keeps or gets what it does not allow any more.
    // [SAFE-82]
    pub(super) fn end_leases_without_right(&mut self, now: MonoTime) {
        let channels: Vec<Channel> = self.functions_by_channel().map(|(c, _)| c).collect();
        for channel in channels {
            let Some(function) = function_mut(&mut self.functions, channel) else {
                return;
            };
            let may = |session: Option<SessionId>| {
                let guest = session.and_then(|session| self.guests.get(&session));
                guest.is_none_or(|guest| guest.may(Right::Command, channel))
            };
            let (holder_may, coming_may) = (may(function.session()), may(function.coming()));
            if !coming_may {
                self.end_offer(now, channel, OfferEnd::LeaseEnded);
            }
            if !holder_may {
                self.remove_lease(now, channel, Removal::NotAllowed, true);
            }
        }
    }

    /// Takes a lease away; `for_next` when whoever waits is to have it.
    fn remove_lease(&mut self, now: MonoTime, channel: Channel, how: Removal, for_next: bool) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        let session = function.session();
        let Some(end) = function.lease.on_removal() else {
            return;
        };
        let LeaseEnd { token, .. } = end;
        if let Some(guest) = session.and_then(|session| self.guests.get_mut(&session)) {
            let how = how.clone();
            let news = News::Lost {
                channel,
                token,
                how,
            };
            guest.tell_news(now, news, &mut self.node);
        }
        self.note_lease_end(now, channel, end, LeaseEndReason::Removed(how));
        if for_next {
            self.give_to_next(now, channel);
        }
    }

    /// The holder's identity offers its lease, by whichever of its sessions.
    // [SAFE-93]
    pub(super) fn on_offer(
        &mut self,
        now: MonoTime,
        id: SessionId,
        (channel, token): (Channel, FencingToken),
        to: &NodeName,
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        let from = guest.peer.clone();
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        if !guest.may(Right::Command, channel) {
            return Some(self.not_allowed(id, Right::Command));
        }
        let held = function.lease.check(now, &from, token);
        if let Err(why) = held.and_then(|()| function.check_bar(now, to)) {
            return Some(Reply::Refused(why));
        }
        let mut invited = self.guests.values_mut().filter(|guest| guest.peer == *to);
        match invited.next() {
            None => return Some(Reply::Refused(Refusal::Absent)),
            Some(guest) if *to == from || !guest.may(Right::Command, channel) => {
                return Some(Reply::Refused(Refusal::NotAllowed));
            }
            Some(_) => {}
        }
        let offer = match function.handover.on_offer(now, to) {
            Ok(offer) => offer,
            Err(why) => return Some(Reply::Refused(why)),
        };
        let ttl_ms = u16::try_from(Handover::RING.as_millis()).unwrap_or(u16::MAX);
        let ring = News::Ring {
            channel,
            offer,
            ttl_ms,
            from,
        };
        self.tell_node(now, to, &ring);
        Some(Reply::Offered(offer))
    }

    pub(super) fn on_cancel(
        &mut self,
        now: MonoTime,
        id: SessionId,
        channel: Channel,
        offer: OfferId,
    ) -> Option<Reply> {
        let who = &self.guests.get(&id)?.peer;
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        let stands = function.handover.offered_to(offer).is_some();
        if !stands || function.lease.holder() != Some(who) {
            return Some(Reply::Refused(Refusal::NoOffer));
        }
        self.end_offer(now, channel, OfferEnd::Cancelled);
        Some(Reply::Done)
    }

    pub(super) fn on_decline(
        &mut self,
        now: MonoTime,
        id: SessionId,
        (channel, offer): (Channel, OfferId),
        how: OfferEnd,
    ) -> Option<Reply> {
        let who = &self.guests.get(&id)?.peer;
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return Some(Reply::Refused(Refusal::NoSuchFunction));
        };
        if function.handover.offered_to(offer) != Some(who) {
            return Some(Reply::Refused(Refusal::NoOffer));
        }
        self.end_offer(now, channel, how);
        Some(Reply::Done)
    }

    pub(super) fn on_accept(
        &mut self,
        now: MonoTime,
        id: SessionId,
        ask: u32,
        (channel, offer): (Channel, OfferId),
    ) -> Option<Reply> {
        let guest = self.guests.get(&id)?;
        if !guest.may(Right::Command, channel) {
            return Some(self.not_allowed(id, Right::Command));
        }
        let function = function_mut(&mut self.functions, channel)?;
        if function.handover.offered_to(offer) != Some(&guest.peer) {
            return Some(Reply::Refused(Refusal::NoOffer));
        }
        if let Err(why) = function.check_bar(now, &guest.peer) {
            return Some(Reply::Refused(why));
        }
        let Some(token) = function.lease.reserve_token() else {
            return Some(Reply::Refused(Refusal::NotLeased));
        };
        let accepted = function.handover.on_accept(now, &guest.peer, offer, token);
        if let Err(why) = accepted {
            return Some(Reply::Refused(why));
        }
        function.set_coming(Some(id));
        let name = function.config.name.clone();
        self.record.tokens.insert(name, token);
        self.persist(Pending::Coming {
            channel,
            token,
            session: id,
            ask,
        });
        None
    }

    /// The token is on disk: the next holder's commands may come.
    pub(super) fn begin_overlap(
        &mut self,
        now: MonoTime,
        channel: Channel,
        token: FencingToken,
        (session, ask): (SessionId, u32),
    ) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        let Some(offer) = function.handover.on_persisted(now, token) else {
            self.reply(now, session, ask, Reply::Refused(Refusal::NoOffer));
            return;
        };
        let ttl_ms = function.lease_ttl_ms();
        let holder = function.lease.holder().cloned();
        let coming = Granted {
            channel,
            token,
            ttl_ms,
        };
        self.reply(now, session, ask, Reply::Coming(coming));
        if let Some(holder) = holder {
            self.tell_node(now, &holder, &News::Accepted { channel, offer });
        }
        self.tell_leased(now);
    }

    /// The renewals of a session that has accepted a lease stand for commands where there need not be any.
    pub(super) fn on_coming_renewal(&mut self, now: MonoTime, id: SessionId, renewal: &Renewal) {
        let stopped = self.latch.is_latched();
        let function = function_mut(&mut self.functions, renewal.channel);
        let rehearsing = function.filter(|function| {
            let opaque = function.config.kind == FunctionKind::Opaque;
            opaque && !stopped && function.rehearses(id, renewal.token)
        });
        if rehearsing.is_some_and(|function| function.handover.on_rehearsal(now)) {
            self.hand_over(now, renewal.channel, renewal.token);
        }
    }

    /// The token of whoever has accepted the lease comes into force. The command in force and the watchdog stay as they are.
    // [SAFE-91]
    pub(super) fn hand_over(&mut self, now: MonoTime, channel: Channel, token: FencingToken) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        let from = function.lease.holder().cloned();
        let guest = function.coming().and_then(|id| self.guests.get(&id));
        let to = guest.map(|guest| guest.peer.clone());
        let (Some(from), Some(holder)) = (from, to) else {
            return;
        };
        let offer = function.handover.newest();
        if function.hand_over(now, &holder, token).is_none() {
            return;
        }
        let over = News::Over {
            channel,
            offer,
            how: OfferEnd::HandedOver,
        };
        self.tell_node(now, &from, &over);
        self.tell_node(now, &holder, &over);
        self.events.push_back(AgentEvent::LeaseHandedOver {
            channel,
            from,
            holder,
            token,
        });
        self.tell_leased(now);
        self.hasten_beats(now);
    }

    /// Ends the offers whose time is over.
    pub(super) fn end_offers(&mut self, now: MonoTime) {
        let over: Vec<(Channel, OfferOver)> = self
            .functions_by_channel()
            .filter_map(|(channel, function)| {
                let over = function.handover.on_timeout(now)?;
                Some((channel, over))
            })
            .collect();
        for (channel, over) in over {
            self.on_offer_over(now, channel, &over);
        }
    }

    /// Ends the offer of a function's lease, if one stands.
    pub(super) fn end_offer(&mut self, now: MonoTime, channel: Channel, how: OfferEnd) {
        let function = function_mut(&mut self.functions, channel);
        if let Some(over) = function.and_then(|function| function.handover.on_end(how)) {
            self.on_offer_over(now, channel, &over);
        }
    }

    fn on_offer_over(&mut self, now: MonoTime, channel: Channel, over: &OfferOver) {
        let Some(function) = function_mut(&mut self.functions, channel) else {
            return;
        };
        function.set_coming(None);
        let holder = function.lease.holder().cloned();
        let news = News::Over {
            channel,
            offer: over.offer,
            how: over.how,
        };
        self.tell_node(now, &over.to, &news);
        if let Some(holder) = holder {
            self.tell_node(now, &holder, &news);
        }
        self.tell_leased(now);
    }

    /// A session has ended: it waits for nothing any more, and takes up no offer.
    pub(super) fn leave_leases(&mut self, now: MonoTime, id: SessionId) {
        let mut coming = Vec::new();
        for (channel, function) in self.functions_by_channel() {
            function.waiting.leave(id);
            if function.coming() == Some(id) {
                coming.push(channel);
            }
        }
        for channel in coming {
            self.end_offer(now, channel, OfferEnd::NotTakenUp);
        }
    }

    /// Says no, and that somebody tried.
    pub(super) fn not_allowed(&mut self, id: SessionId, right: Right) -> Reply {
        if let Some(guest) = self.guests.get(&id) {
            let peer = guest.peer.clone();
            self.events
                .push_back(AgentEvent::NotAllowed { peer, right });
        }
        Reply::Refused(Refusal::NotAllowed)
    }

    /// Tells every session of a node.
    fn tell_node(&mut self, now: MonoTime, node: &NodeName, news: &News) {
        self.events.push_back(AgentEvent::News {
            to: node.clone(),
            news: news.clone(),
        });
        for guest in self.guests.values_mut() {
            if guest.peer == *node {
                guest.tell_news(now, news.clone(), &mut self.node);
            }
        }
    }
}
