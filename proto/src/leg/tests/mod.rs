//! Behaviour of two legs that are joined by lossy links, in virtual time.

mod acknowledgement;
mod bound;
mod delivery;
mod floor;
mod hostile;
mod joined;
mod latest;
mod link_cut;
mod order;
mod silence;

pub use joined::sealed_of;
