//! Tests of the search in generated layers.

use std::collections::HashSet;
use std::io::Write as _;

use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::archive::Member;
use super::executable::tests::elf_header;
use super::tree::{Names, Tree};
use super::*;

/// A layer with its members in the order in which they are added.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn member(
        mut self,
        kind: EntryType,
        path: &str,
        mode: u32,
        content: &[u8],
        link: &str,
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        let added = if link.is_empty() {
            self.0.append_data(&mut header, path, content)
        } else {
            self.0.append_link(&mut header, path, link)
        };
        added.expect("writing to memory");
        self
    }

    /// An executable of an architecture.
    fn program(self, path: &str, architecture: &str) -> Self {
        self.member(
            EntryType::Regular,
            path,
            0o755,
            &elf_header(architecture),
            "",
        )
    }

    fn script(self, path: &str, text: &str) -> Self {
        self.member(EntryType::Regular, path, 0o755, text.as_bytes(), "")
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.member(EntryType::Regular, path, 0o644, content, "")
    }

    fn directory(self, path: &str) -> Self {
        self.member(EntryType::Directory, path, 0o755, b"", "")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.member(EntryType::Symlink, path, 0o777, b"", target)
    }

    fn hard_link(self, path: &str, target: &str) -> Self {
        self.member(EntryType::Link, path, 0o755, b"", target)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("writing to memory")
    }
}

