//! The release base: the contract of [`crate::base`] out of the directories of a Buildroot build.
//!
//! Buildroot has made kernel, modules, programs and loader by `buildroot/configs/yoke_x86_64_defconfig` and runs us as its post-image
//! script. What enters a slot is decided by the same lists as for the quick base (`base/packages.list`, `base/modules.list`,
//! `base/kernel.config`), so that both give the same tree; what else Buildroot puts into its target directory, such as init scripts, is
//! left behind. The one thing more is firmware for network cards, which Debian's free packages lack.
//!
//! Nothing is built here, and licences are not collected: `make legal-info` does that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::Programs;
use crate::base::{self, Base};
use crate::elf;
use crate::files;
use crate::modules::Wanted;
use crate::packages;
use crate::tool::Tools;

/// Raised when the same build gives another base.
const FORMAT: &str = "1";
/// Where Buildroot's libraries are, with merged directories.
const LIBRARIES: &str = "usr/lib";
/// Firmware of network cards.
const FIRMWARE: &str = "usr/lib/firmware";

/// The directories of a build, as Buildroot names them to its scripts.
#[derive(Debug, Clone)]
pub struct Output {
    /// TARGET_DIR: the root.
    pub target: PathBuf,
    /// BUILD_DIR: a directory for each package, among them the kernel's and the loader's.
    pub build: PathBuf,
    /// HOST_DIR: programs for the building machine.
    pub host: PathBuf,
    /// BINARIES_DIR: where images go.
    pub images: PathBuf,
    /// BR2_VERSION_FULL.
    pub version: String,
}

impl Output {
    /// What Buildroot tells its post-image scripts.
    ///
    /// # Errors
    /// A variable is missing: this does not run under Buildroot.
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .with_context(|| format!("{name} is not set: --buildroot is for Buildroot's post-image.sh"))
        };
        Ok(Self {
            target: variable("TARGET_DIR")?.into(),
            build: variable("BUILD_DIR")?.into(),
            host: variable("HOST_DIR")?.into(),
            images: variable("BINARIES_DIR")?.into(),
            version: variable("BR2_VERSION_FULL")?,
        })
    }

    /// Our programs, as the package `yoke` installed them.
    #[must_use]
    pub fn programs(&self) -> Programs {
        let sbin = self.target.join("usr/sbin");
        Programs {
            init: sbin.join("init"),
            stage1: sbin.join("stage1"),
            director: sbin.join("director"),
            shell: self.target.join("usr/bin/shell"),
            ipvsadm: sbin.join("ipvsadm"),
            vrrpd: sbin.join("vrrpd"),
            install: sbin.join("install"),
        }
    }
}

/// Makes the base below `out`.
///
/// # Errors
/// The build lacks a program, a module or an option of the lists, or a directory is not where Buildroot has it.
pub fn base(out: &Path, from: &Output, say: &dyn Fn(&str)) -> Result<Base> {
    let dir = out.join("base");
    let tools = Tools::of_host(from.host.clone());
    files::fresh_dir(&dir)?;
    say("base: kernel and modules");
    let kernel = package(&from.build, "linux-", "arch/x86/boot/bzImage")?;
    let modules = from.target.join("usr/lib/modules");
    let release = base::only_entry(&modules)?;
    let config = fs::read_to_string(kernel.join(".config")).context("the kernel's options")?;
    base::take_kernel(&release, &kernel.join("arch/x86/boot/bzImage"), &config, &dir)?;
    base::take(&modules.join(&release), &dir.join("modules").join(&release), Wanted::load()?.all(), &tools)?;

    say("base: root");
    let wanted = packages::parse_list(base::PACKAGES);
    let paths: Vec<&str> = wanted.iter().flat_map(|wanted| &wanted.paths).map(String::as_str).collect();
    root(&from.target, &dir.join("root"), &paths)?;
    if from.target.join(FIRMWARE).is_dir() {
        files::copy_tree(&from.target.join(FIRMWARE), &dir.join("root").join(FIRMWARE), false)?;
    }

    say("base: loader");
    let grub = package(&from.build, "grub2-", "build-i386-pc")?;
    for platform in ["i386-pc", "x86_64-efi"] {
        let source = grub.join(format!("build-{platform}/grub-core"));
        loader(&source, &dir.join("grub").join(platform))?;
    }
    let record = record(&dir, &from.version, &release)?;
    files::write(&dir.join("base.json"), &record, 0o644)?;
    files::write(&out.join("base.json"), &record, 0o644)?;
    // After the record: the same build elsewhere is the same base.
    base::name_modules(&modules.join(&release), &dir)?;
    let id = format!("buildroot-{FORMAT}-{}", packages::sha256(record.as_bytes()));
    files::write(&dir.join("id"), id, 0o644)?;
    Base::open(dir, tools)
}

