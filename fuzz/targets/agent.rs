//! Sequences of actions on an agent.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::agent::run(bytes));
