//! `cargo xtask`: the few commands a person types, each a short list of programs to run.
//!
//! It knows the order of things and what has to be installed. It knows nothing of disks (`image`), networks and virtual
//! machines (`lab`): those are programs of this workspace that it calls.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

mod buildroot;
mod host;

const HELP: &str = "cargo xtask COMMAND

  run [--demo] [--uefi]  build everything and boot it here in QEMU, console on this terminal; built fast, with checks in it
                         (profile `quick`): what all other commands build is what is shipped
                         --demo (root): with a client and two nginx servers in namespaces
  test [--all]           every test there is; --all adds the long ones
  check                  format, lints, documentation, dependencies and unit tests only
  image [qcow2] [vmdk]   the disk image: target/yoke/yoke-x86_64.img, and beside it the signed .update;
                         also in a hypervisor's own format (vmdk: stream-optimized, as VMware imports it)
  kernel                 a kernel with the release's options, once (half an hour and more): target/kernel/kernel;
                         YOKE_KERNEL=target/kernel/kernel before any command above or below takes it for Debian's
  lab [--vm] [FILTER]    tests on real networks: namespaces, or QEMU with the real image
  bench [FILTER]         figures, side by side with what one would use instead
  docs                   write docs/cli.md from the grammar
  buildroot DIR          what can be said of buildroot/ without building: DIR is an unpacked Buildroot
";

/// Our programs as the image ships them: static, so that they run on either base.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "help belongs on the terminal")]
fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // Wherever it was called from, everything below is relative to the workspace. Cargo says where that is now: a clone that was
    // moved or copied together with `target` is not compiled anew, and would go on building where it came from.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    std::env::set_current_dir(here.join(".."))?;
    match args.as_slice() {
        ["run", options @ ..] => run(options)?,
        ["test", options @ ..] => test(options)?,
        ["check"] => check()?,
        ["image", formats @ ..] => formats_of(formats)?,
        ["lab", options @ ..] => lab(options)?,
        ["bench", options @ ..] => {
            host::need(host::LAB)?;
            host::need(host::BENCH)?;
            if options.is_empty() || options.contains(&"shell") {
                step("whole sessions of one command each, not emulated");
                let test = ["test", "--release", "--quiet", "--package", "yoke-shell", "every_command_answers"];
                cargo(&test, &["--", "--nocapture"])?;
            }
            if options.is_empty() || options.contains(&"health") {
                step("commits and shows beside 10,000 monitors, not emulated");
                let test = ["test", "--release", "--quiet", "--package", "yoke-director", "ten_thousand_checks"];
                cargo(&test, &["--", "--nocapture"])?;
            }
            if options != ["shell"] {
                image()?;
                cargo(&["run", "--release", "--package", "yoke-lab", "--", "bench"], options)?;
            }
        }
        ["kernel"] => {
            host::need(host::KERNEL)?;
            cargo(&["run", "--quiet", "--package", "yoke-image", "--", "--kernel"], &[])?;
        }
        ["docs"] => program(
            plain_cargo().args(["test", "--quiet", "--package", "yoke-config", "reference"]).env("UPDATE", "1"),
        )?,
        ["buildroot", dir] => buildroot::check(Path::new(dir))?,
        [] | ["help" | "--help" | "-h"] => print!("{HELP}"),
        [command, ..] => {
            eprint!("`{command}` is no command, or lacks its argument.\n\n{HELP}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run(options: &[&str]) -> Result<()> {
    if let Some(unknown) = options.iter().find(|option| !["--demo", "--uefi"].contains(option)) {
        bail!("`{unknown}` is no option of run, use: cargo xtask run [--demo] [--uefi]");
    }
    let demo = options.contains(&"--demo");
    host::need(if demo { host::LAB } else { host::RUN })?;
    let disk = build("quick", &["--run"], "target/yoke/run.img")?;
    if demo {
        let options: Vec<&str> = options.iter().copied().filter(|&option| option != "--demo").collect();
        return cargo(&["run", "--quiet", "--package", "yoke-lab", "--", "demo"], &options);
    }
    host::boot(&disk, options.contains(&"--uefi"))
}

fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[])?;
    program(plain_cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "--deny warnings"))?;
    deny()?;
    // Both libraries promise to do without what their programs need.
    for library in ["ipvs", "yoke-vrrp"] {
        cargo(&["check", "--quiet", "--no-default-features", "--lib", "--package", library], &[])?;
    }
    cargo(&["test", "--workspace", "--exclude", "yoke-lab"], &[])
}

