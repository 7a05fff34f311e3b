//! The disk under a machine: a private copy of the image, its partitions from outside, and the slot's kernel for QEMU.
//!
//! Works on files only: nothing is mounted, nothing needs a loop device. It reads the layout from the disk itself and
//! so knows labels, not numbers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::labshell;

/// Sector of every disk we make.
const SECTOR_BYTES: u64 = 512;

/// Makes a copy of the image for one test. It is sparse: what the image does not use costs nothing.
///
/// # Errors
/// When the image is missing or the disk is full.
pub fn copy(image: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    run(cp.args(["--sparse=always", "--reflink=auto"]).arg(image).arg(to))?;
    Ok(())
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// What it said on stderr.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {} {}", output.status, said.trim());
    Ok(output.stdout)
}

/// A partition, by its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Bytes from the start of the disk.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
    /// PARTUUID, lower case.
    pub uuid: String,
}

/// Finds the partition labelled `label`.
///
/// # Errors
/// When the disk has no such partition.
pub fn partition(disk: &Path, label: &str) -> Result<Partition> {
    let gpt = gpt::GptConfig::new().writable(false).open(disk).with_context(|| format!("GPT of {}", disk.display()))?;
    let found = gpt.partitions().values().find(|part| part.name == label);
    let part = found.with_context(|| format!("{} has no partition {label}", disk.display()))?;
    Ok(Partition {
        offset: part.first_lba * SECTOR_BYTES,
        bytes: (part.last_lba - part.first_lba + 1) * SECTOR_BYTES,
        uuid: part.part_guid.to_string().to_lowercase(),
    })
}

/// The `config` partition of a machine that is off. The tools work on a copy of it, because e2fsck cannot replay a journal
/// inside a larger file; what they change is written back.
#[derive(Debug)]
pub struct Flash {
    disk: PathBuf,
    offset: u64,
    part: tempfile::NamedTempFile,
}

impl Flash {
    /// Opens it, after the journal has been replayed as the next boot would.
    ///
    /// # Errors
    /// When the partition is missing or e2fsck finds what it cannot repair.
    pub fn open(disk: &Path) -> Result<Self> {
        let Partition { offset, bytes, .. } = partition(disk, "config")?;
        let mut part = tempfile::NamedTempFile::new()?;
        let mut whole = File::open(disk)?;
        whole.seek(SeekFrom::Start(offset))?;
        std::io::copy(&mut whole.take(bytes), &mut part)?;
        check(part.path())?;
        Ok(Self { disk: disk.to_owned(), offset, part })
    }

    fn debugfs(&self, request: &str) -> Result<Vec<u8>> {
        run(Command::new("debugfs").args(["-R", request]).arg(self.part.path()))
    }

    /// The bytes of `name`, empty when there is no such file.
    ///
    /// # Errors
    /// Those of debugfs.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.debugfs(&format!("cat {name}"))
    }

    /// The names in the folder `folder`.
    ///
    /// # Errors
    /// Those of debugfs.
    pub fn names(&self, folder: &str) -> Result<Vec<String>> {
        // `ls -p` prints /inode/mode/uid/gid/name/size/ a line.
        let listing = String::from_utf8(self.debugfs(&format!("ls -p {folder}"))?)?;
        let names = listing.lines().filter_map(|line| line.split('/').nth(5));
        Ok(names.filter(|name| !name.is_empty() && !name.starts_with('.')).map(str::to_owned).collect())
    }

    /// Puts `bytes` in the place of `name`. Other names of the same file keep the old bytes.
    ///
    /// # Errors
    /// Those of debugfs, or when the file does not read back.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let source = tempfile::NamedTempFile::new()?;
        std::fs::write(source.path(), bytes)?;
        // `write` takes no path, only a name in its current folder. `rm` of what is not there yet is no failure.
        let (folder, file) = name.rsplit_once('/').unwrap_or(("/", name));
        let script = tempfile::NamedTempFile::new()?;
        let requests = format!("cd {folder}\nrm {file}\nwrite {} {file}\n", source.path().display());
        std::fs::write(script.path(), requests)?;
        run(Command::new("debugfs").arg("-w").arg("-f").arg(script.path()).arg(self.part.path()))?;
        ensure!(self.read(name)? == bytes, "{name} does not read back from the config partition");
        let mut whole = File::options().write(true).open(&self.disk)?;
        whole.seek(SeekFrom::Start(self.offset))?;
        std::io::copy(&mut File::open(self.part.path())?, &mut whole)?;
        Ok(())
    }
}

/// Replays the journal of a file system and checks all of it, as the boot does: first what needs no answer, then all of it.
///
/// # Errors
/// What e2fsck could not repair by itself.
pub fn check(filesystem: &Path) -> Result<()> {
    let e2fsck = |how: &[&str]| {
        let output =
            Command::new("e2fsck").args(how).arg(filesystem).output().context("run e2fsck (package e2fsprogs)")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // 1: repaired, which after a cut is the journal.
        anyhow::Ok((matches!(output.status.code(), Some(0 | 1)), said))
    };
    if e2fsck(&["-f", "-p"])?.0 {
        return Ok(());
    }
    let (whole, said) = e2fsck(&["-f", "-y"])?;
    ensure!(whole, "e2fsck of the config partition: {said}");
    Ok(())
}

