//! Every bound of the protocol, with unit, reason and source.

use std::time::Duration;

/// Bytes of a packet: what one QUIC datagram carries within the 1,200-byte minimum datagram of RFC 9000 §14,
/// less QUIC's own header, tag and frame (about 40 bytes).
pub const PACKET_BYTES_MAX: usize = 1_150;
/// Bytes of a parcel (an envelope or notice) in a packet beside the largest packet and chunk headers.
pub const PARCEL_BYTES_MAX: usize = 1_080;
/// Chunks of a packet: keeps what a packet of the smallest chunks costs in memory near its size.
pub const CHUNKS_PER_PACKET_MAX: usize = 64;
/// Longest stay that a trail tells, in units of 10 µs (21 s): three bytes, so that a drive command's overhead has a bound. [WIRE-36]
pub const TRAIL_10US_MAX: u32 = (1 << 21) - 1;
/// Bytes of a handshake message or signed statement: fits a parcel beside the longest name.
pub const HANDSHAKE_BYTES_MAX: usize = 1_000;
/// Bytes of a certificate (DER); small leaves have 350 to 600.
pub const CERTIFICATE_BYTES_MAX: usize = 800;
/// Bytes of a signature (Ed25519 has 64, P-256 in ASN.1 at most 72).
pub const SIGNATURE_BYTES_MAX: usize = 96;
/// Bytes of a signing request (PKCS#10, DER): one for a P-256 key has about 250.
pub const SIGNING_REQUEST_BYTES_MAX: usize = 600;
/// Nodes that left and of which it is remembered why and when (about 0.5 KiB each): as many as a relay keeps accounts of. The one that is
/// away longest gives way.
pub const PRESENCE_REMEMBERED_MAX: usize = 2 * SEATS_MAX;
/// Links of one node that are told, gone ones included: twice those of a leg. The one that is gone longest gives way.
pub const PRESENCE_LINKS_MAX: usize = 2 * PATHS_PER_LEG_MAX;
/// A node that came or went so often within [`FLAP_SPAN`] is not told here again before it stays: two short absences are bad luck, and
/// more are a sign.
pub const FLAP_CHANGES: usize = 4;
/// See [`FLAP_CHANGES`].
pub const FLAP_SPAN: Duration = Duration::from_secs(10);
/// A node that flapped has settled when it did not change for so long: twice the time in which a cut is told.
pub const FLAP_SETTLED: Duration = Duration::from_secs(2);
/// Time between tellings of one node's links at least.
pub const PRESENCE_LINKS_APART: Duration = Duration::from_millis(100);
/// Changes of nodes are gathered for so long before watchers are told: a fiftieth of the time in which a cut is told.
pub const PRESENCE_GATHERED: Duration = Duration::from_millis(20);
/// Nodes in one message to a watcher: with the longest names and all links 40 KiB, which fits a message of the hub's.
pub const PRESENCE_PAGE_NODES: usize = 40;
/// Looks at a node for a watcher in [`PRESENCE_GATHERED`], each below a microsecond; then the others' turn comes first.
pub const PRESENCE_LOOKS_PER_ROUND: usize = 10_000;
/// Watches of one client.
pub const PRESENCE_WATCHES_PER_CLIENT_MAX: usize = 32;
/// Watches of nodes that are not named, of all clients together: a round looks at 20 changed nodes for each of them.
pub const PRESENCE_WIDE_WATCHES_MAX: usize = 512;
/// Nodes that one watch names: more are found by a group, a label or a room.
pub const PRESENCE_NAMED_MAX: usize = 256;
/// Nodes that all watches name together (about 200 bytes each): ten for each node of a full relay.
pub const PRESENCE_NAMED_IN_ALL_MAX: usize = 10 * SEATS_MAX;
/// Parts of a list of revocations; an authority's small certificate leaves room for over 40 nodes in each.
pub const REVOCATION_PARTS_MAX: usize = 64;
/// Nodes in one part of a list of revocations.
pub const REVOKED_PER_PART_MAX: usize = 64;
/// Life of a part of a list of revocations on a leg.
pub const REVOCATIONS_TTL: Duration = TTL_MAX;
/// Signatures under lists of revocations that one neighbour can have a node check in a second, and at once: a list and a newer one.
pub const REVOCATION_CHECKS_PER_S: u64 = 2 * REVOCATION_PARTS_MAX as u64;
/// Newer certificates that a session's end looks at in a second, two signatures each: a certificate lives for hours at least.
pub const PAPERS_PER_S: u64 = 1;
/// Of these at once.
pub const PAPERS_BURST: u64 = 4;
/// Shortest time after which a path is dialled anew to see its relay's newer certificate.
pub const PATH_RENEWAL_MIN: Duration = Duration::from_secs(60);
/// For how long after its end an agent's certificate still gets it a new one: a vehicle that stood a year is not lost.
pub const GRACE: Duration = Duration::from_secs(365 * 86_400);
/// How long before it is made a certificate begins: nodes whose clocks are a little slow take it at once.
pub const CERTIFICATE_EARLY: Duration = Duration::from_secs(5 * 60);
/// Attempts to renew a certificate in the time of its whole life: a hundred in the third that is left for them.
pub const RENEWALS_PER_LIFE: u32 = 300;
/// Least time between attempts to renew a certificate, whatever its life.
pub const RENEWAL_APART_MIN: Duration = Duration::from_secs(1);
/// Most time between attempts to renew a certificate: an authority that was away is found within the hour.
pub const RENEWAL_APART_MAX: Duration = Duration::from_secs(3_600);
/// First messages of handshakes that one node may send through a relay in a second: an attempt at each of its routes,
/// and not so many that they crowd each other out at an agent.
pub const HANDSHAKES_PER_S: u64 = 64;
/// Third messages of handshakes that one node may send through a relay in a second: as many as first ones.
pub const LAST_STEPS_PER_S: u64 = HANDSHAKES_PER_S;
/// Queries that one node may ask a relay in a second: an answer can name thousands of nodes.
pub const QUERIES_PER_S: u64 = 10;
/// Names in one part of a relay's answer to a query: the longest 16 fit a parcel.
pub const NAMES_PER_NOTICE_MAX: usize = 16;
/// Bytes of the tag at the end of a sealed envelope (AES-256-GCM, RFC 5116 §5.2).
pub const SEAL_TAG_BYTES: usize = 16;
/// Bytes of one message of an application; larger things are bulk, which is not built.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of message that one fragment carries.
pub const FRAGMENT_BYTES_MAX: usize = 1_000;
/// Fragments of the longest message.
pub const FRAGMENTS_MAX: usize = MESSAGE_BYTES_MAX.div_ceil(FRAGMENT_BYTES_MAX);
/// Bytes of a message between a node and the hub: the longest message of an application, and what is said about it.
pub const HUB_MESSAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 4 * 1024;
/// Pieces of the longest of these.
pub const HUB_FRAGMENTS_MAX: usize = HUB_MESSAGE_BYTES_MAX.div_ceil(FRAGMENT_BYTES_MAX);
/// Pieces between the oldest one that the other end has not acknowledged and the newest: so much the other end may have to hold
/// because an earlier one is missing (64 KB), and so much is under way to a node at once.
pub const HUB_WINDOW: usize = 64;
/// Bytes of messages that the end of a conversation with the hub holds because others are missing: its window, the longest message
/// in pieces on each of a few lines, and room to spare.
pub const HUB_HELD_BYTES_MAX: usize = 512 * 1024;
/// Lines on which one node reads: as many as topics of all its rooms.
pub const HUB_LINES_MAX: usize = 1_024;
/// Messages for one node alone that wait at the hub, or for the hub at a node.
pub const HUB_OWN_MESSAGES_MAX: usize = 1_024;
/// Bytes of these.
pub const HUB_OWN_BYTES_MAX: usize = 1024 * 1024;
/// How long a piece is on a leg before it is put there again: less than what a leg keeps anything.
pub const HUB_PIECE_TTL: Duration = Duration::from_secs(30);
/// Until a piece that a leg had no room for is tried again.
pub const HUB_PIECE_WAIT: Duration = Duration::from_millis(50);
/// How much longer than a path explains the acknowledgement of a piece may take before it counts as lost: where a relay tells a thousand
/// the same, theirs wait for each other. Repeats before that make it worse: measured, 15 packets for each message that arrived.
pub const HUB_PATIENCE: Duration = Duration::from_millis(100);
/// Pieces that the hub puts on legs before whoever drives has a turn: a third of a millisecond of a relay's processor.
pub const HUB_PIECES_PER_TURN: usize = 16;
/// Messages of a topic in memory: what members that lag a little read without the disk.
pub const FEED_RING_MESSAGES_MAX: usize = 256;
/// Bytes of these, but always one message.
pub const FEED_RING_BYTES_MAX: usize = 256 * 1024;
/// Messages of `latest` and `unordered` that wait for one reader of a topic; the oldest gives way.
pub const FEED_LIVE_MAX: usize = 64;
/// Names of messages that a topic remembers, so that one that is sent again is not taken twice: what its sender may not know of is in
/// [`HUB_WINDOW`], and several senders share a topic.
pub const FEED_IDS_MAX: usize = 1_024;
/// Messages of a page that is read from the store for who lags.
pub const FEED_PAGE_MESSAGES: usize = 64;
/// Bytes of these.
pub const FEED_PAGE_BYTES: usize = 256 * 1024;
/// Rooms: ten times what the largest fleet of one relay drives at once.
pub const ROOMS_MAX: usize = 100_000;
/// Members of one room.
pub const ROOM_MEMBERS_MAX: u32 = 10_000;
/// Topics of one room.
pub const ROOM_TOPICS_MAX: usize = 64;
/// Rooms that one node is a member of.
pub const ROOMS_PER_NODE_MAX: usize = 256;
/// Messages that one mailbox keeps.
pub const MAILBOX_MESSAGES_MAX: u64 = 1_000;
/// Bytes of these.
pub const MAILBOX_BYTES_MAX: u64 = 1024 * 1024;
/// Names of messages that were taken out of a mailbox and are remembered over a death of the hub: a sender who has not heard by then
/// that its message was kept sends it again, and has few on the way.
pub const MAILBOX_TAKEN_MAX: usize = 128;
/// Life of a message that is kept: a week, after which a vehicle that was away hears from a person.
pub const KEPT_TTL_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Life of a message that is not kept.
pub const LIVE_TTL_MAX: Duration = TTL_MAX;
/// Targets of one message: all that can be here.
pub const TARGETS_MAX: usize = SEATS_MAX;
/// Messages of which the hub still hears what becomes of them.
pub const TRACKED_SENDS_MAX: usize = 10_000;
/// Of these, messages of one node's program.
pub const TRACKED_SENDS_PER_CLIENT_MAX: usize = 1_024;
/// Results that are told at once.
pub const RESULTS_PER_TELL_MAX: usize = 256;
/// Results are gathered for so long, so that one telling has many.
pub const RESULTS_GATHERED: Duration = Duration::from_millis(20);
/// Writes that the store has not confirmed; more are refused as busy.
pub const COMMITS_PENDING_MAX: usize = 8_192;
/// Looks into the store that are under way.
pub const READS_PENDING_MAX: usize = 1_024;
/// Entries of an answer at most.
pub const PAGE_COUNT_MAX: u32 = 1_000;
/// Requests a second of one node's program, and at once.
pub const ASKS_PER_S: u64 = 1_000;
/// Time between tellings of a room's member changes, and so much more for each member: a room of a thousand tells twice a second.
pub const MEMBERS_TOLD_EVERY: Duration = Duration::from_millis(20);
/// See [`MEMBERS_TOLD_EVERY`].
pub const MEMBERS_TOLD_PER_MEMBER: Duration = Duration::from_micros(500);
/// Member changes in one telling; of more only the revision is told.
pub const MEMBER_CHANGES_TOLD_MAX: usize = 256;
/// Time between looks for what is older than a topic keeps.
pub const RETENTION_EVERY: Duration = Duration::from_secs(60);
/// Bytes of a beat: a beat is never cut into fragments.
pub const BEAT_BYTES_MAX: usize = FRAGMENT_BYTES_MAX;
/// Flow reports in one beat; the others go into the next beats.
pub const FLOWS_PER_BEAT_MAX: usize = 64;
/// Longest time to live of a message; an old key stays as long as this after its successor's first use.
pub const TTL_MAX: Duration = Duration::from_secs(60);
/// Highest number of an envelope: far beyond any session, and far from where arithmetic ends.
pub const NUMBER_MAX: u64 = 1 << 62;
/// A session's key is replaced after this long in use, so that a captured machine gives away at most this much of the past.
pub const KEY_AGE_MAX: Duration = Duration::from_secs(600);
/// A session's key is replaced after this many envelopes, an eighth of [`KEY_ENVELOPES_LIMIT`].
pub const KEY_ENVELOPES_MAX: u64 = 1 << 20;
/// No key seals more envelopes than this: the confidentiality limit of AES-GCM (RFC 9001 §6.6 and appendix B.1).
pub const KEY_ENVELOPES_LIMIT: u64 = 1 << 23;
/// A session's key is not replaced sooner: by then all that was sealed under its predecessor has expired.
pub const KEY_AGE_MIN: Duration = Duration::from_secs(2 * TTL_MAX.as_secs());

