//! Passwords: hashed with SHA-512 crypt where they arrive, compared in a time that does not depend on the user.
//!
//! A hash has to read the same for us and for dropbear, which asks crypt(3): the salt is exactly 16 characters, all crypt(3) keeps.
//! Both functions burn some milliseconds on purpose; the director's loop runs them on another thread. The shell hashes what is typed at it.

use std::fs::File;
use std::io::{self, Read as _};

use sha_crypt::{PasswordHasher, PasswordVerifier, ShaCrypt};

/// Bytes of salt: 16 characters once encoded, the longest crypt(3) takes.
const SALT_BYTES: usize = 12;

/// What a user who does not exist is compared with, so that the answer takes as long. It is the hash of random bytes nobody kept.
const NOBODY: &str = "$6$rounds=5000$YmnjOYDSFT9lfhVm$m1n/YKZVwHlRTMCAyPyNhxSB7GZqgWQIpcbJn3IFy8l.b3iPCvLdb5A1oxqM1bNszl5R156aomxC.HvhnpQ6N/";

/// Hashes `password` as crypt(3) text, `$6$...`.
///
/// # Errors
/// When `/dev/urandom` cannot be read.
pub fn hash(password: &str) -> io::Result<String> {
    let hash = ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &salt()?).map_err(io::Error::other)?;
    Ok(hash.as_str().to_owned())
}

/// Not getrandom(2): a salt has to be unique, not secret, and a machine without a source of entropy would make the first
/// operator wait for minutes.
fn salt() -> io::Result<[u8; SALT_BYTES]> {
    let mut salt = [0; SALT_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut salt)?;
    Ok(salt)
}

/// Whether `password` gives `hash`, a crypt(3) text. Without a hash the answer is no, and takes as long.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let matches = ShaCrypt::SHA512.verify_password(password.as_bytes(), hash.unwrap_or(NOBODY)).is_ok();
    matches && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_and_another_password_does_not() {
        let one = hash("correct horse").unwrap();
        assert!(verify("correct horse", Some(&one)));
        assert!(!verify("correct hors", Some(&one)));
        assert_ne!(one, hash("correct horse").unwrap(), "salted");
    }

    #[test]
    fn the_salt_is_as_long_as_crypt_keeps() {
        let text = hash("x").unwrap();
        assert_eq!(text.split('$').nth(3).unwrap().len(), 16, "{text}");
    }

    /// Test vectors of the SHA-crypt specification (Drepper, "Unix crypt using SHA-256 and SHA-512").
    #[test]
    fn hashes_made_elsewhere_verify() {
        let plain =
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
        assert!(verify("Hello world!", Some(plain)));
        let rounds = "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.";
        assert!(verify("Hello world!", Some(rounds)));
    }

    #[test]
    fn nobody_is_never_right_and_a_broken_hash_never_matches() {
        assert!(!verify("", None));
        assert!(!verify("x", Some("$6$broken")));
        assert!(!verify("x", Some("")));
    }

    #[test]
    fn nobodys_hash_is_well_formed() {
        // Otherwise a user who does not exist would be refused at once, and be told apart.
        let error = ShaCrypt::SHA512.verify_password(b"x", NOBODY).unwrap_err();
        assert_eq!(error, sha_crypt::password_hash::Error::PasswordInvalid);
    }
}
