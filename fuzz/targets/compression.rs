//! Compressed messages, with a dictionary and without.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::compression::run(bytes));
