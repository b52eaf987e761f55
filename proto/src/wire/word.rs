//! How the words of `base` stand on the wire.

use super::reader::{DecodeError, RESERVED, Reader, TOO_LARGE, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::{
    Channel, FencingToken, Flow, Name, NodeKind, NodeName, Reason, Refusal, Rights, SessionId,
    Stage,
};

impl Reader<'_> {
    /// Four bytes.
    pub(crate) fn session(&mut self) -> Result<SessionId, DecodeError> {
        self.u32().map(SessionId)
    }

    /// A LEB128 number.
    pub(crate) fn token(&mut self) -> Result<FencingToken, DecodeError> {
        self.leb().map(FencingToken)
    }

    /// One byte, 0 to 62.
    pub(crate) fn channel(&mut self) -> Result<Channel, DecodeError> {
        Channel::new(self.u8()?).ok_or(NO_CHANNEL)
    }

    /// One byte: channel in the high six bits, class in the low two.
    // [WIRE-11]
    pub(crate) fn flow(&mut self) -> Result<Flow, DecodeError> {
        Flow::from_byte(self.u8()?).ok_or(NO_CHANNEL)
    }

    /// One byte.
    pub(crate) fn node_kind(&mut self) -> Result<NodeKind, DecodeError> {
        let number = self.u8()?;
        NodeKind::ALL
            .into_iter()
            .find(|&kind| kind as u8 == number)
            .ok_or(UNKNOWN_KIND)
    }

    /// One byte of length, then the characters.
    // [WIRE-5]
    pub(crate) fn name(&mut self) -> Result<Name, DecodeError> {
        let length = self.count(Name::BYTES_MAX)?;
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| NO_NAME)?;
        text.parse().map_err(|_| NO_NAME)
    }

    /// Kind, then name.
    pub(crate) fn node_name(&mut self) -> Result<NodeName, DecodeError> {
        Ok(NodeName {
            kind: self.node_kind()?,
            name: self.name()?,
        })
    }

    /// One byte, a bit for each right.
    // [WIRE-23]
    pub(crate) fn rights(&mut self) -> Result<Rights, DecodeError> {
        Rights::from_bits(self.u8()?).ok_or(RESERVED)
    }

    /// One byte of length, then UTF-8 text.
    // [WIRE-133]
    pub(crate) fn reason(&mut self) -> Result<Reason, DecodeError> {
        let length = self.count(Reason::BYTES_MAX)?;
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| NO_REASON)?;
        text.parse().map_err(|_| NO_REASON)
    }

    /// One byte; the holder's name follows [`Refusal::HeldBy`].
    // [WIRE-25]
    pub(crate) fn refusal(&mut self) -> Result<Refusal, DecodeError> {
        Ok(match self.u8()? {
            1 => Refusal::NoClock,
            2 => Refusal::Expired,
            3 => Refusal::NotLeased,
            4 => Refusal::HeldBy(self.node_name()?),
            5 => Refusal::OldToken,
            6 => Refusal::Stopped,
            7 => Refusal::NeedsResume,
            8 => Refusal::DeadManReleased,
            9 => Refusal::TooOften,
            10 => Refusal::NoSuchFunction,
            11 => Refusal::AlreadyApplied,
            12 => Refusal::AdapterDown,
            13 => Refusal::Malformed,
            14 => Refusal::NotAllowed,
            15 => Refusal::NotYet,
            16 => Refusal::NeedsSecond,
            17 => Refusal::NoOffer,
            18 => Refusal::Revoked,
            19 => Refusal::OldPicture,
            20 => Refusal::Absent,
            _ => return Err(UNKNOWN_KIND),
        })
    }
}

impl Writer {
    /// Four bytes.
    pub(crate) fn session(&mut self, session: SessionId) {
        self.u32(session.0);
    }

    /// A LEB128 number.
    pub(crate) fn token(&mut self, token: FencingToken) {
        self.leb(token.0);
    }

