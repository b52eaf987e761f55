//! What agent and controller share: a leg to each relay, and the greeting on each path.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::bulletin::Bulletin;
use super::link_budgets::LinkBudgets;
use super::meters::{MeterView, Meters};
use super::public_addresses::PublicAddresses;
use super::relay_papers::RelayPapers;
use super::{Redial, Transmit};
use crate::base::limits::{HELLO_INTERVAL, RELAYS_MAX, VERSION, WELCOME_MAX};
use crate::base::{Entropy, MonoTime, Name, NodeKind, NodeName, PathId};
use crate::crypto::{Fleet, Peer};
use crate::leg::{self, Leg, Origin, PathStatus};
use crate::path::{Carries, Health};
use crate::wire::{
    AckState, Chunk, FEATURE_HUB, FEATURE_SEEN, FEATURE_VISIT, Notice, Packet, Parcel, Trail,
};

/// A leg to each relay.
#[derive(Debug)]
pub(super) struct Node {
    incarnation: u64,
    features: u32,
    relays: BTreeMap<NodeName, Uplink>,
    paths: BTreeMap<PathId, NodePath>,
    transmits: VecDeque<Transmit>,
    redials: VecDeque<Redial>,
    facts: VecDeque<Fact>,
    counters: NodeCounters,
    /// Of legs that are no more.
    past_legs: leg::Counters,
    budgets: LinkBudgets,
    meters: Meters,
    addresses: PublicAddresses,
    /// Of the authority: its newest list of revocations, as parcels for the relays.
    revocations: Vec<Arc<[u8]>>,
}

#[derive(Debug)]
struct Uplink {
    leg: Leg,
    bulletin: Bulletin,
    /// The relay's number of its end of the leg; none before the first welcome.
    leg_incarnation: Option<u64>,
    /// Whether the relay is the fleet's hub.
    is_hub: bool,
}

#[derive(Debug)]
struct NodePath {
    relay: NodeName,
    /// By the certificate that it showed as the path came up.
    relay_papers: RelayPapers,
    link: Name,
    /// When the next hello goes; none after the welcome.
    next_hello: Option<MonoTime>,
    /// Since when it waits for its welcome, if it does.
    greeted_at: MonoTime,
    /// Whether the program was told to dial it anew.
    is_redialled: bool,
    /// Whether one of its ends has, or may have, a newer certificate, so that it is dialled anew also when it works.
    is_outdated: bool,
}

/// What the legs tell the role.
#[derive(Debug)]
pub(super) enum Fact {
    /// A relay has a new leg for this node and knows nothing of what was sent before.
    LegUp {
        relay: NodeName,
        is_hub: bool,
    },
    /// The hub has a piece of a message.
    Delivered {
        relay: NodeName,
        parcel: Arc<[u8]>,
    },
    Arrival {
        way: Way,
        parcel: Arc<[u8]>,
    },
    Health {
        relay: NodeName,
        path: PathId,
        health: Health,
    },
}

/// How a parcel came.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) relay: NodeName,
    pub(super) link: Option<Name>,
    pub(super) trail: Trail,
    pub(super) transit: Duration,
}

/// How one path stands.
#[derive(Clone, Debug)]
pub struct PathView {
    /// The relay at its other end.
    pub relay: NodeName,
    /// The link that it uses.
    pub link: Name,
    /// From where the relay sees its packets come; absent until it says so.
    pub seen_as: Option<IpAddr>,
    /// Estimates; absent until the relay has welcomed the node on this path.
    pub status: Option<PathStatus>,
}

/// What a node dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounters {
    /// Packets that could not be decoded.
    pub malformed_packets: u64,
    /// Packets on a path that is not greeted, or not known.
    pub unexpected_packets: u64,
    /// Parcels that could not be decoded or that no relay sends.
    pub malformed_parcels: u64,
    /// Paths refused because there are too many relays or the peer is no relay.
    pub refused_paths: u64,
    /// Messages of telemetry that no link may carry today any more.
    pub withheld: u64,
    /// Parcels that a leg had no room for.
    pub overflows: u64,
    /// Newer certificates that the far end of a session showed and that are not right.
    pub refused_papers: u64,
}

