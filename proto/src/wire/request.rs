//! What goes over the session channel's reliable flow.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::{FUNCTIONS_MAX, MESSAGE_BYTES_MAX};
use crate::base::{Channel, FencingToken, Name, Refusal};

/// A message of the session channel's reliable flow.
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
        }
        writer.into_vec()
    }

    /// The message that these bytes are.
    ///
    /// # Errors
    /// They are none: the far end is broken. Counted and dropped.
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
            _ => return Err(UNKNOWN_KIND),
        };
        reader.finish()?;
        Ok(message)
    }
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

const TAKE: u8 = 1;
const RELEASE: u8 = 2;
const RESET_STOP: u8 = 3;

const GRANTED: u8 = 1;
const DONE: u8 = 2;
const REFUSED: u8 = 3;
