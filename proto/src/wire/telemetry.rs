//! What an agent sends on a function's channel.

/// What an agent sends on a function's channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telemetry {
    /// State of a vehicle that takes typed drive commands.
    Vehicle(VehicleState),
    /// Bytes from the device behind the adapter.
    Opaque(Vec<u8>),
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