impl Node {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Node {
        Node {
            incarnation: entropy.next_u64(),
            features: 0,
            relays: BTreeMap::new(),
            paths: BTreeMap::new(),
            transmits: VecDeque::new(),
            redials: VecDeque::new(),
            facts: VecDeque::new(),
            counters: NodeCounters::default(),
            past_legs: leg::Counters::default(),
            budgets: LinkBudgets::default(),
            meters: Meters::default(),
            addresses: PublicAddresses::default(),
            revocations: Vec::new(),
        }
    }

    /// A node that wants to reach the authority only, and takes nobody's place.
    // [WIRE-142]
    pub(super) fn visiting(entropy: &mut dyn Entropy) -> Node {
        Node {
            features: FEATURE_VISIT,
            ..Node::new(entropy)
        }
    }

    /// The same, which wants to know from where relays see it.
    // [WIRE-169]
    pub(super) fn reading_addresses(mut self) -> Node {
        self.features |= FEATURE_SEEN;
        self
    }

    /// The same, which speaks with the fleet's hub.
    // [WIRE-189]
    pub(super) fn speaking_with_hub(mut self) -> Node {
        self.features |= FEATURE_HUB;
        self
    }

    /// A relay says from where the packets of a link come.
    // [WIRE-169]
    pub(super) fn on_seen(&mut self, relay: &NodeName, link: Name, address: IpAddr) {
        let is_known = |path: &NodePath| path.relay == *relay && path.link == link;
        if self.paths.values().any(is_known) {
            self.addresses.on_seen(relay.clone(), link, address);
        } else {
            self.counters.malformed_parcels += 1;
        }
    }

    /// What relays see of the links.
    pub(super) fn addresses(&mut self) -> &mut PublicAddresses {
        &mut self.addresses
    }

    /// Pairs of links that leave through one public address, as far as relays say so.
    pub(super) fn shared_links(&self) -> Vec<(Name, Name)> {
        self.addresses.shared().cloned().collect()
    }

    /// What a link may carry each way.
    pub(super) fn set_link_budget(&mut self, link: Name, kbit_s: u32) {
        self.budgets.set(link, kbit_s);
        self.share_budgets();
    }