fn archive() -> Archive {
    Archive(tar::Builder::new(Vec::new()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// The result of a search: the executables and the notices, or the wrong file, or the error of a layer. `layers` is the
/// number of layers that were read.
struct Found {
    lines: Vec<String>,
    layers: usize,
}

fn search(platform: &str, config: &Value, layers: &[Vec<u8>]) -> Found {
    search_within(SHARED, platform, config, layers)
}

fn search_within(budget: Budget, platform: &str, config: &Value, layers: &[Vec<u8>]) -> Found {
    let platform: Platform = platform.parse().expect("a platform");
    let document = json!({
        "os": platform.os,
        "architecture": platform.architecture,
        "config": config,
    });
    let config: Config = parse(document.to_string().as_bytes()).expect("a config");
    let Some(command) = config.split().1 else {
        return Found {
            lines: vec!["no command".to_owned()],
            layers: 0,
        };
    };
    let mut search = Search::new(Arc::new(command), platform, budget);
    let mut read = 0;
    for layer in layers {
        read += 1;
        // In small parts, so that a part may end anywhere.
        let parts: Vec<_> = layer
            .chunks(1000)
            .map(bytes::Bytes::copy_from_slice)
            .collect();
        match search.layer(Layer::of(parts), layer.len() as u64) {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                return Found {
                    lines: vec![error.to_string()],
                    layers: read,
                };
            }
        }
    }
    let findings = search.findings();
    let mut lines: Vec<String> = findings.wrong.into_iter().collect();
    lines.extend(
        findings
            .verified
            .iter()
            .map(|executable| match executable.format {
                Some(format) => format!("{} {format}", executable.path),
                None => format!("{} script", executable.path),
            }),
    );
    lines.extend(findings.notices);
    Found {
        lines,
        layers: read,
    }
}

#[track_caller]
fn assert_found(config: &Value, layers: &[Vec<u8>], expected: &[&str]) {
    assert_eq!(search("linux/amd64", config, layers).lines, expected);
}

fn entrypoint(words: &[&str]) -> Value {
    json!({ "Entrypoint": words })
}

#[test]
fn the_entrypoint_is_found_and_compared() {
    let layer = archive().directory("etc").program("app", "amd64").bytes();
    let config = entrypoint(&["/app", "--serve"]);
    let layers = std::slice::from_ref(&layer);
    assert_found(&config, layers, &["/app x86-64"]);
    let wrong = search("linux/arm64", &config, layers);
    assert_eq!(wrong.lines, ["/app is x86-64, not arm64"]);
    let cmd = json!({ "Entrypoint": null, "Cmd": ["/app"] });
    assert_found(&cmd, layers, &["/app x86-64"]);
    let one_word = json!({ "Entrypoint": "/app" });
    assert_found(&one_word, layers, &["/app x86-64"]);
}

#[test]
fn compression_is_recognised_by_content() {
    let layer = archive()
        .file("data", &[7; 5000])
        .program("app", "amd64")
        .bytes();
    let config = entrypoint(&["/app"]);
    let (start, end) = layer.split_at(2048);
    let gzip_members = [gzip(start), gzip(end)].concat();
    let skippable = [
        b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(),
        zstd(start),
        zstd(end),
    ]
    .concat();
    for packed in [
        layer.clone(),
        gzip(&layer),
        zstd(&layer),
        gzip_members,
        skippable,
    ] {
        assert_found(&config, &[packed], &["/app x86-64"]);
    }
}

#[test]
fn the_search_ends_where_the_entrypoint_is() {
    let top = archive()
        .program("app", "amd64")
        .file("rest", &[0; 9000])
        .bytes();
    let damaged = b"no archive".to_vec();
    let found = search("linux/amd64", &entrypoint(&["/app"]), &[top, damaged]);
    assert_eq!(
        (found.lines, found.layers),
        (vec!["/app x86-64".to_owned()], 1)
    );
}

#[test]
fn the_highest_layer_counts() {
    let top = archive().program("app", "amd64").bytes();
    let base = archive().program("app", "arm64").bytes();
    assert_found(&entrypoint(&["/app"]), &[top, base], &["/app x86-64"]);
}

#[test]
fn links_are_followed() {
    let base = archive()
        .symlink("bin", "usr/bin")
        .program("usr/bin/real", "amd64")
        .symlink("usr/bin/relative", "real")
        .symlink("usr/bin/up", "../../bin/./relative")
        .symlink("usr/bin/absolute", "/bin/up")
        .hard_link("usr/bin/hard", "usr/bin/real")
        .hard_link("usr/bin/hard-to-link", "usr/bin/absolute")
        .bytes();
    for name in ["real", "relative", "up", "absolute", "hard-to-link"] {
        let config = entrypoint(&[&format!("/bin/{name}")]);
        assert_found(
            &config,
            std::slice::from_ref(&base),
            &["/usr/bin/real x86-64"],
        );
    }
    let hard = std::slice::from_ref(&base);
    assert_found(&entrypoint(&["/bin/hard"]), hard, &["/usr/bin/hard x86-64"]);
    // The link is in another layer than the file.
    let top = archive().symlink("app", "bin/real").bytes();
    assert_found(
        &entrypoint(&["/app"]),
        &[top, base],
        &["/usr/bin/real x86-64"],
    );
}

#[test]
fn a_hard_link_keeps_the_file_that_an_upper_layer_replaces() {
    let top = archive().program("a", "arm64").bytes();
    let removed = archive().file(".wh.a", b"").bytes();
    let base = archive().program("a", "amd64").hard_link("b", "a").bytes();
    for upper in [top, removed] {
        assert_found(&entrypoint(&["/b"]), &[upper, base.clone()], &["/b x86-64"]);
    }
}

#[test]
fn link_loops_end() {
    let layer = archive()
        .symlink("a", "b")
        .symlink("b", "a")
        .symlink("self", "self/self")
        .symlink("up", "../../..")
        .bytes();
    for name in ["/a", "/self", "/up", "/up/up"] {
        let expected = format!("not verified: {name} is not in its layers");
        assert_found(
            &entrypoint(&[name]),
            std::slice::from_ref(&layer),
            &[&expected],
        );
    }
}

#[test]
fn a_file_below_a_linked_directory_is_found_by_either_name() {
    let base = archive()
        .symlink("bin", "usr/bin")
        .program("usr/bin/other", "arm64")
        .bytes();
    let top = archive()
        .program("bin/app", "amd64")
        .script("start", "#!/usr/bin/other")
        .bytes();
    assert_found(
        &entrypoint(&["/bin/app"]),
        &[top, base],
        &["/bin/app x86-64"],
    );
}

#[test]
fn whiteouts_hide_lower_layers() {
    let base = archive()
        .program("app", "arm64")
        .program("dir/app", "arm64")
        .program("opaque/app", "arm64")
        .bytes();
    let middle = archive()
        .file(".wh.app", b"")
        .file(".wh.dir", b"")
        .file("opaque/.wh..wh..opq", b"")
        .bytes();
    for path in ["/app", "/dir/app", "/opaque/app"] {
        let expected = format!("not verified: {path} is not in its layers");
        let layers = [middle.clone(), base.clone()];
        assert_found(&entrypoint(&[path]), &layers, &[&expected]);
        // What an upper layer adds again is visible.
        let top = archive()
            .program(path.trim_start_matches('/'), "amd64")
            .bytes();
        let expected = format!("{path} x86-64");
        assert_found(
            &entrypoint(&[path]),
            &[top, middle.clone(), base.clone()],
            &[&expected],
        );
    }
}

#[test]
fn whiteouts_do_not_hide_their_own_layer() {
    let layer = archive()
        .program("dir/app", "amd64")
        .file("dir/.wh..wh..opq", b"")
        .file(".wh.dir", b"")
        .bytes();
    assert_found(&entrypoint(&["/dir/app"]), &[layer], &["/dir/app x86-64"]);
}

#[test]
fn a_directory_replaces_a_link_below_it() {
    let top = archive().directory("bin").bytes();
    let base = archive()
        .symlink("bin", "usr/bin")
        .program("usr/bin/app", "amd64")
        .bytes();
    let expected = ["not verified: /bin/app is not in its layers"];
    assert_found(&entrypoint(&["/bin/app"]), &[top, base], &expected);
}

#[test]
fn content_that_a_file_hides_stays_hidden_below_a_directory() {
    let layers = [
        archive().directory("dir").bytes(),
        archive().file("dir", b"a file").bytes(),
        archive()
            .directory("dir")
            .program("dir/app", "amd64")
            .bytes(),
    ];
    let expected = ["not verified: /dir/app is not in its layers"];
    assert_found(&entrypoint(&["/dir/app"]), &layers, &expected);
}

#[test]
fn the_search_path_decides_within_a_layer() {
    let layer = archive()
        .program("usr/bin/app", "arm64")
        .program("usr/local/bin/app", "amd64")
        .file("usr/local/sbin/app", b"without permission")
        .bytes();
    let layers = [layer];
    assert_found(
        &entrypoint(&["app"]),
        &layers,
        &["/usr/local/bin/app x86-64"],
    );
    let own = json!({ "Entrypoint": ["app"], "Env": ["PATH=/none:/usr/bin"] });
    assert_found(&own, &layers, &["/usr/bin/app is aarch64, not amd64"]);
}

#[test]
fn relative_names_begin_in_the_working_directory() {
    let layers = [archive().program("srv/bin/app", "amd64").bytes()];
    let config = |name: &str, path: &str| json!({ "Entrypoint": [name], "WorkingDir": "/srv", "Env": [format!("PATH={path}")] });
    assert_found(&config("./bin/app", "/"), &layers, &["/srv/bin/app x86-64"]);
    assert_found(&config("app", "bin"), &layers, &["/srv/bin/app x86-64"]);
    assert_found(
        &config("bin/../bin/app", ""),
        &layers,
        &["/srv/bin/app x86-64"],
    );
}

#[test]
fn interpreters_of_scripts_are_checked() {
    let base = archive()
        .symlink("bin", "usr/bin")
        .program("usr/bin/dash", "amd64")
        .symlink("usr/bin/sh", "dash")
        .program("usr/bin/env", "amd64")
        .program("usr/local/bin/python3", "arm64")
        .bytes();
    let shell = archive().script("entry.sh", "#!/bin/sh -e\n").bytes();
    assert_found(
        &entrypoint(&["/entry.sh"]),
        &[shell, base.clone()],
        &["/entry.sh script", "/usr/bin/dash x86-64"],
    );
    let python = archive()
        .script("entry.py", "#!/usr/bin/env -S A=b python3 -u\n")
        .bytes();
    assert_found(
        &entrypoint(&["/entry.py"]),
        &[python, base],
        &[
            "/usr/local/bin/python3 is aarch64, not amd64",
            "/entry.py script",
            "/usr/bin/env x86-64",
        ],
    );
    let orphan = archive().script("entry.sh", "#!/bin/sh\n").bytes();
    let expected = [
        "/entry.sh script",
        "not verified: /bin/sh is not in its layers",
    ];
    assert_found(&entrypoint(&["/entry.sh"]), &[orphan], &expected);
    let endless = archive().script("entry.sh", "#!/entry.sh\n").bytes();
    assert_found(
        &entrypoint(&["/entry.sh"]),
        &[endless],
        &["/entry.sh script"],
    );
}

#[test]
fn the_command_after_a_shell_or_an_init_is_checked() {
    let layer = archive()
        .program("bin/sh", "amd64")
        .program("sbin/tini", "amd64")
        .script("entry.sh", "#!/bin/sh\n")
        .program("usr/bin/app", "arm64")
        .bytes();
    let layers = [layer];
    let wrong = "/usr/bin/app is aarch64, not amd64";
    let (sh, tini, entry) = ("/bin/sh x86-64", "/sbin/tini x86-64", "/entry.sh script");
    let cases: [(Value, &[&str]); 9] = [
        (
            json!({ "Entrypoint": ["/sbin/tini", "--"], "Cmd": ["app"] }),
            &[wrong, tini],
        ),
        (
            json!({ "Entrypoint": ["tini", "-g", "app"] }),
            &[wrong, tini],
        ),
        (
            json!({ "Entrypoint": ["sh"], "Cmd": ["app"] }),
            &[wrong, sh],
        ),
        (
            json!({ "Entrypoint": ["/entry.sh"], "Cmd": ["app"] }),
            &[wrong, entry, sh],
        ),
        (
            json!({ "Entrypoint": ["tini", "--", "/entry.sh"], "Cmd": ["app"] }),
            &[wrong, tini, entry, sh],
        ),
        (
            json!({ "Cmd": ["/bin/sh", "-c", "A=b exec app --x"] }),
            &[wrong, sh],
        ),
        (
            json!({ "Entrypoint": ["/bin/sh", "-ec", "cd / && app"] }),
            &[sh],
        ),
        (
            json!({ "Entrypoint": ["/entry.sh"], "Cmd": ["--flag"] }),
            &[entry, sh],
        ),
        // An argument of the script, not a program.
        (
            json!({ "Entrypoint": ["/entry.sh"], "Cmd": ["serve"] }),
            &[entry, sh],
        ),
    ];
    for (config, expected) in cases {
        assert_found(&config, &layers, expected);
    }
}

#[test]
fn code_of_32_bits_is_a_notice() {
    let layers = [archive().program("app", "386").bytes()];
    let expected = ["/app i386", "/app is i386, which amd64 can run"];
    assert_found(&entrypoint(&["/app"]), &layers, &expected);
}

#[test]
fn images_without_a_program_are_notices() {
    let layers = [archive().file("data", b"text").directory("dir").bytes()];
    assert_found(&json!({}), &layers, &["no command"]);
    assert_found(&json!({ "Entrypoint": [""] }), &layers, &["no command"]);
    assert_found(
        &entrypoint(&["/app"]),
        &layers,
        &["not verified: /app is not in its layers"],
    );
    assert_found(
        &entrypoint(&["/data"]),
        &layers,
        &["not verified: /data is not an executable"],
    );
    assert_found(
        &entrypoint(&["/dir"]),
        &layers,
        &["not verified: /dir is not in its layers"],
    );
    assert_found(
        &entrypoint(&["/data/x"]),
        &layers,
        &["not verified: /data/x is not in its layers"],
    );
    assert_found(
        &entrypoint(&["/app"]),
        &[Vec::new()],
        &["not verified: /app is not in its layers"],
    );
}

#[test]
fn windows_paths_are_resolved() {
    let mut program = vec![0; 256];
    program[..2].copy_from_slice(b"MZ");
    program[0x3c] = 0x80;
    program[0x80..0x86].copy_from_slice(b"PE\0\0\x64\xaa");
    let layers = [archive()
        .file("Hives/Delta", b"x")
        .file("Files/Windows/System32/cmd.exe", &program)
        .file("Files/App/App.exe", &program)
        .bytes()];
    let found = |config: Value| search("windows/arm64", &config, &layers).lines;
    let app = ["C:\\app\\app.exe aarch64"];
    assert_eq!(found(entrypoint(&["C:\\App\\app.exe"])), app);
    assert_eq!(
        found(json!({ "Cmd": ["app"], "WorkingDir": "C:\\app", "Env": ["Path=."] })),
        app
    );
    assert_eq!(
        found(json!({ "Cmd": ["\"C:\\app\\app.exe\" -x"], "ArgsEscaped": true })),
        app
    );
    assert_eq!(
        found(json!({ "Cmd": ["cmd"] })),
        ["C:\\windows\\system32\\cmd.exe aarch64"]
    );
    let wrong = search("windows/amd64", &entrypoint(&["/app/app.exe"]), &layers).lines;
    assert_eq!(wrong, ["C:\\app\\app.exe is aarch64, not amd64"]);
}

#[test]
fn truncated_layers_are_errors() {
    let layer = archive()
        .file("data", &[7; 3000])
        .program("app", "amd64")
        .bytes();
    let config = entrypoint(&["/app"]);
    for packed in [layer.clone(), gzip(&layer), zstd(&layer)] {
        let cut = packed[..packed.len().min(2000) / 2].to_vec();
        assert_found(&config, &[cut], &["it is truncated"]);
    }
    let damaged = [gzip(&layer)[..20].to_vec(), vec![0xff; 600]].concat();
    let found = search("linux/amd64", &config, &[damaged]).lines;
    assert_eq!(found, ["it is damaged: corrupt deflate stream"]);
    let text = b"no archive".repeat(100);
    assert_found(
        &config,
        &[text],
        &["it is not a tar archive (uncompressed, or compressed with gzip or zstd)"],
    );
}

#[test]
fn names_cannot_leave_the_image() {
    let long = format!("{}app", "d/".repeat(3000));
    let layer = archive()
        .file(&"n".repeat(300), b"")
        .symlink("far", &"x/".repeat(4000))
        .symlink("app", "../../../../../../bin/app")
        .program("bin/app", "amd64")
        .file(&long, b"")
        .bytes();
    assert_found(
        &entrypoint(&["/app"]),
        std::slice::from_ref(&layer),
        &["/bin/app x86-64"],
    );
    let expected = ["not verified: /far is not in its layers"];
    assert_found(&entrypoint(&["/far"]), &[layer], &expected);
    // A path with `..`, which the builder of the tests refuses to write.
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..12].copy_from_slice(b"x/../../app\0");
    header.set_mode(0o755);
    header.set_size(64);
    header.set_cksum();
    let mut raw = header.as_bytes().to_vec();
    raw.extend(elf_header("amd64"));
    raw.resize(2048, 0);
    assert_found(&entrypoint(&["/app"]), &[raw], &["/app x86-64"]);
}

#[test]
fn extension_headers_are_bounded() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.resize(4096, b'x');
    let expected = ["a layer has an extension header of more than 1 MiB"];
    assert_found(&entrypoint(&["/app"]), &[layer], &expected);
}

