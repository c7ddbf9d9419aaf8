//! The files of an image, whose layers are read from the top: for each path the highest member, without the members
//! that whiteouts hide. Paths are kept as hashes, so that the memory of a file does not depend on the length of its
//! name.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use super::archive::Member;
use super::error::Limit;
use super::executable::{Content, Format};
use super::limits::{Budget, MAX_LINKS, MAX_PATH};

/// Marks a path of the layers below as deleted.
const WHITEOUT: &[u8] = b".wh.";
/// Hides the content of a directory in the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The prefix of further names of AUFS, which are ignored.
const RESERVED: &[u8] = b".wh..wh.";

/// The hash of a normalised path.
pub(super) type Key = u64;

/// The file at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// With all links resolved.
    pub(super) path: String,
    pub(super) content: Content,
    /// Whether any execute permission is set.
    pub(super) is_executable: bool,
}

/// A member in a compact form.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// The number of its layer, from the top.
    layer: u16,
    kind: Kind,
    is_executable: bool,
    /// An index into the list of its kind.
    index: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    Link,
    Program,
    Script,
    Other,
}

/// How paths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Unix,
    /// Files are below `Files`, letter case is ignored, and paths may have backslashes and drive letters.
    Windows,
}

pub(super) struct Tree {
    names: Names,
    budget: Budget,
    hasher: RandomState,
    layer: u16,
    nodes: HashMap<Key, Node>,
    /// The members of the current layer that an upper layer replaces. Hard links of the layer may refer to them.
    replaced: HashMap<Key, Node>,
    /// The paths that are hidden with everything in them, each with the lowest layer in which it is visible.
    hidden: HashMap<Key, u16>,
    links: Vec<Box<[u8]>>,
    links_size: usize,
    formats: Vec<Format>,
    scripts: Vec<Box<str>>,
}

impl Tree {
    pub(super) fn new(names: Names, budget: Budget) -> Self {
        Self {
            names,
            budget,
            hasher: RandomState::new(),
            layer: 0,
            nodes: HashMap::new(),
            replaced: HashMap::new(),
            hidden: HashMap::new(),
            links: Vec::new(),
            links_size: 0,
            formats: Vec::new(),
            scripts: Vec::new(),
        }
    }

    /// Continues with the layer below.
    pub(super) fn end_layer(&mut self) {
        self.layer = self.layer.saturating_add(1);
        self.replaced = HashMap::new();
    }

