//! What an agent says of leases unasked.

use std::fmt;

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::{Channel, FencingToken, NodeName, OfferId, Reason};

/// What an agent says of leases unasked.
///
/// ```text
/// offset  bytes
///      0  1      kind
///                1 ring:     1 channel, 4 offer, 2 ttl_ms, 3+ name of the holder
///                2 accepted: 1 channel, 4 offer
///                3 over:     1 channel, 4 offer, 1 how (1 handed over, 2 declined, 3 busy, 4 cancelled, 5 lapsed, 6 lease
///                            ended, 7 not taken up)
///                4 lost:     1 channel, 1..10 token (LEB128), 1 how (1 preempted, 2 revoked, each with 3+ name of who did it
///                            and 2+ reason; 3 not allowed any more)
///
/// 06 01 01 00000009 2710 02 05 616c696365
/// 06 02 01 00000009
/// 06 03 01 00000009 01
/// 06 04 01 07 01 02 05 6368696566 04 66697265
/// 06 04 01 07 03
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// To whom a lease is offered.
    Ring {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
        /// It is over after this long, in milliseconds.
        ttl_ms: u16,
        /// The holder.
        from: NodeName,
    },
    /// To the holder: the offer is accepted, and the handover begins.
    Accepted {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
    },
    /// To both: the offer is over.
    Over {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
        /// How it ended.
        how: OfferEnd,
    },
    /// To a holder whose lease was taken away.
    Lost {
        /// The function.
        channel: Channel,
        /// The lease's token.
        token: FencingToken,
        /// How.
        how: Removal,
    },
}

/// How the offer of a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferEnd {
    /// The lease is the other's now.
    HandedOver = 1,
    /// Declined.
    Declined = 2,
    /// Declined, as something else is being driven.
    Busy = 3,
    /// Taken back by the holder.
    Cancelled = 4,
    /// Nobody answered in time.
    Lapsed = 5,
    /// The lease ended before.
    LeaseEnded = 6,
    /// Accepted, but no valid commands arrived.
    NotTakenUp = 7,
}

/// How a lease was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// By somebody of higher priority, who has it now.
    Preempted {
        /// Who.
        by: NodeName,
        /// Why.
        reason: Reason,
    },
    /// By a supervisor.
    Revoked {
        /// Who.
        by: NodeName,
        /// Why.
        reason: Reason,
    },
    /// The vehicle's policy does not allow it any more.
    NotAllowed,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Removal::Preempted { by, reason } => write!(f, "preempted by {by}: {reason}"),
            Removal::Revoked { by, reason } => write!(f, "revoked by {by}: {reason}"),
            Removal::NotAllowed => f.write_str("not allowed any more"),
        }
    }
}

impl fmt::Display for OfferEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OfferEnd::HandedOver => "handed over",
            OfferEnd::Declined => "declined",
            OfferEnd::Busy => "busy",
            OfferEnd::Cancelled => "cancelled",
            OfferEnd::Lapsed => "lapsed",
            OfferEnd::LeaseEnded => "the lease has ended",
            OfferEnd::NotTakenUp => "not taken up: no valid commands arrived",
        })
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Ring { from, .. } => write!(f, "offered by {from}"),
            News::Accepted { .. } => f.write_str("offer accepted"),
            News::Over { how, .. } => write!(f, "offer over: {how}"),
            News::Lost { how, .. } => write!(f, "lost: {how}"),
        }
    }
}

impl News {
    /// The function that it is about.
    pub const fn channel(&self) -> Channel {
        match self {
            News::Ring { channel, .. }
            | News::Accepted { channel, .. }
            | News::Over { channel, .. }
            | News::Lost { channel, .. } => *channel,
        }
    }