#[test]
fn the_numbers_of_files_and_links_are_bounded() {
    let mut many = archive();
    for number in 0..20 {
        many = many.file(&format!("file-{number}"), b"");
    }
    let few = Budget {
        files: 10,
        ..SHARED
    };
    let found = search_within(few, "linux/amd64", &entrypoint(&["/app"]), &[many.bytes()]);
    assert_eq!(found.lines, ["the image has more than 10 files"]);
    let found = search_within(
        Budget {
            files: 20,
            ..SHARED
        },
        "linux/amd64",
        &entrypoint(&["/app"]),
        &[(0..20)
            .fold(archive(), |it, n| it.file(&format!("file-{n}"), b""))
            .bytes()],
    );
    assert_eq!(found.lines, ["not verified: /app is not in its layers"]);
    let links = archive().symlink("a", &"x".repeat(500)).bytes();
    let few = Budget {
        links: 100,
        ..SHARED
    };
    let found = search_within(few, "linux/amd64", &entrypoint(&["/app"]), &[links]);
    assert_eq!(
        found.lines,
        ["the links of the image have more than 100 bytes"]
    );
}

#[test]
fn large_windows_are_refused() {
    // A frame header with a window of 2^30 bytes, and an empty block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, (30 - 10) << 3, 1, 0, 0];
    let found = search("linux/amd64", &entrypoint(&["/app"]), &[frame.to_vec()]);
    assert_eq!(
        found.lines,
        ["a layer needs a zstd window of 1024 MiB; the limit is 8 MiB"]
    );
}