    /// Adds a member of the current layer. Returns its path, or `None` for a whiteout or an invalid path.
    pub(super) fn add(&mut self, path: &[u8], member: &Member<'_>) -> Result<Option<Key>, Limit> {
        let Some(path) = self.normalised(path) else {
            return Ok(None);
        };
        self.check_files()?;
        let at = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = path.split_at(at.unwrap_or(0));
        let name = name.strip_prefix(b"/").unwrap_or(name);
        if name == OPAQUE {
            self.hide(self.key(parent));
        } else if name.starts_with(RESERVED) {
            // Further names of AUFS are ignored.
        } else if let Some(name) = name.strip_prefix(WHITEOUT) {
            self.hide(self.key(&joined(parent, name)));
        } else {
            let key = self.key(&path);
            if let Some(node) = self.node(member) {
                self.insert(key, node);
                self.check_links()?;
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Checks that the budget has space for another member, before it is added: a hash table grows on an insertion.
    fn check_files(&self) -> Result<(), Limit> {
        let files = self.nodes.len() + self.replaced.len() + self.hidden.len();
        if files >= self.budget.files {
            return Err(Limit::Files(self.budget.files));
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), Limit> {
        if self.links_size > self.budget.links {
            return Err(Limit::Links(self.budget.links));
        }
        Ok(())
    }

    fn hide(&mut self, key: Key) {
        // The first one is in the highest layer, and hides most.
        self.hidden.entry(key).or_insert(self.layer);
    }

    fn insert(&mut self, key: Key, node: Node) {
        match self.nodes.get(&key) {
            Some(upper) if upper.layer < node.layer => {
                if upper.kind == Kind::Directory && node.kind != Kind::Directory {
                    // The upper layer replaced this member with a directory, which hides lower directories.
                    self.hide(key);
                }
                self.replaced.insert(key, node);
            }
            _ => {
                self.nodes.insert(key, node);
            }
        }
    }

    /// Returns `None` for a hard link with an invalid target.
    fn node(&mut self, member: &Member<'_>) -> Option<Node> {
        let (kind, index, is_executable) = match member {
            Member::Directory => (Kind::Directory, 0, false),
            Member::Special => (Kind::Other, 0, false),
            Member::Symlink(target) => (Kind::Link, self.link(target.to_vec()), false),
            Member::HardLink(target) => {
                let target = self.normalised(target)?;
                let key = self.key(&target);
                let own = self.nodes.get(&key).filter(|it| it.layer == self.layer);
                if let Some(node) = own.or_else(|| self.replaced.get(&key)) {
                    return Some(*node);
                }
                let mut absolute = b"/".to_vec();
                absolute.extend(without_root(self.names, &target));
                (Kind::Link, self.link(absolute), false)
            }
            Member::File {
                head,
                is_executable,
            } => {
                let (kind, index) = self.content(Content::of(head));
                (kind, index, *is_executable)
            }
        };
        Some(Node {
            layer: self.layer,
            kind,
            is_executable,
            index,
        })
    }

    fn link(&mut self, target: Vec<u8>) -> u32 {
        // A target that is too long for every system cannot be followed.
        let target = if target.len() > MAX_PATH {
            Vec::new()
        } else {
            target
        };
        self.links_size += target.len() + size_of::<Box<[u8]>>();
        self.links.push(target.into());
        position(self.links.len() - 1)
    }

    fn content(&mut self, content: Content) -> (Kind, u32) {
        match content {
            Content::Program(format) => {
                let index = recent(&self.formats, &format).unwrap_or_else(|| {
                    self.formats.push(format);
                    self.links_size += size_of::<Format>();
                    self.formats.len() - 1
                });
                (Kind::Program, position(index))
            }
            Content::Script(line) => {
                let line: Box<str> = line.into();
                let index = recent(&self.scripts, &line).unwrap_or_else(|| {
                    self.links_size += line.len() + size_of::<Box<str>>();
                    self.scripts.push(line);
                    self.scripts.len() - 1
                });
                (Kind::Script, position(index))
            }
            Content::Other => (Kind::Other, 0),
        }
    }

    /// Follows an absolute path to a file. Adds to `absent` each path that it passes and that no layer has yet.
    pub(super) fn find(&self, path: &[u8], absent: &mut HashSet<Key>) -> Option<File> {
        let mut rest: VecDeque<Vec<u8>> = self.components(path);
        // The directories so far, each with the lowest layer that is visible in it.
        let mut parents: Vec<(Vec<u8>, u16)> = vec![self.root()];
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == b".." {
                if parents.len() > 1 {
                    parents.pop();
                }
                continue;
            }
            let (directory, lowest) = parents.last()?;
            let path = joined(directory, &name);
            if path.len() > MAX_PATH {
                return None;
            }
            let key = self.key(&path);
            let visible = self.hidden.get(&key).copied();
            let lowest = visible.map_or(*lowest, |layer| layer.min(*lowest));
            let node = self.nodes.get(&key).filter(|node| node.layer <= lowest);
            match node.map(|node| (node.kind, node)) {
                // A directory that is not a member of an archive.
                None => {
                    absent.insert(key);
                    parents.push((path, lowest));
                }
                Some((Kind::Directory, _)) => parents.push((path, lowest)),
                // An upper layer may contain the file under the path of the link.
                Some((Kind::Link, node)) if self.is_above(*node, &path, &rest) => {
                    parents.push((path, lowest));
                }
                Some((Kind::Link, node)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    let target = &self.links[node.index as usize];
                    if self.is_absolute(target) {
                        parents = vec![self.root()];
                    }
                    for name in self.components(target).into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                Some((_, node)) if rest.is_empty() => return Some(self.file(&path, *node)),
                // A file is no directory.
                Some(_) => return None,
            }
        }
        None
    }

    /// Returns whether a layer above the layer of `link` contains the member `path/rest`, where `path` is the link.
    fn is_above(&self, link: Node, path: &[u8], rest: &VecDeque<Vec<u8>>) -> bool {
        if rest.is_empty() || rest.iter().any(|name| name == b"..") {
            return false;
        }
        let mut whole = path.to_vec();
        for name in rest {
            whole.push(b'/');
            whole.extend(name);
        }
        let node = self.nodes.get(&self.key(&whole));
        node.is_some_and(|node| node.layer < link.layer)
    }

    fn root(&self) -> (Vec<u8>, u16) {
        let root = match self.names {
            Names::Unix => Vec::new(),
            Names::Windows => b"files".to_vec(),
        };
        let visible = self.hidden.get(&self.key(&root));
        (root, visible.copied().unwrap_or(u16::MAX))
    }

    fn file(&self, path: &[u8], node: Node) -> File {
        let index = node.index as usize;
        let path = String::from_utf8_lossy(without_root(self.names, path));
        File {
            path: match self.names {
                Names::Unix => format!("/{path}"),
                Names::Windows => format!("C:\\{}", path.replace('/', "\\")),
            },
            content: match node.kind {
                Kind::Program => Content::Program(self.formats[index]),
                Kind::Script => Content::Script(self.scripts[index].clone().into()),
                _ => Content::Other,
            },
            is_executable: node.is_executable,
        }
    }

    fn key(&self, path: &[u8]) -> Key {
        self.hasher.hash_one(path)
    }

    fn is_absolute(&self, target: &[u8]) -> bool {
        match self.names {
            Names::Unix => target.starts_with(b"/"),
            Names::Windows => {
                target.starts_with(b"/")
                    || target.starts_with(b"\\")
                    || target.get(1) == Some(&b':')
            }
        }
    }

    /// Returns the names in a path, without empty ones and `.`.
    fn components(&self, path: &[u8]) -> VecDeque<Vec<u8>> {
        let is_windows = self.names == Names::Windows;
        let path = match path {
            [_, b':', rest @ ..] if is_windows => rest,
            path => path,
        };
        path.split(|byte| *byte == b'/' || (is_windows && *byte == b'\\'))
            .filter(|name| !name.is_empty() && *name != b".")
            .map(|name| {
                if is_windows {
                    name.to_ascii_lowercase()
                } else {
                    name.to_vec()
                }
            })
            .collect()
    }

    /// Returns the path of a member without `.`, `..` and a slash at its start, or `None` for the root and for a path
    /// that is too long.
    fn normalised(&self, path: &[u8]) -> Option<Vec<u8>> {
        if path.len() > MAX_PATH {
            return None;
        }
        let mut names: Vec<Vec<u8>> = Vec::new();
        for name in self.components(path) {
            if name == b".." {
                names.pop();
            } else {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(&b'/'))
    }
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    [directory, name].join(&b'/')
}

/// Removes the directory that contains the files of a Windows image.
fn without_root(names: Names, path: &[u8]) -> &[u8] {
    match names {
        Names::Unix => path,
        Names::Windows => path.strip_prefix(b"files/").unwrap_or(path),
    }
}

/// Returns the index of an item among the last ones of a list. Most repetitions follow each other, and a search in the
/// whole list would take minutes in a hostile layer.
fn recent<T: PartialEq>(list: &[T], item: &T) -> Option<usize> {
    let start = list.len().saturating_sub(16);
    let found = list[start..].iter().rposition(|known| known == item)?;
    Some(start + found)
}

/// Converts the index of a list, which the budget keeps far below the maximum.
fn position(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
