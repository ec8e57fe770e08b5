#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code, reason = "this one is for one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::cells(data));
