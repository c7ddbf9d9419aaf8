#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyarch::fuzzing::redirect(data));
