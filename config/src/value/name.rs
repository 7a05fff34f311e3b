//! Names of objects and interfaces, and hashed secrets: text with a fixed alphabet, ordered as a person would.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::ParseError;

/// Compares text with its runs of digits taken as numbers, so that `eth2` is before `eth10`.
///
/// Total, and equal only for equal text: runs that differ in leading zeros alone are ordered by the text.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a.as_bytes(), b.as_bytes());
    while let (Some(&p), Some(&q)) = (x.first(), y.first()) {
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (number_x, rest_x) = digits(x);
            let (number_y, rest_y) = digits(y);
            // Without leading zeros the longer number is the greater one; no number is too long for this.
            let order = number_x.len().cmp(&number_y.len()).then_with(|| number_x.cmp(number_y));
            if order != Ordering::Equal {
                return order;
            }
            (x, y) = (rest_x, rest_y);
        } else if p == q {
            (x, y) = (&x[1..], &y[1..]);
        } else {
            return p.cmp(&q);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The leading run of digits without its leading zeros, and what follows it.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let start = text[..end].iter().position(|c| *c != b'0').unwrap_or(end);
    (&text[start..end], &text[end..])
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                natural(&self.0, &other.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`, ordered naturally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub(crate) String);

text_type!(Name);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let good = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError("letters, digits and . _ - only, at most 63, the first a letter or digit".to_owned()))
        }
    }
}

/// `ethN`, `ethN.VID`, `bondN`, `bondN.VID` or `lo`, ordered naturally. N is 0-999, VID 1-4094.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfName(pub(crate) String);

text_type!(IfName);

impl IfName {
    /// The loopback interface.
    #[must_use]
    pub fn lo() -> Self {
        Self("lo".to_owned())
    }

    /// For `eth0.20`: `eth0` and 20.
    #[must_use]
    pub fn vlan(&self) -> Option<(Self, u16)> {
        let (parent, vid) = self.0.split_once('.')?;
        Some((Self(parent.to_owned()), vid.parse().ok()?))
    }

    /// Whether this is a bond itself (not a VLAN on one).
    #[must_use]
    pub fn is_bond(&self) -> bool {
        self.0.starts_with("bond") && !self.0.contains('.')
    }

    /// Whether this is an Ethernet port itself (not a VLAN on one).
    #[must_use]
    pub fn is_port(&self) -> bool {
        self.0.starts_with("eth") && !self.0.contains('.')
    }

    /// Whether this is `lo`.
    #[must_use]
    pub fn is_lo(&self) -> bool {
        self.0 == "lo"
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for IfName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wanted = || ParseError("ethN, bondN (N 0-999), either with .VID (1-4094), or lo".to_owned());
        if text == "lo" {
            return Ok(Self::lo());
        }
        let rest = text.strip_prefix("eth").or_else(|| text.strip_prefix("bond")).ok_or_else(wanted)?;
        let (unit, vid) = match rest.split_once('.') {
            Some((unit, vid)) => (unit, Some(vid)),
            None => (rest, None),
        };
        let unit_good = plain_number(unit).is_some_and(|n| n <= 999);
        let vid_good = vid.is_none_or(|v| plain_number(v).is_some_and(|n| (1..=4094).contains(&n)));
        if unit_good && vid_good { Ok(Self(text.to_owned())) } else { Err(wanted()) }
    }
}

/// Digits without a sign or leading zeros, so that one interface has one name.
fn plain_number(text: &str) -> Option<u32> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|c| c.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Whether `text` is a number of rounds that crypt(3) takes and a login can wait for: a million take a second.
fn is_rounds(text: &str) -> bool {
    plain_number(text).is_some_and(|n| (1_000..=1_000_000).contains(&n))
}

/// crypt(3) text of the sha512 scheme, `$6$[rounds=N$]SALT$HASH`.
///
/// It goes into a shadow file, so the alphabet is checked here: no colon, no line end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretHash(pub(crate) String);

impl SecretHash {
    /// The text as crypt(3) wants it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Keeps hashes out of logs that print a whole configuration for debugging.
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

impl FromStr for SecretHash {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts: Vec<&str> = text.split('$').collect();
        let alphabet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '=');
        let good = text.len() <= 255
            && (parts.len() == 4 || (parts.len() == 5 && parts[2].strip_prefix("rounds=").is_some_and(is_rounds)))
            && parts[0].is_empty()
            && parts[1] == "6"
            && parts[2..].iter().all(|part| !part.is_empty() && part.chars().all(alphabet));
        if good { Ok(Self(text.to_owned())) } else { Err(ParseError("a hash that begins with $6$".to_owned())) }
    }
}