    /// What the links that have a budget for the day used of it. Whoever changes it calls [`Self::share_plans`].
    pub(super) fn meters(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// How the metered links stand.
    pub(super) fn meter_views(&self) -> Vec<MeterView> {
        self.meters.views()
    }

    /// Has every path carry what its link's plan for the day lets it.
    // [SAFE-110]
    pub(super) fn share_plans(&mut self) {
        for (id, path) in &self.paths {
            if let Some(uplink) = self.relays.get_mut(&path.relay) {
                uplink.leg.set_carries(*id, self.meters.carries(&path.link));
            }
        }
    }

    /// Whether there are paths that work, and none of them may carry telemetry.
    // [SAFE-110]
    pub(super) fn withholds_telemetry(&self) -> bool {
        if self.meters.is_empty() {
            return false;
        }
        let mut working = self.paths.iter().filter(|(id, path)| {
            let leg = self.relays.get(&path.relay).map(|uplink| &uplink.leg);
            let health = leg.and_then(|leg| leg.health(**id));
            health.is_some_and(|health| health != Health::Down)
        });
        let mut is_any = false;
        let is_withheld = working.all(|(_, path)| {
            is_any = true;
            self.meters.carries(&path.link) != Carries::All
        });
        is_any && is_withheld
    }

    /// Counts a packet that goes or came on a path.
    fn meter(&mut self, path: PathId, bytes: usize) {
        if self.meters.is_empty() {
            return;
        }
        if let Some(known) = self.paths.get(&path)
            && self.meters.on_packet(&known.link, bytes)
        {
            self.share_plans();
        }
    }

    /// These are the links now.
    pub(super) fn keep_link_budgets(&mut self, links: &[Name]) {
        self.budgets.keep_only(links);
    }

    pub(super) fn on_path_up(&mut self, now: MonoTime, path: PathId, link: Name, peer: Peer) {
        let relay_papers = RelayPapers::new(&peer);
        let relay = peer.node;
        if relay.kind != NodeKind::Relay || !self.make_room(&relay) {
            self.counters.refused_paths += 1;
            return;
        }
        self.relays.entry(relay.clone()).or_insert_with(|| Uplink {
            leg: Leg::new(now),
            bulletin: Bulletin::default(),
            leg_incarnation: None,
            is_hub: false,
        });
        self.paths.insert(
            path,
            NodePath {
                relay,
                relay_papers,
                link,
                next_hello: Some(now),
                greeted_at: now,
                is_redialled: false,
                is_outdated: false,
            },
        );
        self.greet(now);
    }

    /// Whether there is room for the leg of this relay. A leg without a path gives way: a configuration that was read again may
    /// name other relays.
    fn make_room(&mut self, relay: &NodeName) -> bool {
        if self.relays.contains_key(relay) || self.relays.len() < RELAYS_MAX {
            return true;
        }
        let is_used = |name: &NodeName| self.paths.values().any(|path| path.relay == *name);
        let unused = self.relays.keys().find(|name| !is_used(name)).cloned();
        let gone = unused.and_then(|name| self.relays.remove(&name));
        if let Some(gone) = &gone {
            self.past_legs = self.past_legs.plus(gone.leg.counters());
        }
        gone.is_some()
    }

    pub(super) fn on_path_down(&mut self, now: MonoTime, path: PathId) {
        if let Some(gone) = self.paths.remove(&path)
            && let Some(uplink) = self.relays.get_mut(&gone.relay)
        {
            uplink.leg.remove_path(now, path);
            self.collect(&gone.relay);
            let is_like = |path: &NodePath| path.relay == gone.relay && path.link == gone.link;
            if !self.paths.values().any(is_like) {
                self.addresses.on_gone(&gone.relay, &gone.link);
            }
        }
        self.redials.retain(|redial| redial.path != path);
        self.share_budgets();
    }

    /// Hears no more from relays that are revoked, and has their paths dialled anew: if the relay has a new certificate, it
    /// comes back.
    // [WIRE-147]
    pub(super) fn drop_revoked(&mut self, now: MonoTime, fleet: &Fleet) {
        self.drop_paths(now, |path| {
            fleet.is_revoked(&path.relay, path.relay_papers.not_before)
        });
    }

    /// Has all paths dialled anew, with the node's newer certificate; each stays until another connection is up.
    // [WIRE-163]
    pub(super) fn redial_all(&mut self) {
        for (id, path) in &mut self.paths {
            path.is_outdated = true;
            self.redials.push_back(Redial {
                path: *id,
                wanted: true,
            });
        }
    }

    /// Hears no more from relays whose certificates have ended, and looks in time whether they have newer ones.
    // [WIRE-160] [WIRE-163]
    fn judge_papers(&mut self, now: MonoTime, at: UnixTime) {
        // Before the first reading of the wall clock nothing is known of the time.
        if at.as_secs() == 0 {
            return;
        }
        for (id, path) in &mut self.paths {
            path.relay_papers.note(now, at, self.incarnation);
            if !path.is_outdated && path.relay_papers.may_be_outdated(now) {
                path.is_outdated = true;
                self.redials.push_back(Redial {
                    path: *id,
                    wanted: true,
                });
            }
        }
        self.drop_paths(now, |path| path.relay_papers.is_over(now));
    }

    /// Hears no more on some paths, and has them dialled anew.
    fn drop_paths(&mut self, now: MonoTime, which: impl Fn(&NodePath) -> bool) {
        let dropped: Vec<PathId> = self
            .paths
            .iter()
            .filter(|(_, path)| which(path))
            .map(|(id, _)| *id)
            .collect();
        for path in dropped {
            self.on_path_down(now, path);
            self.redials.push_back(Redial { path, wanted: true });
        }
    }

    pub(super) fn on_packet(&mut self, now: MonoTime, path: PathId, bytes: &[u8]) {
        self.meter(path, bytes.len());
        let Ok(packet) = Packet::decode(bytes) else {
            self.counters.malformed_packets += 1;
            return;
        };
        let Some(known) = self.paths.get(&path) else {
            self.counters.unexpected_packets += 1;
            return;
        };
        let relay = known.relay.clone();
        if known.next_hello.is_some() {
            self.on_greeting(now, path, &relay, &packet);
            return;
        }
        let is_redialled = known.is_redialled;
        let Some(uplink) = self.relays.get_mut(&relay) else {
            return;
        };
        for arrival in uplink.leg.on_packet(now, path, packet) {
            let way = Way {
                relay: relay.clone(),
                link: self.paths.get(&arrival.path).map(|path| path.link.clone()),
                trail: arrival.trail,
                transit: arrival.transit,
            };
            self.facts.push_back(Fact::Arrival {
                way,
                parcel: arrival.parcel,
            });
        }
        while let Some(parcel) = uplink.leg.poll_delivered() {
            if !uplink.bulletin.on_delivered(&parcel) {
                let relay = relay.clone();
                self.facts.push_back(Fact::Delivered { relay, parcel });
            }
        }
        self.collect(&relay);
        if is_redialled {
            self.set_redial(path, false);
        }
    }

    // [WIRE-110] [WIRE-111]
    /// Before the welcome everything else on the path is dropped: the relay retries what matters.
    fn on_greeting(&mut self, now: MonoTime, path: PathId, relay: &NodeName, packet: &Packet) {
        let welcome = packet.chunks.iter().find_map(|chunk| match chunk {
            Chunk::Welcome {
                version: VERSION,
                node_incarnation,
                leg_incarnation,
                features,
                ..
            } if *node_incarnation == self.incarnation => {
                Some((*leg_incarnation, features & FEATURE_HUB != 0))
            }
            Chunk::Welcome { .. }
            | Chunk::Hello { .. }
            | Chunk::Floor { .. }
            | Chunk::Allowance { .. }
            | Chunk::Tracked { .. }
            | Chunk::Untracked { .. } => None,
        });
        let (Some((incarnation, is_hub)), Some(uplink)) = (welcome, self.relays.get_mut(relay))
        else {
            self.counters.unexpected_packets += 1;
            return;
        };
        if uplink.leg_incarnation != Some(incarnation) {
            self.past_legs = self.past_legs.plus(uplink.leg.counters());
            uplink.leg = Leg::new(now);
            uplink.leg_incarnation = Some(incarnation);
            uplink.is_hub = is_hub;
            uplink
                .bulletin
                .bring(now, &self.revocations, &mut uplink.leg);
            // The relay's state is new, so its other paths must be greeted again.
            for (_, other) in self.paths.iter_mut().filter(|(_, p)| p.relay == *relay) {
                if other.next_hello.is_none() {
                    other.next_hello = Some(now);
                    other.greeted_at = now;
                }
            }
            self.facts.push_back(Fact::LegUp {
                relay: relay.clone(),
                is_hub,
            });
        }
        if let Some(greeted) = self.paths.get_mut(&path) {
            greeted.next_hello = None;
            uplink.leg.add_path(now, path);
            uplink
                .leg
                .set_link(path, self.budgets.number_of(&greeted.link));
            let carries = self.meters.carries(&greeted.link);
            uplink.leg.set_carries(path, carries);
        }
        self.set_redial(path, false);
        self.share_budgets();
        self.collect(relay);
        self.greet(now);
    }

    /// Does what is due; `at` is the time for certificates.
    pub(super) fn on_timeout(&mut self, now: MonoTime, at: UnixTime) {
        self.judge_papers(now, at);
        self.greet(now);
        let due: Vec<NodeName> = self
            .relays
            .iter()
            .filter(|(_, uplink)| uplink.next_timeout().is_some_and(|at| at <= now))
            .map(|(relay, _)| relay.clone())
            .collect();
        for relay in due {
            if let Some(uplink) = self.relays.get_mut(&relay) {
                uplink.leg.on_timeout(now);
                self.counters.overflows += uplink.bulletin.work(now, &mut uplink.leg);
            }
            self.collect(&relay);
        }
        self.give_up_lost_paths(now);
    }

    pub(super) fn next_timeout(&self) -> Option<MonoTime> {
        let legs = self.relays.values().filter_map(Uplink::next_timeout);
        let hellos = self.paths.values().filter_map(|path| path.next_hello);
        legs.chain(hellos).min()
    }

    /// Brings a list of revocations to every relay, and to each that comes (back), until it is acknowledged.
    // [WIRE-148]
    pub(super) fn publish(&mut self, now: MonoTime, revocations: Vec<Arc<[u8]>>) {
        self.revocations = revocations;
        for (relay, uplink) in &mut self.relays {
            if uplink.leg_incarnation.is_some() {
                let without_room = uplink
                    .bulletin
                    .bring(now, &self.revocations, &mut uplink.leg);
                self.counters.overflows += without_room;
                uplink.collect(relay, &mut self.transmits, &mut self.facts);
            }
        }
    }

    /// Offers a parcel to the leg of every relay; a leg that was never welcomed is left out. False when none had
    /// room.
    pub(super) fn send_everywhere(
        &mut self,
        now: MonoTime,
        parcel: &Arc<[u8]>,
        created: MonoTime,
        deadline: MonoTime,
    ) -> bool {
        let mut room = self.relays.is_empty();
        for (relay, uplink) in &mut self.relays {
            if uplink.send(now, parcel, created, deadline) {
                room = true;
            } else {
                self.counters.overflows += 1;
            }
            uplink.collect(relay, &mut self.transmits, &mut self.facts);
        }
        room
    }

    /// Offers a parcel to the leg of one relay.
    pub(super) fn send(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        parcel: &Arc<[u8]>,
        created: MonoTime,
        deadline: MonoTime,
    ) {
        self.try_send(now, relay, parcel, created, deadline);
    }

    /// The same; false when the leg has no room, or there is none.
    pub(super) fn try_send(
        &mut self,
        now: MonoTime,
        relay: &NodeName,
        parcel: &Arc<[u8]>,
        created: MonoTime,
        deadline: MonoTime,
    ) -> bool {
        let Some(uplink) = self.relays.get_mut(relay) else {
            return false;
        };
        let taken = uplink.send(now, parcel, created, deadline);
        self.counters.overflows += u64::from(!taken);
        uplink.collect(relay, &mut self.transmits, &mut self.facts);
        taken
    }

    pub(super) fn notify(&mut self, now: MonoTime, relay: &NodeName, notice: Notice) {
        let parcel = Parcel::Notice(notice).encode();
        self.send(now, relay, &parcel, now, now + NOTICE_TTL);
    }

    pub(super) fn notify_all(&mut self, now: MonoTime, notice: &Notice) {
        let parcel = Parcel::Notice(notice.clone()).encode();
        self.send_everywhere(now, &parcel, now, now + NOTICE_TTL);
    }

    pub(super) fn poll_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    pub(super) fn poll_redial(&mut self) -> Option<Redial> {
        self.redials.pop_front()
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.transmits.pop_front()?;
        self.meter(transmit.path, transmit.bytes.len());
        Some(transmit)
    }

    /// Relays whose welcome has come at least once.
    pub(super) fn relays(&self) -> impl Iterator<Item = &NodeName> {
        self.relays
            .iter()
            .filter(|(_, uplink)| uplink.leg_incarnation.is_some())
            .map(|(name, _)| name)
    }

    pub(super) fn paths(&self) -> Vec<PathView> {
        let status = |id: &PathId, path: &NodePath| {
            let leg = &self.relays.get(&path.relay)?.leg;
            leg.paths().into_iter().find(|status| status.path == *id)
        };
        let view = |(id, path): (&PathId, &NodePath)| PathView {
            relay: path.relay.clone(),
            link: path.link.clone(),
            seen_as: self.addresses.of(&path.relay, &path.link),
            status: status(id, path),
        };
        self.paths.iter().map(view).collect()
    }

    pub(super) fn counters(&self) -> NodeCounters {
        self.counters
    }

    pub(super) fn waiting(&self) -> usize {
        let legs = self.relays.values().map(|uplink| uplink.leg.waiting());
        legs.max().unwrap_or(0)
    }

    pub(super) fn leg_counters(&self) -> leg::Counters {
        let legs = self.relays.values().map(|uplink| uplink.leg.counters());
        legs.fold(self.past_legs, leg::Counters::plus)
    }

    pub(super) fn count_malformed_parcel(&mut self) {
        self.counters.malformed_parcels += 1;
    }

    pub(super) fn count_withheld(&mut self) {
        self.counters.withheld += 1;
    }

    pub(super) fn count_refused_papers(&mut self) {
        self.counters.refused_papers += 1;
    }

    /// Shares each link's budget out over its paths. One that is down leaves its share to the others: nobody knows that it is of
    /// use, and what it sends takes their room.
    // [WIRE-123]
    fn share_budgets(&mut self) {
        let mut sharers: BTreeMap<Name, u32> = BTreeMap::new();
        let mut members = Vec::new();
        for (id, path) in &self.paths {
            let Some(uplink) = self.relays.get(&path.relay) else {
                continue;
            };
            if let Some(health) = uplink.leg.health(*id) {
                let up = health != Health::Down;
                *sharers.entry(path.link.clone()).or_default() += u32::from(up);
                members.push((*id, path.relay.clone(), path.link.clone(), up));
            }
        }
        for (id, relay, link, up) in members {
            let up_here = sharers.get(&link).copied().unwrap_or(1).max(1);
            let share = if up {
                self.budgets.kbit_s(&link) / up_here
            } else {
                0
            };
            if let Some(uplink) = self.relays.get_mut(&relay) {
                uplink.leg.set_share(id, share, share);
            }
        }
    }

    /// Looks for paths that another connection should replace. Each of them sends heartbeats or hellos, so that it is looked at in
    /// time.
    // [WIRE-131]
    fn give_up_lost_paths(&mut self, now: MonoTime) {
        let mut lost = Vec::new();
        for (id, path) in &self.paths {
            let is_lost = if path.next_hello.is_some() {
                now.since(path.greeted_at) >= WELCOME_MAX
            } else {
                self.is_lost(&path.relay, *id)
            };
            if is_lost {
                lost.push(*id);
            }
        }
        for path in lost {
            self.set_redial(path, true);
        }
    }

    fn is_lost(&self, relay: &NodeName, path: PathId) -> bool {
        let Some(Uplink { leg, .. }) = self.relays.get(relay) else {
            return false;
        };
        // Only what is down can be lost, and the whole status costs more to find out.
        leg.health(path) == Some(Health::Down)
            && leg
                .paths()
                .iter()
                .any(|status| status.path == path && status.is_lost)
    }

    fn set_redial(&mut self, path: PathId, wanted: bool) {
        if let Some(known) = self.paths.get_mut(&path)
            && known.is_redialled != wanted
        {
            known.is_redialled = wanted;
            // Another connection is wanted also when this one works again.
            if wanted || !known.is_outdated {
                self.redials.push_back(Redial { path, wanted });
            }
        }
    }

    fn greet(&mut self, now: MonoTime) {
        for (id, path) in &mut self.paths {
            if path.next_hello.is_some_and(|at| at <= now) {
                path.next_hello = Some(now + HELLO_INTERVAL);
                let hello = Chunk::Hello {
                    version_min: VERSION,
                    version_max: VERSION,
                    incarnation: self.incarnation,
                    features: self.features,
                    link: path.link.clone(),
                };
                self.transmits.push_back(Transmit {
                    path: *id,
                    bytes: greeting(now, hello),
                });
            }
        }
    }

    fn collect(&mut self, relay: &NodeName) {
        let told = self.facts.len();
        if let Some(uplink) = self.relays.get_mut(relay) {
            uplink.collect(relay, &mut self.transmits, &mut self.facts);
        }
        // The health of a path changed.
        if self.facts.len() > told {
            self.share_budgets();
        }
    }
}

impl Uplink {
    fn next_timeout(&self) -> Option<MonoTime> {
        let leg = self.leg.next_timeout();
        leg.into_iter().chain(self.bulletin.next_timeout()).min()
    }

