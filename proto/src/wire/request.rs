//! What goes over the session channel's reliable flow.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{DICTIONARIES_MAX, FUNCTIONS_MAX, MESSAGE_BYTES_MAX};
use crate::base::{Channel, FencingToken, Name, Refusal};

/// A message of the session channel's reliable flow.
///
/// ```text
/// offset  bytes
///      0  1      type
///                1 request:     4 ask, then
///                  1 take:        1 channel
///                  2 release:     1 channel, 1..10 token (LEB128)
///                  3 reset stop:  1..5 generation (LEB128)
///                2 reply:       4 ask, then
///                  1 granted:     1 channel, 1..10 token (LEB128), 2 ttl_ms
///                  2 done
///                  3 refused:     1 refusal, [1 kind and 2+ name of the holder]
///                3 description: 1 count, count x (1 kind, 2+ name)
///                4 bye
///                5 dictionaries: 1 count, count x (2 id, 8 digest)
///
/// 01 00000007 01 01
/// 01 00000007 02 01 07
/// 01 00000007 03 02
/// 02 00000007 01 01 07 01f4
/// 02 00000007 02
/// 02 00000007 03 04 02 04 6465736b
/// 03 02 01 05 6472697665 02 06 6c6967687473
/// 04
/// 05 01 0007 0001020304050607
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionMessage {
    /// Controller to agent.
    Request {
        /// Chosen by the controller, named by the reply.
        ask: u32,
        /// What is asked.
        request: Request,
    },
    /// Agent to controller.
    Reply {
        /// The request's number.
        ask: u32,
        /// The answer.
        reply: Reply,
    },
    /// Agent to controller, first after the handshake.
    Description(Description),
    /// Either way: the sender ends the session.
    Bye,
    /// Either way: the dictionaries that the sender has, by ascending number.
    Dictionaries(Vec<DictionaryTag>),
}

impl SessionMessage {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            SessionMessage::Request { ask, request } => {
                writer.u8(REQUEST);
                writer.u32(*ask);
                request.encode(&mut writer);
            }
            SessionMessage::Reply { ask, reply } => {
                writer.u8(REPLY);
                writer.u32(*ask);
                reply.encode(&mut writer);
            }
            SessionMessage::Description(description) => {
                writer.u8(DESCRIPTION);
                description.encode(&mut writer);
            }
            SessionMessage::Bye => writer.u8(BYE),
            SessionMessage::Dictionaries(tags) => {
                writer.u8(DICTIONARIES);
                writer.count(tags.len());
                for tag in tags {
                    writer.u16(tag.id);
                    writer.bytes(&tag.digest);
                }
            }
        }
        writer.into_vec()
    }

    /// The message that these bytes are.
    ///
    /// # Errors
    /// They are none: the far end is broken. Counted and dropped.
    // [WIRE-22]
    pub fn decode(bytes: &[u8]) -> Result<SessionMessage, DecodeError> {
        let mut reader = Reader::new(bytes, MESSAGE_BYTES_MAX)?;
        let message = match reader.u8()? {
            REQUEST => SessionMessage::Request {
                ask: reader.u32()?,
                request: Request::decode(&mut reader)?,
            },
            REPLY => SessionMessage::Reply {
                ask: reader.u32()?,
                reply: Reply::decode(&mut reader)?,
            },
            DESCRIPTION => SessionMessage::Description(Description::decode(&mut reader)?),
            BYE => SessionMessage::Bye,
            DICTIONARIES => SessionMessage::Dictionaries(decode_tags(&mut reader)?),
            _ => return Err(UNKNOWN_KIND),
        };
        reader.finish()?;
        Ok(message)
    }
}

/// Names a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DictionaryTag {
    /// Its number, not 0.
    pub id: u16,
    /// The first bytes of the SHA-256 of its content, so that two dictionaries with one number are not taken for the same.
    pub digest: [u8; 8],
}

// [WIRE-125]
fn decode_tags(reader: &mut Reader<'_>) -> Result<Vec<DictionaryTag>, DecodeError> {
    let mut tags = Vec::new();
    let mut before = 0;
    for _ in 0..reader.count(DICTIONARIES_MAX)? {
        let (id, digest) = (reader.u16()?, reader.array()?);
        if id <= before {
            return Err(DecodeError::Malformed(
                "numbers of dictionaries ascend from 1",
            ));
        }
        before = id;
        tags.push(DictionaryTag { id, digest });
    }
    Ok(tags)
}

