//! Random bytes from the kernel.

use crate::error::{Error, Result};

/// Bytes nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)
            .map_err(|errno| Error::internal("get random bytes")(std::io::Error::from(errno)))?;
    }
    Ok(bytes)
}

/// 64 hexadecimal digits.
pub(crate) fn hex_id() -> Result<String> {
    Ok(hull_model::id::GuestId::from_random(bytes()?).to_string())
}
