//! An update file: one block of [`HEADER_BYTES`] that says what follows and is signed, then the squashfs of a slot.
//!
//! The block is text, so that `head` shows it: a magic line, the manifest as one line of JSON, the four lines of a minisign signature of that
//! line, then line feeds. It is kept in the last block of the slot, which so says for itself what it holds. Only the manifest is signed; the
//! squashfs is held to its size and SHA-256.

use std::cmp::Ordering;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

/// Size of the block.
pub const HEADER_BYTES: usize = 4096;
/// What [`Manifest::product`] has to be.
pub const PRODUCT: &str = "yoke";
/// What [`Manifest::arch`] has to be.
pub const ARCH: &str = "x86_64";
/// Highest [`Manifest::slot_format`] that this loader and this init can start.
pub const SLOT_FORMAT: u32 = 1;
/// The public keys in the root, in minisign's format, one after the other: a slot is believed when one of them has signed it, so that a new
/// key does not strand the slot that the old one has signed.
pub const KEY_FILE: &str = "/etc/yoke-update.pub";

const MAGIC: &str = "yoke-update 1";
/// Lines of a signature of minisign.
const SIGNATURE_LINES: usize = 4;

/// What an update is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`PRODUCT`].
    pub product: String,
    /// [`ARCH`].
    pub arch: String,
    /// Such as `0.1.0+0fef3fc0`.
    pub version: String,
    /// When its sources were committed, in seconds since 1970: which of two builds of a version is the newer one. 0 when it is not known.
    #[serde(default)]
    pub built: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// As `SLOT_FORMAT` of `/etc/yoke-release`.
    pub slot_format: u32,
    /// Size of the squashfs.
    pub bytes: u64,
    /// SHA-256 of the squashfs, lower case.
    pub sha256: String,
}

impl Manifest {
    /// The text that is signed.
    ///
    /// # Errors
    /// None that could happen: it is strings and numbers.
    pub fn line(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Makes the block of a manifest's line and minisign's signature of it.
///
/// # Errors
/// They do not fit.
pub fn block(line: &str, signature: &str) -> Result<Vec<u8>> {
    let text = format!("{MAGIC}\n{line}\n{}\n", signature.trim_end());
    ensure!(text.len() <= HEADER_BYTES, "the head of an update has {} bytes, its block {HEADER_BYTES}", text.len());
    let mut block = text.into_bytes();
    block.resize(HEADER_BYTES, b'\n');
    Ok(block)
}

/// The manifest in a block that somebody with the secret key of one of `keys` has signed.
///
/// # Errors
/// It is no such block, in words for an operator.
pub fn verify(block: &[u8], keys: &str) -> Result<Manifest> {
    let text = std::str::from_utf8(block).ok().filter(|text| text.starts_with(MAGIC));
    let mut lines = text.context("is not an update file")?.lines().skip(1);
    let line = lines.next().unwrap_or_default();
    let signature: Vec<&str> = lines.take(SIGNATURE_LINES).filter(|line| !line.is_empty()).collect();
    ensure!(signature.len() == SIGNATURE_LINES, "is not signed");
    let keys = public_keys(keys)?;
    let signature = Signature::decode(&signature.join("\n")).ok().context("has a damaged signature")?;
    ensure!(
        keys.iter().any(|key| key.verify(line.as_bytes(), &signature, false).is_ok()),
        "is not signed with a key that this firmware trusts, or was changed since"
    );
    serde_json::from_str(line).context("has a signed description that this firmware does not understand")
}

/// Each key is two lines, a comment and the key.
fn public_keys(text: &str) -> Result<Vec<PublicKey>> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let keys: Result<Vec<_>, _> = lines.chunks(2).map(|key| PublicKey::decode(&key.join("\n"))).collect();
    let keys = keys.ok().filter(|keys| !keys.is_empty());
    keys.context("the keys of this firmware cannot be read")
}

/// What speaks against an update whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// Of another product or another kind of machine.
    Foreign(String),
    /// Its slot needs a newer loader or init.
    TooNew,
    /// Version of the update, and of what runs.
    Older(String, String),
    /// Bytes of its squashfs, and of the room for it.
    TooLarge(u64, u64),
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign(what) => write!(f, "is for {what}, not for {PRODUCT} on {ARCH}"),
            Self::TooNew => write!(f, "cannot be started by this firmware, install a version between the two first"),
            Self::Older(it, running) => {
                write!(f, "is version {it}, older than {running} which runs; to go back all the same, use: force")
            }
            Self::TooLarge(bytes, room) => write!(f, "has {bytes} bytes, a slot of this disk has room for {room}"),
        }
    }
}

/// Judges an update for a box that runs version `running` with its [`Manifest::built`] and has `room` bytes in a slot. `older` lets an older
/// one pass.
///
/// # Errors
/// The objection.
pub fn judge(manifest: &Manifest, running: (&str, u64), room: u64, older: bool) -> Result<(), Objection> {
    if manifest.product != PRODUCT || manifest.arch != ARCH {
        return Err(Objection::Foreign(format!("{} on {}", manifest.product, manifest.arch)));
    }
    if manifest.slot_format > SLOT_FORMAT {
        return Err(Objection::TooNew);
    }
    if manifest.bytes < HEADER_BYTES as u64 || manifest.bytes > room {
        return Err(Objection::TooLarge(manifest.bytes, room));
    }
    let (version, built) = running;
    let earlier = match numbers(&manifest.version).cmp(&numbers(version)) {
        Ordering::Less => true,
        // A build whose time nobody knows is neither older nor newer.
        Ordering::Equal => built > 0 && manifest.built > 0 && manifest.built < built,
        Ordering::Greater => false,
    };
    if earlier && !older {
        return Err(Objection::Older(manifest.version.clone(), version.to_owned()));
    }
    Ok(())
}

