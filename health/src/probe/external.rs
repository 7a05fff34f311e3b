//! A program of the image: `NAME ADDRESS PORT`, good when it exits with 0. What it writes is the reason.
//!
//! A process is dear beside a connection: so many run at a time, and the others wait for their turn, which their timeout does not count. A program
//! and what it has started are one process group, which is killed as a whole when the program has ended, or its time has. What has left the group
//! (`setsid`) is orphaned by that and comes to this process, where `strays` finds it.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, Take};
use tokio::process::{ChildStdout, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Tried, quoted, words};

mod strays;

/// Where such programs are; the read-only root holds them, so nobody adds one to a running box.
const PROGRAMS: &str = "/usr/lib/yoke/checks";

pub(super) async fn ask(server: SocketAddr, program: &str) -> Tried {
    run(Path::new(PROGRAMS), server, program).await
}

/// User and group of a program: nobody, nogroup. No other process that this one starts is theirs.
const NOBODY: u32 = 65534;

/// Bytes read of what it writes.
const SAID_MAX: u64 = 1024;

/// Programs that run at a time: some MB each.
pub(super) const PROGRAMS_MAX: u32 = 64;

static TURNS: Semaphore = Semaphore::const_new(PROGRAMS_MAX as usize);

/// Waits for so many turns.
pub(super) async fn turns(count: u32) -> SemaphorePermit<'static> {
    TURNS.acquire_many(count).await.expect("nobody closes it")
}

/// `oom_score_adj` of proc(5): ended when memory is short, before what the box is for. As init's own `ENDED_FIRST`, which this room cannot name
/// without needing the whole of init.
const ENDED_FIRST: &str = "500";

/// A process group, killed when this is dropped, and what has left it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // It may be empty by now. Its number is not another's yet: it was this process that had to reap the leader, a moment ago at most.
            let _ = killpg(id, Signal::SIGKILL);
            strays::ended(id);
        }
    }
}

/// Runs it, as nobody where this process may choose. Its group is killed when this is dropped: at the timeout.
pub(super) async fn run(directory: &Path, server: SocketAddr, program: &str) -> Tried {
    let mut command = Command::new(directory.join(program));
    command.args([server.ip().to_string(), server.port().to_string()]);
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let failed = |error: std::io::Error| format!("program {program}: {}", words(&error));
    command.process_group(0).kill_on_drop(true);
    let mut child = strays::begin(|| command.spawn(), |child| pid(child.id())).map_err(failed)?;
    // It inherits what protects the director when memory is short.
    if let Some(id) = child.id() {
        // One that has ended already needs it no more.
        let _ = std::fs::write(format!("/proc/{id}/oom_score_adj"), ENDED_FIRST);
    }
    let group = Group(pid(child.id()));
    let mut said = Vec::new();
    let mut out = child.stdout.take().map(|out| out.take(SAID_MAX));
    let status = {
        let mut ended = pin!(child.wait());
        tokio::select! {
            status = &mut ended => status,
            () = read(&mut out, &mut said) => {
                // What it writes beyond that ends it: nobody reads on.
                out = None;
                ended.await
            }
        }
    };
    // What is left of the group may hold its output open.
    drop(group);
    read(&mut out, &mut said).await;
    match status.map_err(failed)?.code() {
        Some(0) => Ok(()),
        Some(code) if said.is_empty() => Err(format!("program {program}: exit status {code}")),
        Some(code) => Err(format!("program {program}: exit status {code}, {}", quoted(&said))),
        None => Err(format!("program {program}: killed by a signal")),
    }
}

fn pid(id: Option<u32>) -> Option<Pid> {
    id.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
}

/// To the end, or to as much as is wanted. It can be given up and gone on with.
async fn read(out: &mut Option<Take<ChildStdout>>, said: &mut Vec<u8>) {
    if let Some(out) = out {
        while out.read_buf(said).await.is_ok_and(|read| read > 0) {}
    }
}
