#![no_main]
//! See `backup_codes_fuzz::keyring`.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| backup_codes_fuzz::keyring(data));
