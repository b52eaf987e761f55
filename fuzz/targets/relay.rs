//! Sequences of actions on a relay.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::relay::run(bytes));