/// What a controller asks of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Request {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Request::Take { channel } => {
                writer.u8(TAKE);
                writer.channel(*channel);
            }
            Request::Release { channel, token } => {
                writer.u8(RELEASE);
                writer.channel(*channel);
                writer.token(*token);
            }
            Request::ResetStop { generation } => {
                writer.u8(RESET_STOP);
                writer.leb((*generation).into());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Request, DecodeError> {
        Ok(match reader.u8()? {
            TAKE => Request::Take {
                channel: reader.channel()?,
            },
            RELEASE => Request::Release {
                channel: reader.channel()?,
                token: reader.token()?,
            },
            RESET_STOP => Request::ResetStop {
                generation: reader.leb_u32(u32::MAX)?,
            },
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

/// What an agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The lease is the asker's.
    Granted {
        /// The function.
        channel: Channel,
        /// Goes into each command.
        token: FencingToken,
        /// Lapses after this long without a renewal, in milliseconds.
        ttl_ms: u16,
    },
    /// The request is done.
    Done,
    /// It is not.
    Refused(Refusal),
}

impl Reply {
    fn encode(&self, writer: &mut Writer) {
        match self {
            Reply::Granted {
                channel,
                token,
                ttl_ms,
            } => {
                writer.u8(GRANTED);
                writer.channel(*channel);
                writer.token(*token);
                writer.u16(*ttl_ms);
            }
            Reply::Done => writer.u8(DONE),
            Reply::Refused(refusal) => {
                writer.u8(REFUSED);
                writer.refusal(refusal);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Reply, DecodeError> {
        Ok(match reader.u8()? {
            GRANTED => Reply::Granted {
                channel: reader.channel()?,
                token: reader.token()?,
                ttl_ms: reader.u16()?,
            },
            DONE => Reply::Done,
            REFUSED => Reply::Refused(reader.refusal()?),
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

/// What an agent is and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The functions; the first one is channel 1.
    pub functions: Vec<(Name, FunctionKind)>,
}

impl Description {
    fn encode(&self, writer: &mut Writer) {
        writer.count(self.functions.len());
        for (name, kind) in &self.functions {
            writer.u8(*kind as u8);
            writer.name(name);
        }
    }

    // [WIRE-23]
    fn decode(reader: &mut Reader<'_>) -> Result<Description, DecodeError> {
        let count = reader.count(FUNCTIONS_MAX)?;
        let mut functions = Vec::new();
        for _ in 0..count {
            let kind = match reader.u8()? {
                1 => FunctionKind::Drive,
                2 => FunctionKind::Opaque,
                _ => return Err(UNKNOWN_KIND),
            };
            functions.push((reader.name()?, kind));
        }
        Ok(Description { functions })
    }
}

/// What commands a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// [`super::Drive`], clamped by the agent.
    Drive = 1,
    /// Bytes.
    Opaque = 2,
}

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const DESCRIPTION: u8 = 3;
const BYE: u8 = 4;
const DICTIONARIES: u8 = 5;

const TAKE: u8 = 1;
const RELEASE: u8 = 2;
const RESET_STOP: u8 = 3;

const GRANTED: u8 = 1;
const DONE: u8 = 2;
const REFUSED: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_vector, hex};

    fn assert_pictures<const N: usize>(vectors: [(&str, SessionMessage); N]) {
        for (picture, message) in vectors {
            assert_vector(
                picture,
                &message,
                SessionMessage::encode,
                SessionMessage::decode,
            );
        }
    }

    #[test]
    fn requests_look_like_their_pictures() {
        // [WIRE-22]
        let channel = Channel::new(1).unwrap();
        let token = FencingToken(7);
        let asks = |request| SessionMessage::Request { ask: 7, request };
        assert_pictures([
            ("01 00000007 01 01", asks(Request::Take { channel })),
            (
                "01 00000007 02 01 07",
                asks(Request::Release { channel, token }),
            ),
            (
                "01 00000007 03 02",
                asks(Request::ResetStop { generation: 2 }),
            ),
            ("\n04\n", SessionMessage::Bye),
        ]);
    }

    #[test]
    fn replies_look_like_their_pictures() {
        // [WIRE-22] [WIRE-25]
        let granted = Reply::Granted {
            channel: Channel::new(1).unwrap(),
            token: FencingToken(7),
            ttl_ms: 500,
        };
        let held = Refusal::HeldBy("controller/desk".parse().unwrap());
        let answers = |reply| SessionMessage::Reply { ask: 7, reply };
        assert_pictures([
            ("02 00000007 01 01 07 01f4", answers(granted)),
            ("02 00000007 02", answers(Reply::Done)),
            (
                "02 00000007 03 04 02 04 6465736b",
                answers(Reply::Refused(held)),
            ),
        ]);
    }

    #[test]
    fn a_description_looks_like_its_picture() {
        // [WIRE-23]
        let functions = vec![
            ("drive".parse().unwrap(), FunctionKind::Drive),
            ("lights".parse().unwrap(), FunctionKind::Opaque),
        ];
        assert_pictures([(
            "03 02 01 05 6472697665 02 06 6c6967687473",
            SessionMessage::Description(Description { functions }),
        )]);
    }

    // [WIRE-125]
    #[test]
    fn dictionaries_look_like_their_picture() {
        let tag = DictionaryTag {
            id: 7,
            digest: [0, 1, 2, 3, 4, 5, 6, 7],
        };
        assert_pictures([(
            "05 01 0007 0001020304050607",
            SessionMessage::Dictionaries(vec![tag]),
        )]);
    }

    // [WIRE-125]
    #[test]
    fn dictionaries_are_at_most_16_and_ascend_from_1() {
        let list = |ids: &[u16]| {
            let digest = [0; 8];
            let tags = ids.iter().map(|&id| DictionaryTag { id, digest }).collect();
            let bytes = SessionMessage::Dictionaries(tags).encode();
            SessionMessage::decode(&bytes)
        };
        let ids: Vec<u16> = (1..=17).collect();
        for right in [&ids[..0], &ids[..16], &[1, 65_535]] {
            assert!(list(right).is_ok(), "{right:?}");
        }
        for wrong in [&ids[..], &[0], &[2, 1], &[1, 1]] {
            assert!(list(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn wrong_session_messages_are_refused() {
        // [WIRE-22] [WIRE-23] [WIRE-3]
        for wrong in [
            "",
            "00",
            "05",
            "05 01 0007 00",
            "06",
            "04 00",
            "01 00000007 01 3f",
            "01 00000007 04",
            "01 00000007 03 8080808010",
            "02 00000007 00",
            "02 00000007 03 0e",
            "03 01 03 01 61",
        ] {
            assert!(SessionMessage::decode(&hex(wrong)).is_err(), "{wrong}");
        }
        let many = [hex("03 3f"), hex("01 01 61").repeat(63)].concat();
        assert!(SessionMessage::decode(&many).is_err());
    }
}
