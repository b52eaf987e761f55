//! Datagrams of a leg.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::wire::packet(bytes));
