//! Beats to a controller.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::agent_beat(bytes));
