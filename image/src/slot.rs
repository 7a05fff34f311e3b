//! The slot: one squashfs with `/boot/{vmlinuz,initrd,slot.cfg}` and the whole root.
//!
//! The compressor is gzip, level 6. GRUB must read the slot and knows no zstd; xz would be 4 MB smaller, but the kernel unpacks
//! it at 13 MB/s under TCG, which costs a second of every boot, and level 9 takes eight times longer to write and saves 0.1 MB.
//! For a boot here and now it is level 1, some MB more. What GRUB reads is stored as it is: kernel and initrd are compressed by
//! themselves. Everything is root's, nothing is setuid.
//!
//! What changes at run time is not here: the files below `/etc` that depend on the configuration are links into `/run/yoke/etc`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use yoke_install::layout::SLOT_BYTES;
use yoke_install::update;

use crate::Params;
use crate::base::Base;
use crate::cpio::Cpio;
use crate::files;
use crate::modules::Wanted;
use crate::tool::run;

/// Raised when an older loader or init could not start the slot.
const FORMAT: u32 = update::SLOT_FORMAT;
const SLOT_CFG: &str = include_str!("../boot/slot.cfg");

/// Where the kernel, or a stage that is done, mounts something.
const MOUNT_POINTS: [&str; 7] = ["proc", "sys", "dev", "run", "tmp", "var", "flash"];
/// One directory for programs, one for libraries, as on Debian.
const MERGED: [(&str, &str); 4] =
    [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];
/// What director writes from the configuration.
const RENDERED: [&str; 7] = ["passwd", "group", "shadow", "hostname", "resolv.conf", "motd", "localtime"];
const STATIC: [(&str, &str); 3] = [
    ("etc/nsswitch.conf", include_str!("../root/etc/nsswitch.conf")),
    ("etc/shells", include_str!("../root/etc/shells")),
    ("etc/hosts", include_str!("../root/etc/hosts")),
];

/// A finished slot.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The squashfs.
    pub squashfs: PathBuf,
    /// The initrd that is also in it.
    pub initrd: PathBuf,
}

/// Makes `slot/` and `slot.sqsh` below `out`. `key` holds the public keys that updates are held to.
///
/// # Errors
/// The base lacks something, mksquashfs fails, or the slot is larger than its partition.
pub fn build(out: &Path, base: &Base, params: &Params, key: &str, say: &dyn Fn(&str)) -> Result<Slot> {
    say("slot: root and initrd");
    let tree = out.join("slot");
    files::fresh_dir(&tree)?;
    root(&tree, base, params)?;
    files::write(&tree.join(update::KEY_FILE.trim_start_matches('/')), key, 0o644)?;
    let plain = out.join("initrd.cpio");
    files::write(&plain, initrd_of(base, &params.programs.stage1)?, 0o644)?;
    let initrd = out.join("initrd");
    let (zstd, gzip) = if params.hurry { ("-1", "1") } else { ("-9", "6") };
    run(base.tools.command("usr/bin/zstd").args(["-q", "-f", zstd]).arg(&plain).arg("-o").arg(&initrd))?;
    files::copy(&base.vmlinuz(), &tree.join("boot/vmlinuz"))?;
    files::copy(&initrd, &tree.join("boot/initrd"))?;
    files::write(&tree.join("boot/slot.cfg"), SLOT_CFG, 0o644)?;
    refuse_setuid(&tree)?;

    say("slot: squashfs");
    let squashfs = out.join("slot.sqsh");
    files::remove(&squashfs)?;
    let time = epoch(base)?.to_string();
    let mut command = base.tools.command("usr/bin/mksquashfs");
    command.arg(&tree).arg(&squashfs).args(["-comp", "gzip", "-Xcompression-level", gzip]);
    command.args(["-action", "uncompressed@subpathname(boot)", "-all-root", "-no-xattrs", "-noappend"]);
    command.args(["-mkfs-time", &time, "-all-time", &time, "-root-mode", "755", "-quiet", "-no-progress"]);
    // Its own variable would clash with the two options.
    run(command.env_remove("SOURCE_DATE_EPOCH"))?;
    let size = fs::metadata(&squashfs)?.len();
    let room = yoke_install::slot::room(SLOT_BYTES);
    ensure!(size <= room, "{}: {size} bytes do not fit a slot of {room}", squashfs.display());
    Ok(Slot { squashfs, initrd })
}

/// The time of every file, in seconds since 1970: `SOURCE_DATE_EPOCH`, else that of the base's loader, the newest thing not of ours
/// that keeps its packaging time.
pub(crate) fn epoch(base: &Base) -> Result<i64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH: {text}: not a number of seconds")),
        Err(_) => Ok(fs::metadata(base.dir.join("grub/i386-pc/boot.img"))?.mtime()),
    }
}

