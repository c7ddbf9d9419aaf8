#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyarch::fuzzing::error_body(data));
