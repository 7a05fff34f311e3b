//! Init: PID 1 of the box, stage 1 of its initramfs, its module loader, and its one-shots for network, drivers and flash.
//!
//! Other rooms need [`request`] only. The rest is public for the binary and its tests:
//! - start: [`stage1`], [`mounts`], [`block`], [`devices`], [`modules`] and [`modprobe`], [`cmdline`];
//! - words: [`say`], [`clock`].
//!
//! Not here: what the configuration means (`config`) and everything about IPVS (`director`).

pub mod block;
pub mod clock;
pub mod cmdline;
pub mod devices;
pub mod modprobe;
pub mod modules;
pub mod mounts;
pub mod request;
pub mod say;
pub mod stage1;
pub mod supervisor;
