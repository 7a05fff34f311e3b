//! A machine in QEMU: how it is put together, switched on, unplugged, and switched on again with the same disk.
//!
//! Emulation only (TCG, one thread): no test depends on KVM. The machine sits in the hub's namespace. What is on its disk
//! is the business of `disk`, what is typed at it that of `console` and `labshell`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::console::Console;
use crate::disk::Slot;
use crate::emulator::{self, CONNECT_LIMIT};
use crate::labshell::{self, LabShell};
use crate::qmp::Qmp;
use crate::serial::Listener;
use crate::term::VT100_COLUMNS;
use crate::{processor, wait};

/// What starts the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS, and the loader on the disk.
    Bios,
    /// OVMF, and the loader on the disk.
    Uefi,
    /// The slot's own kernel and initrd, put there by QEMU, with the lab's shell appended and this much more on the
    /// command line. The disk and its slots are the unmodified ones.
    Direct {
        /// More words for the kernel.
        append: String,
    },
}

/// Where the disk sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    Virtio,
    /// SATA.
    Ahci,
    /// NVMe.
    Nvme,
    /// A USB stick.
    Usb,
    /// virtio-scsi.
    Scsi,
}

/// The address of [`Machine::early_card`].
pub const EARLY_CARD: &str = "52:54:00:59:0e:00";

impl Bus {
    /// QEMU's devices for the drive `id`, which firmware tries as the one of that number.
    fn devices(self, id: &str, order: u8) -> Vec<String> {
        let disk = |kind: &str| format!("{kind},drive={id},bootindex={order}");
        let on = |controller: &str, kind: &str, bus: &str| {
            vec![format!("{controller},id={id}-bus"), disk(&format!("{kind},bus={id}-bus{bus}"))]
        };
        match self {
            Self::Virtio => vec![disk("virtio-blk-pci")],
            Self::Ahci => on("ich9-ahci", "ide-hd", ".0"),
            Self::Nvme => vec![disk("nvme,serial=yoke")],
            Self::Usb => on("qemu-xhci", "usb-storage", ".0"),
            Self::Scsi => on("virtio-scsi-pci", "scsi-hd", ".0"),
        }
    }
}

/// A second disk.
#[derive(Debug, Clone)]
pub struct Spare {
    /// What is on it.
    pub file: PathBuf,
    /// Where it sits.
    pub bus: Bus,
    /// Whether firmware tries it before the disk.
    pub first: bool,
}

/// How a machine is put together.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What starts it.
    pub firmware: Firmware,
    /// Where the disk sits.
    pub bus: Bus,
    /// A disk beside it.
    pub spare: Option<Spare>,
    /// QEMU's name of both network cards' model.
    pub nic: &'static str,
    /// MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Network cards whose cable is out from the start, by number.
    pub unplugged: Vec<u32>,
    /// The second box of a pair: its cards are plugged in beside the first one's.
    pub second: bool,
    /// What its clock says when it is switched on, in UTC; `None`: the right time.
    pub rtc: Option<&'static str>,
    /// Whether it has memory for what a dying kernel has to say (ACPI ERST), kept in a file beside the disk.
    pub erst: bool,
    /// Logs every write and flush of the disk to this file (`writelog`).
    pub write_log: Option<PathBuf>,
    /// A qcow2 file over the disk, which takes all writes: what the machine has not flushed is not all there when QEMU is killed.
    pub overlay: Option<PathBuf>,
    /// The first write to this sector of the disk fails, as on a disk at its end; later ones do not.
    pub bad_sector: Option<u64>,
    /// Has a hardware watchdog, an i6300ESB, which resets the machine: QEMU ends then.
    pub watchdog: bool,
    /// More programs for the lab's shell, found there as `/NAME`.
    pub lab_files: Vec<PathBuf>,
    /// The hub's taps of more network cards, `eth2` and so on.
    pub more_cards: &'static [&'static str],
    /// Has one more card, without a cable, in a slot before all others.
    pub early_card: bool,
    /// Has CMPXCHG16B, for programs that are not without it; the kernel is then to be told that it has not.
    pub cmpxchg16b: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            firmware: Firmware::Bios,
            bus: Bus::Virtio,
            spare: None,
            nic: "virtio-net-pci",
            memory: 512,
            cpus: 1,
            unplugged: Vec::new(),
            second: false,
            rtc: None,
            erst: false,
            write_log: None,
            overlay: None,
            bad_sector: None,
            watchdog: false,
            lab_files: Vec::new(),
            more_cards: &[],
            early_card: false,
            cmpxchg16b: false,
        }
    }
}

