//! Captured exchanges: `tests/captures/*.hex`.
//!
//! A line `> hex` is a datagram to the kernel, `< hex` one from it; a line that begins with a space goes on; `#` is a comment, the first of them
//! the command that was captured.

use std::fs;
use std::path::PathBuf;

/// A datagram and where it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Datagram {
    /// To the kernel.
    To(Vec<u8>),
    /// From the kernel.
    From(Vec<u8>),
}

/// Where the captures are.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// Every capture's name.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".hex").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The datagrams of a capture.
pub(crate) fn read(name: &str) -> Vec<Datagram> {
    let path = directory().join(name).with_extension("hex");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut datagrams = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (mark, hex) = line.split_at(1);
        match mark {
            ">" => datagrams.push(Datagram::To(Vec::new())),
            "<" => datagrams.push(Datagram::From(Vec::new())),
            _ => {}
        }
        let (Datagram::To(bytes) | Datagram::From(bytes)) = datagrams.last_mut().expect("a direction first");
        let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        }
    }
    datagrams
}

/// The requests of a capture.
pub(crate) fn sent(name: &str) -> Vec<Vec<u8>> {
    read(name).into_iter().filter_map(|d| if let Datagram::To(bytes) = d { Some(bytes) } else { None }).collect()
}

/// The answers of a capture.
pub(crate) fn received(name: &str) -> Vec<Vec<u8>> {
    read(name).into_iter().filter_map(|d| if let Datagram::From(bytes) = d { Some(bytes) } else { None }).collect()
}
