//! What an agent sends on a function's channel.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::MESSAGE_BYTES_MAX;

/// What an agent sends on a function's channel.
///
/// ```text
/// offset  bytes
///      0  1      type
///                1 vehicle: 4 x_mm, 4 y_mm, 2 heading_mrad, 2 speed_mm_s (all signed)
///                2 opaque:  bytes, to the end
///
/// 01 000003e8 fffffe0c 0623 05dc
/// 02 aabb
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telemetry {
    /// State of a vehicle that takes typed drive commands.
    Vehicle(VehicleState),
    /// Bytes from the device behind the adapter.
    Opaque(Vec<u8>),
}

impl Telemetry {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Telemetry::Vehicle(state) => {
                writer.u8(VEHICLE);
                writer.i32(state.x_mm);
                writer.i32(state.y_mm);
                writer.i16(state.heading_mrad);
                writer.i16(state.speed_mm_s);
            }
            Telemetry::Opaque(bytes) => {
                writer.u8(OPAQUE);
                writer.bytes(bytes);
            }
        }
        writer.into_vec()
    }

    /// The message that these bytes are.
    ///
    /// # Errors
    /// They are none: counted and dropped.
    pub fn decode(bytes: &[u8]) -> Result<Telemetry, DecodeError> {
        let mut reader = Reader::new(bytes, MESSAGE_BYTES_MAX)?;
        let telemetry = match reader.u8()? {
            VEHICLE => Telemetry::Vehicle(VehicleState::decode(&mut reader)?),
            OPAQUE => Telemetry::Opaque(reader.rest(MESSAGE_BYTES_MAX)?.to_vec()),
            _ => return Err(UNKNOWN_KIND),
        };
        reader.finish()?;
        Ok(telemetry)
    }
}

/// Where a vehicle is and how it moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VehicleState {
    /// East of the starting point, in mm.
    pub x_mm: i32,
    /// North of the starting point, in mm.
    pub y_mm: i32,
    /// Heading in mrad, counter-clockwise from east, -3,142 to 3,142.
    pub heading_mrad: i16,
    /// Speed in mm/s, negative is backwards.
    pub speed_mm_s: i16,
}

impl VehicleState {
    /// Largest heading either way: half a turn.
    pub const HEADING_MRAD_MAX: i16 = 3_142;

    fn decode(reader: &mut Reader<'_>) -> Result<VehicleState, DecodeError> {
        let state = VehicleState {
            x_mm: reader.i32()?,
            y_mm: reader.i32()?,
            heading_mrad: reader.i16()?,
            speed_mm_s: reader.i16()?,
        };
        // [WIRE-24]
        if state.heading_mrad.unsigned_abs() > Self::HEADING_MRAD_MAX.unsigned_abs() {
            return Err(DecodeError::Malformed("a heading is over half a turn"));
        }
        Ok(state)
    }
}

const VEHICLE: u8 = 1;
const OPAQUE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vector::{assert_vector, hex};

    #[test]
    fn telemetry_looks_like_its_pictures() {
        // [WIRE-24]
        let vehicle = VehicleState {
            x_mm: 1_000,
            y_mm: -500,
            heading_mrad: 1_571,
            speed_mm_s: 1_500,
        };
        for (picture, telemetry) in [
            (
                "01 000003e8 fffffe0c 0623 05dc",
                Telemetry::Vehicle(vehicle),
            ),
            ("02 aabb", Telemetry::Opaque(vec![0xaa, 0xbb])),
        ] {
            assert_vector(picture, &telemetry, Telemetry::encode, Telemetry::decode);
        }
    }

    #[test]
    fn a_heading_over_half_a_turn_and_a_long_state_are_refused() {
        // [WIRE-24] [WIRE-3]
        for wrong in [
            "01 00000000 00000000 0c47 0000",
            "01 00000000 00000000 8000 0000",
            "01 00000000 00000000 0000 0000 00",
            "00",
            "03",
        ] {
            assert!(Telemetry::decode(&hex(wrong)).is_err(), "{wrong}");
        }
    }
}