/// Holds the dependencies to `deny.toml`. To build cargo-deny takes longer than all the tests, so it is used where somebody has it. Advisories
/// are left out: they appear overnight, and a check must not fail for what nobody changed (`cargo deny check advisories` asks for them).
fn deny() -> Result<()> {
    let installed = plain_cargo().args(["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    if installed {
        return cargo(&["deny", "--all-features", "check", "bans", "licenses", "sources"], &[]);
    }
    step("NOT CHECKED: deny.toml (licenses, banned crates, sources); for that: cargo install --locked cargo-deny");
    Ok(())
}

fn test(options: &[&str]) -> Result<()> {
    host::need(host::LAB)?;
    check()?;
    lab(&[])?;
    lab(&[&["--vm"][..], options].concat())
}

fn lab(options: &[&str]) -> Result<()> {
    host::need(host::LAB)?;
    step("the lab");
    if options.contains(&"--vm") {
        image()?;
    } else {
        // Tests of other rooms that need privileges are ignored there and run here. Asked of all rooms, as `check` does: of one alone the
        // dependencies have fewer features and are compiled once more.
        let privileged = ["test", "--workspace", "--exclude", "yoke-lab", "--test", "privileged"];
        cargo(&privileged, &["--", "--ignored", "--test-threads", "1"])?;
        cargo(&["test", "--quiet", "--package", "yoke-lab", "--lib"], &[])?;
        // The lab runs it from beside itself.
        cargo(&["build", "--quiet", "--package", "yoke-vrrp"], &[])?;
    }
    cargo(&["run", "--quiet", "--package", "yoke-lab", "--"], options)
}

/// The disk image that is tested and shipped.
fn image() -> Result<PathBuf> {
    build("image", &[], "target/yoke/yoke-x86_64.img")
}

/// Builds our programs with a profile of Cargo.toml, and a disk image around them, which comes to lie at `disk`.
fn build(profile: &str, options: &[&str], disk: &str) -> Result<PathBuf> {
    step("our programs, static");
    program(
        plain_cargo()
            .args(["build", "--profile", profile, "--target", TARGET])
            .args([
                "--package",
                "yoke-init",
                "--package",
                "yoke-director",
                "--package",
                "yoke-shell",
                "--package",
                "ipvs",
                "--package",
                "yoke-vrrp",
                "--package",
                "yoke-install",
            ])
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    )?;
    step("the disk image");
    cargo(&["run", "--quiet", "--package", "yoke-image", "--", &format!("target/{TARGET}/{profile}")], options)?;
    Path::new(disk).canonicalize().with_context(|| format!("{disk}: the image was not made"))
}

/// The image, and the same disk in the formats of hypervisors, each compared with it.
fn formats_of(formats: &[&str]) -> Result<()> {
    if let Some(unknown) = formats.iter().find(|format| !["qcow2", "vmdk"].contains(format)) {
        bail!("`{unknown}` is no format of a disk, use: cargo xtask image [qcow2] [vmdk]");
    }
    if !formats.is_empty() {
        host::need(host::FORMATS)?;
    }
    let raw = image()?;
    for format in formats {
        let disk = raw.with_extension(format);
        step(&disk.display().to_string());
        let options: &[&str] = if *format == "vmdk" { &["-o", "subformat=streamOptimized"] } else { &["-c"] };
        let mut convert = Command::new("qemu-img");
        program(convert.args(["convert", "-f", "raw", "-O", format]).args(options).arg(&raw).arg(&disk))?;
        program(Command::new("qemu-img").args(["compare", "-q", "-f", "raw", "-F", format]).arg(&raw).arg(&disk))?;
    }
    Ok(())
}

fn cargo(args: &[&str], more: &[&str]) -> Result<()> {
    program(plain_cargo().args(args).args(more))
}

/// Cargo as a person starts it. What it tells this program of its package must not reach the cargo below: build scripts (ring's) that ask
/// for the same variables would then run anew, and all that depends on them be compiled anew, each time after a person has called it and
/// each time after `xtask` has.
fn plain_cargo() -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a program to its end; its output is the user's to see.
fn program(command: &mut Command) -> Result<()> {
    let line = format!("{command:?}").replace('"', "");
    let status = command.status().with_context(|| format!("{line}: cannot be started"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress belongs on the terminal, results on stdout")]
fn step(what: &str) {
    eprintln!("==> {what}");
}
