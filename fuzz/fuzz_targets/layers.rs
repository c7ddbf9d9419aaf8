#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyarch_fuzz::layers(data));
