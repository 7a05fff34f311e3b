//! A kernel of our own for the quick base, built once out of Debian's kernel source with the options of `buildroot/`: what the release base
//! boots, without Buildroot. It takes half an hour and more on two cores, so CI uses Debian's.
//!
//! Leaves in its directory what [`crate::base::quick`] takes: `bzImage`, `.config`, `lib/modules/RELEASE/`. It neither makes a compiler nor
//! signs modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::apt::Apt;
use crate::base::REQUIRED;
use crate::modules::unmet_options;
use crate::tool::{run, run_aloud};
use crate::{apt, files, packages};

/// The source, with Debian's patches; the series that Buildroot's defconfig names too.
const PACKAGE: &str = "linux-source-6.12";
/// On top of the architecture's defaults, in this order, as in `BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES`; what Buildroot sets by itself is last.
const FRAGMENTS: [(&str, &str); 4] = [
    ("kernel.config", REQUIRED),
    ("modules.fragment", include_str!("../../buildroot/board/yoke/modules.fragment")),
    ("lean.fragment", include_str!("../../buildroot/board/yoke/lean.fragment")),
    ("buildroot.fragment", "# CONFIG_KERNEL_GZIP is not set\nCONFIG_KERNEL_ZSTD=y\nCONFIG_DEBUG_INFO_NONE=y\n"),
];

/// A kernel in a directory of its own.
#[derive(Debug, Clone)]
pub struct Own {
    /// Where `bzImage`, `.config` and `lib/modules/RELEASE/` are.
    pub dir: PathBuf,
}

impl Own {
    /// All modules, with the index files that `modules_install` made.
    pub(crate) fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules")
    }

    /// Hash of the kernel and its options.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn id(&self) -> Result<String> {
        let read = |name: &str| {
            let path = self.dir.join(name);
            fs::read(&path)
                .with_context(|| format!("{}: no kernel was built there, use: cargo xtask kernel", path.display()))
        };
        Ok(packages::sha256(&[read("bzImage")?, read(".config")?].concat()))
    }
}

/// Builds the kernel below `out`, or finds that neither its source nor an option has changed. Returns the directory of [`Own`].
///
/// # Errors
/// The mirror does not answer, a program of the build is missing, an option did not stick, the build fails.
pub fn build(out: &Path, say: &dyn Fn(&str)) -> Result<Own> {
    fs::create_dir_all(out).with_context(|| format!("{}: cannot be created", out.display()))?;
    let out = out.canonicalize()?;
    let own = Own { dir: out.join("kernel") };
    let apt = Apt::new(out.join("apt"))?;
    say("packages: ask the mirror");
    apt.update(say)?;
    let wanted = packages::parse_list(PACKAGE);
    // Its dependencies are programs that unpack it, which the build machine has.
    let found = packages::resolve(&wanted, &|names| apt.show(names))?;
    let package = found
        .iter()
        .find(|package| package.name == PACKAGE)
        .with_context(|| format!("package {PACKAGE}: the index lacks it"))?;
    let options: String = FRAGMENTS.iter().map(|(_, text)| *text).collect();
    let id = packages::sha256(format!("{} {options}", package.sha256).as_bytes());
    if fs::read_to_string(out.join("id")).is_ok_and(|before| before == id) && own.id().is_ok() {
        return Ok(own);
    }

    packages::download(&apt, std::slice::from_ref(package), say)?;
    say("kernel: unpack the source");
    let source = out.join("source");
    files::fresh_dir(&source)?;
    let unpacked = out.join("package");
    files::fresh_dir(&unpacked)?;
    apt::unpack(&package.file(&apt.archives())?, &unpacked)?;
    let archive = unpacked.join(format!("usr/src/{PACKAGE}.tar.xz"));
    run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&source).arg("--strip-components=1"))?;

    say("kernel: options");
    let make = || {
        let mut command = Command::new("make");
        command.arg("-s").arg("-C").arg(&source).env("LC_ALL", "C");
        command
    };
    run(make().arg("x86_64_defconfig"))?;
    let mut merge = Command::new("scripts/kconfig/merge_config.sh");
    merge.current_dir(&source).args(["-m", ".config"]);
    for (name, text) in FRAGMENTS {
        files::write(&out.join(name), text, 0o644)?;
        merge.arg(out.join(name));
    }
    run(&mut merge)?;
    run(make().arg("olddefconfig"))?;
    let config = fs::read_to_string(source.join(".config"))?;
    let unmet = unmet_options(REQUIRED, &config);
    ensure!(unmet.is_empty(), "{PACKAGE} does not take {} of image/base/kernel.config", unmet.join(", "));

    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    say(&format!("kernel: build, {jobs} at a time"));
    run_aloud(make().arg(format!("-j{jobs}")).args(["bzImage", "modules"]), say)?;
    files::fresh_dir(&own.dir)?;
    run(make().arg(format!("INSTALL_MOD_PATH={}", own.dir.display())).arg("modules_install"))?;
    files::copy(&source.join(".config"), &own.dir.join(".config"))?;
    files::copy(&source.join("arch/x86/boot/bzImage"), &own.dir.join("bzImage"))?;
    // Of an interrupted build nothing is believed.
    files::write(&out.join("id"), &id, 0o644)?;
    Ok(own)
}
