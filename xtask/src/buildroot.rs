//! `cargo xtask buildroot DIR`: what can be said of `buildroot/` in some seconds, without a download and without a build.
//!
//! DIR is an unpacked Buildroot. The defconfig must apply, save back unchanged, and lose no symbol on the way; the packages must be
//! evaluated by make; and Buildroot's own style check must be content. That the programs build is shown by a build only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const DEFCONFIG: &str = "yoke_x86_64_defconfig";

/// Runs all checks and says what each has found.
///
/// # Errors
/// The first check that fails, with what it found.
pub(crate) fn check(buildroot: &Path) -> Result<()> {
    let buildroot = buildroot.canonicalize().with_context(|| format!("{}: no such directory", buildroot.display()))?;
    ensure!(buildroot.join("package/pkg-cargo.mk").is_file(), "{}: not a Buildroot", buildroot.display());
    let tree = Path::new("buildroot").canonicalize()?;
    let out = Path::new("target").canonicalize()?.join("buildroot");
    fs::create_dir_all(&out)?;
    let make = |target: &str, variable: &str| -> Result<String> {
        let mut command = Command::new("make");
        command.arg("-s").arg("-C").arg(&buildroot).arg(format!("O={}", out.display())).arg(target);
        command.arg(format!("BR2_EXTERNAL={}", tree.display())).args(Some(variable).filter(|text| !text.is_empty()));
        output(&mut command)
    };

    super::step("the defconfig applies and no symbol is lost");
    let defconfig = fs::read_to_string(tree.join("configs").join(DEFCONFIG))?;
    make(DEFCONFIG, "")?;
    let config = fs::read_to_string(out.join(".config"))?;
    let lost: Vec<&str> = defconfig.lines().filter(|line| !config.lines().any(|has| has == *line)).collect();
    ensure!(lost.is_empty(), "{DEFCONFIG}: Buildroot does not know, or does not allow together:\n{}", lost.join("\n"));

    super::step("its programs run on every x86-64 processor, as those of the quick base do");
    let processor = "BR2_GCC_TARGET_ARCH=\"x86-64\"";
    ensure!(config.lines().any(|has| has == processor), "{DEFCONFIG}: {processor} is wanted, not a later processor");

    super::step("it saves back unchanged");
    let saved = out.join("saved_defconfig");
    make("savedefconfig", &format!("BR2_DEFCONFIG={}", saved.display()))?;
    if fs::read_to_string(&saved)? != defconfig {
        bail!("buildroot/configs/{DEFCONFIG} is saved differently; compare with {}", saved.display());
    }

    super::step("a build copies the sources and not what was built of them");
    let excluded = make("printvars", "VARS=%YOKE_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS")?;
    for package in ["YOKE", "HOST_YOKE"] {
        let has = |line: &str| line.starts_with(&format!("{package}_OVERRIDE")) && line.contains("/target");
        ensure!(excluded.lines().any(has), "package {package} copies all of target/, many gigabytes:\n{excluded}");
    }

    super::step("make show-info, external-deps");
    let info = make("show-info", "")?;
    for package in ["yoke", "host-yoke", "linux", "grub2", "nftables", "dropbear", "busybox", "e2fsprogs", "tzdata"] {
        ensure!(info.contains(&format!("\"{package}\":")), "show-info has no package {package}");
    }
    let downloads = make("external-deps", "")?.lines().count();

    super::step("utils/check-package");
    let files = files_below(&tree)?;
    output(Command::new("python3").arg(buildroot.join("utils/check-package")).arg("-b").args(&files))?;
    super::step(&format!("{} files are in order; a build downloads {downloads} files", files.len()));
    Ok(())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// What a program writes to its stdout.
fn output(command: &mut Command) -> Result<String> {
    let line = format!("{command:?}").replace('"', "");
    let output = command.output().with_context(|| format!("{line}: cannot be started"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{line}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(stdout)
}