fn root(tree: &Path, base: &Base, params: &Params) -> Result<()> {
    let Params { programs, version, built, .. } = params;
    files::copy_tree(&base.dir.join("root"), tree, true)?;
    files::copy_tree(&base.dir.join("modules"), &tree.join("usr/lib/modules"), true)?;
    for (link, target) in MERGED {
        files::make_dir(&tree.join(target))?;
        files::link(target, &tree.join(link))?;
    }
    for dir in MOUNT_POINTS {
        files::make_dir(&tree.join(dir))?;
    }
    files::make_dir(&tree.join("root"))?;
    files::set_mode(&tree.join("root"), 0o700)?;

    files::copy(&programs.init, &tree.join("usr/sbin/init"))?;
    files::copy(&programs.director, &tree.join("usr/sbin/director"))?;
    files::copy(&programs.vrrpd, &tree.join("usr/sbin/vrrpd"))?;
    files::copy(&programs.shell, &tree.join("usr/bin/shell"))?;
    files::copy(&programs.install, &tree.join("usr/sbin/install"))?;
    files::copy(&programs.ipvsadm, &tree.join("usr/sbin/ipvsadm"))?;
    for script in ["ipvsadm-save", "ipvsadm-restore"] {
        files::link("ipvsadm", &tree.join("usr/sbin").join(script))?;
    }
    for check in CHECKS {
        files::link("../../../sbin/director", &tree.join("usr/lib/yoke/checks").join(check))?;
    }
    // The kernel's own requests for modules run /sbin/modprobe.
    files::link("init", &tree.join("usr/sbin/modprobe"))?;

    for (path, text) in STATIC {
        files::write(&tree.join(path), text, 0o644)?;
    }
    for name in RENDERED {
        files::link(&format!("/run/yoke/etc/{name}"), &tree.join("etc").join(name))?;
    }
    // e2fsck looks here before it touches a file system.
    files::link("/proc/self/mounts", &tree.join("etc/mtab"))?;
    let release =
        format!("VERSION={version}\nBUILT={built}\nSLOT_FORMAT={FORMAT}\nKERNEL={}\nBASE={}\n", base.release, base.id);
    files::write(&tree.join("etc/yoke-release"), release, 0o644)
}

/// Programs of `health-monitor ... type external`: names of the director (`health/src/programs.rs`), which has them all.
const CHECKS: [&str; 1] = ["ntp"];

/// Stage 1: its program and the modules to find and mount the slot, nothing else. The kernel unpacks all of it at every start.
fn initrd_of(base: &Base, stage1: &Path) -> Result<Vec<u8>> {
    let index = base.index()?;
    let wanted = Wanted::load()?;
    // The rest of the list only has to be there; a base that lacks a driver must not become an image.
    index.closure(wanted.all())?;
    let part = index.subset(&index.closure(wanted.initrd())?);
    let plain = index.subset(&index.closure(wanted.stage1.iter().map(String::as_str))?).modules;
    // Where a module is, and what it is called in the initrd and its index.
    let packed = base.packed_modules();
    let placed = part.modules.iter().map(|path| {
        let name = format!("{path}.xz");
        match packed.as_ref().map(|modules| modules.join(&name)).filter(|file| file.is_file()) {
            Some(file) if !plain.contains(path) => (file, path, name),
            _ => (base.modules().join(path), path, path.clone()),
        }
    });
    let placed: Vec<_> = placed.collect();

    let mut cpio = Cpio::default();
    cpio.add_file("init", 0o755, &fs::read(stage1).with_context(|| format!("{}", stage1.display()))?);
    for dir in ["dev", "proc", "sys", "run"] {
        cpio.add_dir(dir);
    }
    let top = format!("lib/modules/{}", base.release);
    let mut dirs = std::collections::BTreeSet::new();
    let mut contents = Vec::new();
    for (name, text) in part.texts {
        let named = |word: &str| placed.iter().find(|(_, path, _)| *path == word).map(|(_, _, named)| named.clone());
        // `path: needs...`, in which each word is a path.
        let line = |line: &str| {
            let words = line.split(' ').map(|word| match word.strip_suffix(':') {
                Some(path) => named(path).unwrap_or_else(|| path.to_owned()) + ":",
                None => named(word).unwrap_or_else(|| word.to_owned()),
            });
            words.collect::<Vec<_>>().join(" ") + "\n"
        };
        let text = if name == "modules.dep" { text.lines().map(line).collect() } else { text };
        contents.push((format!("{top}/{name}"), text.into_bytes()));
    }
    for (file, _, named) in placed {
        contents.push((format!("{top}/{named}"), fs::read(&file).with_context(|| format!("{}", file.display()))?));
    }
    for (name, _) in &contents {
        dirs.extend(name.match_indices('/').map(|(at, _)| name[..at].to_owned()));
    }
    // Sorted, a directory comes before what is in it.
    for dir in dirs {
        cpio.add_dir(&dir);
    }
    for (name, content) in contents {
        cpio.add_file(&name, 0o644, &content);
    }
    Ok(cpio.finish())
}

fn refuse_setuid(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        ensure!(meta.mode() & 0o6000 == 0, "{}: setuid or setgid in a slot", entry.path().display());
        if meta.is_dir() {
            refuse_setuid(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_makes_its_caller_root_is_refused() {
        let dir = std::env::temp_dir().join(format!("yoke-setuid-{}", std::process::id()));
        let program = dir.join("usr/bin/su");
        files::write(&program, "", 0o755).unwrap();
        refuse_setuid(&dir).unwrap();
        for mode in [0o4755, 0o2755] {
            files::set_mode(&program, mode).unwrap();
            let refused = refuse_setuid(&dir).unwrap_err().to_string();
            assert!(refused.contains("usr/bin/su: setuid or setgid in a slot"), "{refused}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
