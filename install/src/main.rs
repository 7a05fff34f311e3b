//! `install COMMAND`: the one-shot that writes a slot and says which one starts next. The director runs it; an operator says `install ...` in
//! the shell.
//!
//! It prints lines of JSON ([`yoke_install::report`]) and ends 0 when it did what it was told. It runs as root without any capability: root
//! owns the disk's devices, and that is all it needs. The disk is the one that the running root lies on, whatever others are there.

#![expect(clippy::print_stdout, reason = "its output is for the director")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use yoke_config::model::Trust;
use yoke_init::block::{self, Found};
use yoke_init::cmdline::Cmdline;
use yoke_install::clone::{self, Draft, Running};
use yoke_install::environment::{Environment, Slot};
use yoke_install::part::{self, Part};
use yoke_install::report::{Line, Progress, SlotRow, Slots};
use yoke_install::update::{self, HEADER_BYTES, Manifest};
use yoke_install::{esp, fetch, layout, slot, target, twin};

const USE: &str = "use: install add SOURCE [ADDRESS] [ca=HEX] [force] | activate MINUTES | commit | rollback | abort | up | disk NAME IDENTITY | look NAME | show";
const RELEASE: &str = "/etc/yoke-release";
/// Held by who changes slots or the loader's variables. The kernel lets go of it with its holder, however that ends.
const LOCK: &str = "/run/yoke/install.lock";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = match run(&words) {
        Ok(line) => line,
        Err(error) => Line::Failed { why: format!("install: {error:#}") },
    };
    let failed = matches!(line, Line::Failed { .. });
    say(&line);
    ExitCode::from(u8::from(failed))
}

fn say(line: &Line) {
    println!("{}", serde_json::to_string(line).unwrap_or_default());
    let _ = std::io::stdout().flush();
}

fn run(words: &[&str]) -> Result<Line> {
    // In a group of its own it would outlive a director that init starts anew, and which knows nothing of it.
    set_pdeathsig(Signal::SIGKILL).context("cannot be tied to who started it")?;
    for set in [caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable] {
        caps::clear(None, set).context("capabilities cannot be given up")?;
    }
    let disk = Disk::find()?;
    let _lock = if matches!(words, ["show" | "up"] | ["look", _]) { None } else { Some(lock()?) };
    // Not of a commit: what is on trial was started in spite of them, and to refuse it would help nobody.
    if matches!(words, ["add", ..] | ["activate", _] | ["rollback"])
        && let Some(why) = twin::sentence(&disk.name, &block::twins(&disk.name))
    {
        bail!(why);
    }
    match words {
        ["add", source, more @ ..] => {
            let address = more.iter().find_map(|word| word.parse().ok());
            let authority = more.iter().find_map(|word| word.strip_prefix("ca="));
            let trust = authority.map_or(Some(Trust::Public), |hex| slot::unhex(hex).map(Trust::Authority));
            disk.add(source, address, &trust.context("ca")?, more.contains(&"force"))
        }
        ["activate", minutes] => disk.activate(minutes.parse().context("minutes")?),
        ["commit"] => disk.commit(),
        ["rollback"] => disk.roll_back(),
        ["abort"] => disk.abort(),
        ["disk", name, identity] => disk.clone_to(name, identity),
        ["look", name] => disk.look(name),
        ["up"] => disk.up(),
        ["show"] => disk.show(),
        _ => bail!(USE),
    }
}

fn lock() -> Result<File> {
    let file = File::create(LOCK).context(LOCK)?;
    file.try_lock().ok().context("an install is under way, wait for it or use: install abort")?;
    Ok(file)
}

/// Opens a disk or partition. `alone`: nobody else has it meanwhile, and nothing of it is mounted.
fn device(name: &str, write: bool, alone: bool) -> Result<File> {
    let path = format!("/dev/{name}");
    let flags = if alone { libc::O_EXCL } else { 0 };
    match OpenOptions::new().read(true).write(write).custom_flags(flags).open(&path) {
        Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
            bail!("{name}: is in use: something of it is mounted, or another install is under way")
        }
        other => other.context(path),
    }
}

/// The saved configuration, where the flash is mounted and not replaced by memory.
fn flash() -> Option<&'static Path> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| line.contains(" /flash ext4 ")).then_some(Path::new("/flash"))
}

/// The disk that runs, and who signs its firmware.
struct Disk {
    name: String,
    running: Slot,
    version: String,
    /// When it was built, as [`Manifest::built`].
    built: u64,
    /// Whether the loader started it on trial.
    tried: bool,
    key: String,
}

impl Disk {
    fn find() -> Result<Self> {
        let name = block::disk_under(Path::new("/")).context("the root of this system is on no disk")?;
        let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").context("/proc/cmdline")?);
        let running = cmdline.value("yoke.slot").map_or(Some(Slot::A), Slot::from_letter).context("yoke.slot")?;
        let release = fs::read_to_string(RELEASE).context(RELEASE)?;
        let of = |name: &str| release.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let version = of("VERSION=").context(RELEASE)?;
        let built = of("BUILT=").and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
        let tried = cmdline.has("yoke.trial");
        let key = fs::read_to_string(update::KEY_FILE).context(update::KEY_FILE)?;
        Ok(Self { name, running, version, built, tried, key })
    }

