//! Sparse files in archives, in the three ways GNU tar writes them: which pieces of a file the archive holds.

use crate::archive::{Archive, Kind};
use crate::pax::Sparse;
use chain::Refusal;
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// Offset and length of each piece.
pub type Pieces = Vec<(u64, u64)>;

/// The most pieces a file may have.
const PIECES_MAX: usize = 1 << 20;
const BLOCK: usize = 512;

/// The pieces in the header of an old GNU sparse file, and in the blocks after it.
///
/// # Errors
/// The archive is damaged.
pub fn gnu(archive: &mut Archive, header: &Header) -> Result<Kind, Refusal> {
    let Some(gnu) = header.as_gnu() else {
        return Err(archive.damaged("a sparse file without a GNU header"));
    };
    let size = archive.number(&gnu.realsize)?;
    let mut pieces = Pieces::new();
    take(archive, &gnu.sparse, &mut pieces)?;
    let mut is_extended = gnu.is_extended();
    while is_extended {
        let mut more = GnuExtSparseHeader::new();
        archive.fill(more.as_mut_bytes())?;
        take(archive, more.sparse(), &mut pieces)?;
        is_extended = more.is_extended();
    }
    checked(archive, pieces, size)
}

fn take(archive: &Archive, list: &[GnuSparseHeader], pieces: &mut Pieces) -> Result<(), Refusal> {
    for piece in list.iter().filter(|piece| !piece.is_empty()) {
        pieces.push((archive.number(&piece.offset)?, archive.number(&piece.numbytes)?));
    }
    if pieces.len() > PIECES_MAX { Err(archive.damaged("a sparse file of too many pieces")) } else { Ok(()) }
}

/// The pieces of a sparse file as pax extensions tell them.
///
/// # Errors
/// The archive is damaged.
pub fn pax(archive: &mut Archive, sparse: Sparse) -> Result<Kind, Refusal> {
    let pieces = match sparse.map {
        Some(pieces) => pieces,
        None => map(archive)?,
    };
    checked(archive, pieces, sparse.size)
}

/// Version 1.0: decimal numbers, one a line, first how many pieces; filled to a whole block.
fn map(archive: &mut Archive) -> Result<Pieces, Refusal> {
    let no_list = |archive: &Archive| archive.damaged("the map of a sparse file is no list of numbers");
    let mut block = [0; BLOCK];
    let mut numbers: Vec<u64> = Vec::new();
    let mut digits = String::new();
    loop {
        if archive.read(&mut block)? < BLOCK {
            return Err(archive.damaged("the map of a sparse file is cut short"));
        }
        for byte in block {
            match byte {
                b'0'..=b'9' if digits.len() < 20 => digits.push(byte as char),
                b'\n' => {
                    numbers.push(digits.parse().map_err(|_| no_list(archive))?);
                    digits.clear();
                    let count = usize::try_from(numbers[0]).ok().filter(|count| *count <= PIECES_MAX);
                    let Some(count) = count else {
                        return Err(archive.damaged("a sparse file of too many pieces"));
                    };
                    if numbers.len() == 1 + 2 * count {
                        return Ok(numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
                    }
                }
                _ => return Err(no_list(archive)),
            }
        }
    }
}

/// Pieces must follow one another, lie in the file, and have as many bytes as the archive holds.
fn checked(archive: &Archive, pieces: Pieces, size: u64) -> Result<Kind, Refusal> {
    let mut end = Some(0_u64);
    let mut bytes = 0_u64;
    for (offset, length) in &pieces {
        end = end.filter(|end| end <= offset).and_then(|_| offset.checked_add(*length));
        bytes = bytes.saturating_add(*length);
    }
    if end.is_none_or(|end| end > size) || bytes != archive.left() || i64::try_from(size).is_err() {
        return Err(archive.damaged("the map of a sparse file contradicts itself"));
    }
    Ok(Kind::File { pieces, size })
}
