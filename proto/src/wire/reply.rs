//! What an agent answers.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::{Channel, FencingToken, OfferId, Refusal};

/// What an agent answers.
///
/// ```text
/// offset  bytes
///      0  1      kind
///                1 granted:     1 channel, 1..10 token (LEB128), 2 ttl_ms
///                2 done
///                3 refused:     1 refusal, [1 kind and 2+ name of the holder]
///                4 coming:      as granted
///                5 offered:     4 offer
///
/// 02 00000007 01 01 07 01f4
/// 02 00000007 02
/// 02 00000007 03 04 02 04 6465736b
/// 02 00000007 04 01 08 01f4
/// 02 00000007 05 00000009
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The lease is the asker's.
    Granted(Granted),
    /// The request is done.
    Done,
    /// It is not.
    Refused(Refusal),
    /// The lease will be the asker's when its commands have arrived for a while.
    Coming(Granted),
    /// Whoever the lease is offered to is being asked.
    Offered(OfferId),
}

/// A lease, as its holder is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The function.
    pub channel: Channel,
    /// Goes into each command.
    pub token: FencingToken,
    /// Lapses after this long without a renewal, in milliseconds.
    pub ttl_ms: u16,
}

impl Reply {
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Reply::Granted(granted) => {
                writer.u8(GRANTED);
                granted.encode(writer);
            }
            Reply::Done => writer.u8(DONE),
            Reply::Refused(refusal) => {
                writer.u8(REFUSED);
                writer.refusal(refusal);
            }
            Reply::Coming(granted) => {
                writer.u8(COMING);
                granted.encode(writer);
            }
            Reply::Offered(offer) => {
                writer.u8(OFFERED);
                writer.u32(offer.0);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Reply, DecodeError> {
        Ok(match reader.u8()? {
            GRANTED => Reply::Granted(Granted::decode(reader)?),
            DONE => Reply::Done,
            REFUSED => Reply::Refused(reader.refusal()?),
            COMING => Reply::Coming(Granted::decode(reader)?),
            OFFERED => Reply::Offered(OfferId(reader.u32()?)),
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

impl Granted {
    fn encode(&self, writer: &mut Writer) {
        writer.channel(self.channel);
        writer.token(self.token);
        writer.u16(self.ttl_ms);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Granted, DecodeError> {
        Ok(Granted {
            channel: reader.channel()?,
            token: reader.token()?,
            ttl_ms: reader.u16()?,
        })
    }
}

const GRANTED: u8 = 1;
const DONE: u8 = 2;
const REFUSED: u8 = 3;
const COMING: u8 = 4;
const OFFERED: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SessionMessage;
    use crate::wire::vector::assert_messages;

    #[test]
    fn replies_look_like_their_pictures() {
        // [WIRE-22] [WIRE-25]
        let granted = |token| Granted {
            channel: Channel::new(1).unwrap(),
            token: FencingToken(token),
            ttl_ms: 500,
        };
        let held = Refusal::HeldBy("controller/desk".parse().unwrap());
        let answers = |reply| SessionMessage::Reply { ask: 7, reply };
        assert_messages([
            (
                "02 00000007 01 01 07 01f4",
                answers(Reply::Granted(granted(7))),
            ),
            ("02 00000007 02", answers(Reply::Done)),
            (
                "02 00000007 03 04 02 04 6465736b",
                answers(Reply::Refused(held)),
            ),
            (
                "02 00000007 04 01 08 01f4",
                answers(Reply::Coming(granted(8))),
            ),
            (
                "02 00000007 05 00000009",
                answers(Reply::Offered(OfferId(9))),
            ),
        ]);
    }
}
