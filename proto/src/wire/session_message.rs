//! What goes over the session channel's reliable flow.

use super::description::Description;
use super::news::News;
use super::papers::Papers;
use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::reply::Reply;
use super::request::Request;
use super::writer::Writer;
use crate::base::limits::{DICTIONARIES_MAX, MESSAGE_BYTES_MAX};

/// A message of the session channel's reliable flow.
///
/// ```text
/// offset  bytes
///      0  1      type
///                1 request:      4 ask, then a request
///                2 reply:        4 ask, then a reply
///                3 description:  functions and rights
///                4 bye
///                5 dictionaries: 1 count, count x (2 id, 8 digest)
///                6 news:         a word about a lease
///                7 papers:       2 length of the certificate, certificate, 1 length of the signature, signature
///                8 wall clock:   6 what it shows, in milliseconds since 1970
///
/// 04
/// 05 01 0007 0001020304050607
/// 07 0002 aabb 02 ccdd
/// 08 01a1ee565e00
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
    /// Agent to controller, first after the handshake, and again when the rights have changed.
    Description(Description),
    /// Either way: the sender ends the session.
    Bye,
    /// Either way: the dictionaries that the sender has, by ascending number.
    Dictionaries(Vec<DictionaryTag>),
    /// Agent to controller, unasked.
    News(News),
    /// Either way: a newer certificate of the sender.
    Papers(Papers),
    /// Either way: what the sender's wall clock shows as it sends this, in milliseconds since 1970. For records: nothing is decided by it.
    WallClock(u64),
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
            SessionMessage::News(news) => {
                writer.u8(NEWS);
                news.encode(&mut writer);
            }
            SessionMessage::Papers(papers) => {
                writer.u8(PAPERS);
                papers.encode(&mut writer);
            }
            SessionMessage::WallClock(unix_ms) => {
                writer.u8(WALL_CLOCK);
                writer.u48(*unix_ms);
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
            NEWS => SessionMessage::News(News::decode(&mut reader)?),
            PAPERS => SessionMessage::Papers(Papers::decode(&mut reader)?),
            WALL_CLOCK => SessionMessage::WallClock(reader.u48()?),
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

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const DESCRIPTION: u8 = 3;
const BYE: u8 = 4;
const DICTIONARIES: u8 = 5;
const NEWS: u8 = 6;
const PAPERS: u8 = 7;
const WALL_CLOCK: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_messages, hex};

    // [WIRE-125] [WIRE-161] [WIRE-166]
    #[test]
    fn goodbye_dictionaries_papers_and_clocks_look_like_their_pictures() {
        let tag = DictionaryTag {
            id: 7,
            digest: [0, 1, 2, 3, 4, 5, 6, 7],
        };
        assert_messages([
            ("\n04\n", SessionMessage::Bye),
            (
                "05 01 0007 0001020304050607",
                SessionMessage::Dictionaries(vec![tag]),
            ),
            (
                "08 01a1ee565e00",
                SessionMessage::WallClock(0x01a1_ee56_5e00),
            ),
            (
                "07 0002 aabb 02 ccdd",
                SessionMessage::Papers(Papers {
                    certificate: vec![0xaa, 0xbb],
                    signature: vec![0xcc, 0xdd],
                }),
            ),
        ]);
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
        // [WIRE-22] [WIRE-23] [WIRE-3] [WIRE-133] [WIRE-134]
        for wrong in [
            "",
            "00",
            "05",
            "05 01 0007 00",
            "07",
            "07 0003 aabb",
            "07 0002 aabb 02 cc",
            "08",
            "08 01a1ee565e",
            "09",
            "04 00",
            "01 00000007 01 3f",
            "01 00000007 0c",
            "01 00000007 03 8080808010",
            "01 00000007 06 01 00",
            "01 00000007 06 01 01 0a",
            "01 00000007 06 01 02 c3 28",
            "01 00000007 0b 01 00000009 02",
            "02 00000007 00",
            "02 00000007 06",
            "02 00000007 03 15",
            "03 00 01 03 00 01 61",
            "03 20 00",
            "06 00",
            "06 05",
            "06 03 01 00000009 00",
            "06 03 01 00000009 08",
            "06 04 01 07 04",
        ] {
            assert!(SessionMessage::decode(&hex(wrong)).is_err(), "{wrong}");
        }
        let many = [hex("03 00 3f"), hex("01 00 01 61").repeat(63)].concat();
        assert!(SessionMessage::decode(&many).is_err());
    }

    // [WIRE-161]
    #[test]
    fn papers_have_a_bound() {
        let papers = |certificate, signature| {
            let papers = Papers {
                certificate: vec![7; certificate],
                signature: vec![7; signature],
            };
            SessionMessage::decode(&SessionMessage::Papers(papers).encode()).is_ok()
        };
        assert!(papers(800, 96));
        assert!(!papers(801, 96) && !papers(800, 97));
    }
}
