//! Certificates and signatures.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| longrein_fuzz::certificate::run(bytes));
