//! `yoke-image PROGRAMS [--refresh] [--run]`: makes `target/yoke/yoke-x86_64.img` of the static programs in the directory `PROGRAMS`.
//!
//! With `--run` it also brings `target/yoke/run.img` up to date, the disk that is booted here and keeps what was saved on it.
//! `cargo xtask image` builds the programs and calls this. What is done is in the library.

#![expect(clippy::print_stdout, reason = "progress and result of a build are its output")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use yoke_image::{Params, Programs, build, keep};

fn main() -> Result<()> {
    let (options, places): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let known = ["--refresh", "--run"];
    let ([programs], true) = (places.as_slice(), options.iter().all(|option| known.contains(&option.as_str()))) else {
        bail!("use: yoke-image PROGRAMS [--refresh] [--run]");
    };
    let has = |option: &str| options.iter().any(|given| given == option);
    let programs = PathBuf::from(programs);
    let params = Params {
        out: PathBuf::from("target/yoke"),
        programs: Programs {
            init: programs.join("init"),
            director: programs.join("director"),
            shell: programs.join("shell"),
            ipvsadm: programs.join("ipvsadm"),
            vrrpd: programs.join("vrrpd"),
        },
        version: version(),
        refresh: has("--refresh"),
        compress: true,
    };
    let report = build(&params, &|line| println!("{line}"))?;
    print!("{report}");
    if has("--run") {
        let disk = report.disk.with_file_name("run.img");
        keep::refresh(&report.disk, &disk)?;
        println!("{}, with what was saved on it", disk.display());
    }
    Ok(())
}

/// The workspace's version, and the commit when this is a clone: `0.1.0+0fef3fc0`.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let commit = Command::new("git").args(["rev-parse", "--short=8", "HEAD"]).output();
    match commit {
        Ok(output) if output.status.success() => {
            format!("{version}+{}", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => version.to_owned(),
    }
}
