//! What nodes and the hub say to each other.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::hub_messages(bytes));
