//! The rules of longrein: every decision (accept, drop, send where and when, stop the vehicle) without sockets, clocks,
//! threads, files or logs. Time and randomness are passed in.
//!
//! Modules are layers; each uses only those before it:
//! [`base`] → [`wire`] → [`path`] → [`leg`] → [`crypto`] → [`session`] → [`control`] → [`hub`] → [`role`].

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

pub mod base;
pub mod control;
pub mod crypto;
pub mod hub;
pub mod leg;
pub mod path;
pub mod role;
pub mod session;
pub mod wire;