    /// Opens a partition and says how large it is. One that is written is nobody else's meanwhile, and not mounted.
    fn open(&self, label: &str, write: bool) -> Result<(Part, u64)> {
        let partitions = block::partitions();
        let Found::Sure(partition) = block::choose(&partitions, label, Some(&self.name)) else {
            bail!("{}: there is no partition {label}", self.name);
        };
        let mut file = device(&partition.name, write, write)?;
        let bytes = layout::size(&mut file)?;
        Ok((file.into(), bytes))
    }

    fn environment(&self) -> Result<Environment> {
        let (file, _) = self.open("esp", false)?;
        esp::read(&file).context("partition esp")
    }

    fn set_environment(&self, environment: &Environment) -> Result<()> {
        let (file, _) = self.open("esp", true)?;
        esp::write(&file, environment).context("partition esp")?;
        file.sync().context("partition esp")
    }

    /// Whether what runs is tried: the loader has said so, and it is not committed yet. The variables alone do not tell: a box that fell back to
    /// a slot which was tried once and is not good runs without a trial.
    fn on_trial(&self, environment: &Environment) -> bool {
        self.tried
            && environment.next() == Some(self.running)
            && environment.good() != self.running
            && !environment.is_pending()
    }

    fn describe(&self, slot: Slot) -> Result<(Part, Manifest)> {
        let (file, bytes) = self.open(slot.label(), false)?;
        let manifest = slot::describe(&file, bytes, &self.key)?;
        Ok((file, manifest))
    }

