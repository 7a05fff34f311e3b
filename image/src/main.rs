//! `yoke-image PROGRAMS [--refresh] [--run]`: makes `target/yoke/yoke-x86_64.img` of the static programs in the directory `PROGRAMS`.
//! `yoke-image --kernel`: builds a kernel of our own into `target/kernel`. With YOKE_KERNEL=target/kernel/kernel a disk has it instead of Debian's.
//! `yoke-image --buildroot`: makes `yoke-x86_64.img` in Buildroot's directory of images, of what it has built; for its post-image script.
//!
//! With `--run` it brings `target/yoke/run.img` up to date instead, the disk that is booted here and keeps what was saved on it: made in a hurry
//! below `target/yoke/run/`, so that nobody takes it for the image that is tested and shipped.
//! `cargo xtask image` builds the programs and calls this. What is done is in the library.

#![expect(clippy::print_stdout, reason = "progress and result of a build are its output")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use yoke_image::{Params, Programs, Source, build, buildroot, keep, kernel};

fn main() -> Result<()> {
    let (options, places): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    if options == ["--buildroot"] && places.is_empty() {
        return of_buildroot();
    }
    if options == ["--kernel"] && places.is_empty() {
        let own = kernel::build(Path::new("target/kernel"), &|line| println!("{line}"))?;
        println!("{0}; for a disk with it: YOKE_KERNEL={0} cargo xtask image", own.dir.display());
        return Ok(());
    }
    let known = ["--refresh", "--run"];
    let ([programs], true) = (places.as_slice(), options.iter().all(|option| known.contains(&option.as_str()))) else {
        bail!("use: yoke-image PROGRAMS [--refresh] [--run], or yoke-image --buildroot or --kernel");
    };
    let has = |option: &str| options.iter().any(|given| given == option);
    let programs = PathBuf::from(programs);
    let cache = PathBuf::from("target/yoke");
    let hurry = has("--run");
    let params = Params {
        out: if hurry { cache.join("run") } else { cache.clone() },
        cache,
        programs: Programs {
            init: programs.join("init"),
            stage1: programs.join("stage1"),
            director: programs.join("director"),
            shell: programs.join("shell"),
            ipvsadm: programs.join("ipvsadm"),
            vrrpd: programs.join("vrrpd"),
            install: programs.join("install"),
        },
        version: version(Path::new(".")),
        built: built(Path::new(".")),
        base: Source::Debian {
            refresh: has("--refresh"),
            kernel: std::env::var_os("YOKE_KERNEL").map(|dir| kernel::Own { dir: dir.into() }),
        },
        hurry,
    };
    let report = build(&params, &|line| println!("{line}"))?;
    print!("{report}");
    if hurry {
        let disk = params.cache.join("run.img");
        keep::refresh(&report.disk, &disk)?;
        println!("{}, with what was saved on it", disk.display());
    }
    Ok(())
}

/// The intermediate files go into a directory of their own in Buildroot's directory of images, and what is shipped beside it.
fn of_buildroot() -> Result<()> {
    let output = buildroot::Output::from_environment()?;
    let images = output.images.clone();
    // Buildroot runs its scripts in its own directory, which may be a clone as well.
    let tree = std::env::var("BR2_EXTERNAL_YOKE_PATH").context("BR2_EXTERNAL_YOKE_PATH is not set")?;
    let params = Params {
        out: images.join("yoke"),
        cache: images.join("yoke"),
        programs: output.programs(),
        version: version(Path::new(&tree)),
        built: built(Path::new(&tree)),
        base: Source::Buildroot(output),
        hurry: false,
    };
    let report = build(&params, &|line| println!("{line}"))?;
    for file in [&report.disk, &report.slot, &report.update].into_iter().chain(&report.compressed) {
        let name = file.file_name().context("an image has a name")?;
        let target = images.join(name);
        if target.exists() {
            fs::remove_file(&target)?;
        }
        fs::hard_link(file, &target).with_context(|| target.display().to_string())?;
    }
    print!("{report}");
    Ok(())
}

/// The workspace's version, and the commit when `dir` is in a clone: `0.1.0+0fef3fc0`.
fn version(dir: &Path) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let commit = git(dir, &["rev-parse", "--short=8", "HEAD"]);
    commit.map_or_else(|| version.to_owned(), |commit| format!("{version}+{commit}"))
}

/// When that commit was made, in seconds since 1970, and 0 outside of a clone. Not the time of the build: the same sources are the same image.
fn built(dir: &Path) -> u64 {
    git(dir, &["show", "--no-patch", "--format=%ct", "HEAD"])
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_default()
}

fn git(dir: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