const _: () = assert!(KEY_AGE_MIN.as_secs() > TTL_MAX.as_secs());
const _: () = assert!(KEY_AGE_MAX.as_secs() >= KEY_AGE_MIN.as_secs());

/// Unresolved messages of a reliable flow, and the length of its receipts' window.
pub const RELIABLE_WINDOW: u64 = 128;
/// Numbers that a replay window remembers below its highest one (128 bytes a flow).
pub const REPLAY_WINDOW: u64 = 1_024;
/// Tracked parcels in flight on a leg, and bits of its acknowledgement (16 bytes in every packet at most).
pub const LEG_WINDOW: u64 = 128;
/// Bytes of an acknowledgement's bitmap: one bit for each tracked parcel in flight.
pub const ACK_BITMAP_BYTES_MAX: usize = 16;
/// Outcomes of one flow report: one for each message that a reliable flow may have unresolved.
pub const OUTCOMES_PER_FLOW_MAX: usize = 128;
/// Parcels that wait on a leg, of all classes together.
pub const OUTBOX_PARCELS_MAX: usize = 1_024;
/// Bytes that wait on a leg.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// Of these parcels, `latest` ones: one for each flow of a busy relay's leg. Reserved, so that a full outbox never holds up
/// driving.
pub const OUTBOX_LATEST_MAX: usize = 256;
/// Of these parcels, stops: reserved, so that other traffic never refuses one.
pub const OUTBOX_STOPS_MAX: usize = 32;
/// Of those stops, those of one source at a relay: a stop, its repeats and its neighbours, and room for three more sources
/// that send as many. Half of [`LEG_WINDOW_STOPS`], so that one source does not fill that either.
pub const OUTBOX_STOPS_PER_SOURCE_MAX: usize = 8;
/// Of what is neither stop nor `latest`, the parcels of one source without a lease on an agent's leg: a fifth of a second at
/// [`LINK_BUDGET_BITS_PER_S`], and three such sources leave ids of the window to whoever drives.
pub const OUTBOX_PLAIN_PER_SOURCE_MAX: usize = 24;
/// Of a leg's window, the ids that only stops may take.
pub const LEG_WINDOW_STOPS: u64 = 16;
/// Flows of which a leg remembers the newest `latest` number; the least recently used gives way (40 bytes each).
pub const LATEST_FLOWS_MAX: usize = 256;
/// Longest wait of an acknowledgement for a packet that carries it, and the gap between its repeats.
pub const ACK_DELAY: Duration = Duration::from_millis(3);
/// Packets that repeat one acknowledgement at most.
pub const ACK_COPIES_MAX: u32 = 20;
/// Probability that a `reliable` or `unordered` parcel has not arrived at which a leg stops to repeat it until the
/// acknowledgement is overdue: half of 1 % end to end, as there are two legs.
pub const DOUBT_MAX: f64 = 0.005;
/// The same of a `latest` or `stop` parcel: half of 0.1 %.
pub const DOUBT_MAX_URGENT: f64 = 0.0005;
/// The same of a session's beat: beats repeat each other, and a lease lapses when five renewals in a row are lost.
pub const DOUBT_MAX_BEAT: f64 = 0.05;
/// Copies of one parcel that count; an older one counts as lost when there are more (16 bytes each).
pub const COPIES_REMEMBERED_MAX: usize = 128;
/// Gap between pairs of packets of a path that repeat something: a packet each millisecond is best at random loss, and pairs
/// cost both ends half as many wake-ups.
pub const REPEAT_GAP: Duration = Duration::from_millis(2);
/// Gap between single packets where losses come together: as good there, for a fraction of the bytes.
pub const REPEAT_GAP_MAX: Duration = Duration::from_millis(4);
/// The copies of a `latest` parcel are spread over this time: the period of a drive command, after which the next one comes.
pub const LATEST_SPREAD: Duration = Duration::from_millis(20);
/// The copies of a session's beat are spread over this time, the period of beats that hold a lease: there is no haste, and a
/// good moment of a link that loses everything most of the time is not missed.
pub const BEAT_SPREAD: Duration = Duration::from_millis(100);
/// Bits a second on the wire that a link may use each way when its owner says nothing: several times what driving needs.
pub const LINK_BUDGET_BITS_PER_S: u64 = 1_000_000;
/// The most that its owner may say: half of what the fuse under QUIC lets through.
pub const LINK_BUDGET_BITS_PER_S_MAX: u64 = 2_000_000;
/// Bytes of a packet on the wire beside those of the leg: IPv4 and UDP (28), QUIC's short header with a connection id of 2 or
/// 8 bytes, its tag and the frame (23 or 29), and what IPv6 adds (20) counts half.
pub const WIRE_OVERHEAD_BYTES: usize = 64;
/// Bytes before a metered link's share at which telemetry ends: what all its paths may send at once, and what the sockets count
/// in a second beside what was estimated.
pub const METER_MARGIN_BYTES: u64 = 256_000;
/// Part of a day's budget that may be counted and not be on disk: about as many small writes a day.
pub const METER_UNSAVED_PART: u64 = 256;
/// Megabytes of a link's daily budget at least: several times the margin.
pub const DAILY_MB_MIN: u32 = 2;
/// The same at most: a terabyte is no budget.
pub const DAILY_MB_MAX: u32 = 1_000_000;
/// How far the wall clock may be from the time that is known for sure to agree with it: that is kept on disk once an hour.
pub const CLOCKS_AGREE: Duration = Duration::from_secs(2 * 3_600);
/// Sending at full rate for this long may happen at once, twice over when both compartments of a path's bucket are full: the
/// copies of a command at 80 % loss, and no queue that harms (measured: 512 kbit/s with a deep queue stay below 30 ms).
pub const BURST: Duration = Duration::from_millis(40);
/// Share of a path's rate that is kept for what is not `latest`.
pub const PLAIN_SHARE_PERCENT: u8 = 30;
/// Bits a second of a path that are kept for repeats of stops, beside its rate: ten of 600 bytes a second. The first copy of a
/// stop costs nothing and waits for nothing.
pub const STOP_RESERVE_BITS_PER_S: u32 = 48_000;
/// A path's rate changes this often.
pub const RATE_STEP: Duration = Duration::from_millis(100);
/// A longer queue lowers the rate (jitter of 20 ms stays below).
pub const QUEUE_SLACK: Duration = Duration::from_millis(25);
/// No queue lowers it further: a drive flow still fits.
pub const RATE_FLOOR_BITS_PER_S: u32 = 64_000;
/// A queue that lasts this long at that rate is not ours: only what is most urgent goes on.
pub const CLOGGED_AFTER: Duration = Duration::from_secs(3);
/// Without news of anything that was sent for this long, a path only probes (RFC 8083's circuit breaker).
pub const BREAKER_AFTER: Duration = Duration::from_secs(10);
/// Bits a second then: heartbeats and a little more.
pub const BREAKER_BITS_PER_S: u32 = 16_000;
/// Loss above this may be a policer's.
pub const PROBE_LOSS_MIN: f64 = 0.15;
/// Time between looks for a policer.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// The same once one was found.
pub const PROBE_INTERVAL_POLICED: Duration = Duration::from_secs(2);
/// How long the rate is halved to find out.
pub const PROBE_LENGTH: Duration = Duration::from_millis(650);
/// Paths of one leg: eight links is more than any vehicle carries today.
pub const PATHS_PER_LEG_MAX: usize = 8;
/// Of these, paths of one link at a relay: one, and another that takes its place.
pub const PATHS_PER_LINK_MAX: usize = 2;
/// Functions of an agent (channels 1 to 62).
pub const FUNCTIONS_MAX: usize = 62;
/// Established sessions at an agent.
pub const SESSIONS_PER_AGENT_MAX: usize = 32;
/// Of those, sessions of one controller: as many as a relay lets it run programs.
pub const SESSIONS_PER_PEER_MAX: usize = SEATS_PER_NODE_MAX;
/// Messages of a session of which only some fragments have arrived: 1 MiB at most.
pub const ASSEMBLIES_MAX: usize = 16;
/// Messages of a session that its role has not taken yet; more are turned away unseen, so that they can come again.
pub const DELIVERIES_MAX: usize = 1_024;
/// Bytes of a session that are held back because an earlier number is missing, beside the next number of each flow: full
/// windows of eight flows. More is turned away unseen, so that it can come again.
pub const HELD_BACK_BYTES_MAX: usize = 1024 * 1024;
/// Sealed envelopes of a session that its role has not taken yet.
pub const TRANSMITS_MAX: usize = 1_024;
/// Delivered messages of a flow whose outcome the role has not told; the oldest is forgotten.
pub const OUTCOMES_AWAITED_MAX: usize = 256;
/// Bytes of flow reports in one beat, so that leases and stages fit beside them.
pub const REPORT_BYTES_MAX: usize = 500;
/// Own beats whose echo is taken as a clock sample: 3 s at the fastest rate of beats, as long as the worst round trip.
pub const BEATS_REMEMBERED: usize = 32;
/// How long after a reliable message's deadline its receipt may still arrive before it is unknown: one period of the
/// slowest beats.
pub const RECEIPT_GRACE: Duration = Duration::from_secs(1);
/// Shortest message that is compressed with a dictionary: the frame's own bytes and the dictionary's number take eight.
pub const COMPRESSION_BYTES_MIN: usize = 16;
/// The same without one: what is shorter hardly repeats itself, and a try costs a command 20 µs at each end of a session.
pub const PLAIN_COMPRESSION_BYTES_MIN: usize = 256;
/// Compression dictionaries of a node: their tags are one short message of each session.
pub const DICTIONARIES_MAX: usize = 16;
/// Bytes of one: what zstd's trainer makes by default; prepared it takes about four times as much memory.
pub const DICTIONARY_BYTES_MAX: usize = 112 * 1024;
/// Sessions that one node may route through one relay.
pub const ROUTES_PER_NODE_MAX: usize = 64;
/// Relays of one node.
pub const RELAYS_MAX: usize = 8;
/// Rate at which two monotonic clocks drift apart at most, in parts per million (crystal oscillators: 20 to 100).
pub const CLOCK_DRIFT_PPM: u64 = 200;
/// An allowance is told again with the first packet after so long.
pub const ALLOWANCE_AGAIN: Duration = Duration::from_millis(200);
/// Heartbeat of a path when nothing else is sent. Each costs a relay some ten microseconds, and thousands of nodes are idle at once.
pub const HEARTBEAT: Duration = Duration::from_millis(400);
/// Paths differ by so much in it.
pub const HEARTBEAT_SPREAD: Duration = Duration::from_millis(50);
/// The same after an answer to the peer's: so the peer is the one that goes first again, and one packet answers another.
pub const HEARTBEAT_YIELDED: Duration = Duration::from_millis(450);
/// A packet is answered at once when the last one of ours is so old: what answers carries QUIC's acknowledgement too.
pub const HEARTBEAT_ANSWER: Duration = Duration::from_millis(200);
/// Whoever hears nothing for so long asks the peer by hasty heartbeats: the peer's own is overdue by 100 ms, which a busy machine takes now
/// and then, and asking a thousand nodes would not make it less busy.
pub const ASK_AFTER: Duration = Duration::from_millis(550);
/// A packet that left so long ago, and a round trip with its queues more, and is not reported by what arrives now, got lost. Whoever asks has
/// missed it for longer: [`ASK_AFTER`] less [`HEARTBEAT_YIELDED`].
pub const MISSING_SLACK: Duration = Duration::from_millis(60);
/// A path from which nothing came for this long is suspect: a heartbeat was missed, and what was asked for since is missing too.
pub const SUSPECT_AFTER: Duration = Duration::from_millis(600);
/// A path from which nothing came for this long is down: more than forty heartbeats, as they hasten, which at 80 % loss are all
/// lost once in 10,000 cases.
pub const DOWN_AFTER: Duration = Duration::from_secs(3);
/// Heartbeat of a path on which nothing new of its packets was reported for [`SUSPECT_AFTER`], nothing arrived for [`ASK_AFTER`], or a
/// packet is missing: 13 kbit/s on the wire, which a path that only probes may send.
pub const HEARTBEAT_HASTY: Duration = Duration::from_millis(50);
/// Haste slows down to this where losses of at most [`SILENCE_LOSS_MEASURED`] do not explain that it does not help: it may be a relay that is too
/// busy to answer, and the haste of thousands would keep it so.
pub const HEARTBEAT_WEARY: Duration = Duration::from_millis(200);
/// After so long without an answer all haste has slowed down to that: the path is lost, whatever its losses were.
pub const HASTE_MAX: Duration = Duration::from_secs(10);
/// A path is lost when its silence is no more probable than this by the losses before.
pub const LOST_DOUBT: f64 = 1e-4;
/// Losses of a silent path are not taken to have been higher, so that it is lost within [`HASTE_MAX`].
pub const LOST_LOSS_MAX: f64 = 0.95;
/// A path that has not been welcomed for this long is lost: at 90 % loss both ways, 1,000 hellos with four welcomes each do not all
/// fail.
pub const WELCOME_MAX: Duration = Duration::from_secs(10);
/// A node from which nothing comes after a cut is told away so long after it, while its losses do not explain more: the second that is
/// promised, less 10 ms for timers.
pub const SILENCE_TOLD: Duration = Duration::from_millis(990);
/// Of this time the longest way here of the last packet before the cut: what is left are still a heartbeat and five answers.
pub const SILENCE_WAY_MAX: Duration = Duration::from_millis(90);
/// A silence is told when it is no more probable than this by the losses before.
pub const SILENCE_DOUBT: f64 = 1e-3;
/// Losses up to which [`SILENCE_TOLD`] is promised.
pub const SILENCE_LOSS_PROMISED: f64 = 0.2;
/// Such losses are not measured higher than this: the average of some 400 packets errs by 0.02, and this is four times that.
pub const SILENCE_LOSS_MEASURED: f64 = 0.28;
/// Heartbeats may be so much later than the packet before them, by jitter on the way and the timers of both ends.
pub const SILENCE_SLACK: Duration = Duration::from_millis(30);
/// Whoever looks for silence so much later than it wanted was held up itself, and what was sent meanwhile may still wait to be read.
pub const SILENCE_LATE: Duration = Duration::from_millis(100);
/// Then it looks once more after so long: by then another heartbeat of each living node is read.
pub const SILENCE_AGAIN: Duration = Duration::from_millis(250);
/// Packets of a path whose sending time is kept for round-trip samples: a second at 500 packets a second.
pub const SENT_TIMES_MAX: usize = 512;

