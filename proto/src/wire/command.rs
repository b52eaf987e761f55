//! A command: what a controller sends on a function's channel.

use std::time::Duration;

use super::reader::{DecodeError, RESERVED, Reader};
use super::writer::Writer;
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::base::{ApplicationId, FencingToken};

/// What a controller sends on a function's channel.
///
/// ```text
/// offset  bytes
///      0  1      bit 0: dead-man, bit 1: resume, bit 2: application id, bit 3: typed drive command, bit 4: age of the
///                picture (typed only), others zero
///      1  1..10  token (LEB128)
///      .  [8]    application id
///      .  [2]    age of the picture in ms
///      .  4      drive: 2 speed_mm_s, 2 curvature_per_km (both signed)
///      .  ..     or opaque bytes, to the end
///
/// 09 07 03e8 ff9c
/// 04 07 0001020304050607 6f70656e
/// 19 07 0096 03e8 ff9c
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The token of the lease under which it is sent.
    pub token: FencingToken,
    /// The operator's enabling hand is on.
    pub dead_man: bool,
    /// The operator wants motion again after Ramp or MinimalRisk; honoured with neutral input only.
    pub resume: bool,
    /// Present on reliable flows: applied at most once also across restarts of the agent.
    pub application_id: Option<ApplicationId>,
    /// How old the picture was that the operator saw when this was sent, in whole milliseconds up to 65,535; of typed
    /// commands only.
    pub picture_age: Option<Duration>,
    /// What to do.
    pub body: Body,
}

impl Command {
    /// The command's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let typed = matches!(self.body, Body::Drive(_));
        let picture_age = self.picture_age.filter(|_| typed);
        let mut writer = Writer::new();
        writer.u8(bit(self.dead_man, DEAD_MAN)
            | bit(self.resume, RESUME)
            | bit(self.application_id.is_some(), APPLICATION_ID)
            | bit(typed, DRIVE)
            | bit(picture_age.is_some(), PICTURE_AGE));
        writer.token(self.token);
        if let Some(ApplicationId(id)) = self.application_id {
            writer.bytes(&id);
        }
        if let Some(age) = picture_age {
            writer.u16(u16::try_from(age.as_millis()).unwrap_or(u16::MAX));
        }
        match &self.body {
            Body::Drive(drive) => drive.encode(&mut writer),
            Body::Opaque(bytes) => writer.bytes(bytes),
        }
        writer.into_vec()
    }

    /// The command that these bytes are.
    ///
    /// # Errors
    /// They are none: the agent refuses it as malformed.
    // [WIRE-20]
    pub fn decode(bytes: &[u8]) -> Result<Command, DecodeError> {
        let mut reader = Reader::new(bytes, MESSAGE_BYTES_MAX)?;
        let bits = reader.bits(DEAD_MAN | RESUME | APPLICATION_ID | DRIVE | PICTURE_AGE)?;
        let token = reader.token()?;
        let application_id = if bits & APPLICATION_ID == 0 {
            None
        } else {
            Some(ApplicationId(reader.array()?))
        };
        let picture_age = match (bits & PICTURE_AGE != 0, bits & DRIVE != 0) {
            (false, _) => None,
            (true, true) => Some(Duration::from_millis(reader.u16()?.into())),
            (true, false) => return Err(RESERVED),
        };
        let body = if bits & DRIVE == 0 {
            Body::Opaque(reader.rest(MESSAGE_BYTES_MAX)?.to_vec())
        } else {
            Body::Drive(Drive::decode(&mut reader)?)
        };
        reader.finish()?;
        Ok(Command {
            token,
            dead_man: bits & DEAD_MAN != 0,
            resume: bits & RESUME != 0,
            application_id,
            picture_age,
            body,
        })
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The typed drive command, which the agent can clamp.
    Drive(Drive),
    /// Bytes that only the device behind the adapter understands; they cannot be clamped.
    Opaque(Vec<u8>),
}

/// The typed drive command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drive {
    /// Wanted speed in mm/s, negative is backwards.
    pub speed_mm_s: i16,
    /// Wanted curvature of the path in 1/km (thousandths of 1/m), positive is to the left.
    pub curvature_per_km: i16,
}

impl Drive {
    /// Neither moving nor steering.
    pub const NEUTRAL: Drive = Drive {
        speed_mm_s: 0,
        curvature_per_km: 0,
    };
}

impl Drive {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.i16(self.speed_mm_s);
        writer.i16(self.curvature_per_km);
    }

    // [WIRE-21]
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Drive, DecodeError> {
        Ok(Drive {
            speed_mm_s: reader.i16()?,
            curvature_per_km: reader.i16()?,
        })
    }
}

impl Body {
    /// Whether this asks for no motion. Opaque bytes count as neutral only when they are empty.
    pub fn is_neutral(&self) -> bool {
        match self {
            Body::Drive(drive) => drive.speed_mm_s == 0,
            // SAFE-137 Whatever nobody here can read may be a wish to move.
            Body::Opaque(bytes) => bytes.is_empty(),
        }
    }
}

/// Bit: the operator's enabling hand is on.
const DEAD_MAN: u8 = 0x01;
/// Bit: the operator wants motion again.
const RESUME: u8 = 0x02;
/// Bit: an application id follows.
const APPLICATION_ID: u8 = 0x04;
/// Bit: the body is a typed drive command.
const DRIVE: u8 = 0x08;
/// Bit: the age of the picture follows.
const PICTURE_AGE: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_vector, hex};

    #[test]
    fn commands_look_like_their_pictures() {
        // [WIRE-20] [WIRE-21]
        let drive = Command {
            token: FencingToken(7),
            dead_man: true,
            resume: false,
            application_id: None,
            picture_age: None,
            body: Body::Drive(Drive {
                speed_mm_s: 1_000,
                curvature_per_km: -100,
            }),
        };
        let open = Command {
            token: FencingToken(7),
            dead_man: false,
            resume: false,
            application_id: Some(ApplicationId([0, 1, 2, 3, 4, 5, 6, 7])),
            picture_age: None,
            body: Body::Opaque(b"open".to_vec()),
        };
        let seen = Command {
            picture_age: Some(Duration::from_millis(150)),
            ..drive.clone()
        };
        for (picture, command) in [
            ("09 07 03e8 ff9c", drive),
            ("04 07 0001020304050607 6f70656e", open),
            ("19 07 0096 03e8 ff9c", seen),
        ] {
            assert_vector(picture, &command, Command::encode, Command::decode);
        }
    }

    #[test]
    fn a_drive_command_has_exactly_four_bytes_of_body() {
        // [WIRE-21] [WIRE-3]
        for wrong in [
            "09 07 03e8 ff",
            "09 07 03e8 ff9c 00",
            "19 07 03e8 ff9c",
            "14 07 0096 00",
            "29 07 03e8 ff9c",
            "0c 07 00",
        ] {
            assert!(Command::decode(&hex(wrong)).is_err(), "{wrong}");
        }
    }
}
