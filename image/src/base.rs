//! The base: kernel, modules, root and loader modules in one directory, and how the quick base is made from Debian packages.
//! The other maker of a base is [`crate::buildroot`].
//!
//! The layout is the contract between whatever makes a base and what makes a disk of it:
//!
//! | path | what |
//! |---|---|
//! | `vmlinuz`, `config` | the kernel and its options |
//! | `modules/VERSION/` | modules and their index files |
//! | `root/` | programs that are not ours, their libraries, data and copyright files, in place |
//! | `grub/i386-pc`, `grub/x86_64-efi` | the loader's modules |
//! | `base.json` | every input with version, hash and licences |
//!
//! Nothing of ours is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::apt::Apt;
use crate::elf;
use crate::files;
use crate::kernel::Own;
use crate::modules::{Index, Wanted, unmet_options};
use crate::packages;
use crate::tool::{LIB_DIR, LOADER, Tools, run};

pub(crate) const PACKAGES: &str = include_str!("../base/packages.list");
pub(crate) const REQUIRED: &str = include_str!("../base/kernel.config");
const MODULES: &str = include_str!("../base/modules.list");
/// Raised when the same packages give another base.
const FORMAT: &str = "3";
/// File of a base that names the directory of all modules of its kernel; a base of Buildroot has none.
const ALL_MODULES: &str = "all-modules";
/// How long the mirror is not asked again.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A base that is there.
#[derive(Debug, Clone)]
pub struct Base {
    /// The directory of the contract.
    pub dir: PathBuf,
    /// The kernel's release, the name of the only directory in `modules/`.
    pub release: String,
    /// Hash over everything the base is made of.
    pub id: String,
    /// The programs that assemble a disk.
    pub tools: Tools,
}

impl Base {
    /// The kernel.
    #[must_use]
    pub fn vmlinuz(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The modules' directory, with `modules.dep` in it.
    #[must_use]
    pub fn modules(&self) -> PathBuf {
        self.dir.join("modules").join(&self.release)
    }

    /// The index files of the modules.
    ///
    /// # Errors
    /// One of them is missing.
    pub fn index(&self) -> Result<Index> {
        read_index(&self.modules())
    }

    /// The base that was last made below `out`, an absolute path.
    ///
    /// # Errors
    /// None was made there.
    pub fn last(out: &Path) -> Result<Self> {
        Self::open(out.join("base"), Tools::new(out.join("debian")))
    }

    /// Puts any modules of the kernel's package, and what they depend on, into `target/RELEASE`: a machine beside the director,
    /// with the director's kernel, may need others than the slot has.
    ///
    /// # Errors
    /// The package has no module of one of the names.
    pub fn take_modules(&self, names: &[&str], target: &Path) -> Result<()> {
        take(&self.all_modules()?, &target.join(&self.release), names.iter().copied(), &self.tools)
    }

    /// Copies all modules of the kernel to `target/RELEASE`, for a machine that is not ours.
    ///
    /// # Errors
    /// They are no longer there.
    pub fn take_all_modules(&self, target: &Path) -> Result<()> {
        files::copy_tree(&self.all_modules()?, &target.join(&self.release), false)
    }

    /// Where the modules are as their package has them, packed by xz; `None` when they are not, or the kernel could not unpack them.
    pub(crate) fn packed_modules(&self) -> Option<PathBuf> {
        let config = fs::read_to_string(self.dir.join("config")).ok()?;
        let needs = "CONFIG_MODULE_DECOMPRESS=y\nCONFIG_MODULE_COMPRESS_XZ=y\n";
        let modules = self.all_modules().ok()?;
        (unmet_options(needs, &config).is_empty() && modules.is_dir()).then_some(modules)
    }

    /// Where all modules of the kernel are, not only those of a slot.
    fn all_modules(&self) -> Result<PathBuf> {
        let path = self.dir.join(ALL_MODULES);
        Ok(PathBuf::from(fs::read_to_string(&path).with_context(|| path.display().to_string())?))
    }

    /// Takes the base in `dir` as it is.
    pub(crate) fn open(dir: PathBuf, tools: Tools) -> Result<Self> {
        let id = fs::read_to_string(dir.join("id")).context("the base has no id")?;
        let release = only_entry(&dir.join("modules"))?;
        Ok(Self { dir, release, id, tools })
    }
}

/// Makes the quick base below `out`, or takes the one that is there if no package changed. With `own` its kernel is that one.
///
/// # Errors
/// The mirror does not answer and there is no base, a package or a kernel option is missing.
pub fn quick(out: &Path, refresh: bool, own: Option<&Own>, say: &dyn Fn(&str)) -> Result<Base> {
    let dir = out.join("base");
    let unpacked = out.join("debian");
    let tools = Tools::new(unpacked.clone());
    let built = own.map_or(Ok("debian".to_owned()), Own::id)?;
    let recipe = packages::sha256([FORMAT, PACKAGES, REQUIRED, MODULES, &built].join("\0").as_bytes());
    let existing = Base::open(dir.clone(), tools.clone()).ok();
    let existing = existing.filter(|base| base.id.starts_with(&recipe) && tools.are_there());
    if let Some(base) = &existing
        && !refresh
        && is_fresh(&out.join("apt/updated"))
    {
        return Ok(base.clone());
    }

    let apt = Apt::new(out.join("apt"))?;
    say("packages: ask the mirror");
    if let Err(error) = apt.update(say) {
        if let Some(base) = existing {
            say(&format!("packages: the mirror does not answer, the base of before is used ({error})"));
            return Ok(base);
        }
        ensure!(
            apt.has_lists(),
            "{error:#}\nthe mirror does not answer, use: YOKE_MIRROR=<URL of a Debian mirror> cargo xtask image"
        );
        say("packages: the mirror does not answer, the index of before is used");
    } else {
        files::write(&out.join("apt/updated"), "", 0o644)?;
    }
    let wanted = packages::parse_list(PACKAGES);
    let packages = packages::resolve(&wanted, &|names| apt.show(names))?;
    let hashes: String = packages.iter().map(|package| package.sha256.as_str()).collect();
    let id = format!("{recipe}-{}", packages::sha256(hashes.as_bytes()));
    if let Some(base) = existing.filter(|base| base.id == id) {
        return Ok(base);
    }

    packages::download(&apt, &packages, say)?;
    // A base that was interrupted must not look complete: its id goes first and is written last.
    files::fresh_dir(&dir)?;
    packages::unpack(&apt, &packages, &unpacked, say)?;
    say("base: kernel and modules");
    let release = kernel(&unpacked, own, &dir, &tools)?;
    say("base: root");
    root(&wanted, &unpacked, &dir, &tools)?;
    for platform in ["i386-pc", "x86_64-efi"] {
        files::copy_tree(&unpacked.join("usr/lib/grub").join(platform), &dir.join("grub").join(platform), true)?;
    }
    let record = serde_json::to_string_pretty(&packages::record(&packages, &unpacked, &release))?;
    files::write(&dir.join("base.json"), &record, 0o644)?;
    files::write(&out.join("base.json"), &record, 0o644)?;
    files::write(&dir.join("id"), &id, 0o644)?;
    Base::open(dir, tools)
}

/// Whether `stamp` was written less than [`FRESH`] ago. A time in the future is not fresh.
fn is_fresh(stamp: &Path) -> bool {
    let age = fs::metadata(stamp).and_then(|meta| meta.modified()).map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age < FRESH)
}