/// The numbers before a `+` or `-`.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['+', '-']).next().unwrap_or_default();
    plain.split('.').map(|number| number.parse().unwrap_or_default()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A key pair as `cargo xtask image` makes one, and how it signs.
    pub(crate) struct Signer(minisign::KeyPair);

    impl Signer {
        pub(crate) fn new() -> Self {
            Self(minisign::KeyPair::generate_unencrypted_keypair().expect("random numbers"))
        }

        pub(crate) fn public(&self) -> String {
            self.0.pk.to_box().expect("a key").into_string()
        }

        pub(crate) fn block(&self, manifest: &Manifest) -> Vec<u8> {
            let line = manifest.line().expect("plain");
            let signature = minisign::sign(Some(&self.0.pk), &self.0.sk, line.as_bytes(), Some("yoke"), None);
            block(&line, &signature.expect("signs").into_string()).expect("fits")
        }
    }

    pub(crate) fn manifest(squashfs: &[u8]) -> Manifest {
        Manifest {
            product: PRODUCT.into(),
            arch: ARCH.into(),
            version: "1.2.0+abc".into(),
            built: 1000,
            kernel: "6.12".into(),
            slot_format: SLOT_FORMAT,
            bytes: squashfs.len() as u64,
            sha256: crate::slot::hex(&<sha2::Sha256 as sha2::Digest>::digest(squashfs)),
        }
    }

    #[test]
    fn a_signed_block_reads_back() {
        let signer = Signer::new();
        let manifest = manifest(&[7; 8192]);
        let block = signer.block(&manifest);
        assert_eq!(block.len(), HEADER_BYTES);
        assert_eq!(verify(&block, &signer.public()).expect("verifies"), manifest);
    }

    #[test]
    fn either_of_two_keys_will_do() {
        let (old, new) = (Signer::new(), Signer::new());
        let both = format!("{}\n{}", old.public(), new.public());
        let manifest = manifest(&[7; 8192]);
        for signer in [&old, &new] {
            assert_eq!(verify(&signer.block(&manifest), &both).expect("verifies"), manifest);
        }
        assert!(verify(&Signer::new().block(&manifest), &both).is_err());
        assert!(verify(&old.block(&manifest), "").is_err());
        assert!(verify(&old.block(&manifest), &format!("{}\nuntrusted comment: half\n", old.public())).is_err());
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        let signer = Signer::new();
        let manifest = manifest(&[7; 8192]);
        let good = signer.block(&manifest);
        let why = |block: &[u8], key: &str| verify(block, key).expect_err("refused").to_string();
        let key = signer.public();
        assert!(why(&good, &Signer::new().public()).starts_with("is not signed with a key"));
        let mut changed = good.clone();
        let at = changed.windows(5).position(|window| window == b"1.2.0").expect("its version");
        changed[at] = b'9';
        assert!(why(&changed, &key).starts_with("is not signed with a key"));
        assert_eq!(why(&block(&manifest.line().expect("plain"), "").expect("fits"), &key), "is not signed");
        assert_eq!(why(&[0xff; HEADER_BYTES], &key), "is not an update file");
        assert_eq!(why(b"", &key), "is not an update file");
        for length in 0..good.len() {
            if verify(&good[..length], &key).is_ok() {
                // Only the line feeds of the end may be missing; who reads the block asks for all of it.
                assert!(good[length..].iter().all(|byte| *byte == b'\n'), "{length}");
            }
        }
    }

    #[test]
    fn an_update_must_fit_the_box() {
        let it = manifest(&[7; 8192]);
        for running in [("1.2.0+zzz", 1000), ("1.2.0+zzz", 0), ("1.1.9", 2000)] {
            assert_eq!(judge(&it, running, 8192, false), Ok(()), "{running:?}");
        }
        for running in [("1.10.0", 0), ("1.2.0+zzz", 1001)] {
            assert!(matches!(judge(&it, running, 8192, false), Err(Objection::Older(..))), "{running:?}");
            assert_eq!(judge(&it, running, 8192, true), Ok(()), "{running:?}");
        }
        let of_nobody_knows_when = Manifest { built: 0, ..it.clone() };
        assert_eq!(judge(&of_nobody_knows_when, ("1.2.0", 5), 8192, false), Ok(()));
        assert_eq!(judge(&it, ("1.2.0", 0), 8191, false), Err(Objection::TooLarge(8192, 8191)));
        let foreign = Manifest { product: "ox".into(), ..it.clone() };
        assert!(matches!(judge(&foreign, ("1.2.0", 0), 8192, true), Err(Objection::Foreign(_))));
        let foreign = Manifest { arch: "aarch64".into(), ..it.clone() };
        assert!(matches!(judge(&foreign, ("1.2.0", 0), 8192, true), Err(Objection::Foreign(_))));
        let new = Manifest { slot_format: SLOT_FORMAT + 1, ..it };
        assert_eq!(judge(&new, ("1.2.0", 0), 8192, true), Err(Objection::TooNew));
    }
}