/// The build directory of the package whose name begins with `prefix` and that has `mark` in it: `linux-6.12.104` and not
/// `linux-headers-6.12.104`.
fn package(build: &Path, prefix: &str, mark: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(build).with_context(|| format!("{}", build.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) && entry.path().join(mark).exists() {
            found.push(entry.path());
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("{}: no directory {prefix}* with {mark} in it", build.display()),
        _ => bail!("{}: more than one {prefix}* with {mark}, remove the older build: {found:?}", build.display()),
    }
}

/// Copies `paths` of `target`, and the loader and libraries that the programs among them need.
fn root(target: &Path, root: &Path, paths: &[&str]) -> Result<()> {
    let mut open: Vec<String> = Vec::new();
    for path in paths {
        let source = target.join(path);
        if source.is_dir() {
            // Of time zones Buildroot has two trees, with links beside them into the first. Clocks of the second, `right`, count leap seconds
            // and would be half a minute off; Debian has the first only, and so has a slot.
            let first = source.join("posix");
            files::copy_tree(if first.is_dir() { &first } else { &source }, &root.join(path), false)?;
        } else {
            open.push((*path).to_owned());
        }
    }
    let mut done = BTreeSet::new();
    while let Some(path) = open.pop() {
        if !done.insert(path.clone()) {
            continue;
        }
        let source = target.join(&path);
        let bytes = fs::read(&source).with_context(|| format!("{}: Buildroot did not install it", source.display()))?;
        files::copy(&source, &root.join(&path))?;
        if bytes.starts_with(b"\x7fELF") {
            let needs = elf::needs(&bytes).with_context(|| source.display().to_string())?;
            // `/lib/ld-musl-x86_64.so.1`, or `/lib64/ld-linux-x86-64.so.2` with glibc: where the program says, as the kernel looks there. The
            // directories are merged.
            open.extend(needs.loader.iter().map(|path| format!("usr{path}")));
            open.extend(needs.libraries.iter().map(|name| format!("{LIBRARIES}/{name}")));
        }
    }
    Ok(())
}

/// What grub-mkimage reads: modules, their lists, and the images that are put before them.
fn loader(source: &Path, target: &Path) -> Result<()> {
    for entry in fs::read_dir(source).with_context(|| format!("{}", source.display()))? {
        let path = entry?.path();
        let wanted = path.extension().is_some_and(|kind| kind == "mod" || kind == "img" || kind == "lst");
        if let Some(name) = path.file_name().filter(|_| wanted && path.is_file()) {
            files::copy(&path, &target.join(name))?;
        }
    }
    ensure!(target.join("moddep.lst").is_file(), "{}: no loader was built there", source.display());
    Ok(())
}

/// Every file of the base with its hash. Versions and licences of the sources are in Buildroot's `legal-info`.
fn record(dir: &Path, version: &str, release: &str) -> Result<String> {
    let mut open = vec![dir.to_path_buf()];
    let mut hashes = std::collections::BTreeMap::new();
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("{}", next.display()))? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                let bytes = fs::read(&path).with_context(|| name.clone())?;
                hashes.insert(name, packages::sha256(&bytes));
            }
        }
    }
    let record = json!({ "base": "buildroot", "version": version, "kernel": release, "files": hashes });
    Ok(serde_json::to_string_pretty(&record)?)
}

#[cfg(test)]
mod tests;
