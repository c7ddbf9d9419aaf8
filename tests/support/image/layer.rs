//! Layers with programs that consist only of a header.

use bytes::Bytes;
use tar::{EntryType, Header};

/// Builds the tar of a layer.
pub struct LayerBuilder(tar::Builder<Vec<u8>>);

impl Default for LayerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerBuilder {
    /// Creates a layer without members.
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a regular file.
    pub fn file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        self.0
            .append_data(&mut header, path, content)
            .expect("writing to memory");
        self
    }

    /// Adds an executable file.
    pub fn program(self, path: &str, content: &[u8]) -> Self {
        self.file(path, 0o755, content)
    }

    /// Adds a symbolic link.
    pub fn symlink(mut self, path: &str, target: &str) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        self.0
            .append_link(&mut header, path, target)
            .expect("writing to memory");
        self
    }

    /// Returns the archive.
    pub fn build(self) -> Bytes {
        self.0.into_inner().expect("writing to memory").into()
    }
}

/// Returns the header of an ELF file for an architecture of an image index.
pub fn elf(architecture: &str) -> Vec<u8> {
    let (machine, class, order): (u16, u8, u8) = match architecture {
        "386" => (3, 1, 1),
        "amd64" => (62, 2, 1),
        "arm" => (40, 1, 1),
        "arm64" => (183, 2, 1),
        "s390x" => (22, 2, 2),
        other => panic!("no header for {other}"),
    };
    let mut head = vec![0; 64];
    head[..4].copy_from_slice(b"\x7fELF");
    head[4] = class;
    head[5] = order;
    let machine = if order == 2 {
        machine.to_be_bytes()
    } else {
        machine.to_le_bytes()
    };
    head[18..20].copy_from_slice(&machine);
    head
}
