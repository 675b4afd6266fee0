//! Streams that are compressed or not.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::encoding::{CompressionLevel, FrameCompressor, MatchGeneratorDriver};

use crate::dynamodb::files::Compression;

/// How much is read at once.
const BUFFER: usize = 128 << 10;

/// How much text goes into a frame of zstd. Its blocks are of 128 KiB, and matches are within them.
const FRAME: usize = 1 << 20;

/// Opens a file for reading its text from the byte `from` on; what is read of the file itself, compressed or
/// not, is added to `consumed`.
///
/// # Errors
/// The file cannot be read, or has less text than `from`.
pub(crate) fn open(
    path: &Path,
    compression: Compression,
    from: u64,
    consumed: &Arc<AtomicU64>,
) -> io::Result<Box<dyn BufRead + Send>> {
    let mut file = File::open(path)?;
    if compression == Compression::None {
        if file.metadata()?.len() < from {
            return Err(too_short());
        }
        consumed.store(file.seek(SeekFrom::Start(from))?, Ordering::Relaxed);
        return Ok(Box::new(buffered(Counted { file, consumed: Arc::clone(consumed) })));
    }
    consumed.store(0, Ordering::Relaxed);
    let file = buffered(Counted { file, consumed: Arc::clone(consumed) });
    let mut text: Box<dyn BufRead + Send> = match compression {
        Compression::Zstd => Box::new(buffered(Frames::new(file))),
        _ => Box::new(buffered(Members { member: Some(GzDecoder::new(file)) })),
    };
    if io::copy(&mut (&mut text).take(from), &mut io::sink())? < from {
        return Err(too_short());
    }
    Ok(text)
}

fn buffered<R: Read>(source: R) -> BufReader<R> {
    BufReader::with_capacity(BUFFER, source)
}

fn too_short() -> io::Error {
    invalid("it is shorter than what had been read of it: it is another file by now")
}

fn invalid(why: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn ends_early(form: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the {form} stream ends early: the file is not whole"),
    )
}

struct Counted {
    file: File,
    consumed: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.consumed.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
        Ok(read)
    }
}

/// What is not of the form behind what was: it may be rubbish, or most of the file, so it is not passed over.
fn followed(form: &str) -> io::Error {
    invalid(format!("all of the {form} stream was read, but what comes behind its end is no {form}"))
}

/// The next byte but zeros, with which what is kept in blocks is padded.
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

/// gzip: members one after another.
/// <https://www.rfc-editor.org/rfc/rfc1952#section-2.2>
struct Members<R> {
    /// None behind the last one.
    member: Option<GzDecoder<R>>,
}

/// What a member begins with.
const MEMBER: u8 = 0x1f;

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member.read(buffer);
            if !matches!(read, Ok(0)) || buffer.is_empty() {
                self.member = Some(member);
                return read.map_err(of_gzip);
            }
            let mut source = member.into_inner();
            match behind_padding(&mut source)? {
                None => {}
                Some(MEMBER) => self.member = Some(GzDecoder::new(source)),
                Some(_) => return Err(followed("gzip")),
            }
        }
        Ok(0)
    }
}

fn of_gzip(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ends_early("gzip"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            invalid(format!("the gzip stream is damaged: {error}"))
        }
        _ => error,
    }
}

/// zstd: frames one after another, those that are to be skipped among them.
/// <https://www.rfc-editor.org/rfc/rfc8878#section-3.1>
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    is_begun: bool,
    is_any: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), is_begun: false, is_any: false }
    }

    /// Begins the next frame; false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        while behind_padding(&mut self.source)?.is_some() {
            let is_first = !std::mem::replace(&mut self.is_any, true);
            match self.decoder.reset(&mut self.source) {
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(ends_early("zstd"));
                    }
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)))
                    if !is_first =>
                {
                    return Err(followed("zstd"));
                }
                Err(error) => return Err(explained(&error)),
                Ok(()) => {
                    self.is_begun = true;
                    return Ok(true);
                }
            }
        }
        if self.is_any { Ok(false) } else { Err(ends_early("zstd")) }
    }

    /// Ends a frame all of which has been read.
    fn end(&mut self) -> io::Result<()> {
        self.is_begun = false;
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(invalid("the zstd stream is damaged: its checksum is another"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_begun && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(|error| explained(&error))?;
            }
            match self.decoder.read(buffer)? {
                0 if !buffer.is_empty() => self.end()?,
                read => return Ok(read),
            }
        }
    }
}

/// The error that reading itself had, if it is behind a decoder's.
fn explained(error: &FrameDecoderError) -> io::Error {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if let Some(reading) = error.downcast_ref::<io::Error>() {
            return match reading.kind() {
                io::ErrorKind::UnexpectedEof => ends_early("zstd"),
                kind => io::Error::new(kind, reading.to_string()),
            };
        }
        cause = error.source();
    }
    invalid(format!("the zstd stream is damaged: {error}"))
}

/// Where a file's text is written.
pub(crate) enum Sink<W: Write> {
    None(BufWriter<W>),
    Gzip(Box<GzEncoder<BufWriter<W>>>),
    Zstd(Box<ZstdWriter<BufWriter<W>>>),
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(out: W, compression: Compression) -> Self {
        let out = BufWriter::with_capacity(BUFFER, out);
        match compression {
            Compression::None => Self::None(out),
            // The header has no name and no time: the same text gives the same bytes.
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(out, flate2::Compression::default()))),
            Compression::Zstd => Self::Zstd(Box::new(ZstdWriter::new(out))),
        }
    }

    /// Writes what is still held back, and gives the file.
    pub(crate) fn finish(self) -> io::Result<W> {
        let out = match self {
            Self::None(out) => out,
            Self::Gzip(out) => out.finish()?,
            Self::Zstd(out) => out.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(text),
            Self::Gzip(out) => out.write(text),
            Self::Zstd(out) => out.write(text),
        }
    }

    /// A compressor flushed in the middle would compress worse; [`Sink::finish`] writes everything.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compresses one frame after another, since the compressor wants all of a frame at once.
pub(crate) struct ZstdWriter<W> {
    out: W,
    text: Vec<u8>,
    compressor: FrameCompressor<Cursor<Vec<u8>>, Vec<u8>, MatchGeneratorDriver>,
    is_any: bool,
}

impl<W: Write> ZstdWriter<W> {
    fn new(out: W) -> Self {
        let compressor = FrameCompressor::new(CompressionLevel::Fastest);
        Self { out, text: Vec::with_capacity(FRAME), compressor, is_any: false }
    }

    fn frame(&mut self) -> io::Result<()> {
        self.is_any = true;
        self.compressor.set_source(Cursor::new(std::mem::take(&mut self.text)));
        self.compressor.set_drain(Vec::new());
        self.compressor.compress();
        if let Some(frame) = self.compressor.take_drain() {
            self.out.write_all(&frame)?;
        }
        self.text = self.compressor.take_source().map(Cursor::into_inner).unwrap_or_default();
        self.text.clear();
        Ok(())
    }

    /// A file without text has a frame too: no bytes at all are no zstd stream.
    fn finish(mut self) -> io::Result<W> {
        if !self.text.is_empty() || !self.is_any {
            self.frame()?;
        }
        Ok(self.out)
    }
}

impl<W: Write> Write for ZstdWriter<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let length = text.len().min(FRAME - self.text.len());
        self.text.extend_from_slice(&text[..length]);
        if self.text.len() == FRAME {
            self.frame()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
