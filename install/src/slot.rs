//! A slot's partition: the squashfs from its first byte, and in its last block the signed block of the update it came from.
//!
//! Writing is ordered so that a cut of the power at any moment leaves either nothing that could be started or all of it: first block and
//! last block are emptied, the rest is written and read back, and only what reads back right gets the first block, then the last.

use std::io::Read;
use std::os::unix::fs::FileExt;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::part::{Part, UNREADABLE, UNWRITABLE};
use crate::report::Progress;
use crate::update::{self, HEADER_BYTES, Manifest};

/// Written and read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Written between two flushes, so that progress tells of the disk and not of memory.
const FLUSH_BYTES: u64 = 4 << 20;
/// First bytes of what the loader can start (fs/squashfs/squashfs_fs.h).
const SQUASHFS: [u8; 4] = *b"hsqs";

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of [`hex`].
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.len().is_multiple_of(2).then(|| text.as_bytes().chunks(2).map(byte).collect())?
}

/// What may be in a slot of `bytes`.
#[must_use]
pub fn room(bytes: u64) -> u64 {
    bytes.saturating_sub(HEADER_BYTES as u64)
}

/// The signed block of a slot of `bytes`, verified; what is in the slot may still be damaged.
///
/// # Errors
/// There is none, or it is not signed.
pub fn describe(device: &Part, bytes: u64, key: &str) -> Result<Manifest> {
    let mut block = [0; HEADER_BYTES];
    let mut magic = [0; SQUASHFS.len()];
    device.read_exact_at(&mut magic, 0)?;
    ensure!(magic == SQUASHFS, "holds no file system");
    device.read_exact_at(&mut block, room(bytes))?;
    update::verify(&block, key)
}

/// Checks that a slot holds what `manifest` says, from the disk and not from memory.
///
/// # Errors
/// It does not.
pub fn check(device: &Part, manifest: &Manifest, say: &mut dyn FnMut(Progress)) -> Result<()> {
    reread(device, manifest, &[], say)
}

