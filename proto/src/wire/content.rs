//! The sealed inside of an envelope.

/// What is sealed: when it was sent, which part of a message it is, and the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The sender's monotonic clock in microseconds when the application handed the message over (48 bits).
    pub sent_at_us: u64,
    /// The zstd dictionary of a compressed message (0 is none); absent when it is not compressed. The same in each fragment.
    pub dictionary: Option<u16>,
    /// Which fragment this is; absent when the message is whole.
    pub fragment: Option<FragmentOf>,
    /// The bytes of the message or fragment.
    pub bytes: Vec<u8>,
}

/// Position of a fragment; the fragments of a message have consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentOf {
    /// From 0.
    pub index: u8,
    /// How many fragments the message has, 2 or more.
    pub count: u8,
}
