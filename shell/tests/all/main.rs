//! The shell as its users meet it: the binary on a pty or a pipe, against a director that keeps no kernel.
//!
//! What a line means is tested in `config`, what the director does with it in `director`; here is what is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "deadlines are read from the clock")]

mod console;
mod fake;
mod files;
mod scripts;
mod terminal;
mod transcripts;