const _: () = assert!(ACK_BITMAP_BYTES_MAX as u64 * 8 == LEG_WINDOW);
const _: () = assert!(OUTCOMES_PER_FLOW_MAX as u64 == RELIABLE_WINDOW);
/// The protocol version that this build speaks.
pub const VERSION: u8 = 1;
/// Time between hellos on a path that is not welcomed yet, a small packet each: 100 kbit/s.
pub const HELLO_INTERVAL: Duration = Duration::from_millis(10);
/// Copies of the answer to a hello that comes again: at 80 % loss both ways one hello in eight is
/// answered instead of one in 25.
pub const WELCOMES_AGAIN: usize = 4;
/// Longest life of a handshake message in queues; its sender repeats it.
pub const HANDSHAKE_TTL: Duration = Duration::from_secs(2);
/// Longest life of a signed statement in queues; its sender repeats it.
pub const STOP_TTL: Duration = Duration::from_secs(5);
/// Bytes a second that a node may send as signed statements to nodes that are there, apart from its other budget: stops for
/// 40 vehicles at once and 160 a second.
pub const STOP_BYTES_PER_S: u64 = 100_000;
/// Node programs at one relay (measured: 27 to 35 KiB each for QUIC alone).
pub const SEATS_MAX: usize = 10_000;
/// Programs of one controller identity at one relay.
pub const SEATS_PER_NODE_MAX: usize = 8;
/// How long a relay keeps a node's budgets and runs after its last seat is gone: by then every budget is full again
/// (the smallest takes 4 s), and all that the node sent has expired.
pub const ACCOUNT_KEPT: Duration = TTL_MAX;
/// Nodes of which a relay keeps them (about 0.5 KiB each): all that can be there, and as many that left.
pub const ACCOUNTS_MAX: usize = 2 * SEATS_MAX;
/// Runs of one node that a relay remembers: two programs with one identity are found out as long as fewer than this
/// start in between.
pub const RUNS_REMEMBERED_MAX: usize = 16;
/// Time between beats of a session that holds no lease.
pub const BEAT_INTERVAL_IDLE: Duration = Duration::from_secs(1);
/// Time between offers of a reliable envelope that has no receipt, to every leg: above the round trip of any usable
/// network, so that it only repairs what relays lose.
pub const REOFFER_INTERVAL: Duration = Duration::from_secs(1);
/// A controller calls again when a session was silent for this long.
pub const SESSION_SILENCE: Duration = Duration::from_secs(2);
/// Time between calls of a vehicle whose session may be over, as relays say: few enough that a relay which says so without end
/// makes little work, and one of them right after the agent is back.
pub const DOUBT_INTERVAL: Duration = Duration::from_millis(300);
/// An agent forgets a session that was silent for this long.
pub const SESSION_LIFE: Duration = Duration::from_secs(10);
/// Time between repeats of an unanswered stop on every leg; each leg retries on its own in between.
pub const STOP_REPEAT_INTERVAL: Duration = Duration::from_millis(200);
/// Time between repeats of a handshake message end to end; each leg retries on its own in between.
pub const HANDSHAKE_REPEAT_INTERVAL: Duration = Duration::from_millis(200);
/// A handshake that is not through after this long is given up and begun anew with another session number.
pub const ATTEMPT_LIFE: Duration = Duration::from_secs(5);
/// Renewals of a lease in its time to live, at least: four may be lost in a row.
pub const RENEWALS_PER_TTL: u32 = 5;
/// Longest time between beats of a session that holds a lease: where a link is dead for fractions of a second, one beat a second
/// seldom meets the time between.
pub const BEAT_INTERVAL_LEASED_MAX: Duration = Duration::from_millis(200);
/// Application ids of reliable commands that an agent remembers over restarts (16 KiB).
pub const APPLICATION_IDS_MAX: usize = 1_024;
/// Bytes of an agent's record: 62 tokens, 256 stops and 1,024 commands take 25 KiB.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Facts that wait for an agent's disk; more are refused.
pub const PERSIST_PENDING_MAX: usize = 256;
/// Of these places, those that only stops and resets may take: the stops of a dozen authors in the time of a slow sync.
pub const PERSIST_RESERVED: usize = 64;
/// Sessions that wait for the lease of one function.
pub const WAITING_MAX: usize = 16;
/// How long a node gets no lease of a function after a supervisor ended its lease: long enough that its program does not take
/// it again by itself, and that people can talk.
pub const REVOKED_FOR: Duration = Duration::from_secs(30);
/// Takes of leases that one node may ask for a second: each has the agent write its record.
pub const TAKES_PER_PEER_PER_S: u64 = 10;
/// Takes of one node at once: of every function of an agent, and a few again.
pub const TAKE_BURST: u64 = 64;
/// Handshakes that one relay can hold half-open at an agent; within them its oldest gives way.
pub const HALF_OPEN_PER_RELAY_MAX: usize = 16;
/// Steps of handshakes that one relay may have an agent work on in a second, a step 3 counted once for each half-open
/// session that it may belong to: a key agreement takes a tenth of a millisecond on a vehicle's processor.
pub const HANDSHAKE_WORK_PER_S: u64 = 200;
/// Sessions that stand at the authority: of a fleet that renews and enrols all at once, each for a second or two.
pub const VISITS_MAX: usize = 1_024;
/// Of these, sessions of one node; all that use one token for many count as one node.
pub const VISITS_PER_PEER_MAX: usize = 128;
/// Handshakes that one relay can hold half-open at the authority: a second's of two nodes that send as many as their relay lets them.
pub const VISITS_HALF_OPEN_MAX: usize = 256;
/// Steps of handshakes that one relay may have the authority work on in a second: a tenth of one processor core of an office's
/// machine, and more than all that one node may send.
pub const VISIT_WORK_PER_S: u64 = 1_000;
/// Requests for certificates of one node that the authority's program sees in a second: each is a signature and a write to disk.
pub const ADMISSIONS_PER_S: u64 = 20;
/// Of these at once: all sessions that one node, or all who use one token, may have.
pub const ADMISSION_BURST: u64 = VISITS_PER_PEER_MAX as u64;
/// Telemetry that is older is worth nothing to a driver.
pub const TELEMETRY_TTL: Duration = Duration::from_millis(500);
/// Sources whose rate an agent remembers, of each thing that has one; the one that was silent longest gives way.
pub const RATES_MAX: usize = 256;
/// Unanswered stops of a controller; the one whose time is over first gives way.
pub const STOPS_PENDING_MAX: usize = 256;
/// Unanswered requests of a session; the oldest is given up.
pub const ASKS_MAX: usize = 128;
/// Handshakes of one attempt that a controller follows up: relays can have an agent begin anew.
pub const HANDSHAKES_PER_ATTEMPT_MAX: usize = 4;
/// Stops whose answer an agent keeps for repeats.
pub const STOP_ANSWERS_MAX: usize = 64;
/// Signature checks of stops that one relay may cause a second: a bound on the processor time that it can take.
pub const STOP_CHECKS_PER_S: u64 = 200;
/// Of these, checks of stops with one certificate, a second and at once: above what an author is honoured, and so few that no
/// author uses up what an honest relay has for the others.
pub const STOP_CHECKS_PER_AUTHOR_PER_S: u64 = 20;
/// Distinct stops of one author that are honoured a second.
pub const STOPS_PER_SENDER_PER_S: u64 = 5;
/// Distinct stops of one author that are honoured at once.
pub const STOP_BURST: u64 = 10;
/// Commands that an agent's program has and has not judged yet.
pub const APPLYING_MAX: usize = 1_024;