/// Kernel, options, and of the modules those that a director needs. Returns the release.
fn kernel(unpacked: &Path, own: Option<&Own>, dir: &Path, tools: &Tools) -> Result<String> {
    let all = own.map_or_else(|| unpacked.join("usr/lib/modules"), Own::modules).canonicalize().context("modules")?;
    let release = only_entry(&all)?;
    let (vmlinuz, config) = match own {
        Some(own) => (own.dir.join("bzImage"), own.dir.join(".config")),
        None => {
            // The package leaves this to the machine it is installed on.
            run(tools.command_as("usr/bin/kmod", "depmod").arg("-b").arg(unpacked.join("usr")).arg(&release))?;
            let boot = unpacked.join("boot");
            (boot.join(format!("vmlinuz-{release}")), boot.join(format!("config-{release}")))
        }
    };
    let config = fs::read_to_string(&config).with_context(|| format!("{}: the kernel's options", config.display()))?;
    take_kernel(&release, &vmlinuz, &config, dir)?;
    let all = all.join(&release);
    name_modules(&all, dir)?;
    take(&all, &dir.join("modules").join(&release), Wanted::load()?.all(), tools)?;
    Ok(release)
}

/// Writes down where all modules of the kernel are, for [`Base::take_modules`].
pub(crate) fn name_modules(all: &Path, dir: &Path) -> Result<()> {
    files::write(&dir.join(ALL_MODULES), all.display().to_string(), 0o644)
}

/// The kernel itself, if it has the options that every base must have.
pub(crate) fn take_kernel(release: &str, vmlinuz: &Path, config: &str, dir: &Path) -> Result<()> {
    let unmet = unmet_options(REQUIRED, config);
    ensure!(unmet.is_empty(), "kernel {release} lacks {} of image/base/kernel.config", unmet.join(", "));
    files::write(&dir.join("config"), config, 0o644)?;
    files::copy(vmlinuz, &dir.join("vmlinuz"))
}

