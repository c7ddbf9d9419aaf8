//! The search in one image, layer by layer, on a thread that may block.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

use super::Findings;
use super::archive::walk;
use super::command::Command;
use super::error::LayerError;
use super::limits::{Budget, MAX_UNPACKED};
use super::tree::{Key, Tree};
use super::unpack::{Compression, MAGIC, Unpacked};
use crate::spec::Platform;

pub(super) struct Search {
    command: Arc<Command>,
    platform: Platform,
    budget: Budget,
    tree: Tree,
    /// The number of bytes that all layers may still unpack to.
    left: u64,
    /// The paths that would change the result if a layer contained them.
    awaited: HashSet<Key>,
}

impl Search {
    pub(super) fn new(command: Arc<Command>, platform: Platform, budget: Budget) -> Self {
        let tree = Tree::new(command.names(), budget);
        let awaited = command.programs(&tree).absent;
        Self {
            command,
            platform,
            budget,
            tree,
            left: MAX_UNPACKED,
            awaited,
        }
    }

    /// Searches the next layer, of `size` bytes. Returns whether the result is final. A layer that does not end the
    /// search is read to its end, so that its digest can be verified.
    pub(super) fn layer(&mut self, mut layer: Layer, size: u64) -> Result<bool, LayerError> {
        let (tree, awaited) = (&mut self.tree, &mut self.awaited);
        let (command, platform) = (&self.command, &self.platform);
        let compression = Compression::of(layer.start());
        let unpacked = Unpacked {
            compression,
            size,
            budget: self.budget,
        };
        let archive = unpacked.open(&mut layer, &mut self.left);
        let end = walk(archive, |path, member| {
            let added = tree.add(path, &member)?;
            if added.is_none_or(|key| !awaited.contains(&key)) {
                return Ok(ControlFlow::Continue(()));
            }
            let programs = command.programs(tree);
            let is_known = programs.is_complete && !programs.is_tentative;
            let is_wrong =
                !programs.is_tentative && Findings::of(&programs, platform).wrong.is_some();
            if is_known || is_wrong {
                return Ok(ControlFlow::Break(()));
            }
            *awaited = programs.absent;
            Ok(ControlFlow::Continue(()))
        })?;
        if end.is_break() {
            return Ok(true);
        }
        layer.drain();
        self.tree.end_layer();
        Ok(self.command.programs(&self.tree).is_complete || self.findings().wrong.is_some())
    }

    /// Returns the results so far.
    pub(super) fn findings(&self) -> Findings {
        Findings::of(&self.command.programs(&self.tree), &self.platform)
    }
}

/// A layer as it arrives. It ends early if the download breaks or the run is interrupted.
pub(super) struct Layer {
    parts: mpsc::Receiver<Bytes>,
    part: Bytes,
}

impl Layer {
    pub(super) fn new(parts: mpsc::Receiver<Bytes>) -> Self {
        Self {
            parts,
            part: Bytes::new(),
        }
    }

    /// Creates a layer that has arrived completely.
    pub(super) fn of(parts: Vec<Bytes>) -> Self {
        let (sender, receiver) = mpsc::channel(parts.len().max(1));
        for part in parts {
            // The channel has a place for each part.
            let _ = sender.try_send(part);
        }
        Self::new(receiver)
    }

    /// Returns the first bytes, at least [`MAGIC`] unless the layer is shorter.
    fn start(&mut self) -> &[u8] {
        while self.part.len() < MAGIC {
            match self.parts.blocking_recv() {
                Some(next) => self.part = [&self.part[..], &next].concat().into(),
                None => break,
            }
        }
        &self.part
    }

    /// Reads the bytes after the end of the archive.
    fn drain(&mut self) {
        while self.parts.blocking_recv().is_some() {}
    }
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.part[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Layer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.part.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.part = part,
                None => break,
            }
        }
        Ok(&self.part)
    }

    fn consume(&mut self, count: usize) {
        self.part.advance(count);
    }
}
