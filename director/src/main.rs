//! `director`: the control plane daemon of Yoke.
//!
//! It owns the running and the startup configuration, the kernel's IPVS table, our nft table, `net.ipv4.vs.*` and the files under `/run/yoke`
//! that other programs read. By other names it is the check programs of the image. It changes no link, address or route (`init setup`
//! does), supervises nothing (init does) and draws no table (the shell does). Every start is recovery: load, look, apply the difference.

mod accounts;
mod boot;
mod caller;
mod clear;
mod clock;
mod commit;
mod daemon;
mod director;
mod drift;
mod files;
mod flash;
mod health;
mod host_keys;
mod initd;
mod install;
mod kernel;
mod limiter;
mod login;
mod messages;
mod nft;
mod notes;
mod ntp;
mod past;
mod reconcile;
mod reset;
mod restart;
mod rivals;
mod roles;
mod services;
mod session;
mod sessions;
mod settle;
mod show;
mod ssh;
mod start;
mod sync;
mod sysctl;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trial;
mod uids;
mod vrrpd;

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, bail};
use nix::sys::resource::{Resource, setrlimit};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::director::Director;
use crate::files::Paths;
use crate::kernel::Netlink;

/// Threads for what may wait or burns time on purpose: hashing, the flash, nft, the connection table. Few, so that passwords tried side by
/// side do not take the processor from the data path.
const BLOCKING_THREADS_MAX: usize = 4;

fn main() -> anyhow::Result<()> {
    let mut arguments: Vec<String> = std::env::args().collect();
    let name = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    if let Some(judged) = yoke_health::programs::run(name.rsplit('/').next().unwrap_or_default(), &arguments) {
        return said(judged);
    }
    messages::Tee::install();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => serve(),
        [host_keys::COMMAND, directory] => host_keys::make(&Paths::system().dropbearkey, Path::new(directory)),
        _ => bail!("usage: director [host-keys DIRECTORY]"),
    }
}

/// What a check program found, as the prober reads it.
#[expect(clippy::print_stdout, reason = "what a program writes is the reason")]
fn said(judged: Result<(), String>) -> anyhow::Result<()> {
    if let Err(why) = judged {
        println!("{why}");
        std::process::exit(1);
    }
    Ok(())
}

/// One thread that decides, and some that wait.
fn runtime() -> std::io::Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build()
}

/// File descriptors: of probes under way, of sessions, and some.
const DESCRIPTORS: u64 = 65_536;

fn serve() -> anyhow::Result<()> {
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS) {
        log::warn!("file descriptors stay as they are, many health checks at a time may fail: {error}");
    }
    let director = Rc::new(Director::new(Paths::system(), Box::<Netlink>::default(), daemon::RESYNC, true));
    let runtime = runtime().context("runtime")?;
    LocalSet::new().block_on(&runtime, start::run(director, yoke_control::peer))
}
