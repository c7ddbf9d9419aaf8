//! Unpacks a layer as a stream. The first bytes decide the compression, because media types are often wrong.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{DecodeBufferError, FrameDecoderError, ReadFrameHeaderError};

use super::error::Limit;
use super::limits::{Budget, MAX_UNPACKED_RATIO, MIN_UNPACKED};

/// The size of parts in which an archive is read.
const PART: usize = 64 << 10;
/// The number of bytes that decide the compression of a layer.
pub(super) const MAGIC: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Detects the compression by the first bytes of a layer.
    pub(super) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The parameters of unpacking a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacked {
    pub(super) compression: Compression,
    /// The size of the layer in bytes.
    pub(super) size: u64,
    pub(super) budget: Budget,
}

impl Unpacked {
    /// Returns the archive in a layer. `left` is the number of bytes that all layers of the image may still unpack to.
    pub(super) fn open<'a>(self, layer: impl BufRead + 'a, left: &'a mut u64) -> impl BufRead + 'a {
        let unpacked: Box<dyn Read + 'a> = match self.compression {
            Compression::None => Box::new(layer),
            Compression::Gzip => Box::new(MultiGzDecoder::new(layer)),
            Compression::Zstd => Box::new(Zstd::new(layer, self.budget)),
        };
        let allowed = self.size.saturating_mul(MAX_UNPACKED_RATIO);
        let bounded = Bounded {
            unpacked,
            allowed: allowed.max(MIN_UNPACKED),
            left,
        };
        BufReader::with_capacity(PART, bounded)
    }
}

/// A reader that fails if a limit is exceeded.
struct Bounded<'a> {
    unpacked: Box<dyn Read + 'a>,
    /// The number of bytes that this layer may still unpack to.
    allowed: u64,
    /// The number of bytes that all layers may still unpack to.
    left: &'a mut u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.unpacked.read(buffer)?;
        let bytes = count as u64;
        self.allowed = self.allowed.checked_sub(bytes).ok_or(Limit::Ratio)?;
        *self.left = self.left.checked_sub(bytes).ok_or(Limit::Unpacked)?;
        Ok(count)
    }
}

/// Decodes consecutive frames of zstd.
struct Zstd<R> {
    source: R,
    budget: Budget,
    decoder: FrameDecoder,
    is_in_frame: bool,
    /// The window of the current frame if only a part of it is kept, in bytes.
    shortened: Option<u64>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R, budget: Budget) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(budget.history);
        Self {
            source,
            budget,
            decoder,
            is_in_frame: false,
            shortened: None,
        }
    }

    /// Begins the next frame. Returns `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        self.shortened = None;
        while !self.source.fill_buf()?.is_empty() {
            let mut header = Vec::new();
            let recorder = Recorder {
                source: &mut self.source,
                bytes: &mut header,
            };
            match self.decoder.reset(recorder) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::WindowSizeTooBig { requested, .. })
                    if requested <= self.budget.window =>
                {
                    let header = with_window(&header, self.budget.history);
                    let begun = self.decoder.reset(&header[..]);
                    begun.map_err(|error| self.failure(&error))?;
                    self.shortened = Some(requested);
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(false)
    }

    fn failure(&self, error: &FrameDecoderError) -> io::Error {
        if let FrameDecoderError::WindowSizeTooBig { requested, .. } = *error {
            let limit = self.budget.window;
            return Limit::Window { requested, limit }.into();
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            // The decoder reports the end of the input as a cause of its error.
            if let Some(inner) = inner.downcast_ref::<io::Error>()
                && inner.kind() == io::ErrorKind::UnexpectedEof
            {
                return io::ErrorKind::UnexpectedEof.into();
            }
            if let Some(window) = self.shortened
                && inner.is::<DecodeBufferError>()
            {
                let limit = self.budget.history;
                return Limit::History { window, limit }.into();
            }
            cause = inner.source();
        }
        io::Error::new(io::ErrorKind::InvalidData, error.to_string())
    }
}

/// Keeps the bytes that are read.
struct Recorder<'a, R> {
    source: &'a mut R,
    bytes: &'a mut Vec<u8>,
}

impl<R: Read> Read for Recorder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes.extend(&buffer[..count]);
        Ok(count)
    }
}

/// Returns a frame header with a window of `size` bytes, a power of two, and without the size of the content
/// (RFC 8878, 3.1.1.1).
fn with_window(header: &[u8], size: u64) -> Vec<u8> {
    const DESCRIPTOR: usize = 4;
    const SINGLE_SEGMENT: u8 = 1 << 5;
    /// Whether a checksum follows the frame, and the size of the identifier of the dictionary.
    const KEPT: u8 = 0b111;
    let descriptor = header[DESCRIPTOR];
    let window = usize::from(descriptor & SINGLE_SEGMENT == 0);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 0b11)];
    let exponent = u8::try_from(size.ilog2() - 10).unwrap_or(u8::MAX);
    let mut changed = header[..DESCRIPTOR].to_vec();
    changed.extend([descriptor & KEPT, exponent << 3]);
    changed.extend(&header[DESCRIPTOR + 1 + window..][..dictionary]);
    changed
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.is_in_frame {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let decoded = self.decoder.decode_blocks(&mut self.source, UptoBlocks(1));
                    decoded.map_err(|error| self.failure(&error))?;
                }
                let count = self.decoder.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.is_in_frame = false;
            }
            if !self.begin()? {
                return Ok(0);
            }
        }
    }
}