/// The header of a block of zstd.
fn block(kind: u32, size: usize) -> [u8; 3] {
    let size = u32::try_from(size).expect("a small block");
    let bytes = ((size << 3) | (kind << 1)).to_le_bytes();
    [bytes[0], bytes[1], bytes[2]]
}

/// Returns a layer with a file of 40 MiB, which ends with bytes that are repeated from `offset` bytes before, and with
/// the program `/app` behind it. `header` is the header of the zstd frame without the magic number.
fn repeating(header: &[u8], offset: u64) -> Vec<u8> {
    const BEFORE: usize = 40 << 20;
    const REPEATED: usize = 512;
    let mut data = Header::new_gnu();
    data.set_path("data").expect("a short name");
    data.set_size((BEFORE + REPEATED) as u64);
    data.set_cksum();
    let rest = archive().program("app", "amd64").bytes();
    // No literals and one sequence, whose codes need no tables: no literals, the offset, a match of 259 bytes or more.
    let code = (offset + 3).ilog2();
    let bits = (1 << (code + 8)) | ((offset + 3 - (1 << code)) << 8) | (REPEATED as u64 - 259);
    let mut sequence = vec![
        0,
        1,
        0b0101_0100,
        0,
        u8::try_from(code).expect("a code"),
        44,
    ];
    sequence.extend(&bits.to_le_bytes()[..=((code as usize + 8) / 8)]);

    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    frame.extend(header);
    frame.extend(block(0, 512));
    frame.extend(data.as_bytes());
    for _ in 0..BEFORE / (128 << 10) {
        frame.extend(block(1, 128 << 10));
        frame.push(b'x');
    }
    frame.extend(block(2, sequence.len()));
    frame.extend(sequence);
    frame.extend(block(0, rest.len()));
    frame.extend(rest);
    // An empty last block.
    frame.extend([1, 0, 0]);
    frame
}

