//! A piece of a hub's message in a parcel.

use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::base::Class;
use crate::base::limits::{FRAGMENT_BYTES_MAX, HUB_FRAGMENTS_MAX, PARCEL_BYTES_MAX};
use crate::wire::FragmentOf;
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::Writer;

/// The hub's number for something that one or many nodes read: 0 is between one node and the hub, the others have the same messages
/// for all who read them. Numbers are the hub's run's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Line(#[n(0)] pub u32);

impl Line {
    /// Between one node and the hub.
    pub const OWN: Line = Line(0);
}

/// A message, or a piece of one, between a node and the hub.
///
/// ```text
/// offset  bytes  (after the parcel's kind, 0x06)
///      0  1      bits 1..0 class (1 unordered, 2 reliable), bit 2: a piece follows its place; other bits zero
///      1  4      line
///      5  1..10  number (LEB128): of the message, among those of its line and class
///      .  2      [a piece: 1 index, 1 count]
///      .  1..    bytes of the message
///
/// 06 02 00000000 01 82070c
/// 06 05 0000002a a0fe0a 01 02 aabb
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether it is held in order or goes on arrival.
    pub class: Class,
    /// Its line.
    pub line: Line,
    /// The message's number, from 1.
    pub number: u64,
    /// Which piece it is, when the message is cut.
    pub place: Option<FragmentOf>,
    /// The piece.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The encoded [`super::super::Parcel::Hub`].
    pub fn encode_parcel(&self) -> Arc<[u8]> {
        let mut writer = Writer::with_capacity(FRAME_FRONT_MAX + self.bytes.len());
        writer.u8(HUB);
        self.write(&mut writer);
        writer.into_arc()
    }

    /// The frame that these bytes are.
    ///
    /// # Errors
    /// They are none: counted and dropped.
    // [WIRE-190]
    pub fn decode(bytes: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
        let mut reader = Reader::new(bytes, PARCEL_BYTES_MAX)?;
        Frame::read(&mut reader)
    }

    fn write(&self, writer: &mut Writer) {
        let piece = if self.place.is_some() { PIECE } else { 0 };
        writer.u8(self.class as u8 | piece);
        writer.u32(self.line.0);
        writer.leb(self.number);
        if let Some(place) = self.place {
            writer.u8(place.index);
            writer.u8(place.count);
        }
        writer.bytes(self.bytes);
    }

    fn read(reader: &mut Reader<'a>) -> Result<Frame<'a>, DecodeError> {
        let flags = reader.u8()?;
        let class = class_of(flags)?;
        let line = Line(reader.u32()?);
        let number = reader.leb()?;
        if number == 0 {
            return Err(DecodeError::Malformed("numbers begin with 1"));
        }
        let place = match flags & PIECE {
            0 => None,
            _ => Some(read_place(reader)?),
        };
        let bytes = reader.rest(FRAGMENT_BYTES_MAX)?;
        if bytes.is_empty() {
            return Err(DecodeError::Malformed("a frame without anything"));
        }
        Ok(Frame {
            class,
            line,
            number,
            place,
            bytes,
        })
    }

    /// The class that the first byte says.
    pub(crate) fn peek_class(reader: &mut Reader<'_>) -> Result<Class, DecodeError> {
        class_of(reader.u8()?)
    }
}

fn read_place(reader: &mut Reader<'_>) -> Result<FragmentOf, DecodeError> {
    let place = FragmentOf {
        index: reader.u8()?,
        count: reader.u8()?,
    };
    let is_one =
        (2..=HUB_FRAGMENTS_MAX).contains(&usize::from(place.count)) && place.index < place.count;
    is_one
        .then_some(place)
        .ok_or(DecodeError::Malformed("no place of a piece"))
}

fn class_of(flags: u8) -> Result<Class, DecodeError> {
    match flags & !PIECE {
        1 => Ok(Class::Unordered),
        2 => Ok(Class::Reliable),
        _ => Err(DecodeError::Malformed("no class of a frame")),
    }
}

const PIECE: u8 = 4;
/// A parcel's kind.
pub(crate) const HUB: u8 = 6;
/// What stands before a piece: kind, flags, line, number, place.
const FRAME_FRONT_MAX: usize = 1 + 1 + 4 + 10 + 2;

const _: () = assert!(FRAME_FRONT_MAX + FRAGMENT_BYTES_MAX <= PARCEL_BYTES_MAX);
