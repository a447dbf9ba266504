#![no_main]
//! See `backup_codes_fuzz::display`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| backup_codes_fuzz::display(data));
