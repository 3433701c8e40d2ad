//! A `config.json` of any bytes: it becomes a plan or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(failure) = hull_runtime::check(text)
    {
        assert!(!failure.to_string().is_empty());
    }
});