/// Packets that wait to be taken from a leg; nobody who drives one leaves more than a few.
pub const TRANSMITS_PER_LEG_MAX: usize = 4_096;

/// Shortest time for which a lock is held: shorter ones are over before who holds them can renew them over a slow link.
pub const LOCK_TTL_MIN: Duration = Duration::from_millis(100);
/// Longest time for which a lock is held unrenewed: for so long a program that crashed keeps others out.
pub const LOCK_TTL_MAX: Duration = Duration::from_secs(300);
/// Longest wait for a lock; who wants to wait longer asks again.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// Requests that wait for one lock: each is an answer that is owed.
pub const LOCK_WAITERS_MAX: usize = 16;
/// Locks of one node or room that are held at once: one node's needs, and all of them fit one answer.
pub const LOCKS_PER_OWNER_MAX: usize = 64;
/// Locks that are held at once (about 0.3 KiB each, 2 KiB with all who may wait): one for each program at a relay.
pub const LOCKS_MAX: usize = SEATS_MAX;
/// What happened to locks and is not yet taken by the hub; above it nobody takes a lock. Who drives the hub leaves none.
pub const LOCK_CHANGES_MAX: usize = 2 * LOCKS_MAX;
/// Items of a document: few enough that a write copies the list.
pub const DOCUMENT_ITEMS_MAX: usize = 64;
/// Bytes of an item's value.
pub const DOCUMENT_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Bytes that an item counts beside its key and value: who set it, when, and what frames it in a message.
pub const DOCUMENT_ITEM_BYTES: usize = 96;
/// Bytes of a document, counted so: it fits one message.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Documents of a hub: three of each node that can be there, and of as many rooms.
pub const DOCUMENTS_MAX: usize = 65_536;
/// Least time between two writes of what a node reports of itself: what changes faster is written as it is then.
pub const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Until what the hub refused is reported again; each time twice as long, up to [`REPORT_AGAIN_MAX`].
pub const REPORT_AGAIN_FIRST: Duration = Duration::from_secs(1);
/// At most so long.
pub const REPORT_AGAIN_MAX: Duration = Duration::from_secs(60);
/// Items that the programs of a vehicle report of it: as many as its functions leave.
pub const REPORT_OWN_ITEMS_MAX: usize = 32;
/// Bytes of all documents, counted so; with what the maps take they are in memory at most three times as many.
pub const DOCUMENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Documents that one client watches.
pub const DOCUMENT_WATCHES_PER_CLIENT_MAX: usize = 64;