impl Machine {
    /// QEMU's command line for all but the ports.
    fn qemu(&self, disk: &Path, dir: &Path) -> Result<Command> {
        let mut qemu = emulator::machine(self.cpus, self.memory);
        if self.cmpxchg16b {
            qemu.args(["-cpu", "qemu64"]);
        }
        qemu.args(["-vga", "std"]);
        if self.early_card {
            qemu.args(["-device", &format!("{},mac={EARLY_CARD},romfile=", self.nic)]);
        }
        match (&self.write_log, self.bad_sector) {
            (None, Some(sector)) => {
                qemu.args(["-blockdev", &format!("driver=file,filename={},node-name=file", disk.display())]);
                let rule = format!("event=none,iotype=write,errno=5,once=on,sector={sector}");
                let rule = rule.split(',').map(|word| format!(",inject-error.0.{word}")).collect::<String>();
                qemu.args(["-blockdev", &format!("driver=blkdebug,node-name=disk,image=file{rule}")]);
            }
            (None, None) => {
                let (file, format) = self.overlay.as_deref().map_or((disk, "raw"), |overlay| (overlay, "qcow2"));
                qemu.args(["-drive", &format!("file={},format={format},if=none,id=disk", file.display())]);
            }
            (Some(log), _) => {
                std::fs::File::create(log)?;
                qemu.args(["-blockdev", &format!("driver=file,filename={},node-name=file", disk.display())]);
                qemu.args(["-blockdev", &format!("driver=file,filename={},node-name=log", log.display())]);
                // The header is brought up to date with each entry: that is how a save's place in the log is known.
                let filter = "driver=blklogwrites,node-name=disk,file=file,log=log,log-sector-size=512";
                qemu.args(["-blockdev", &format!("{filter},log-super-update-interval=1")]);
            }
        }
        let mut devices = self.bus.devices("disk", 1);
        if let Some(Spare { file, bus, first }) = &self.spare {
            // What is written as zeros takes no room here.
            let drive =
                format!("file={},format=raw,if=none,id=spare,discard=unmap,detect-zeroes=unmap", file.display());
            qemu.args(["-drive", &drive]);
            devices.extend(bus.devices("spare", if *first { 0 } else { 2 }));
        }
        for device in &devices {
            qemu.args(["-device", device]);
        }
        let (taps, seat) = if self.second { (["tap-out2", "tap-in2"], 2) } else { (["tap-out", "tap-in"], 0) };
        for (number, tap) in taps.iter().chain(self.more_cards).enumerate() {
            emulator::plug(&mut qemu, number, self.nic, tap, &format!("52:54:00:59:0{seat}"));
        }
        if self.watchdog {
            qemu.args(["-device", "i6300esb"]);
        }
        if self.erst {
            let file = dir.join("erst").display().to_string();
            qemu.args(["-object", &format!("memory-backend-file,id=erst,mem-path={file},size=64K,share=on")]);
            qemu.args(["-device", "acpi-erst,memdev=erst"]);
        }
        if let Some(time) = self.rtc {
            qemu.args(["-rtc", &format!("base={time}")]);
        }
        match &self.firmware {
            Firmware::Bios => {}
            Firmware::Uefi => {
                let variables = dir.join("uefi-variables.fd");
                if !variables.exists() {
                    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).context("OVMF (package ovmf)")?;
                }
                let code = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
                qemu.args(["-drive", code, "-drive", &format!("if=pflash,format=raw,file={}", variables.display())]);
            }
            Firmware::Direct { append } => {
                let slot = Slot::extract(disk, dir, &self.lab_files)?;
                qemu.arg("-kernel").arg(&slot.kernel).arg("-initrd").arg(&slot.initrd_with_shell);
                qemu.args(["-append", &format!("{} {append}", slot.command_line)]);
            }
        }
        Ok(qemu)
    }

    /// Runs the machine with its console on this terminal until it is off, or until Ctrl-A X.
    ///
    /// # Errors
    /// When QEMU does not start.
    pub fn run_here(&self, disk: &Path, dir: &Path) -> Result<()> {
        let mut qemu = self.qemu(disk, dir)?;
        qemu.args(["-chardev", "stdio,id=tty0,mux=on,signal=off", "-serial", "chardev:tty0", "-mon", "chardev=tty0"]);
        qemu.stdin(Stdio::inherit()).status().context("start QEMU (package qemu-system-x86)")?;
        Ok(())
    }
}

/// A machine that is on.
#[derive(Debug)]
pub struct Vm {
    /// The operator's console, ttyS0.
    pub console: Console,
    /// A root shell on ttyS1, with [`Firmware::Direct`] only.
    pub shell: Option<LabShell>,
    /// When QEMU was started.
    pub started: Instant,
    qemu: Child,
    qmp: Qmp,
    _sockets: tempfile::TempDir,
}

