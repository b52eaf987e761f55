//! Messages of the session's own channel.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::session_message(bytes));
