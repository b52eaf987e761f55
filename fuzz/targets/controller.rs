//! Sequences of actions on a controller.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::controller::run(bytes));