#[test]
fn a_window_is_kept_in_part() {
    // Windows of 64 MiB: declared, and as the size of the content.
    let declared = [0, (26 - 10) << 3];
    let single = [&[0b1010_0000][..], &(64_u32 << 20).to_le_bytes()].concat();
    let found = |budget: Budget, header: &[u8], offset: u64| {
        let layer = repeating(header, offset);
        search_within(budget, "linux/amd64", &entrypoint(&["/app"]), &[layer]).lines
    };
    for header in [&declared[..], &single] {
        assert_eq!(found(ALONE, header, 31 << 20), ["/app x86-64"]);
        assert_eq!(
            found(ALONE, header, 39 << 20),
            ["a layer with a zstd window of 64 MiB repeats content from more than 32 MiB before"]
        );
    }
    assert_eq!(
        found(ALONE, &[0, (27 - 10) << 3], 1),
        ["a layer needs a zstd window of 128 MiB; the limit is 64 MiB"]
    );
    // An offset before the beginning of the content is damage.
    let small = [0, (23 - 10) << 3];
    let damaged = found(ALONE, &small, 41 << 20);
    assert!(damaged[0].starts_with("it is damaged"), "{damaged:?}");
}

/// Many different scripts must not take quadratic time.
#[test]
fn many_scripts_are_added_quickly() {
    let mut tree = Tree::new(Names::Unix, ALONE);
    for number in 0..100_000_u32 {
        let head = format!("#!/{number}\n");
        let member = Member::File {
            head: head.as_bytes(),
            is_executable: true,
        };
        let added = tree.add(number.to_string().as_bytes(), &member);
        added.expect("within the budget");
    }
    let found = tree.find(b"/99999", &mut HashSet::new()).expect("a file");
    assert_eq!(found.content, Content::of(b"#!/99999\n"));
}

#[test]
fn decompression_bombs_are_refused() {
    /// A header with a file of 2^40 bytes, and blocks of zstd that each unpack 128 KiB of zeros.
    fn bomb() -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_path("data").expect("a short name");
        header.set_size(1 << 40);
        header.set_cksum();
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (17 - 10) << 3];
        frame.extend(block(0, 512));
        frame.extend(header.as_bytes());
        for _ in 0..20_000 {
            frame.extend(block(1, 128 << 10));
            frame.push(0);
        }
        frame
    }
    let found = search("linux/amd64", &entrypoint(&["/app"]), &[bomb()]);
    assert_eq!(
        found.lines,
        ["a layer unpacks to more than 200 times its size"]
    );
}
