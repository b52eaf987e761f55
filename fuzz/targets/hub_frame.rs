//! Pieces of messages between nodes and the hub.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::hub_frame(bytes));
