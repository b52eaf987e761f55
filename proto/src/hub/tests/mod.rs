//! The hub with nodes at legs that bring everything, in any order, and a store that keeps what it is told.

mod attributes;
mod delivery;
mod directed;
mod rig;
mod rooms;
mod storing;
