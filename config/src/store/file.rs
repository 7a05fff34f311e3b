//! One saved file: header, checksum, text, `end`.

use sha2::{Digest, Sha256};

/// The format written. A word that is added does not make a new format; a word that changes its meaning would.
pub const VERSION: u32 = 1;

const MAGIC: &str = "! yoke-config ";
const SAVED: &str = "! saved ";
const SHA256: &str = "! sha256 ";
/// A checksum is looked for in this many lines, whatever the others say: one of them may be damaged.
const HEADER_LINES_MAX: usize = 8;
const END: &str = "end\n";

/// Who saved what, when. Words without spaces; others are written with `_`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// RFC 3339 in UTC, `2026-11-21T10:04:11Z`.
    pub saved: String,
    /// User name.
    pub by: String,
    /// `console`, or the address of an SSH client.
    pub from: String,
    /// Version of the firmware.
    pub firmware: String,
    /// Counts saves and commits of this box.
    pub revision: u32,
}

/// A configuration as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Configuration text without header and `end`.
    pub text: String,
    /// Format of the file; a file without a header counts as current.
    pub version: u32,
    /// Absent in a file without a header.
    pub meta: Option<Meta>,
}

impl Saved {
    /// Text that never was a file, in the current format.
    #[must_use]
    pub fn bare(text: &str) -> Self {
        Self { text: text.to_owned(), version: VERSION, meta: None }
    }
}

pub(super) fn encode(text: &str, meta: &Meta, version: u32) -> Vec<u8> {
    let mut body = text.to_owned();
    if !body.is_empty() && !body.ends_with('\n') {
        body.push('\n');
    }
    body.push_str(END);
    let Meta { saved, by, from, firmware, revision } = meta;
    let [saved, by, from, firmware] = [saved, by, from, firmware].map(|text| word(text));
    let header = format!(
        "{MAGIC}{version}\n{SAVED}{saved} by {by} from {from} firmware {firmware} revision {revision}\n{SHA256}{}\n",
        hex(body.as_bytes())
    );
    (header + &body).into_bytes()
}

/// Reads a file; one without a header is of format `current`. The error says what is wrong with it, without its name.
pub(super) fn decode(bytes: &[u8], current: u32) -> Result<Saved, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "this is no text".to_owned())?;
    if text.contains('\0') {
        return Err("this is no text".to_owned());
    }
    if MAGIC.starts_with(text) {
        return Err("the file is cut".to_owned());
    }
    let mut saved = Saved { text: String::new(), version: current, meta: None };
    let mut rest = text;
    for _ in 0..HEADER_LINES_MAX {
        let Some((line, after)) = rest.split_once('\n') else { break };
        rest = after;
        if let Some(version) = line.strip_prefix(MAGIC) {
            saved.version = version.trim().parse().map_err(|_| "the header is damaged".to_owned())?;
        } else if let Some(words) = line.strip_prefix(SAVED) {
            saved.meta = parse_meta(words);
        } else if let Some(hash) = line.strip_prefix(SHA256) {
            let hash = hash.split_whitespace().next().unwrap_or_default();
            if !hash.eq_ignore_ascii_case(&hex(rest.as_bytes())) {
                return Err("the checksum is wrong".to_owned());
            }
            without_end(rest).clone_into(&mut saved.text);
            return Ok(saved);
        }
    }
    if text.starts_with(MAGIC) {
        return Err("the checksum is missing".to_owned());
    }
    // Written by hand or by a program: taken as current, and there is nothing to verify it with.
    without_end(text).clone_into(&mut saved.text);
    Ok(Saved { version: current, meta: None, ..saved })
}

fn parse_meta(text: &str) -> Option<Meta> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [saved, "by", by, "from", from, "firmware", firmware, "revision", revision, ..] = words[..] else {
        return None;
    };
    let [saved, by, from, firmware] = [saved, by, from, firmware].map(str::to_owned);
    Some(Meta { saved, by, from, firmware, revision: revision.parse().ok()? })
}

fn without_end(text: &str) -> &str {
    match text.strip_suffix(END).or_else(|| text.strip_suffix("end")) {
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => rest,
        _ => text,
    }
}

/// One word of the header.
fn word(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