/// As [`check`], with the first bytes, which are not on the disk yet, from `head`.
fn reread(device: &Part, manifest: &Manifest, head: &[u8], say: &mut dyn FnMut(Progress)) -> Result<()> {
    device.forget();
    let mut hash = Sha256::new();
    hash.update(head);
    let mut at = head.len() as u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < manifest.bytes {
        let length = usize::try_from(manifest.bytes - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        device.read_exact_at(&mut chunk[..length], at).context(UNREADABLE)?;
        hash.update(&chunk[..length]);
        at += length as u64;
        if at % FLUSH_BYTES < CHUNK_BYTES as u64 || at == manifest.bytes {
            say(Progress { step: "checking".into(), done: at, all: manifest.bytes });
        }
    }
    ensure!(hex(&hash.finalize()) == manifest.sha256, "the disk does not hold what was written to it");
    Ok(())
}

/// Makes a slot of `bytes` empty: nothing in it can be started.
///
/// # Errors
/// The disk's.
pub fn clear(device: &Part, bytes: u64) -> Result<()> {
    device.write_all_at(&[0; HEADER_BYTES], 0).context(UNWRITABLE)?;
    device.write_all_at(&[0; HEADER_BYTES], room(bytes)).context(UNWRITABLE)?;
    device.sync().context(UNWRITABLE)
}

/// Writes an update into a slot of `bytes`. `block` is its verified first block, `source` gives what follows.
///
/// # Errors
/// The source's, the disk's, or that what came is not what was signed: the slot is empty then.
pub fn write(
    device: &Part,
    bytes: u64,
    block: &[u8],
    manifest: &Manifest,
    source: &mut dyn Read,
    say: &mut dyn FnMut(Progress),
) -> Result<()> {
    clear(device, bytes)?;
    let mut head = vec![0; HEADER_BYTES];
    source.read_exact(&mut head).context("is cut short")?;
    let mut hash = Sha256::new();
    hash.update(&head);
    let (mut at, mut flushed) = (head.len() as u64, 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < manifest.bytes {
        let want = usize::try_from(manifest.bytes - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        let length = match source.read(&mut chunk[..want]) {
            Ok(0) => bail!("is cut short: {} of {} bytes", at, manifest.bytes),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context(format!("is cut short: {at} of {} bytes", manifest.bytes)),
        };
        hash.update(&chunk[..length]);
        device.write_all_at(&chunk[..length], at).context(UNWRITABLE)?;
        at += length as u64;
        if at - flushed >= FLUSH_BYTES || at == manifest.bytes {
            device.sync().context(UNWRITABLE)?;
            flushed = at;
            say(Progress { step: "writing".into(), done: at, all: manifest.bytes });
        }
    }
    ensure!(source.read(&mut chunk[..1])? == 0, "is longer than it says");
    ensure!(hex(&hash.finalize()) == manifest.sha256, "is damaged: its content is not what was signed");
    reread(device, manifest, &head, say)?;
    device.write_all_at(&head, 0).context(UNWRITABLE)?;
    device.sync().context(UNWRITABLE)?;
    device.write_all_at(block, room(bytes)).context(UNWRITABLE)?;
    device.sync().context(UNWRITABLE)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::update::tests::{Signer, manifest};

    const SLOT_BYTES: u64 = 1 << 20;

    fn slot() -> Part {
        let slot = Part::new(tempfile::tempfile().expect("temporary file"), 4096);
        slot.write_all_at(&vec![0xee; 1 << 20], 0).expect("writes");
        slot
    }

    fn starts(device: &Part) -> bool {
        let mut head = [0; 4];
        device.read_exact_at(&mut head, 0).expect("reads");
        head == *b"hsqs"
    }

    fn squashfs() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..600_001_u32).map(|number| u8::try_from(number % 251).expect("small")).collect();
        bytes[..4].copy_from_slice(b"hsqs");
        bytes
    }

    fn put(device: &Part, body: &[u8], signer: &Signer) -> Result<()> {
        let manifest = manifest(&squashfs());
        write(device, SLOT_BYTES, &signer.block(&manifest), &manifest, &mut &*body, &mut |_| {})
    }

    #[test]
    fn hexadecimal_reads_back() {
        assert_eq!(unhex(&hex(&[0, 0x7f, 0xff])), Some(vec![0, 0x7f, 0xff]));
        assert_eq!((unhex("0"), unhex("0g"), unhex("é")), (None, None, None));
    }

    #[test]
    fn a_slot_says_what_it_holds() {
        let (device, signer) = (slot(), Signer::new());
        put(&device, &squashfs(), &signer).expect("writes");
        let found = describe(&device, SLOT_BYTES, &signer.public()).expect("is signed");
        assert_eq!(found, manifest(&squashfs()));
        check(&device, &found, &mut |_| {}).expect("is whole");
        assert!(starts(&device));
        device.write_all_at(b"x", 300_000).expect("writes");
        assert!(check(&device, &found, &mut |_| {}).is_err(), "damage is not seen");
        device.write_all_at(&[0; HEADER_BYTES], 0).expect("writes");
        assert!(
            describe(&device, SLOT_BYTES, &signer.public()).is_err(),
            "emptied, and the power failed before its last block was"
        );
    }

    #[test]
    fn what_is_not_whole_leaves_an_empty_slot() {
        let signer = Signer::new();
        let good = squashfs();
        let mut damaged = good.clone();
        damaged[400_000] ^= 1;
        let longer = [&good[..], b"x"].concat();
        for (body, why) in [
            (&good[..0], "is cut short"),
            (&good[..HEADER_BYTES], "is cut short: 4096 of 600001 bytes"),
            (&good[..good.len() - 1], "is cut short: 600000 of 600001 bytes"),
            (&longer, "is longer than it says"),
            (&damaged, "is damaged"),
        ] {
            let device = slot();
            device.write_all_at(b"hsqs", 0).expect("writes");
            let error = put(&device, body, &signer).expect_err("refused").to_string();
            assert!(error.starts_with(why), "{error}");
            assert!(!starts(&device), "{why}: the loader would start it");
            assert!(describe(&device, SLOT_BYTES, &signer.public()).is_err());
        }
    }
}
