//! Every bound of the protocol, with unit, reason and source.

use std::time::Duration;

/// Bytes of a packet: what one QUIC datagram carries within the 1,200-byte minimum datagram of RFC 9000 §14,
/// less QUIC's own header, tag and frame (about 40 bytes).
pub const PACKET_BYTES_MAX: usize = 1_150;
/// Bytes of a parcel (an envelope or notice) in a packet beside the largest packet and chunk headers.
pub const PARCEL_BYTES_MAX: usize = 1_080;
/// Chunks of a packet: keeps what a packet of the smallest chunks costs in memory near its size.
pub const CHUNKS_PER_PACKET_MAX: usize = 64;
/// Longest stay that a trail tells, in units of 10 µs (21 s): three bytes, so that a drive command's overhead has a bound.
pub const TRAIL_10US_MAX: u32 = (1 << 21) - 1;
/// Bytes of a handshake message or signed statement: fits a parcel beside the longest name.
pub const HANDSHAKE_BYTES_MAX: usize = 1_000;
/// Bytes of a certificate (DER); small leaves have 350 to 600.
pub const CERTIFICATE_BYTES_MAX: usize = 800;
/// Bytes of a signature (Ed25519 has 64, P-256 in ASN.1 at most 72).
pub const SIGNATURE_BYTES_MAX: usize = 96;
/// Names in one part of a relay's answer to a query: the longest 16 fit a parcel.
pub const NAMES_PER_NOTICE_MAX: usize = 16;
/// Bytes of the tag at the end of a sealed envelope (AES-256-GCM, RFC 5116 §5.2).
pub const SEAL_TAG_BYTES: usize = 16;
/// Bytes of one message of an application (DESIGN: larger things are bulk).
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of message that one fragment carries.
pub const FRAGMENT_BYTES_MAX: usize = 1_000;
/// Fragments of the longest message.
pub const FRAGMENTS_MAX: usize = MESSAGE_BYTES_MAX.div_ceil(FRAGMENT_BYTES_MAX);
/// Bytes of a beat: a beat is never cut into fragments.
pub const BEAT_BYTES_MAX: usize = FRAGMENT_BYTES_MAX;
/// Flow reports in one beat; the others go into the next beats.
pub const FLOWS_PER_BEAT_MAX: usize = 64;
/// Longest time to live of a message; an old key stays as long as this after its successor's first use.
pub const TTL_MAX: Duration = Duration::from_secs(60);
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
/// Paths of one leg: eight links is more than any vehicle carries today.
pub const PATHS_PER_LEG_MAX: usize = 8;
/// Functions of an agent (channels 1 to 62).
pub const FUNCTIONS_MAX: usize = 62;
/// Established sessions at an agent.
pub const SESSIONS_PER_AGENT_MAX: usize = 32;
/// Sessions of an agent whose handshake is not complete; the oldest gives way.
pub const HALF_OPEN_SESSIONS_MAX: usize = 16;
/// Sessions that one node may route through one relay.
pub const ROUTES_PER_NODE_MAX: usize = 64;
/// Relays of one node.
pub const RELAYS_MAX: usize = 8;
/// Rate at which two monotonic clocks drift apart at most, in parts per million (crystal oscillators: 20 to 100).
pub const CLOCK_DRIFT_PPM: u64 = 200;
/// Heartbeat of a path when nothing else is sent (5 Hz: measured, 20 of 20 connections survive 90 % loss).
pub const HEARTBEAT: Duration = Duration::from_millis(200);

const _: () = assert!(ACK_BITMAP_BYTES_MAX as u64 * 8 == LEG_WINDOW);
const _: () = assert!(OUTCOMES_PER_FLOW_MAX as u64 == RELIABLE_WINDOW);
