//! The lab: Yoke on real networks.
//!
//! Namespaces on this machine's kernel, and the real image in QEMU between real nginx and curl. A library so that each
//! part can be read and used by itself; the program on it (`main.rs`) only chooses scenarios. It is not shipped.
//!
//! | module | is |
//! |---|---|
//! | [`net`], [`servers`], [`traffic`] | the network, what answers in it, who asks |
//! | [`pair`] | two routers that speak VRRP, and who hears them |
//! | [`disk`], [`writelog`], [`vm`], [`qmp`] | a machine, its disk, its power and its cables |
//! | [`peer`] | a second machine: hosts with a kernel that has tunnels and SCTP |
//! | [`twins`] | two programs on one kernel, inside the first machine |
//! | [`serial`], [`term`], [`console`], [`labshell`], [`ssh`], [`scan`] | typing at it, reading what it says, and knocking at its ports |
//! | [`runner`], [`lanes`], [`scenario`], [`figure`], [`processor`], [`wait`] | what is checked and measured, and the one way to wait |
//! | [`crowd`] | thousands of connections |
//! | [`demo`], [`mod@bench`] | the same network for a person; figures |

pub mod bench;
pub mod console;
pub mod crowd;
pub mod demo;
pub mod disk;
mod emulator;
pub mod figure;
pub mod labshell;
pub mod lanes;
pub mod net;
pub mod pair;
pub mod peer;
pub mod processor;
pub mod qmp;
pub mod runner;
pub mod scan;
pub mod scenario;
pub mod serial;
pub mod servers;
pub mod ssh;
pub mod term;
pub mod traffic;
pub mod twins;
pub mod vm;
pub mod wait;
pub mod writelog;

use std::path::{Path, PathBuf};

/// Where the build leaves what it makes, `target/yoke`: of the build that this program came out of, as `target/PROFILE/yoke-lab`. A clone that
/// was moved or copied together with `target` is not compiled anew, and must not test the image of where it came from.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().ok();
    let built = own.as_deref().and_then(Path::parent).and_then(Path::parent);
    built.unwrap_or_else(|| Path::new("target")).join("yoke")
}
