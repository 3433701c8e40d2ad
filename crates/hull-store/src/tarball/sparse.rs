//! Files with holes, as GNU tar writes them in four ways.

use std::io::Read;

use tar::{GnuExtSparseHeader, Header};

use super::TarError;
use super::pax::number;

/// Where the data of a sparse file goes.
pub(super) type Map = Vec<(u64, u64)>;

/// Most pieces of one file.
const PIECES_MAX: usize = 1 << 20;

/// The oldest way: in the header, continued in blocks after it. Returns the map, the file's
/// length, and how many bytes the blocks had.
pub(super) fn gnu(
    header: &Header,
    at: u64,
    source: &mut impl Read,
) -> Result<(Map, u64, u64), TarError> {
    let wrong = || TarError::Field { at, field: "sparse map" };
    let gnu = header.as_gnu().ok_or_else(wrong)?;
    let size = gnu.real_size().map_err(|_bad_number| wrong())?;
    let mut map = Vec::new();
    let mut add = |pieces: &[tar::GnuSparseHeader]| {
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let offset = piece.offset().map_err(|_bad_number| wrong())?;
            map.push((offset, piece.length().map_err(|_bad_number| wrong())?));
        }
        if map.len() > PIECES_MAX { Err(too_many()) } else { Ok(()) }
    };
    add(&gnu.sparse)?;
    let mut more = gnu.is_extended();
    let mut bytes = 0;
    while more {
        let mut block = GnuExtSparseHeader::new();
        source.read_exact(block.as_mut_bytes()).map_err(TarError::Read)?;
        bytes += 512;
        add(block.sparse())?;
        more = block.is_extended();
        if bytes / 512 > PIECES_MAX as u64 {
            return Err(too_many());
        }
    }
    check(&map, size, at)?;
    Ok((map, size, bytes))
}

/// Version 1.0: decimal numbers, one a line, before the data, padded to whole blocks. Returns the
/// map and how many bytes it took.
pub(super) fn pax_1_0(size: u64, at: u64, source: &mut impl Read) -> Result<(Map, u64), TarError> {
    let wrong = || TarError::Field { at, field: "sparse map" };
    let mut bytes = 0_u64;
    let mut block = [0; 512];
    let mut used = 512;
    let mut next = || {
        let mut digits = Vec::new();
        loop {
            if used == 512 {
                source.read_exact(&mut block).map_err(TarError::Read)?;
                bytes += 512;
                used = 0;
            }
            let byte = block[used];
            used += 1;
            if byte == b'\n' {
                return number(&digits).ok_or_else(wrong);
            }
            if digits.len() > 20 {
                return Err(wrong());
            }
            digits.push(byte);
        }
    };
    let count = usize::try_from(next()?).unwrap_or(usize::MAX);
    if count > PIECES_MAX {
        return Err(too_many());
    }
    let map: Map = (0..count).map(|_| Ok((next()?, next()?))).collect::<Result<_, TarError>>()?;
    check(&map, size, at)?;
    Ok((map, bytes))
}

/// Versions 0.0 and 0.1: numbers in PAX records.
pub(super) fn pax_0(numbers: &[u64], size: u64, at: u64) -> Result<Map, TarError> {
    if !numbers.len().is_multiple_of(2) {
        return Err(TarError::Field { at, field: "sparse map" });
    }
    let map: Map = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    if map.len() > PIECES_MAX {
        return Err(too_many());
    }
    check(&map, size, at)?;
    Ok(map)
}

/// The bytes of data that `map` places.
pub(super) fn data_bytes(map: &Map) -> u64 {
    map.iter().map(|piece| piece.1).sum()
}

fn check(map: &Map, size: u64, at: u64) -> Result<(), TarError> {
    let mut end = 0_u64;
    for (offset, length) in map {
        let piece_end = offset.checked_add(*length);
        match piece_end {
            Some(piece_end) if *offset >= end && piece_end <= size => end = piece_end,
            _ => return Err(TarError::Field { at, field: "sparse map" }),
        }
    }
    Ok(())
}

fn too_many() -> TarError {
    TarError::Limit { what: "pieces in one sparse file", max: PIECES_MAX as u64 }
}
