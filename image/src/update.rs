//! The update file of a slot, and the key that signs it.
//!
//! The secret key is minisign's, without a password: `YOKE_UPDATE_KEY` names its file, with the public one beside it under the same name and
//! `.pub`, as `minisign -GW` makes them. Without that variable a pair for development is made once below the output directory, where it stays
//! and is never committed: images of two machines do not take each other's updates. The box trusts the public key of the one that signed it,
//! and those of the files that `YOKE_UPDATE_TRUST` names, with `:` between them: when the key changes, the old one belongs there for as long as
//! a slot may hold what it has signed.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use minisign::{KeyPair, PublicKeyBox, SecretKeyBox};
use sha2::{Digest as _, Sha256};
use yoke_install::update::{self, Manifest};

use crate::files;

/// Names the secret key's file.
pub const KEY_VARIABLE: &str = "YOKE_UPDATE_KEY";
/// Names files of more public keys that a box trusts.
pub const TRUST_VARIABLE: &str = "YOKE_UPDATE_TRUST";

/// Who signs.
pub struct Key {
    pair: KeyPair,
    /// Text of the public key's file, and of the others that are trusted.
    pub public: String,
}

impl Key {
    /// Reads the key of a release, or the one for development, which is made if there is none.
    ///
    /// # Errors
    /// A file is missing or is no key.
    pub fn load(out: &Path, say: &dyn Fn(&str)) -> Result<Self> {
        if let Ok(path) = std::env::var(KEY_VARIABLE) {
            return Self::read(Path::new(&path)).with_context(|| format!("{KEY_VARIABLE}={path}"));
        }
        let path = out.join("keys/development.key");
        if !path.exists() {
            say("update: a new key for development");
            make(&path)?;
        }
        Self::read(&path).with_context(|| path.display().to_string())
    }

    fn read(path: &Path) -> Result<Self> {
        let sk = SecretKeyBox::from_string(&fs::read_to_string(path)?)?.into_unencrypted_secret_key()?;
        let mut public = fs::read_to_string(public_of(path)).with_context(|| public_of(path).display().to_string())?;
        let pk = PublicKeyBox::from_string(&public)?.into_public_key()?;
        for other in std::env::var(TRUST_VARIABLE).unwrap_or_default().split(':').filter(|path| !path.is_empty()) {
            let text = fs::read_to_string(other).with_context(|| format!("{TRUST_VARIABLE}: {other}"))?;
            PublicKeyBox::from_string(&text)?
                .into_public_key()
                .with_context(|| format!("{TRUST_VARIABLE}: {other}"))?;
            public = format!("{}\n{text}", public.trim_end());
        }
        Ok(Self { pair: KeyPair { pk, sk }, public })
    }

    /// The signed first block of an update with this description. A signature has something random in it, so that of the update file `earlier`
    /// is kept when it is right: the same build is the same file.
    ///
    /// # Errors
    /// It does not fit, or the public key is not that of the secret one.
    pub fn block(&self, manifest: &Manifest, earlier: &Path) -> Result<Vec<u8>> {
        let mut block = Vec::with_capacity(update::HEADER_BYTES);
        let read =
            fs::File::open(earlier).and_then(|file| file.take(update::HEADER_BYTES as u64).read_to_end(&mut block));
        if read.is_ok() && update::verify(&block, &self.public).is_ok_and(|found| found == *manifest) {
            return Ok(block);
        }
        let line = manifest.line()?;
        let comment = format!("yoke {}", manifest.version);
        let signature = minisign::sign(Some(&self.pair.pk), &self.pair.sk, line.as_bytes(), Some(&comment), None)?;
        let block = update::block(&line, &signature.into_string())?;
        update::verify(&block, &self.public).context("the public key does not belong to the secret one")?;
        Ok(block)
    }
}

fn public_of(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

fn make(path: &Path) -> Result<()> {
    files::make_dir(path.parent().context("a path below the output")?)?;
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let comment = Some("yoke, for development only");
    files::write(&public_of(path), pair.pk.to_box()?.into_string(), 0o644)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(pair.sk.to_box(comment)?.into_string().as_bytes())?)
}

/// Describes a squashfs.
///
/// # Errors
/// It cannot be read.
pub fn describe(squashfs: &Path, version: &str, built: u64, kernel: &str) -> Result<Manifest> {
    let bytes = fs::read(squashfs).with_context(|| squashfs.display().to_string())?;
    Ok(Manifest {
        product: update::PRODUCT.to_owned(),
        arch: update::ARCH.to_owned(),
        version: version.to_owned(),
        built,
        kernel: kernel.to_owned(),
        slot_format: update::SLOT_FORMAT,
        bytes: bytes.len() as u64,
        sha256: yoke_install::slot::hex(&Sha256::digest(&bytes)),
    })
}

/// Writes an update file: `block`, then the squashfs.
///
/// # Errors
/// The files'.
pub fn write(target: &Path, block: &[u8], squashfs: &Path) -> Result<()> {
    let draft = target.with_extension("update.new");
    let bytes = fs::read(squashfs).with_context(|| squashfs.display().to_string())?;
    files::write(&draft, [block, &bytes].concat(), 0o644)?;
    Ok(fs::rename(draft, target)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_signs_what_a_box_trusts() {
        let dir = std::env::temp_dir().join(format!("yoke-image-key-{}", std::process::id()));
        let key = Key::load(&dir, &|_| {}).expect("a new key");
        let again = Key::load(&dir, &|_| panic!("made a second one")).expect("the same key");
        assert_eq!(key.public, again.public);
        let squashfs = dir.join("squashfs");
        fs::write(&squashfs, [7; 8192]).expect("writes");
        let manifest = describe(&squashfs, "1.0.0", 1000, "6.12").expect("reads");
        let target = dir.join("x.update");
        let block = again.block(&manifest, &target).expect("signs");
        write(&target, &block, &squashfs).expect("writes");
        assert!(block == key.block(&manifest, &target).expect("signs"), "the same build is the same file");
        let newer = Manifest { version: "1.0.1".to_owned(), ..manifest.clone() };
        assert!(block != key.block(&newer, &target).expect("signs"), "another build is another file");
        let file = fs::read(&target).expect("reads");
        assert_eq!(update::verify(&file[..update::HEADER_BYTES], &key.public).expect("verifies"), manifest);
        assert_eq!(file.len() as u64, update::HEADER_BYTES as u64 + manifest.bytes);
        fs::remove_dir_all(dir).expect("removes");
    }
}
