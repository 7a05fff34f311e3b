//! Enough of the ELF format to tell a static program from one that needs a dynamic loader.

/// Whether `bytes` are a 64-bit little-endian x86-64 ELF file without a `PT_INTERP` program header.
pub(crate) fn is_static(bytes: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    const EM_X86_64: u16 = 62;
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let check = || {
        // Magic, 64 bit, little endian; e_machine at 18, e_phoff at 32, e_phentsize at 54, e_phnum at 56.
        if bytes.get(..6)? != b"\x7fELF\x02\x01" || u16_at(18)? != EM_X86_64 {
            return None;
        }
        let start = usize::try_from(u64_at(32)?).ok()?;
        let step = usize::from(u16_at(54)?);
        for i in 0..usize::from(u16_at(56)?) {
            if u32_at(start.checked_add(i * step)?)? == PT_INTERP {
                return None;
            }
        }
        Some(())
    };
    check().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and one program header of the given type.
    fn elf(p_type: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = 62;
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&p_type.to_le_bytes());
        bytes
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
    }

    #[test]
    fn rubbish_is_not_static() {
        assert!(!is_static(b""));
        assert!(!is_static(b"#!/bin/sh\n"));
        assert!(!is_static(&elf(1)[..60]));
    }
}
