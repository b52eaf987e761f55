//! What the fuzz targets do with their bytes.
//!
//! The decoders, certificates and handshakes take the bytes as they are. The targets of the roles read them as a script: which
//! path comes or goes, which packet arrives, forged or genuine, what the program calls, how much time passes. The far ends have
//! valid papers and real keys, so that a script reaches what lies behind the seals.

#![forbid(unsafe_code)]

pub mod agent;
mod bench;
pub mod certificate;
// The simulator uses more of it.
#[allow(dead_code)]
#[path = "../../tests/sim/chance.rs"]
mod chance;
pub mod compression;
pub mod controller;
mod far;
mod flows;
mod forgery;
pub mod handshake;
#[allow(dead_code)]
#[path = "../../tests/sim/identity.rs"]
mod identity;
mod papers;
pub mod relay;
mod script;
mod side;
pub mod wire;

use bench::Bench;
use chance::Chance;
use far::Far;
use papers::papers;
use script::Script;
use side::Side;
