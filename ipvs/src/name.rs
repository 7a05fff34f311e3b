//! Short names the kernel keeps in fixed arrays: schedulers, persistence engines, interfaces.
//!
//! A name is checked once, when it is made, and then is `Copy` and always fits its message. Whether the kernel knows a scheduler of that name
//! is the kernel's business.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A scheduler: `rr`, `wlc`, `mh`, ... (`IP_VS_SCHEDNAME_MAXLEN` less the NUL). `none` is a service that schedules nothing.
pub type SchedulerName = Name<15>;
/// A persistence engine; the kernel has one, `sip` (`IP_VS_PENAME_MAXLEN`).
pub type EngineName = Name<16>;
/// A network interface (`IFNAMSIZ` less the NUL).
pub type InterfaceName = Name<15>;

/// A name of 1 to `MAX` bytes of UTF-8 without NUL, whitespace or control characters. Dereferences to [`str`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<const MAX: usize> {
    // Unused bytes are zero: the derived comparisons rely on it.
    bytes: [u8; MAX],
    length: u8,
}

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No byte at all.
    #[error("a name cannot be empty")]
    Empty,
    /// More bytes than the kernel's array holds.
    #[error("a name has at most {max} bytes, this one has {length}")]
    TooLong {
        /// The most there may be.
        max: usize,
        /// What was given.
        length: usize,
    },
    /// NUL, white space or a control character, or no UTF-8.
    #[error("a name holds only printable characters")]
    Character,
}

impl<const MAX: usize> Name<MAX> {
    /// Checks raw bytes, such as an attribute's value without its NUL.
    ///
    /// # Errors
    /// When the bytes are none, too many, or hold what no name holds.
    pub fn from_bytes(raw: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(raw).map_err(|_| NameError::Character)?;
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NameError::Character);
        }
        let too_long = NameError::TooLong { max: MAX, length: raw.len() };
        let mut bytes = [0; MAX];
        bytes.get_mut(..raw.len()).ok_or(too_long)?.copy_from_slice(raw);
        Ok(Self { bytes, length: u8::try_from(raw.len()).map_err(|_| too_long)? })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("checked when the name was made")
    }
}

impl<const MAX: usize> FromStr for Name<MAX> {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl<const MAX: usize> Deref for Name<MAX> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const MAX: usize> fmt::Display for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl<const MAX: usize> fmt::Debug for Name<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_as_many_bytes_as_the_kernel_and_no_more() {
        let name: SchedulerName = "123456789012345".parse().unwrap();
        assert_eq!(&*name, "123456789012345");
        assert_eq!("1234567890123456".parse::<SchedulerName>(), Err(NameError::TooLong { max: 15, length: 16 }));
        assert_eq!("x".repeat(300).parse::<SchedulerName>(), Err(NameError::TooLong { max: 15, length: 300 }));
    }

    #[test]
    fn refuses_what_no_name_holds() {
        assert_eq!("".parse::<SchedulerName>(), Err(NameError::Empty));
        for bad in ["r r", "r\0", "\n", "r\u{7f}"] {
            assert_eq!(bad.parse::<SchedulerName>(), Err(NameError::Character), "{bad:?}");
        }
        assert_eq!(SchedulerName::from_bytes(b"\xff"), Err(NameError::Character));
    }

    #[test]
    fn orders_as_its_text() {
        let names: Vec<SchedulerName> = ["lc", "lblc", "rr", "sh", "r"].map(|n| n.parse().unwrap()).to_vec();
        for a in &names {
            for b in &names {
                assert_eq!(a.cmp(b), a.as_str().cmp(b.as_str()), "{a} {b}");
            }
        }
    }
}
