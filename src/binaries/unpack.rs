//! Unpacks a layer as a stream. The first bytes decide the compression, because media types are often wrong.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::error::Limit;
use super::limits::{MAX_UNPACKED_RATIO, MIN_UNPACKED};

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
    /// The maximum window of zstd in bytes.
    pub(super) window: u64,
}

impl Unpacked {
    /// Returns the archive in a layer. `left` is the number of bytes that all layers of the image may still unpack to.
    pub(super) fn open<'a>(self, layer: impl BufRead + 'a, left: &'a mut u64) -> impl BufRead + 'a {
        let unpacked: Box<dyn Read + 'a> = match self.compression {
            Compression::None => Box::new(layer),
            Compression::Gzip => Box::new(MultiGzDecoder::new(layer)),
            Compression::Zstd => Box::new(Zstd::new(layer, self.window)),
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
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R, window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window);
        Self {
            source,
            decoder,
            is_in_frame: false,
        }
    }

    /// Begins the next frame. Returns `false` at the end.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
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
                Err(error) => return Err(failure(&error)),
            }
        }
        Ok(false)
    }
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
                    self.decoder
                        .decode_blocks(&mut self.source, UptoBlocks(1))
                        .map_err(|error| failure(&error))?;
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

fn failure(error: &FrameDecoderError) -> io::Error {
    if let FrameDecoderError::WindowSizeTooBig { requested, max } = *error {
        let limit = max;
        return Limit::Window { requested, limit }.into();
    }
    // The end of the input is inside an error of the decoder.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<io::Error>()
            && inner.kind() == io::ErrorKind::UnexpectedEof
        {
            return io::ErrorKind::UnexpectedEof.into();
        }
        cause = inner.source();
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
