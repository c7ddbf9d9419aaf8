//! Executable formats: reads the machine from the first bytes of a file, and decides whether a platform runs it. No
//! crate parses the headers, because only 20 bytes of ELF and 6 bytes of PE are needed.

use std::fmt;

use crate::spec::Platform;

/// The number of bytes that decide the format of a file. The header of a PE file follows a DOS program of 64 to 512
/// bytes.
pub(super) const HEAD: usize = 1024;
/// The maximum length of a `#!` line that Linux reads (`BINPRM_BUF_SIZE`).
const MAX_SHEBANG: usize = 256;

/// The format of an executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Linux and the BSDs.
    Elf {
        /// `e_machine`.
        machine: u16,
        is_64_bit: bool,
        is_big_endian: bool,
    },
    /// Windows.
    Pe {
        /// `Machine` of the COFF header.
        machine: u16,
    },
    /// macOS. No container runs it.
    MachO,
    WebAssembly,
}

/// Whether a platform runs a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Exact,
    /// 32-bit code that the 64-bit platform runs as well.
    Compatible,
    Wrong,
}

/// The kinds of content that a kernel distinguishes when it executes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Program(Format),
    /// The line after `#!`.
    Script(String),
    /// Nothing that a kernel executes.
    Other,
}

/// `e_machine`, 64-bit, big endian. The numbers come from the ELF specification:
/// <https://gabi.xinuos.com/elf/a-emachine.html>.
type ElfMachine = (u16, bool, bool);

/// The architectures by their names in an image index.
const ELF_MACHINES: [(&str, ElfMachine); 20] = [
    ("386", (3, false, false)),
    ("amd64", (62, true, false)),
    ("arm", (40, false, false)),
    ("armbe", (40, false, true)),
    ("arm64", (183, true, false)),
    ("arm64be", (183, true, true)),
    ("loong64", (258, true, false)),
    ("mips", (8, false, true)),
    ("mipsle", (8, false, false)),
    ("mips64", (8, true, true)),
    ("mips64le", (8, true, false)),
    ("ppc", (20, false, true)),
    ("ppc64", (21, true, true)),
    ("ppc64le", (21, true, false)),
    ("riscv", (243, false, false)),
    ("riscv64", (243, true, false)),
    ("s390", (22, false, true)),
    ("s390x", (22, true, true)),
    ("sparc", (2, false, true)),
    ("sparc64", (43, true, true)),
];

/// The ABI of x86-64 with 32-bit pointers.
const X32: ElfMachine = (62, false, false);

/// <https://learn.microsoft.com/en-us/windows/win32/debug/pe-format#machine-types>.
const PE_MACHINES: [(&str, u16); 7] = [
    ("386", 0x014c),
    ("amd64", 0x8664),
    ("arm", 0x01c4),
    ("arm", 0x01c0),
    ("arm64", 0xaa64),
    ("loong64", 0x6264),
    ("riscv64", 0x5064),
];

/// 64-bit architectures, and the 32-bit architectures whose code they run.
const COMPATIBLE: [(&str, &str); 6] = [
    ("amd64", "386"),
    ("arm64", "arm"),
    ("mips64", "mips"),
    ("mips64le", "mipsle"),
    ("ppc64", "ppc"),
    ("s390x", "s390"),
];

impl Content {
    /// Recognises a file by its first bytes.
    pub(super) fn of(head: &[u8]) -> Self {
        if let Some(line) = head.strip_prefix(b"#!") {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = &line[..line.len().min(MAX_SHEBANG)];
            return Self::Script(String::from_utf8_lossy(line).trim().to_owned());
        }
        Format::of(head).map_or(Self::Other, Self::Program)
    }
}

impl Format {
    fn of(head: &[u8]) -> Option<Self> {
        let magic: [u8; 4] = head.get(..4)?.try_into().ok()?;
        match magic {
            [0x7f, b'E', b'L', b'F'] => elf(head),
            [b'M', b'Z', ..] => pe(head),
            [0, b'a', b's', b'm'] => Some(Self::WebAssembly),
            [0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe] => Some(Self::MachO),
            // A Java class begins with the same bytes. It has a version of at least 45 at the position where a
            // universal binary has the number of its architectures.
            [0xca, 0xfe, 0xba, 0xbe] => {
                let count = u32::from_be_bytes(head.get(4..8)?.try_into().ok()?);
                (count < 45).then_some(Self::MachO)
            }
            _ => None,
        }
    }