    /// The offer that it is about, if it is one.
    pub const fn offer(&self) -> Option<OfferId> {
        match self {
            News::Ring { offer, .. } | News::Accepted { offer, .. } | News::Over { offer, .. } => {
                Some(*offer)
            }
            News::Lost { .. } => None,
        }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            News::Ring {
                channel,
                offer,
                ttl_ms,
                from,
            } => {
                writer.u8(RING);
                writer.channel(*channel);
                writer.u32(offer.0);
                writer.u16(*ttl_ms);
                writer.node_name(from);
            }
            News::Accepted { channel, offer } => {
                writer.u8(ACCEPTED);
                writer.channel(*channel);
                writer.u32(offer.0);
            }
            News::Over {
                channel,
                offer,
                how,
            } => {
                writer.u8(OVER);
                writer.channel(*channel);
                writer.u32(offer.0);
                writer.u8(*how as u8);
            }
            News::Lost {
                channel,
                token,
                how,
            } => {
                writer.u8(LOST);
                writer.channel(*channel);
                writer.token(*token);
                how.encode(writer);
            }
        }
    }

    // [WIRE-134]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<News, DecodeError> {
        Ok(match reader.u8()? {
            RING => News::Ring {
                channel: reader.channel()?,
                offer: OfferId(reader.u32()?),
                ttl_ms: reader.u16()?,
                from: reader.node_name()?,
            },
            ACCEPTED => News::Accepted {
                channel: reader.channel()?,
                offer: OfferId(reader.u32()?),
            },
            OVER => News::Over {
                channel: reader.channel()?,
                offer: OfferId(reader.u32()?),
                how: OfferEnd::decode(reader)?,
            },
            LOST => News::Lost {
                channel: reader.channel()?,
                token: reader.token()?,
                how: Removal::decode(reader)?,
            },
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

impl OfferEnd {
    /// All of them.
    pub const ALL: [OfferEnd; 7] = [
        OfferEnd::HandedOver,
        OfferEnd::Declined,
        OfferEnd::Busy,
        OfferEnd::Cancelled,
        OfferEnd::Lapsed,
        OfferEnd::LeaseEnded,
        OfferEnd::NotTakenUp,
    ];

    fn decode(reader: &mut Reader<'_>) -> Result<OfferEnd, DecodeError> {
        let number = reader.u8()?;
        let mut all = OfferEnd::ALL.into_iter();
        all.find(|&end| end as u8 == number).ok_or(UNKNOWN_KIND)
    }
}

impl Removal {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Removal::Preempted { by, reason } => {
                writer.u8(PREEMPTED);
                writer.node_name(by);
                writer.reason(reason);
            }
            Removal::Revoked { by, reason } => {
                writer.u8(REVOKED);
                writer.node_name(by);
                writer.reason(reason);
            }
            Removal::NotAllowed => writer.u8(NOT_ALLOWED),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Removal, DecodeError> {
        Ok(match reader.u8()? {
            PREEMPTED => Removal::Preempted {
                by: reader.node_name()?,
                reason: reader.reason()?,
            },
            REVOKED => Removal::Revoked {
                by: reader.node_name()?,
                reason: reader.reason()?,
            },
            NOT_ALLOWED => Removal::NotAllowed,
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

const RING: u8 = 1;
const ACCEPTED: u8 = 2;
const OVER: u8 = 3;
const LOST: u8 = 4;

const PREEMPTED: u8 = 1;
const REVOKED: u8 = 2;
const NOT_ALLOWED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SessionMessage;
    use crate::wire::vector::assert_messages;

    #[test]
    fn news_look_like_their_pictures() {
        // [WIRE-134]
        let channel = Channel::new(1).unwrap();
        let offer = OfferId(9);
        let token = FencingToken(7);
        let preempted = Removal::Preempted {
            by: "controller/chief".parse().unwrap(),
            reason: "fire".parse().unwrap(),
        };
        let news = [
            (
                "06 01 01 00000009 2710 02 05 616c696365",
                News::Ring {
                    channel,
                    offer,
                    ttl_ms: 10_000,
                    from: "controller/alice".parse().unwrap(),
                },
            ),
            ("06 02 01 00000009", News::Accepted { channel, offer }),
            (
                "06 03 01 00000009 01",
                News::Over {
                    channel,
                    offer,
                    how: OfferEnd::HandedOver,
                },
            ),
            (
                "06 04 01 07 01 02 05 6368696566 04 66697265",
                News::Lost {
                    channel,
                    token,
                    how: preempted,
                },
            ),
            (
                "06 04 01 07 03",
                News::Lost {
                    channel,
                    token,
                    how: Removal::NotAllowed,
                },
            ),
        ];
        assert_messages(news.map(|(picture, news)| (picture, SessionMessage::News(news))));
    }
}
