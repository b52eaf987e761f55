//! The local API: the vehicle's own software at a Unix socket. It runs on the control thread, so a stop needs nothing but it;
//! no client is waited for, and each has bounds (SAFE-135). What is said there, `docs/local-api.md` describes.

pub(crate) mod answer;
pub mod board;
mod client;
mod feed;
mod hub_request;
pub mod post;
mod request;
pub mod seat;
mod server;
mod socket;

pub use server::{FunctionStanding, LocalFunction, Server, Wish};
