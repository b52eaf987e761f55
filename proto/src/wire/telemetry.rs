//! What an agent sends on a function's channel.

use super::reader::{DecodeError, Reader, UNKNOWN_KIND};
use super::writer::Writer;
use crate::base::limits::MESSAGE_BYTES_MAX;

/// What an agent sends on a function's channel.
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
