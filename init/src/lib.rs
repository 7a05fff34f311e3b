//! Init: PID 1 of the box, stage 1 of its initramfs, its module loader, and its one-shots for network, drivers and flash.
//!
//! Other rooms need [`request`] only. The rest is public for the binary and its tests:
//! - start: [`stage1`], [`mounts`], [`sysctl`], [`block`], [`devices`], [`modules`] and [`modprobe`], [`cmdline`];
//! - PID 1: [`pid1`] is the loop; [`supervisor`], [`tasks`], [`trial`] and [`doubt`] decide; [`watchdog`] is fed; [`notify`], [`log`], [`kmsg`], [`consoles`],
//!   [`capability`] are its senses; [`sys`] holds every `unsafe` line;
//! - one-shots: [`flash`] with [`crash`], [`drivers`] with [`nics`] and [`spread`], [`setup`];
//! - the log elsewhere: [`syslog`], a service;
//! - words: [`ask`], [`say`], [`clock`].
//!
//! Not here: what the configuration means (`config`) and everything about IPVS (`director`).

pub mod ask;
pub mod block;
pub mod capability;
pub mod clock;
pub mod cmdline;
pub mod consoles;
pub mod crash;
pub mod devices;
pub mod doubt;
pub mod drivers;
pub mod flash;
pub mod kmsg;
pub mod log;
pub mod modprobe;
pub mod modules;
pub mod mounts;
pub mod nics;
pub mod notify;
pub mod pid1;
pub mod request;
pub mod say;
pub mod setup;
pub mod spread;
pub mod stage1;
pub mod supervisor;
pub mod sys;
pub mod sysctl;
pub mod syslog;
pub mod tasks;
pub mod trial;
pub mod watchdog;
