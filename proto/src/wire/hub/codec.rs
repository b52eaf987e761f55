//! CBOR of the types that the hub's messages are made of.

use std::fmt;
use std::sync::Arc;

use minicbor::decode::Error as DecodeFault;
use minicbor::encode::{Error as EncodeFault, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::base::limits::HUB_MESSAGE_BYTES_MAX;
use crate::base::{Class, Name, NodeKind, NodeName};
use crate::wire::DecodeError;

/// The message's bytes.
pub fn encode<T: Encode<()>>(message: &T) -> Arc<[u8]> {
    let bytes = minicbor::to_vec(message);
    bytes.expect("a vector takes all that is written").into()
}

/// The message that these bytes are, to the last one.
///
/// # Errors
/// They are none: counted and dropped, or refused where somebody waits.
// [WIRE-190] [WIRE-195]
pub fn decode<'a, T: Decode<'a, ()>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    if bytes.len() > HUB_MESSAGE_BYTES_MAX {
        return Err(DecodeError::Malformed("a hub's message is too long"));
    }
    let mut decoder = Decoder::new(bytes);
    let message = decoder
        .decode()
        .map_err(|_| DecodeError::Malformed("a hub's message is none"))?;
    if decoder.position() == bytes.len() {
        Ok(message)
    } else {
        Err(DecodeError::Malformed(
            "a hub's message has something behind it",
        ))
    }
}

/// Bytes that clones share.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Arc<[u8]>);

/// How many, not which.
impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Bytes {
    fn from(bytes: T) -> Bytes {
        Bytes(bytes.into())
    }
}

impl<C> Encode<C> for Bytes {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeFault<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Bytes {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Bytes, DecodeFault> {
        Ok(Bytes(d.bytes()?.into()))
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeFault<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Name, DecodeFault> {
        let text = d.str()?.parse();
        text.map_err(|_| DecodeFault::message("no name"))
    }
}

impl<C> Encode<C> for NodeName {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeFault<W::Error>> {
        e.array(2)?
            .u8(self.kind as u8)?
            .str(self.name.as_str())?
            .ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeName {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<NodeName, DecodeFault> {
        if d.array()? != Some(2) {
            return Err(DecodeFault::message("no node's name"));
        }
        Ok(NodeName::new(d.decode_with(ctx)?, d.decode_with(ctx)?))
    }
}

impl<C> Encode<C> for NodeKind {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeFault<W::Error>> {
        e.u8(*self as u8)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeKind {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<NodeKind, DecodeFault> {
        let number = d.u8()?;
        let kind = NodeKind::ALL.into_iter().find(|kind| *kind as u8 == number);
        kind.ok_or_else(|| DecodeFault::message("no kind of node"))
    }
}

impl<C> Encode<C> for Class {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeFault<W::Error>> {
        e.u8(*self as u8)?.ok()
    }
}

/// The hub has no stops.
// [WIRE-196]
impl<'b, C> Decode<'b, C> for Class {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Class, DecodeFault> {
        match d.u8()? {
            0 => Ok(Class::Latest),
            1 => Ok(Class::Unordered),
            2 => Ok(Class::Reliable),
            _ => Err(DecodeFault::message("no class of the hub's")),
        }
    }
}
