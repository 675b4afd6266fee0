//! gzip and zstd. A compressed file may have several parts in sequence, each followed by zeros.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::dynamodb::files::Compression;
use crate::dynamodb::files::read::invalid;

const BUFFER: usize = 128 << 10;

/// How many bytes of text a zstd frame holds. ruzstd compresses a frame in one call.
const FRAME: usize = 1 << 20;

pub(crate) fn text_of(file: File, compression: Compression) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(BUFFER, file);
    check_magic(file.fill_buf()?, compression)?;
    Ok(match compression {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, Members(Some(GzDecoder::new(file))))),
        Compression::Zstd => {
            let frames = Frames { source: file, decoder: FrameDecoder::new(), is_in_frame: false };
            Box::new(BufReader::with_capacity(BUFFER, frames))
        }
    })
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

/// The error for other data after a stream. It is an error because that may be most of the file.
fn followed(form: &str) -> io::Error {
    invalid(format!("the {form} stream is followed by data that is not {form}"))
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

/// gzip members in sequence; `None` after the last. flate2's `MultiGzDecoder` does not accept zeros after them.
/// <https://www.rfc-editor.org/rfc/rfc1952#section-2.2>
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.0.take() {
            let read = member.read(buffer).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ends_early("gzip"),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    invalid(format!("the gzip stream is damaged: {error}"))
                }
                _ => error,
            })?;
            if read > 0 {
                self.0 = Some(member);
                return Ok(read);
            }
            let mut source = member.into_inner();
            self.0 = match behind_padding(&mut source)? {
                None => None,
                // The first byte of a member.
                Some(0x1f) => Some(GzDecoder::new(source)),
                Some(_) => return Err(followed("gzip")),
            };
        }
        Ok(0)
    }
}

/// zstd frames in sequence, some of them skippable. ruzstd's `StreamingDecoder` reads only one frame, and does not
/// verify its checksum. <https://www.rfc-editor.org/rfc/rfc8878#section-3.1>
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Frames<R> {
    /// Begins the next frame. Returns false if it is a skippable one.
    fn begin(&mut self) -> io::Result<bool> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => Ok(true),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                if skipped < length { Err(ends_early("zstd")) } else { Ok(false) }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_))) => {
                Err(followed("zstd"))
            }
            Err(error) => Err(explained(&error)),
        }
    }

    /// Ends a frame that has been read completely.
    fn end(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(invalid("the zstd stream is damaged: its checksum does not match".to_owned()));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame {
                if behind_padding(&mut self.source)?.is_none() {
                    return Ok(0);
                }
                self.is_in_frame = self.begin()?;
                continue;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(|error| explained(&error))?;
            }
            match self.decoder.read(buffer)? {
                0 => self.end()?,
                read => return Ok(read),
            }
        }
    }
}

/// The error of reading the file, if that is what made the decoder fail.
fn explained(error: &(dyn Error + 'static)) -> io::Error {
    match anyhow::Chain::new(error).find_map(|error| error.downcast_ref::<io::Error>()) {
        Some(reading) if reading.kind() == io::ErrorKind::UnexpectedEof => ends_early("zstd"),
        Some(reading) => io::Error::new(reading.kind(), reading.to_string()),
        None => invalid(format!("the zstd stream is damaged: {error}")),
    }
}

pub(crate) enum Encoder<W: Write> {
    None(BufWriter<W>),
    Gzip(Box<GzEncoder<BufWriter<W>>>),
    Zstd(ZstdWriter<BufWriter<W>>),
}

impl<W: Write> Encoder<W> {
    pub(crate) fn new(out: W, compression: Compression) -> Self {
        let out = BufWriter::with_capacity(BUFFER, out);
        match compression {
            Compression::None => Self::None(out),
            // The header has no name and no time, so the same text gives the same bytes.
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::default()))),
            Compression::Zstd => Self::Zstd(ZstdWriter { out, text: Vec::with_capacity(FRAME) }),
        }
    }

    /// Writes what is buffered, and returns the file.
    pub(crate) fn finish(self) -> io::Result<W> {
        let out = match self {
            Self::None(out) => out,
            Self::Gzip(out) => out.finish()?,
            Self::Zstd(mut out) => {
                // A file without text needs a frame too: zero bytes are not a zstd stream.
                out.frame()?;
                out.out
            }
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
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

/// Compresses text frame by frame.
pub(crate) struct ZstdWriter<W> {
    out: W,
    text: Vec<u8>,
}

impl<W: Write> ZstdWriter<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let length = text.len().min(FRAME - self.text.len());
        self.text.extend_from_slice(&text[..length]);
        if self.text.len() == FRAME {
            self.frame()?;
        }
        Ok(length)
    }

    fn frame(&mut self) -> io::Result<()> {
        self.out.write_all(&compress_to_vec(self.text.as_slice(), CompressionLevel::Fastest))?;
        self.text.clear();
        Ok(())
    }
}
