//! A program of the image: `NAME ADDRESS PORT`, good when it exits with 0. What it writes is the reason.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{Tried, quoted, words};

/// Where such programs are; the read-only root holds them, so nobody adds one to a running box.
const PROGRAMS: &str = "/usr/lib/yoke/checks";

pub(super) async fn ask(server: SocketAddr, program: &str) -> Tried {
    run(Path::new(PROGRAMS), server, program).await
}

/// User and group of a program: nobody, nogroup.
const NOBODY: u32 = 65534;

/// Runs it, as nobody where this process may choose. It is killed when this is dropped: at the timeout.
pub(super) async fn run(directory: &Path, server: SocketAddr, program: &str) -> Tried {
    let mut command = Command::new(directory.join(program));
    command.args([server.ip().to_string(), server.port().to_string()]);
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child =
        command.kill_on_drop(true).spawn().map_err(|error| format!("program {program}: {}", words(&error)))?;
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        // What it writes beyond that ends it: nobody reads on.
        let _ = out.take(1024).read_to_end(&mut said).await;
    }
    let status = child.wait().await.map_err(|error| format!("program {program}: {}", words(&error)))?;
    match status.code() {
        Some(0) => Ok(()),
        Some(code) if said.is_empty() => Err(format!("program {program}: exit status {code}")),
        Some(code) => Err(format!("program {program}: exit status {code}, {}", quoted(&said))),
        None => Err(format!("program {program}: killed by a signal")),
    }
}
