//! What a controller asks of an agent.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::{Channel, FencingToken, NodeName, OfferId, Reason};

/// What a controller asks of an agent.
///
/// ```text
/// offset  bytes
///      0  1      kind
///                 1 take:        1 channel
///                 2 release:     1 channel, 1..10 token (LEB128)
///                 3 reset stop:  1..5 generation (LEB128)
///                 4 wait:        1 channel
///                 5 leave:       1 channel
///                 6 preempt:     1 channel, 2+ reason
///                 7 revoke:      1 channel, 2+ reason
///                 8 offer:       1 channel, 1..10 token (LEB128), 3+ name of whom
///                 9 cancel:      1 channel, 4 offer
///                10 accept:      1 channel, 4 offer
///                11 decline:     1 channel, 4 offer, 1 whether busy (0 or 1)
///
/// 01 00000007 01 01
/// 01 00000007 02 01 07
/// 01 00000007 03 02
/// 01 00000007 04 01
/// 01 00000007 05 01
/// 01 00000007 06 01 04 66697265
/// 01 00000007 07 01 04 66697265
/// 01 00000007 08 01 07 02 03 626f62
/// 01 00000007 09 01 00000009
/// 01 00000007 0a 01 00000009
/// 01 00000007 0b 01 00000009 01
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The exclusive right to command a function.
    Take {
        /// The function.
        channel: Channel,
    },
    /// Gives that right back.
    Release {
        /// The function.
        channel: Channel,
        /// The lease's token.
        token: FencingToken,
    },
    /// Clears a latched emergency stop of this generation.
    ResetStop {
        /// The generation that the sender saw latched.
        generation: u32,
    },
    /// As take, and waits its turn while somebody else has it.
    Wait {
        /// The function.
        channel: Channel,
    },
    /// Waits no longer.
    Leave {
        /// The function.
        channel: Channel,
    },
    /// As take, from a holder of lower priority.
    Preempt {
        /// The function.
        channel: Channel,
        /// For the holder and the record.
        reason: Reason,
    },
    /// Ends the lease of whoever holds it.
    Revoke {
        /// The function.
        channel: Channel,
        /// For the holder and the record.
        reason: Reason,
    },
    /// Offers a lease that the sender's identity holds to somebody else.
    Offer {
        /// The function.
        channel: Channel,
        /// The lease's token.
        token: FencingToken,
        /// To whom.
        to: NodeName,
    },
    /// Takes an offer back.
    Cancel {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
    },
    /// Takes up an offer.
    Accept {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
    },
    /// Does not.
    Decline {
        /// The function.
        channel: Channel,
        /// The offer.
        offer: OfferId,
        /// Because something else is being driven.
        busy: bool,
    },
}

impl Request {
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Request::Take { channel } => plain(writer, TAKE, *channel),
            Request::Release { channel, token } => {
                plain(writer, RELEASE, *channel);
                writer.token(*token);
            }
            Request::ResetStop { generation } => {
                writer.u8(RESET_STOP);
                writer.leb((*generation).into());
            }
            Request::Wait { channel } => plain(writer, WAIT, *channel),
            Request::Leave { channel } => plain(writer, LEAVE, *channel),
            Request::Preempt { channel, reason } => {
                plain(writer, PREEMPT, *channel);
                writer.reason(reason);
            }
            Request::Revoke { channel, reason } => {
                plain(writer, REVOKE, *channel);
                writer.reason(reason);
            }
            Request::Offer { channel, token, to } => {
                plain(writer, OFFER, *channel);
                writer.token(*token);
                writer.node_name(to);
            }
            Request::Cancel { channel, offer } => {
                plain(writer, CANCEL, *channel);
                writer.u32(offer.0);
            }
            Request::Accept { channel, offer } => {
                plain(writer, ACCEPT, *channel);
                writer.u32(offer.0);
            }
            Request::Decline {
                channel,
                offer,
                busy,
            } => {
                plain(writer, DECLINE, *channel);
                writer.u32(offer.0);
                writer.bool(*busy);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Request, DecodeError> {
        let kind = reader.u8()?;
        if kind == RESET_STOP {
            return Ok(Request::ResetStop {
                generation: reader.leb_u32(u32::MAX)?,
            });
        }
        if !(TAKE..=DECLINE).contains(&kind) {
            return Err(UNKNOWN_KIND);
        }
        let channel = reader.channel()?;
        Ok(match kind {
            TAKE => Request::Take { channel },
            RELEASE => Request::Release {
                channel,
                token: reader.token()?,
            },
            WAIT => Request::Wait { channel },
            LEAVE => Request::Leave { channel },
            PREEMPT => Request::Preempt {
                channel,
                reason: reader.reason()?,
            },
            REVOKE => Request::Revoke {
                channel,
                reason: reader.reason()?,
            },
            OFFER => Request::Offer {
                channel,
                token: reader.token()?,
                to: reader.node_name()?,
            },
            CANCEL => Request::Cancel {
                channel,
                offer: OfferId(reader.u32()?),
            },
            ACCEPT => Request::Accept {
                channel,
                offer: OfferId(reader.u32()?),
            },
            DECLINE => Request::Decline {
                channel,
                offer: OfferId(reader.u32()?),
                busy: reader.bool()?,
            },
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

fn plain(writer: &mut Writer, kind: u8, channel: Channel) {
    writer.u8(kind);
    writer.channel(channel);
}

const TAKE: u8 = 1;
const RELEASE: u8 = 2;
const RESET_STOP: u8 = 3;
const WAIT: u8 = 4;
const LEAVE: u8 = 5;
const PREEMPT: u8 = 6;
const REVOKE: u8 = 7;
const OFFER: u8 = 8;
const CANCEL: u8 = 9;
const ACCEPT: u8 = 10;
const DECLINE: u8 = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SessionMessage;
    use crate::wire::vector::assert_messages;

    #[test]
    fn requests_look_like_their_pictures() {
        // [WIRE-22] [WIRE-133]
        let channel = Channel::new(1).unwrap();
        let token = FencingToken(7);
        let offer = OfferId(9);
        let to: NodeName = "controller/bob".parse().unwrap();
        let reason: Reason = "fire".parse().unwrap();
        let asks = |request| SessionMessage::Request { ask: 7, request };
        assert_messages([
            ("01 00000007 01 01", asks(Request::Take { channel })),
            (
                "01 00000007 02 01 07",
                asks(Request::Release { channel, token }),
            ),
            (
                "01 00000007 03 02",
                asks(Request::ResetStop { generation: 2 }),
            ),
            ("01 00000007 04 01", asks(Request::Wait { channel })),
            ("01 00000007 05 01", asks(Request::Leave { channel })),
            (
                "01 00000007 06 01 04 66697265",
                asks(Request::Preempt {
                    channel,
                    reason: reason.clone(),
                }),
            ),
            (
                "01 00000007 07 01 04 66697265",
                asks(Request::Revoke { channel, reason }),
            ),
            (
                "01 00000007 08 01 07 02 03 626f62",
                asks(Request::Offer { channel, token, to }),
            ),
            (
                "01 00000007 09 01 00000009",
                asks(Request::Cancel { channel, offer }),
            ),
            (
                "01 00000007 0a 01 00000009",
                asks(Request::Accept { channel, offer }),
            ),
            (
                "01 00000007 0b 01 00000009 01",
                asks(Request::Decline {
                    channel,
                    offer,
                    busy: true,
                }),
            ),
        ]);
    }
}