impl Vm {
    /// Switches a machine on. `dir` gets the transcripts; `disk` is the raw disk it may write to.
    ///
    /// # Errors
    /// When QEMU does not start; what it said is in `qemu.log`.
    pub fn start(machine: &Machine, disk: &Path, dir: &Path) -> Result<Self> {
        // Not below `dir`: a socket's path has 107 bytes.
        let sockets = tempfile::Builder::new().prefix("yoke-lab-").tempdir()?;
        let path = |name: &str| sockets.path().join(name);
        let [tty0, tty1, control] =
            [Listener::bind(&path("ttyS0"))?, Listener::bind(&path("ttyS1"))?, Listener::bind(&path("qmp"))?];

        let mut qemu = machine.qemu(disk, dir)?;
        for (id, name) in [("tty0", "ttyS0"), ("tty1", "ttyS1")] {
            qemu.args(["-chardev", &format!("socket,id={id},path={}", path(name).display())]);
            qemu.args(["-serial", &format!("chardev:{id}")]);
        }
        qemu.args([
            "-chardev",
            &format!("socket,id=qmp,path={}", path("qmp").display()),
            "-mon",
            "chardev=qmp,mode=control",
        ]);
        if !machine.unplugged.is_empty() {
            qemu.arg("-S");
        }
        let log = std::fs::File::options().create(true).append(true).open(dir.join("qemu.log"))?;
        let started = wait::now();
        let mut child = emulator::spawn(&mut qemu, log)?;

        let connect = || -> Result<(Console, Option<LabShell>, Qmp)> {
            let console = tty0.open("ttyS0", VT100_COLUMNS, &dir.join("console.log"), CONNECT_LIMIT)?;
            let second = tty1.open("ttyS1", labshell::COLUMNS, &dir.join("ttyS1.log"), CONNECT_LIMIT)?;
            let shell = matches!(machine.firmware, Firmware::Direct { .. }).then(|| LabShell::new(second));
            let mut qmp = Qmp::new(control.accept(CONNECT_LIMIT)?)?;
            if !machine.unplugged.is_empty() {
                for number in &machine.unplugged {
                    qmp.call("set_link", &json!({ "name": format!("nic{number}"), "up": false }))?;
                }
                qmp.call("cont", &json!({}))?;
            }
            Ok((Console::new(console), shell, qmp))
        };
        match connect() {
            Ok((console, shell, qmp)) => Ok(Self { console, shell, started, qemu: child, qmp, _sockets: sockets }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let said = std::fs::read_to_string(dir.join("qemu.log")).unwrap_or_default();
                Err(error.context(format!("QEMU does not start: {}", said.trim())))
            }
        }
    }

    /// Pulls the cable out of network card `number`, or puts it back.
    ///
    /// # Errors
    /// QEMU's.
    pub fn set_link(&mut self, number: u32, up: bool) -> Result<()> {
        self.qmp.call("set_link", &json!({ "name": format!("nic{number}"), "up": up }))?;
        Ok(())
    }

    /// Has it go on when it restarts, as a machine would and with what is in its memory; otherwise QEMU ends then.
    ///
    /// # Errors
    /// QEMU's.
    pub fn stay_on_restart(&mut self) -> Result<()> {
        self.qmp.call("set-action", &json!({ "reboot": "reset" }))?;
        Ok(())
    }

    /// How long this machine's processor has worked for the emulated one since it was switched on: waiting, for the guest's next
    /// interrupt or for a turn on this machine, is not in it, and what QEMU does beside, such as moving packets, is not either.
    ///
    /// # Errors
    /// When QEMU or the kernel does not tell.
    pub fn processor_time(&mut self) -> Result<Duration> {
        let answer = self.qmp.call("query-cpus-fast", &json!({}))?;
        let thread = answer[0]["thread-id"].as_i64().with_context(|| format!("no thread in {answer}"))?;
        processor::time(Path::new(&format!("/proc/{}/task/{thread}", self.qemu.id())))
    }

    /// Cuts the power: the machine gets no chance to write anything.
    ///
    /// # Errors
    /// When QEMU is not there to be killed.
    pub fn cut_power(mut self) -> Result<()> {
        self.qemu.kill().context("kill QEMU")?;
        self.qemu.wait()?;
        Ok(())
    }

    /// Waits until the machine has switched itself off or, QEMU being told so, restarted.
    ///
    /// # Errors
    /// When it goes on.
    pub fn wait_off(&mut self, limit: Duration) -> Result<()> {
        wait::until("the machine to go off", limit, || {
            ensure!(
                self.qemu.try_wait()?.is_some(),
                "QEMU still runs; the screen ends with\n{}",
                self.console.serial.tail()
            );
            Ok(())
        })
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The disk image under test.
pub fn image() -> Result<PathBuf> {
    let path = crate::target().join("yoke-x86_64.img");
    ensure!(path.exists(), "{} is missing: cargo xtask image", path.display());
    Ok(path)
}
