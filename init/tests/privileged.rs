//! What needs root: PID 1 as PID 1 of a namespace, with real children, and `init setup` on a real kernel.
//!
//! `cargo xtask lab` runs these (`--ignored`). Without root they fail and say so. VLANs and bonds need kernel modules that a
//! build machine may lack; they are tested in the image (`lab`).

#![expect(clippy::unwrap_used, reason = "all of it is test code, where a panic is how to fail")]

#[path = "privileged/boxed.rs"]
mod boxed;
#[path = "privileged/network.rs"]
mod network;
#[path = "privileged/remote_log.rs"]
mod remote_log;
#[path = "privileged/supervision.rs"]
mod supervision;