/// Copies modules of `source`, and what they depend on, to `target`: unpacked, and with the index files that name only them.
pub(crate) fn take<'a>(
    source: &Path,
    target: &Path,
    names: impl Iterator<Item = &'a str>,
    tools: &Tools,
) -> Result<()> {
    let index = read_index(source)?;
    let part = index.subset(&index.closure(names)?);
    let mut packed = Vec::new();
    for path in &part.modules {
        files::copy(&source.join(path), &target.join(path))?;
        packed.extend(path.ends_with(".xz").then_some(path));
    }
    // Without a file it would read its stdin. Debian packs modules, Buildroot does not.
    if !packed.is_empty() {
        run(tools.command("usr/bin/xz").arg("-dq").current_dir(target).args(packed))?;
    }
    for path in &part.modules {
        let plain = target.join(path.trim_end_matches(".xz"));
        let mut module = fs::read(&plain).with_context(|| format!("{}", plain.display()))?;
        drop_signature(&mut module);
        files::write(&plain, module, 0o644)?;
    }
    for (name, text) in &part.texts {
        files::write(&target.join(name), text.replace(".ko.xz", ".ko"), 0o644)?;
    }
    Ok(())
}

/// Cuts off Debian's signature (include/linux/module_signature.h: PKCS#7, 12 bytes whose last four are its length, a magic line).
///
/// Modules are stored plain and without it because checking it was half of the time of loading a module, and unpacking most of the
/// rest: 64 modules took 3.2 s under TCG and take 0.9 s. What a slot holds is verified as a whole when it is installed. The kernel
/// marks itself as tainted by this (`E`). With Secure Boot, modules will be signed with keys of our own.
fn drop_signature(module: &mut Vec<u8>) {
    const MAGIC: &[u8] = b"~Module signature appended~\n";
    const HEADER: usize = 12;
    if let Some(rest) = module.strip_suffix(MAGIC)
        && let Some((body, header)) = rest.split_last_chunk::<HEADER>()
    {
        let [.., a, b, c, d] = *header;
        let signature = u32::from_be_bytes([a, b, c, d]);
        if let Some(end) = usize::try_from(signature).ok().and_then(|length| body.len().checked_sub(length)) {
            module.truncate(end);
        }
    }
}

fn read_index(modules: &Path) -> Result<Index> {
    let read = |name: &str| {
        let path = modules.join(name);
        fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    };
    Ok(Index::parse(
        &read("modules.dep")?,
        &read("modules.alias")?,
        &read("modules.softdep")?,
        &read("modules.builtin")?,
    ))
}

/// The programs and data of the packages' list, with the libraries they need and everyone's copyright file.
fn root(wanted: &[packages::Wanted], unpacked: &Path, dir: &Path, tools: &Tools) -> Result<()> {
    let root = dir.join("root");
    let mut dynamic = false;
    for wanted in wanted {
        for path in &wanted.paths {
            let source = unpacked.join(path);
            ensure!(source.exists(), "package {}: it has no {path}", wanted.name);
            if source.is_dir() {
                files::copy_tree(&source, &root.join(path), false)?;
                continue;
            }
            files::copy(&source, &root.join(path))?;
            // Data, or a program that is complete.
            let bytes = fs::read(&source)?;
            if !bytes.starts_with(b"\x7fELF") || elf::is_static(&bytes) {
                continue;
            }
            dynamic = true;
            for library in tools.libraries(path)? {
                // The file that the soname's link leads to, under the soname: the only name that is ever looked up.
                files::copy(&unpacked.join(LIB_DIR).join(&library), &root.join(LIB_DIR).join(&library))?;
            }
        }
    }
    if dynamic {
        files::copy(&unpacked.join(LIB_DIR).join(LOADER), &root.join("usr/lib64").join(LOADER))?;
    }
    licences(unpacked, &root)
}

/// Copyright files of all packages: the loader and the kernel are shipped too, and the few tools of the build do not hurt.
fn licences(unpacked: &Path, root: &Path) -> Result<()> {
    let docs = unpacked.join("usr/share/doc");
    for entry in fs::read_dir(&docs).with_context(|| format!("{}", docs.display()))? {
        let entry = entry?;
        let copyright = entry.path().join("copyright");
        if copyright.is_file() {
            files::copy(&copyright, &root.join("usr/share/doc").join(entry.file_name()).join("copyright"))?;
        }
    }
    Ok(())
}

/// The name of the one entry of a directory.
pub(crate) fn only_entry(dir: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("{}", dir.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    match names.as_slice() {
        [name] => Ok(name.clone()),
        _ => bail!("{}: one kernel release is expected, not {names:?}", dir.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_cut_off_and_nothing_else() {
        let mut module = b"ELF...".to_vec();
        module.extend_from_slice(b"PKCS7");
        module.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        module.extend_from_slice(b"~Module signature appended~\n");
        drop_signature(&mut module);
        assert_eq!(module, b"ELF...");
        drop_signature(&mut module);
        assert_eq!(module, b"ELF...");
    }
}
