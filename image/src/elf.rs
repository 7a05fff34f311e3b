//! What an x86-64 program needs besides itself: a dynamic loader, shared libraries.

use anyhow::{Context as _, Result, ensure};
use goblin::elf::Elf;
use goblin::elf::header::EM_X86_64;

/// What must be beside a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Absolute path of the dynamic loader; a static program and a library have none.
    pub(crate) loader: Option<String>,
    /// File names of shared libraries, in the order of the file.
    pub(crate) libraries: Vec<String>,
}

/// Reads the program headers and the dynamic section.
///
/// # Errors
/// Not an ELF file, cut short, or for another machine.
pub(crate) fn needs(bytes: &[u8]) -> Result<Needs> {
    let elf = Elf::parse(bytes).context("not an ELF file")?;
    ensure!(elf.header.e_machine == EM_X86_64 && elf.is_64, "not for x86-64");
    Ok(Needs {
        loader: elf.interpreter.map(str::to_owned),
        libraries: elf.libraries.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// Whether `bytes` are an x86-64 program that needs nothing.
pub(crate) fn is_static(bytes: &[u8]) -> bool {
    needs(bytes).is_ok_and(|needs| needs.loader.is_none() && needs.libraries.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and one program header of the given type.
    fn elf(p_type: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[16] = 2;
        bytes[18] = 62;
        bytes[20] = 1;
        bytes[32] = 64;
        bytes[52] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&p_type.to_le_bytes());
        bytes
    }

    #[test]
    fn a_program_without_a_loader_is_static() {
        assert!(is_static(&elf(1)));
    }

    #[test]
    fn this_test_needs_the_c_library() {
        let this = std::env::current_exe().and_then(std::fs::read).expect("this program");
        let needs = needs(&this).expect("an ELF file");
        assert!(needs.loader.expect("dynamic").starts_with("/lib64/ld-linux-x86-64"));
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{:?}", needs.libraries);
        assert!(!is_static(&this));
    }

    #[test]
    fn rubbish_is_not_static() {
        assert!(!is_static(b""));
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(1)[..60]));
    }
}
