//! Who is on the other end of a connection, and where.

use serde::{Deserialize, Serialize};

/// Where an operator sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Serial or VGA.
    Console,
    /// SSH.
    Vty,
}

/// Who a session is and what its prompt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// For the prompt.
    pub hostname: String,
    /// Empty before login.
    pub username: String,
    /// uid and gid the shell continues with after a console login.
    pub ids: (u32, u32),
    /// 1 or 15; 0 before login.
    pub privilege: u8,
    /// No credential exists: ask for admin's new password.
    pub first_password: bool,
    /// `banner login`.
    pub banner_login: String,
    /// `banner motd`.
    pub banner_motd: String,
    /// `exec-timeout` in minutes, 0 never.
    pub exec_timeout_min: u16,
    /// `length`, if configured.
    pub length: Option<u16>,
    /// `width`, if configured.
    pub width: Option<u16>,
    /// `speed` of the console in bits per second.
    pub speed: u32,
    /// First line of a console: `Yoke 0.1.0 ...`.
    pub firmware: String,
    /// How the configuration came to be when that is unusual: `no configuration on flash`, `startup-config damaged, ...`.
    pub notice: String,
}