/// What QEMU needs to start slot a by itself, with the lab's shell.
#[derive(Debug)]
pub struct Slot {
    /// `vmlinuz` of the slot.
    pub kernel: PathBuf,
    /// `initrd` of the slot, as it is, followed by the lab's.
    pub initrd_with_shell: PathBuf,
    /// What the loader would say, and the way into the lab's shell.
    pub command_line: String,
}

impl Slot {
    /// Takes kernel, initrd, arguments and busybox out of slot a of `disk`, into `dir`; `more` programs join the shell.
    ///
    /// # Errors
    /// When the slot lacks one of them.
    pub fn extract(disk: &Path, dir: &Path, more: &[PathBuf]) -> Result<Self> {
        let slot = partition(disk, "slot-a")?;
        let root = dir.join("slot");
        let mut unsquashfs = Command::new("unsquashfs");
        unsquashfs.args(["-no-progress", "-force", "-o", &slot.offset.to_string(), "-d"]).arg(&root).arg(disk);
        run(unsquashfs.args(["boot/vmlinuz", "boot/initrd", "boot/slot.cfg", "usr/bin/busybox"]))
            .context("take the kernel out of slot-a (package squashfs-tools)")?;

        let settings = std::fs::read_to_string(root.join("boot/slot.cfg"))?;
        let arguments = settings
            .lines()
            .find_map(|line| line.strip_prefix("set slot_args="))
            .context("boot/slot.cfg sets no slot_args")?
            .trim_matches('"');
        let esp = partition(disk, "esp")?.uuid;
        // As the loader's grub.cfg has it for a machine of QEMU.
        let arguments = format!("{arguments} no_timer_check");
        let command_line =
            format!("console=tty0 console=ttyS0,115200 {arguments} yoke.slot=a yoke.boot={esp} rdinit=/yoke-lab/init");

        let mut initrd = std::fs::read(root.join("boot/initrd"))?;
        // The kernel takes one archive after the other, each on a boundary of four bytes.
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(shell_archive(&root.join("usr/bin/busybox"), &dir.join("lab.initrd"), more)?);
        let initrd_with_shell = dir.join("initrd");
        std::fs::write(&initrd_with_shell, initrd)?;
        Ok(Self { kernel: root.join("boot/vmlinuz"), initrd_with_shell, command_line })
    }
}

/// The appended archive: busybox of the slot, our two scripts, this machine's `ipvsadm` with its libraries, and `more`.
fn shell_archive(busybox: &Path, tree: &Path, more: &[PathBuf]) -> Result<Vec<u8>> {
    let lab = tree.join("yoke-lab");
    std::fs::create_dir_all(&lab)?;
    std::fs::copy(busybox, lab.join("busybox"))?;
    std::fs::write(lab.join("init"), labshell::INIT)?;
    std::fs::write(lab.join("shell"), labshell::SHELL)?;
    run(Command::new("chmod").arg("755").args([lab.join("init"), lab.join("busybox")]))?;
    let ipvsadm = Path::new("/usr/sbin/ipvsadm");
    copy_program(ipvsadm, &lab.join("usr/sbin/ipvsadm"), &lab).context("package ipvsadm")?;
    for program in more {
        copy_program(program, &lab.join(program.file_name().context("a program has a name")?), &lab)?;
    }
    archive(tree, "yoke-lab")
}

/// Copies a program of this machine to `to`, and its shared libraries, if it has any, to where it looks for them below `root`.
///
/// # Errors
/// When there is no such program.
pub fn copy_program(program: &Path, to: &Path, root: &Path) -> Result<()> {
    let copy = |from: &Path, to: &Path| -> Result<()> {
        std::fs::create_dir_all(to.parent().context("a path with a parent")?)?;
        std::fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
        Ok(())
    };
    copy(program, to)?;
    // ldd prints `NAME => PATH (ADDRESS)`, and the loader as a path alone. For a static program it prints no path, and fails.
    let libraries = String::from_utf8(Command::new("ldd").arg(program).output().context("run ldd")?.stdout)?;
    let mut paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    paths.try_for_each(|path| copy(Path::new(path), &root.join(path.trim_start_matches('/'))))
}

/// Packs what is at `name` below `tree` as the kernel wants an initrd.
///
/// # Errors
/// When there is no cpio.
pub fn archive(tree: &Path, name: &str) -> Result<Vec<u8>> {
    let archive = format!("find {name} | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0");
    run(Command::new("sh").args(["-c", &archive]).current_dir(tree)).context("pack the lab's initrd (package cpio)")
}
