//! Secrets: asked for without echo, hashed where they are typed, never kept.

use crate::editor::Editor;
use crate::outcome::Fail;
use crate::tty;

/// Shortest new secret in characters: what NIST SP 800-63B 3.1.1 asks of one that people choose.
pub(crate) const LENGTH_MIN: usize = 8;

/// Longest, in bytes: hashing takes time in proportion to it.
const BYTES_MAX: usize = 256;

/// Why a secret will not do; `None` when it will.
pub(crate) fn objection(plain: &str) -> Option<String> {
    if plain.chars().count() < LENGTH_MIN {
        return Some(format!("password: too short, use at least {LENGTH_MIN} characters"));
    }
    (plain.len() > BYTES_MAX).then(|| format!("password: too long, use at most {BYTES_MAX} bytes"))
}

/// Asks for a new secret until it was typed twice the same and will do; `None` when the operator gave up.
pub(crate) fn ask_twice(editor: &mut Editor, first: &str, again: &str) -> Option<String> {
    loop {
        let secret = editor.ask_secret(first)?;
        if let Some(objection) = objection(&secret) {
            tty::show(&format!("% {objection}\n"));
            continue;
        }
        if editor.ask_secret(again)? == secret {
            return Some(secret);
        }
        tty::show("% Passwords differ, try again\n");
    }
}

/// Hashes a secret with a fresh salt: crypt(5) `$6$`.
///
/// # Errors
/// It will not do, or the kernel has no random numbers yet.
pub(crate) fn hash(plain: &str) -> Result<String, Fail> {
    if let Some(objection) = objection(plain) {
        return Err(Fail::failed(objection));
    }
    yoke_director::secret::hash(plain).map_err(|e| Fail::failed(format!("password: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hashed_with_a_salt_of_its_own() {
        let (one, two) = (hash("correct horse").unwrap(), hash("correct horse").unwrap());
        assert!(one.starts_with("$6$"), "{one}");
        assert_ne!(one, two);
        assert_eq!(one.split('$').rev().nth(1).map(str::len), Some(16), "all that crypt(3) keeps: {one}");
        assert!(!one.contains("horse"));
    }

    #[test]
    fn short_ones_are_refused() {
        assert!(hash("seven77").is_err());
        assert!(objection("eight888").is_none());
        assert!(objection(&"x".repeat(300)).is_some());
    }
}
