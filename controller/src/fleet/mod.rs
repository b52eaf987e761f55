//! A fleet's authority, the certificates it issues, and the folder in which both are kept.
//!
//! ```
//! use longrein::fleet::{Authority, Validity};
//!
//! let now_s = 1_800_000_000; // Unix time
//! let authority = Authority::new("harbour".parse()?, now_s)?;
//! let truck = "agent/truck-17".parse()?;
//! let files = authority.issue(&truck, &[], Validity::days(now_s, 365))?;
//! assert!(files.certificate_pem.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
mod clerk;
mod error;
mod folder;
mod node_files;
mod private_file;
mod register;
mod revocation_list;
mod signing_request;
mod token_order;
mod validity;

pub use authority::Authority;
pub use clerk::{Clerk, Lives};
pub use error::FleetError;
pub use folder::{FleetFolder, Order};
pub use node_files::{NodeFiles, PrivateKeyPem};
pub use register::{Register, Signed};
pub use revocation_list::RevocationList;
pub use signing_request::SigningRequest;
pub use token_order::TokenOrder;
pub use validity::Validity;
