//! What an operator's program is made of: the connection to a fleet, its vehicles and leases, driving input, the fleet's
//! certificates, and the command line `longrein`.
//!
//! ```no_run
//! use longrein::{Connection, Drive, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::new("harbour/controller-alice")
//!     .relay("east".parse()?, "192.0.2.1:4433")
//!     .relay("west".parse()?, "198.51.100.1:4433");
//! let connection = Connection::connect(settings).await?;
//! let truck = connection.open(&"truck-17".parse()?).await?;
//! let lease = truck.take(&"drive".parse()?).await?;
//! lease.drive(Drive::NEUTRAL, true, true).await?; // an explicit resume, with neutral input
//! lease.release().await?;
//! connection.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/drive.rs` is a whole program.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

pub mod authority_server;
mod black_box;
mod claim;
pub mod cli;
mod connection;
mod contact;
pub mod demo;
mod desk;
pub mod dictionary;
mod engine;
mod error;
mod events;
pub mod fleet;
pub mod hub;
pub mod input;
mod lease;
pub mod local_fleet;
mod own_node;
mod quality;
pub mod record;
mod settings;
mod vehicle;

pub use claim::Claim;
pub use connection::{Connection, Stopped, VehicleInfo};
pub use error::{ConnectError, OpenError, QueryError, RequestError, SendError, StopError};
pub use events::{Events, VehicleEvent};
pub use lease::{Lease, LeaseLoss, Receipt, Sent};
pub use longrein_io::dictionaries::DictionarySection;
pub use longrein_io::exit::Exit;
pub use longrein_io::remote::RemoteError;
pub use longrein_io::sections::{LinkSection, RelaySection};
pub use longrein_proto::base::{
    ApplicationId, Class, FencingToken, Name, NodeKind, NodeName, OfferId, Reason, Refusal, Right,
    Rights, Stage,
};
pub use longrein_proto::role::{Order, PathView, SendCommandError, SessionLoss, VehicleStatus};
pub use longrein_proto::session::{Age, Resolution};
pub use longrein_proto::wire::{
    Body, Description, Drive, FunctionDescription, FunctionKind, News, OfferEnd, Removal,
    Telemetry, VehicleState,
};
pub use quality::Quality;
pub use settings::{RecordSection, Settings};
pub use vehicle::Vehicle;
