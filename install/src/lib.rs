//! Firmware on two slots: what an update file is, how it comes into the slot that does not run, and which slot starts next.
//!
//! | module | is |
//! |---|---|
//! | [`update`] | the signed first block of an update file, and what speaks against one |
//! | [`environment`] | the loader's environment block: which slot is good, which is tried; pure |
//! | [`esp`] | where that block lies in the ESP's file system: one sector, read and written in place |
//! | [`slot`] | writing an update into a slot, and reading back what is there |
//! | [`fetch`] | the bytes of an update: a file, or HTTP |
//! | [`report`] | what the one-shot `install` prints, for the director |
//!
//! The program `install` is a one-shot: the director starts it for each command, and it gives up every capability before it does anything.
//! Nothing here restarts the box or keeps time: `init` owns the trial of a slot, the director the hand-over before it.

pub mod environment;
pub mod esp;
pub mod fetch;
pub mod report;
pub mod slot;
pub mod update;
