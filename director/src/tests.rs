//! The whole daemon in this process, driven over its real socket: a fake kernel, a fake init, a box in a temporary directory.

mod apply;
mod firmware;
mod fullnat;
mod harness;
mod health;
mod login;
mod persistence;
mod quorum;
mod recovery;
mod redundancy;
mod resets;
mod shows;
