//! Beats to an agent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::controller_beat(bytes));