    /// Returns the name of the architecture in an image index, if it has one.
    fn architecture(self) -> Option<&'static str> {
        match self {
            Self::Elf {
                machine,
                is_64_bit,
                is_big_endian,
            } => {
                let own = (machine, is_64_bit, is_big_endian);
                let row = ELF_MACHINES.iter().find(|(_, machine)| *machine == own);
                row.map(|(name, _)| *name)
            }
            Self::Pe { machine } => {
                let row = PE_MACHINES.iter().find(|(_, number)| *number == machine);
                row.map(|(name, _)| *name)
            }
            Self::MachO => None,
            Self::WebAssembly => Some("wasm"),
        }
    }

    /// Returns whether a platform runs this format, or `None` if nothing is known about the platform. The variant of an
    /// architecture and its float ABI do not count: headers do not name them reliably.
    pub(super) fn fit(self, platform: &Platform) -> Option<Fit> {
        let wanted = platform.architecture.as_str();
        if wanted == "wasm" {
            let is_module = self == Self::WebAssembly;
            return Some(if is_module { Fit::Exact } else { Fit::Wrong });
        }
        if !ELF_MACHINES.iter().any(|(name, _)| *name == wanted) {
            return None;
        }
        if !self.is_for_system(&platform.os)? {
            return Some(Fit::Wrong);
        }
        let own = self.architecture();
        if own == Some(wanted) {
            return Some(Fit::Exact);
        }
        let is_narrow = COMPATIBLE
            .iter()
            .any(|(wide, narrow)| *wide == wanted && own == Some(*narrow));
        // Windows for ARM emulates x86, and .NET programs for every machine are marked as x86.
        let is_emulated = platform.os == "windows" && wanted == "arm64" && own == Some("386");
        let is_x32 = wanted == "amd64" && self == Self::elf(X32);
        Some(if is_narrow || is_emulated || is_x32 {
            Fit::Compatible
        } else {
            Fit::Wrong
        })
    }

    /// Returns whether an operating system loads this format, or `None` if the system is unknown.
    fn is_for_system(self, os: &str) -> Option<bool> {
        match os {
            "windows" => Some(matches!(self, Self::Pe { .. })),
            "linux" | "android" | "dragonfly" | "freebsd" | "illumos" | "netbsd" | "openbsd"
            | "solaris" => Some(matches!(self, Self::Elf { .. })),
            _ => None,
        }
    }

    /// Describes why a file of this format is wrong on a platform: `x86-64, not arm64`.
    pub(super) fn contradiction(self, platform: &Platform) -> String {
        if self.is_for_system(&platform.os) == Some(true) {
            return format!("{self}, not {}", platform.architecture);
        }
        let system = match self {
            Self::Elf { .. } => "ELF ",
            Self::Pe { .. } => "Windows ",
            Self::MachO | Self::WebAssembly => "",
        };
        format!("{system}{self}, not {platform}")
    }

    const fn elf((machine, is_64_bit, is_big_endian): ElfMachine) -> Self {
        Self::Elf {
            machine,
            is_64_bit,
            is_big_endian,
        }
    }
}

/// Reads `EI_CLASS`, `EI_DATA` and `e_machine`.
fn elf(head: &[u8]) -> Option<Format> {
    let is_64_bit = match head.get(4)? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let machine: [u8; 2] = head.get(18..20)?.try_into().ok()?;
    match head[5] {
        1 => Some(Format::elf((u16::from_le_bytes(machine), is_64_bit, false))),
        2 => Some(Format::elf((u16::from_be_bytes(machine), is_64_bit, true))),
        _ => None,
    }
}

/// Reads `e_lfanew`, and the COFF header at that offset.
fn pe(head: &[u8]) -> Option<Format> {
    let offset = u32::from_le_bytes(head.get(0x3c..0x40)?.try_into().ok()?);
    let header = head.get(usize::try_from(offset).ok()?..)?;
    let machine = header.strip_prefix(b"PE\0\0")?.get(..2)?;
    Some(Format::Pe {
        machine: u16::from_le_bytes(machine.try_into().ok()?),
    })
}