    /// False when the leg has no room. Nothing is sent before the first welcome: the relay would not know whose it is.
    fn send(
        &mut self,
        now: MonoTime,
        parcel: &Arc<[u8]>,
        created: MonoTime,
        deadline: MonoTime,
    ) -> bool {
        let origin = Origin::here(created);
        self.leg_incarnation.is_none()
            || self.leg.send(now, parcel.clone(), deadline, origin).is_ok()
    }

    /// Takes out what the leg has to send and to say.
    fn collect(
        &mut self,
        relay: &NodeName,
        transmits: &mut VecDeque<Transmit>,
        facts: &mut VecDeque<Fact>,
    ) {
        while let Some((path, bytes)) = self.leg.poll_transmit() {
            transmits.push_back(Transmit { path, bytes });
        }
        while let Some(change) = self.leg.poll_change() {
            facts.push_back(Fact::Health {
                relay: relay.clone(),
                path: change.path,
                health: change.health,
            });
        }
    }
}

/// A packet that stands outside of the leg's numbers: a hello or a welcome.
pub(super) fn greeting(now: MonoTime, chunk: Chunk) -> Vec<u8> {
    let low_bits = now.as_us() & u64::from(u32::MAX);
    Packet {
        path_sequence: 0,
        tx_time_us: u32::try_from(low_bits).unwrap_or_default(),
        report: None,
        ack: AckState::default(),
        chunks: vec![chunk],
    }
    .encode()
}

/// A notice that has not arrived by then is no longer true.
const NOTICE_TTL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
