//! Firmware on two slots: what an update file is, how it comes into the slot that does not run, and which slot starts next.
//!
//! | module | is |
//! |---|---|
//! | [`update`] | the signed first block of an update file, and what speaks against one |
//! | [`environment`] | the loader's environment block: which slot is good, which is tried; pure |
//! | [`esp`] | where that block lies in the ESP's file system: one sector, read and written in place |
//! | [`fat`] | files of a FAT32, read without mounting it |
//! | [`slot`] | writing an update into a slot, and reading back what is there |
//! | [`part`] | a stretch of a disk, as a device of its own |
//! | [`fetch`] | the bytes of an update: a file, a pipe, a stick, or a web server |
//! | [`http`] | asking a web server, by HTTP or HTTPS |
//! | [`usb`] | which stick has a file |
//! | [`layout`] | what every disk of ours looks like; the image is made by it too |
//! | [`target`] | what another disk is, and what speaks against writing it |
//! | [`twin`] | two disks that were written with the same image |
//! | [`clone`] | writing everything to another disk |
//! | [`report`] | what the one-shot `install` prints, for the director |
//!
//! The program `install` is a one-shot: the director starts it for each command, and it gives up every capability before it does anything.
//! Nothing here restarts the box or keeps time: `init` owns the trial of a slot, the director the hand-over before it.

pub mod clone;
pub mod environment;
pub mod esp;
pub mod fat;
pub mod fetch;
pub mod http;
pub mod layout;
pub mod part;
pub mod report;
pub mod slot;
pub mod target;
pub mod twin;
pub mod update;
pub mod usb;
