//! The QUIC settings of every connection.

use crate::congestion::Fuse;
use quinn_proto::{AckFrequencyConfig, IdleTimeout, TransportConfig, VarInt};
use std::sync::Arc;
use std::time::Duration;

/// The settings for lossy radio links, the same at both ends.
///
/// Datagrams only: no streams are open to the far side. Loss thresholds stay at their defaults, as they feed a congestion
/// controller that ignores them.
pub fn transport(fuse: Fuse) -> Arc<TransportConfig> {
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(ACK_THRESHOLD))
        .reordering_threshold(VarInt::from_u32(0));
    let mut config = TransportConfig::default();
    config
        .congestion_controller_factory(Arc::new(fuse))
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(None)
        .ack_frequency_config(Some(acks))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER_BYTES))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(STREAM_BYTES))
        .stream_receive_window(VarInt::from_u32(STREAM_BYTES))
        .send_window(u64::from(STREAM_BYTES))
        .enable_segmentation_offload(false);
    Arc::new(config)
}

/// Bytes that wait in QUIC for one connection: queues are the leg's, where a deadline is looked at before each send.
pub const DATAGRAM_SEND_BUFFER_BYTES: usize = 4_096;
/// Bytes received and not yet read: half a second at the budget's rate.
const DATAGRAM_RECEIVE_BUFFER_BYTES: usize = 65_536;
/// Packets that QUIC may leave unacknowledged for its 25 ms. Nothing here waits for its acknowledgements, and one for every
/// other packet, as is the default, is sent before the packet is forwarded and costs a fifth of its delay on a small machine.
const ACK_THRESHOLD: u32 = 50;
/// The default of 333 ms costs seconds of handshake at 80 % loss.
const INITIAL_RTT: Duration = Duration::from_millis(20);
/// Milliseconds of silence that end a connection: with keep-alive each second, 20 of 20 idle connections live through
/// 10 minutes of 90 % loss (17 of 20 with 30 s).
const IDLE_MS: u32 = 60_000;
/// Between keep-alives when nothing else is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes of flow control for streams, which nobody may open on these connections.
const STREAM_BYTES: u32 = 65_536;