    /// One byte.
    pub(crate) fn channel(&mut self, channel: Channel) {
        self.u8(channel.number());
    }

    /// One byte.
    pub(crate) fn flow(&mut self, flow: Flow) {
        self.u8(flow.to_byte());
    }

    /// One byte of length, then the characters.
    pub(crate) fn name(&mut self, name: &Name) {
        self.count(name.as_str().len());
        self.bytes(name.as_str().as_bytes());
    }

    /// Kind, then name.
    pub(crate) fn node_name(&mut self, node: &NodeName) {
        self.u8(node.kind as u8);
        self.name(&node.name);
    }

    /// One byte, a bit for each right.
    pub(crate) fn rights(&mut self, rights: Rights) {
        self.u8(rights.bits());
    }

    /// One byte of length, then UTF-8 text.
    pub(crate) fn reason(&mut self, reason: &Reason) {
        self.count(reason.as_str().len());
        self.bytes(reason.as_str().as_bytes());
    }

    /// One byte; the holder's name follows [`Refusal::HeldBy`].
    pub(crate) fn refusal(&mut self, refusal: &Refusal) {
        self.u8(match refusal {
            Refusal::NoClock => 1,
            Refusal::Expired => 2,
            Refusal::NotLeased => 3,
            Refusal::HeldBy(_) => 4,
            Refusal::OldToken => 5,
            Refusal::Stopped => 6,
            Refusal::NeedsResume => 7,
            Refusal::DeadManReleased => 8,
            Refusal::TooOften => 9,
            Refusal::NoSuchFunction => 10,
            Refusal::AlreadyApplied => 11,
            Refusal::AdapterDown => 12,
            Refusal::Malformed => 13,
            Refusal::NotAllowed => 14,
            Refusal::NotYet => 15,
            Refusal::NeedsSecond => 16,
            Refusal::NoOffer => 17,
            Refusal::Revoked => 18,
            Refusal::OldPicture => 19,
            Refusal::Absent => 20,
        });
        if let Refusal::HeldBy(holder) = refusal {
            self.node_name(holder);
        }
    }
}

/// The stage with this number.
pub(super) fn stage(number: u8) -> Result<Stage, DecodeError> {
    Stage::ALL
        .into_iter()
        .find(|&stage| stage as u8 == number)
        .ok_or(TOO_LARGE)
}

const NO_CHANNEL: DecodeError = DecodeError::Malformed("no channel has this number");
const NO_NAME: DecodeError = DecodeError::Malformed("not a name");
const NO_REASON: DecodeError = DecodeError::Malformed("not a reason");

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, usize::MAX).unwrap()
    }

    #[test]
    fn a_node_name_is_its_kind_a_length_and_the_characters() {
        // [WIRE-5]
        let mut writer = Writer::new();
        writer.node_name(&"agent/truck-17".parse().unwrap());
        let bytes = writer.into_vec();
        assert_eq!(bytes, b"\x01\x08truck-17");
        assert_eq!(
            reader(&bytes).node_name(),
            Ok("agent/truck-17".parse().unwrap())
        );
        for wrong in [
            &b"\x01\x00"[..],
            b"\x01\x02-a",
            b"\x01\x01A",
            b"\x01\x02\xc3\xa4",
            b"\x00\x01a",
            b"\x07\x01a",
            b"\x01\x02a",
        ] {
            assert!(reader(wrong).node_name().is_err(), "{wrong:?}");
        }
        let mut long = vec![1, 49];
        long.resize(51, b'a');
        assert!(reader(&long).node_name().is_err());
    }

    #[test]
    fn channel_63_and_refusals_without_a_meaning_are_refused() {
        // [WIRE-11] [WIRE-25]
        assert!(reader(&[63]).channel().is_err());
        assert!(reader(&[0xfc]).flow().is_err());
        assert!(reader(&[0]).refusal().is_err());
        assert!(reader(&[21]).refusal().is_err());
    }
}