const _: () = assert!(OUTBOX_LATEST_MAX + OUTBOX_STOPS_MAX < OUTBOX_PARCELS_MAX / 2);
const _: () =
    assert!((OUTBOX_LATEST_MAX + OUTBOX_STOPS_MAX) * PARCEL_BYTES_MAX < OUTBOX_BYTES_MAX / 2);
const _: () = assert!(LEG_WINDOW_STOPS < LEG_WINDOW / 2);
const _: () = assert!(OUTBOX_STOPS_PER_SOURCE_MAX as u64 * 2 <= LEG_WINDOW_STOPS);
const _: () = assert!(3 * (OUTBOX_PLAIN_PER_SOURCE_MAX as u64) < LEG_WINDOW - LEG_WINDOW_STOPS);
const _: () =
    assert!(PERSIST_RESERVED < PERSIST_PENDING_MAX / 2 && FUNCTIONS_MAX as u64 <= TAKE_BURST);
const _: () = assert!(STOP_BURST < STOP_CHECKS_PER_AUTHOR_PER_S);
const _: () = assert!(
    DOCUMENT_BYTES_MAX + DOCUMENT_ITEMS_MAX * (super::Name::BYTES_MAX + 2) + 512
        <= HUB_MESSAGE_BYTES_MAX
);
const _: () = assert!(DOCUMENTS_MAX >= 6 * SEATS_MAX);
