//! gzip and zstd. A compressed file may have several parts in sequence, each followed by zeros.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use crate::dynamodb::files::Compression;
use crate::dynamodb::files::read::invalid;

const BUFFER: usize = 128 << 10;

pub(crate) fn text_of(file: File, compression: Compression) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(BUFFER, file);
    check_magic(file.fill_buf()?, compression)?;
    if compression == Compression::None {
        return Ok(Box::new(file));
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER, Parts(Some(Part::begin(file, compression)?)))))
}

/// Fails if a file's first bytes contradict its name. A browser may have decompressed a `.gz`, for example.
fn check_magic(bytes: &[u8], named: Compression) -> io::Result<()> {
    let (found, what) = match bytes.first_chunk::<4>() {
        None if bytes.is_empty() && named != Compression::None => return Err(ends_early("compressed")),
        // Too short for either form. Reading it will show the error.
        None => return Ok(()),
        Some([0x1f, 0x8b, ..]) => (Compression::Gzip, "gzip: its name has to end in .gz"),
        // A frame, or a skippable frame.
        Some([0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18]) => {
            (Compression::Zstd, "zstd: its name has to end in .zst")
        }
        _ => (Compression::None, "not compressed: its name has to end without .gz or .zst"),
    };
    let why = || io::Error::new(io::ErrorKind::InvalidFilename, format!("the file is {what}"));
    if found == named { Ok(()) } else { Err(why()) }
}

fn ends_early(form: &str) -> io::Error {
    invalid(format!("the {form} stream ends early: the file is not whole"))
}

/// The next byte that is not zero. Block storage pads files with zeros.
fn behind_padding(source: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = source.fill_buf()?;
        let padding = bytes.iter().take_while(|byte| **byte == 0).count();
        let next = bytes.get(padding).copied();
        let is_end = bytes.is_empty();
        source.consume(padding);
        if is_end || next.is_some() {
            return Ok(next);
        }
    }
}

/// A gzip member or a zstd frame, which may be a skippable one.
enum Part<R: BufRead> {
    Gzip(Box<GzDecoder<R>>),
    Zstd(zstd::Decoder<'static, R>),
}

impl<R: BufRead> Part<R> {
    fn begin(source: R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => Self::Zstd(zstd::Decoder::with_buffer(source)?.single_frame()),
            _ => Self::Gzip(Box::new(GzDecoder::new(source))),
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (form, read) = match self {
            Self::Gzip(part) => ("gzip", part.read(buffer)),
            Self::Zstd(part) => ("zstd", part.read(buffer)),
        };
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ends_early(form),
            _ if error.raw_os_error().is_some() => error,
            _ => invalid(format!("the {form} stream is damaged: {error}")),
        })
    }

    /// The part after this one, which has been read completely. Other data is an error because that may be most of the
    /// file.
    fn next(self) -> io::Result<Option<Self>> {
        let (form, compression, mut source) = match self {
            Self::Gzip(part) => ("gzip", Compression::Gzip, part.into_inner()),
            Self::Zstd(part) => ("zstd", Compression::Zstd, part.into_inner()),
        };
        match (compression, behind_padding(&mut source)?) {
            (_, None) => Ok(None),
            // The first byte of a member, of a frame, and of a skippable frame.
            (Compression::Gzip, Some(0x1f)) | (Compression::Zstd, Some(0x28 | 0x50..=0x5f)) => {
                Self::begin(source, compression).map(Some)
            }
            _ => Err(invalid(format!("the {form} stream is followed by data that is not {form}"))),
        }
    }
}

/// Parts in sequence; `None` after the last. The readers of several parts that flate2 and zstd have do not accept zeros
/// after them. <https://www.rfc-editor.org/rfc/rfc1952#section-2.2>,
/// <https://www.rfc-editor.org/rfc/rfc8878#section-3.1>
struct Parts<R: BufRead>(Option<Part<R>>);

impl<R: BufRead> Read for Parts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut part) = self.0.take() {
            let read = part.read(buffer)?;
            if read > 0 {
                self.0 = Some(part);
                return Ok(read);
            }
            self.0 = part.next()?;
        }
        Ok(0)
    }
}

pub(crate) enum Encoder<W: Write> {
    None(BufWriter<W>),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// The same text gives the same bytes: the headers have no name and no time.
    pub(crate) fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(BufWriter::with_capacity(BUFFER, out)),
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Writes what is buffered, and returns the file.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => out.into_inner().map_err(io::IntoInnerError::into_error),
            Self::Gzip(out) => out.finish(),
            Self::Zstd(out) => out.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(text),
            Self::Gzip(out) => out.write(text),
            Self::Zstd(out) => out.write(text),
        }
    }

    /// Does nothing, because flushing a compressor makes the result larger. [`Encoder::finish`] writes everything.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
