#![no_main]
//! See `backup_codes_fuzz::parse`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| backup_codes_fuzz::parse(data));