    fn add(&self, name: &str, address: Option<IpAddr>, trust: &Trust, older: bool) -> Result<Line> {
        let mut environment = self.environment()?;
        ensure!(!self.on_trial(&environment), "what runs is on trial, use first: install commit, or install abort");
        let target = self.running.other();
        let mut source = fetch::open(name, address, trust, &self.name)?;
        let name = fetch::named(name);
        let mut block = Vec::with_capacity(HEADER_BYTES);
        source.bytes.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut block).with_context(|| name.to_owned())?;
        let manifest = update::verify(&block, &self.key).with_context(|| name.to_owned())?;
        ensure!(block.len() == HEADER_BYTES, "{name}: is cut short");
        let (device, bytes) = self.open(target.label(), true)?;
        if let Err(objection) = update::judge(&manifest, (&self.version, self.built), slot::room(bytes), older) {
            bail!("{name}: {objection}");
        }
        let all = HEADER_BYTES as u64 + manifest.bytes;
        if let Some(length) = source.length.filter(|length| *length != all) {
            bail!("{name}: has {length} bytes and says {all}: is cut short or damaged");
        }
        // From here on nothing may start the slot, whatever happens: it is neither tried nor spare.
        environment.set_good(self.running);
        self.set_environment(&environment)?;
        let mut report = |progress: Progress| say(&Line::Progress(progress));
        slot::write(&device, bytes, &block, &manifest, source.bytes.as_mut(), &mut report).map_err(|error| {
            let (letter, disk) = (target.letter(), &self.name);
            let fails = [part::UNWRITABLE, part::UNREADABLE].contains(&&*error.to_string());
            let advice =
                if fails { "; if it says so again this box can be put on another disk: install disk" } else { "" };
            anyhow!("{name}: slot {letter} of {disk} is empty now: {error:#}{advice}")
        })?;
        let (version, letter) = (&manifest.version, target.letter());
        Ok(Line::Done { text: format!("Version {version} is in slot {letter}. To start it: install activate") })
    }

    /// The other slot, when it holds something whole.
    fn other(&self) -> Result<(Slot, Manifest)> {
        let other = self.running.other();
        let letter = other.letter();
        let found = self.describe(other).ok();
        let (file, manifest) =
            found.with_context(|| format!("slot {letter} holds nothing to start, use: install add"))?;
        slot::check(&file, &manifest, &mut |progress| say(&Line::Progress(progress)))
            .map_err(|error| anyhow!("slot {letter} is damaged ({error:#}), use: install add"))?;
        Ok((other, manifest))
    }

    fn activate(&self, minutes: u16) -> Result<Line> {
        let mut environment = self.environment()?;
        ensure!(!self.on_trial(&environment), "what runs is on trial, use first: install commit, or install abort");
        let (other, manifest) = self.other()?;
        environment.set_good(self.running);
        environment.try_once(other, minutes);
        self.set_environment(&environment)?;
        let letter = other.letter();
        Ok(Line::Done { text: format!("Slot {letter} with version {} starts once", manifest.version) })
    }

    fn commit(&self) -> Result<Line> {
        let mut environment = self.environment()?;
        let letter = self.running.letter();
        if environment.good() == self.running && environment.next().is_none() {
            return Ok(Line::Done { text: format!("Slot {letter} is committed already") });
        }
        if self.on_trial(&environment) {
            environment.set_good_after(self.running);
        } else {
            // The loader has left the one that was good.
            environment.set_good(self.running);
        }
        self.set_environment(&environment)?;
        Ok(Line::Done { text: format!("Slot {letter} with version {} is committed", self.version) })
    }

    fn roll_back(&self) -> Result<Line> {
        let mut environment = self.environment()?;
        if self.on_trial(&environment) {
            return self.abort();
        }
        let (other, manifest) = self.other()?;
        environment.set_good_after(other);
        self.set_environment(&environment)?;
        Ok(Line::Done { text: format!("Slot {} with version {} is started", other.letter(), manifest.version) })
    }

    fn abort(&self) -> Result<Line> {
        let mut environment = self.environment()?;
        ensure!(environment.next().is_some(), "nothing is activated");
        let text = format!("Slot {} stays good", environment.good().letter());
        environment.clear_next();
        self.set_environment(&environment)?;
        Ok(Line::Done { text })
    }

    /// This slot has come up: the loader's count of its starts ends, and variables that were damaged are made anew. Says what an operator has
    /// to know: that these were damaged, or that it is not the slot that should run.
    fn up(&self) -> Result<Line> {
        let mut environment = self.environment()?;
        let damaged = environment.is_damaged();
        if environment.come_up(self.running, self.tried) {
            let _lock = lock()?;
            environment = self.environment()?;
            environment.come_up(self.running, self.tried);
            self.set_environment(&environment)?;
        }
        let (good, running) = (environment.good().letter(), self.running.letter());
        let text = if damaged {
            format!(
                "the loader's variables were damaged and are made anew, slot {good} is the good one: is that the right version? See show install summary"
            )
        } else if self.tried || good == running {
            String::new()
        } else {
            format!(
                "slot {running} runs and not slot {good}, which did not come up or was passed over in the loader's menu and has another chance at the next start; to keep slot {running}: install commit"
            )
        };
        Ok(Line::Done { text })
    }

    fn look(&self, name: &str) -> Result<Line> {
        ensure!(
            !self.on_trial(&self.environment()?),
            "what runs is on trial, use first: install commit, or install abort"
        );
        let mut target = target::look(Path::new("/sys"), name, &self.name)?;
        device(&target.name, false, true)?;
        target.configuration = flash().is_some();
        Ok(Line::Target(target))
    }

    /// Writes the disk `name`, which has to be the one that was [looked](Self::look) at.
    fn clone_to(&self, name: &str, identity: &str) -> Result<Line> {
        let environment = self.environment()?;
        ensure!(!self.on_trial(&environment), "what runs is on trial, use first: install commit, or install abort");
        let target = target::look(Path::new("/sys"), name, &self.name)?;
        let mut disk = device(&target.name, true, true)?;
        let opened = target::identity_of(Path::new("/sys"), disk.metadata().context(target.name.clone())?.rdev());
        ensure!(
            opened == identity,
            "{name}: is another disk than a moment ago, nothing was written, see: show inventory"
        );
        let whole = Part::from(device(&self.name, false, false)?);
        let part = |label| self.open(label, false).map(|(part, _)| part);
        let (slot, bytes) = self.open(self.running.label(), false)?;
        let manifest = slot::describe(&slot, bytes, &self.key).context("the running slot")?;
        let version = manifest.version.clone();
        let running = Running { disk: whole, bios: part("bios")?, esp: part("esp")?, slot: (slot, bytes, manifest) };
        let name = &target.name;
        let draft = Draft::make(clone::MKE2FS, flash())?;
        clone::write(&running, &draft, &mut disk, &mut |progress| say(&Line::Progress(progress)))
            .with_context(|| format!("{name}: does not start now"))?;
        let what = if flash().is_some() { "and the saved configuration are" } else { "is, factory-fresh," };
        Ok(Line::Done { text: format!("Version {version} {what} on {name}, which starts by itself") })
    }

    fn show(&self) -> Result<Line> {
        let environment = self.environment()?;
        let on_trial = self.on_trial(&environment);
        let row = |slot: Slot| {
            let manifest = self.describe(slot).ok().map(|(_, manifest)| manifest);
            let is_next = environment.next() == Some(slot);
            let state = match (slot == self.running, slot == environment.good()) {
                (true, _) if on_trial => "on trial",
                (true, _) => "running",
                (false, _) if is_next && environment.is_pending() => "activated",
                (false, true) if on_trial => "good",
                (false, true) => "passed over",
                (false, false) if manifest.is_none() => "empty",
                (false, false) if environment.spare() == Some(slot) => "spare",
                (false, false) => "inactive",
            };
            let (version, kernel, bytes) =
                manifest.map_or_else(Default::default, |it| (it.version, it.kernel, it.bytes));
            SlotRow { slot, state: state.to_owned(), version, kernel, bytes }
        };
        let damaged = environment.is_damaged();
        Ok(Line::Slots(Slots { slots: vec![row(Slot::A), row(Slot::B)], on_trial, damaged }))
    }
}
