//! The bytes of an archive, unpacked where they are packed, and counted: whatever is wrong is told with its place.

use chain::{Refusal, quoted};
use flate2::bufread::MultiGzDecoder;
use nix::errno::Errno;
use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// An archive as one stream.
pub struct Stream {
    input: Box<dyn BufRead>,
    name: PathBuf,
    /// Bytes taken from the (decompressed) stream.
    position: u64,
}

impl Stream {
    /// Opens a file, plain or gz; `-` is stdin.
    ///
    /// # Errors
    /// It cannot be opened, or is packed in a way nobody here unpacks.
    pub fn open(path: &Path) -> Result<Stream, Refusal> {
        let file = match path.as_os_str() == "-" {
            true => {
                File::from(nix::unistd::dup(std::io::stdin()).map_err(|errno| Refusal::at("dup(0)", errno))?)
            }
            false => File::open(path).map_err(|error| refused(path, &error))?,
        };
        let mut input = BufReader::with_capacity(64 << 10, file);
        let start = input.fill_buf().map_err(|error| refused(path, &error))?;
        let packed = match start {
            [0x1f, 0x8b, ..] => true,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => return Err(packed_by(path, "xz")),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(packed_by(path, "zstd")),
            [b'B', b'Z', b'h', ..] => return Err(packed_by(path, "bzip2")),
            _ => false,
        };
        let input: Box<dyn BufRead> = match packed {
            true => Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(input))),
            false => Box::new(input),
        };
        Ok(Stream { input, name: path.into(), position: 0 })
    }

    /// How many bytes were taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What is wrong, and where.
    pub fn damaged(&self, what: &str) -> Refusal {
        let mut refusal = Refusal::said(format!("{what}, at byte {} of the archive", self.position));
        refusal.call = Some(format!("read({})", quoted(&self.name)));
        refusal
    }

    /// Takes exactly as many bytes as `buffer` has room for.
    ///
    /// # Errors
    /// It is damaged or cut short.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Refusal> {
        let result = self.input.read_exact(buffer);
        result.map_err(|error| self.broken(&error))?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    /// How many bytes are ready; 0 at the end.
    ///
    /// # Errors
    /// It is damaged.
    pub fn ahead(&mut self) -> Result<usize, Refusal> {
        let there = self.input.fill_buf().map(<[u8]>::len);
        there.map_err(|error| self.broken(&error))
    }

    /// Takes bytes and looks at none.
    ///
    /// # Errors
    /// It is damaged or cut short.
    pub fn skip(&mut self, mut bytes: u64) -> Result<(), Refusal> {
        while bytes > 0 {
            let there = self.ahead()?;
            if there == 0 {
                return Err(self.damaged("it is cut short"));
            }
            let step = there.min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.input.consume(step);
            self.position += step as u64;
            bytes -= step as u64;
        }
        Ok(())
    }

    /// Reads on to the end, where gzip keeps its check sum.
    ///
    /// # Errors
    /// It is damaged.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        std::io::copy(&mut self.input, &mut std::io::sink()).map_err(|error| self.broken(&error))?;
        Ok(())
    }

    fn broken(&self, error: &Error) -> Refusal {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.damaged("it is cut short"),
            _ if error.raw_os_error().is_some() => refused(&self.name, error),
            _ => self.damaged(&format!("it is damaged: {error}")),
        }
    }
}

fn refused(path: &Path, error: &Error) -> Refusal {
    Refusal::at(format!("read({})", quoted(path)), Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn packed_by(path: &Path, program: &str) -> Refusal {
    let mut refusal = Refusal::said(format!(
        "packed by {program}, which this version cannot unpack: {program} -dc FILE | mkimg --from - ..."
    ));
    refusal.call = Some(format!("read({})", quoted(path)));
    refusal
}