/// Displays the machine by the name that `file` and `uname` use.
impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.architecture() {
            Some("386") => "i386",
            Some("amd64") => "x86-64",
            Some("arm64") => "aarch64",
            Some("loong64") => "loongarch64",
            Some("wasm") => "WebAssembly",
            Some(name) => name,
            None => match *self {
                format if format == Self::elf(X32) => "x32",
                Self::Elf { machine, .. } => return write!(f, "ELF machine {machine}"),
                Self::Pe { machine } => return write!(f, "machine {machine:#06x}"),
                Self::MachO => "Mach-O",
                Self::WebAssembly => "WebAssembly",
            },
        };
        f.write_str(name)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns an ELF header for an architecture.
    pub(in super::super) fn elf_header(architecture: &str) -> Vec<u8> {
        let row = ELF_MACHINES.iter().find(|(name, _)| *name == architecture);
        let (_, (machine, is_64_bit, is_big_endian)) = row.expect("a known architecture");
        let mut head = vec![0; 64];
        head[..4].copy_from_slice(b"\x7fELF");
        head[4] = 1 + u8::from(*is_64_bit);
        head[5] = 1 + u8::from(*is_big_endian);
        let number = if *is_big_endian {
            machine.to_be_bytes()
        } else {
            machine.to_le_bytes()
        };
        head[18..20].copy_from_slice(&number);
        head
    }

    fn pe_header(machine: u16) -> Vec<u8> {
        let mut head = vec![0; 256];
        head[..2].copy_from_slice(b"MZ");
        head[0x3c] = 0x80;
        head[0x80..0x84].copy_from_slice(b"PE\0\0");
        head[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        head
    }

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    fn format(head: &[u8]) -> Format {
        match Content::of(head) {
            Content::Program(format) => format,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_architecture_fits_only_itself() {
        for (own, _) in ELF_MACHINES {
            for (other, _) in ELF_MACHINES {
                let platform = Platform {
                    os: "linux".to_owned(),
                    architecture: other.to_owned(),
                    ..Platform::default()
                };
                let expected = if own == other {
                    Fit::Exact
                } else if COMPATIBLE.contains(&(other, own)) {
                    Fit::Compatible
                } else {
                    Fit::Wrong
                };
                let found = format(&elf_header(own)).fit(&platform);
                assert_eq!(found, Some(expected), "{own} on {other}");
            }
        }
    }

    #[test]
    fn the_variant_does_not_count() {
        for variant in [
            "linux/arm/v5",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/arm/v8",
        ] {
            let fit = format(&elf_header("arm")).fit(&platform(variant));
            assert_eq!(fit, Some(Fit::Exact), "{variant}");
        }
        let fit = format(&elf_header("amd64")).fit(&platform("linux/amd64/v3"));
        assert_eq!(fit, Some(Fit::Exact));
    }

    #[test]
    fn contradictions_name_both_machines() {
        let mach_o = [0xcf, 0xfa, 0xed, 0xfe, 0, 0, 0, 0];
        let cases = [
            (elf_header("amd64"), "linux/arm64", "x86-64, not arm64"),
            (elf_header("arm64"), "linux/amd64", "aarch64, not amd64"),
            (elf_header("ppc64"), "linux/ppc64le", "ppc64, not ppc64le"),
            (pe_header(0x8664), "windows/arm64", "x86-64, not arm64"),
            (
                pe_header(0x8664),
                "linux/amd64",
                "Windows x86-64, not linux/amd64",
            ),
            (
                elf_header("amd64"),
                "windows/amd64",
                "ELF x86-64, not windows/amd64",
            ),
            (mach_o.to_vec(), "linux/arm64", "Mach-O, not linux/arm64"),
            (
                b"\0asm\x01\0\0\0".to_vec(),
                "linux/amd64",
                "WebAssembly, not linux/amd64",
            ),
        ];
        for (head, text, expected) in cases {
            let (format, platform) = (format(&head), platform(text));
            assert_eq!(format.fit(&platform), Some(Fit::Wrong), "{text}");
            assert_eq!(format.contradiction(&platform), expected);
        }
    }

    #[test]
    fn windows_programs_fit_by_machine() {
        for (machine, text, expected) in [
            (0x8664, "windows/amd64", Fit::Exact),
            (0xaa64, "windows/arm64", Fit::Exact),
            (0x014c, "windows/amd64", Fit::Compatible),
            (0x014c, "windows/arm64", Fit::Compatible),
            (0xaa64, "windows/amd64", Fit::Wrong),
        ] {
            let fit = format(&pe_header(machine)).fit(&platform(text));
            assert_eq!(fit, Some(expected), "{machine:#x} on {text}");
        }
    }

    #[test]
    fn x32_code_is_compatible_with_amd64() {
        let mut head = elf_header("amd64");
        head[4] = 1;
        assert_eq!(
            format(&head).fit(&platform("linux/amd64")),
            Some(Fit::Compatible)
        );
        assert_eq!(format(&head).to_string(), "x32");
    }

    #[test]
    fn unknown_platforms_have_no_rule() {
        for text in ["darwin/arm64", "linux/unknown"] {
            let (os, architecture) = text.split_once('/').expect("two names");
            let platform = Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                ..Platform::default()
            };
            assert_eq!(format(&elf_header("amd64")).fit(&platform), None, "{text}");
        }
    }

    #[test]
    fn other_files_are_not_executables() {
        let java = [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 52];
        let truncated = &elf_header("amd64")[..19];
        let mut beyond = pe_header(0x8664);
        beyond[0x3d] = 0xff;
        for head in [b"" as &[u8], b"\x7fEL", b"text", &java, truncated, &beyond] {
            assert_eq!(Content::of(head), Content::Other, "{head:?}");
        }
    }

    #[test]
    fn the_line_of_a_script_is_bounded() {
        let script = |text: &str| Content::of(text.as_bytes());
        assert_eq!(
            script("#! /bin/sh -e\nexit"),
            Content::Script("/bin/sh -e".to_owned())
        );
        assert_eq!(
            script("#!/bin/sh\r\n"),
            Content::Script("/bin/sh".to_owned())
        );
        let long = format!("#!{}", "x".repeat(1000));
        assert_eq!(script(&long), Content::Script("x".repeat(MAX_SHEBANG)));
    }
}
