//! `yoke-image PROGRAMS [--refresh]`: makes `target/yoke/yoke-x86_64.img` of the static programs in the directory `PROGRAMS`.
//!
//! `cargo xtask image` builds the programs and calls this. What is done is in the library.

#![expect(clippy::print_stdout, reason = "progress and result of a build are its output")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use yoke_image::{Params, Programs, build};

fn main() -> Result<()> {
    let (options, places): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let ([programs], true) = (places.as_slice(), options.iter().all(|option| option == "--refresh")) else {
        bail!("use: yoke-image PROGRAMS [--refresh]");
    };
    let programs = PathBuf::from(programs);
    let params = Params {
        out: PathBuf::from("target/yoke"),
        programs: Programs {
            init: programs.join("init"),
            director: programs.join("director"),
            shell: programs.join("shell"),
        },
        version: version(),
        refresh: !options.is_empty(),
        compress: true,
    };
    let report = build(&params, &|line| println!("{line}"))?;
    print!("{report}");
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
