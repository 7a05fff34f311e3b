//! The watchdogs of the machine: a kernel that hangs, a PID 1 that is stopped, and a director that stays away for `GRACE` all end in a
//! reset, and the loader counts it.
//!
//! Stage 1 arms the one it finds before it looks for the slot ([`arm_early`]), so that a new firmware which hangs anywhere behind the loader
//! is left again, and feeds it for [`STAGE1_LIMIT`]; PID 1 feeds that one, and every other whose driver comes later, from its loop. None is ever disarmed: closing one leaves it
//! running, which is the handover. `yoke.watchdog=SECONDS` on the kernel's command line sets the time, 0 leaves all of them alone.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{now, pause};
use crate::cmdline::Cmdline;
use crate::modprobe::Loader;
use crate::{devices, say, sys};

/// Time until the reset, in seconds: every driver of the list can count so far, and PID 1 comes around every few milliseconds.
const SECONDS: u32 = 30;
/// How often they are fed, as a part of their time.
const PART: u32 = 6;
/// How long the director may be away: a start from a flash whose every block is in doubt takes two minutes.
const GRACE: Duration = Duration::from_secs(180);
/// How long stage 1 may take. A driver that brings its disks up does not return for as long as they take: a dead SATA disk a minute, a RAID
/// controller that starts one after the other longer. And a firmware that never gets further must be left again.
pub const STAGE1_LIMIT: Duration = Duration::from_secs(120);
/// What counts when the machine has nothing of its own: a timer of the kernel.
const LAST_RESORT: &str = "softdog";
/// Drivers of watchdogs, and of the chips that they are a part of.
const DRIVERS: [&str; 7] = ["wdat_wdt", "i6300esb", "lpc_ich", "i2c_i801", "iTCO_wdt", "sp5100_tco", "hpwdt"];

/// The armed watchdogs.
#[derive(Debug)]
pub struct Watchdogs {
    /// Their devices, by name.
    armed: Vec<(PathBuf, File)>,
    seconds: u32,
    next: Duration,
    alive: Duration,
}

impl Watchdogs {
    /// None yet. `None` when the command line says that they are not ours.
    ///
    /// # Errors
    /// A sentence: it says nothing sensible, and the usual time counts.
    pub fn new(cmdline: &Cmdline, now: Duration) -> (Option<Self>, Option<String>) {
        let said = cmdline.value("yoke.watchdog").map(str::parse::<u32>);
        let problem =
            matches!(said, Some(Err(_))).then(|| "watchdog: yoke.watchdog: not a number of seconds".to_owned());
        let seconds = said.and_then(Result::ok).unwrap_or(SECONDS);
        ((seconds > 0).then(|| Self { armed: Vec::new(), seconds, next: now, alive: now }), problem)
    }

    /// Arms every one that is there and not armed yet. Returns a sentence for each, and for each that cannot be.
    pub fn arm(&mut self, now: Duration) -> Vec<Result<String, String>> {
        let found: Vec<PathBuf> = devices(Path::new("/dev"))
            .into_iter()
            .filter(|path| !self.armed.iter().any(|(it, _)| it == path))
            .collect();
        let sentences = found.into_iter().map(|path| {
            let open = OpenOptions::new().write(true).open(&path);
            let file = open.map_err(|e| format!("watchdog: {}: {e}", path.display()))?;
            // One that cannot be set keeps its own time, a minute as a rule, and is fed often enough for it.
            let _ = sys::set_watchdog(&file, self.seconds);
            let name = identity(&path);
            self.armed.push((path, file));
            Ok(format!("watchdog: {name} is armed"))
        });
        let sentences = sentences.collect();
        self.next = now;
        sentences
    }

    /// Whether there is one.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.armed.is_empty()
    }

    /// Feeds them when it is time to, unless the director has been away for too long; says so when that begins. `works`: whether it works now.
    pub fn feed(&mut self, works: bool, now: Duration) -> Option<String> {
        if now < self.next {
            return None;
        }
        let fed_before = now.saturating_sub(self.alive) < GRACE + self.period();
        if works {
            self.alive = now;
        }
        self.next = now + self.period();
        if now.saturating_sub(self.alive) < GRACE {
            for (_, file) in &mut self.armed {
                // A failure is the end of the box, and nobody could help it.
                let _ = file.write_all(b"\0");
            }
            return None;
        }
        let away = GRACE.as_secs();
        (fed_before && self.any())
            .then(|| format!("watchdog: the director is away for {away} s, the box will be reset"))
    }

    fn period(&self) -> Duration {
        Duration::from_secs(self.seconds.into()) / PART
    }

    /// When they want to be fed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.any().then_some(self.next)
    }
}

/// The devices of watchdogs below `dev`. A driver from before the kernel had a list of them has the common name only.
fn devices(dev: &Path) -> Vec<PathBuf> {
    let names =
        fs::read_dir(dev).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: &String| name.strip_prefix("watchdog").is_some_and(|rest| rest.parse::<u8>().is_ok());
    let mut numbered: Vec<String> = names.filter(number).collect();
    numbered.sort();
    let common = dev.join("watchdog");
    if numbered.is_empty() && common.exists() {
        vec![common]
    } else {
        numbered.iter().map(|name| dev.join(name)).collect()
    }
}

/// What a watchdog is called by its driver.
fn identity(device: &Path) -> String {
    let name = device.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let said = fs::read_to_string(format!("/sys/class/watchdog/{name}/identity")).unwrap_or_default();
    if said.trim().is_empty() { device.display().to_string() } else { said.trim().to_owned() }
}

/// Loads the driver of a watchdog that the machine has, else the one that every machine has, and arms it, for stage 1. What fails here is
/// tried again by PID 1, which says it.
pub fn arm_early(cmdline: &Cmdline, loader: &mut Loader, now: Duration) -> Option<Watchdogs> {
    let mut watchdogs = Watchdogs::new(cmdline, now).0?;
    // A chip, and then the watchdog that its driver has found in it.
    for _ in 0..2 {
        let aliases: Vec<String> = devices::list().into_iter().map(|device| device.modalias).collect();
        let wanted = loader.index.wanted_by(&aliases.iter().map(String::as_str).collect::<Vec<_>>());
        let drivers: Vec<String> = wanted.into_iter().flat_map(|(_, modules)| modules).collect();
        for driver in drivers.iter().filter(|driver| DRIVERS.contains(&driver.as_str())) {
            let _ = loader.load_module(driver);
        }
    }
    load_last_resort(loader);
    for sentence in watchdogs.arm(now) {
        say::kernel_log(&sentence.unwrap_or_else(|problem| problem));
    }
    Some(watchdogs)
}

/// Feeds what is armed from a thread of its own, for `limit` or until this process executes another program, which takes over.
pub fn feed_beside(mut watchdogs: Watchdogs, limit: Duration) {
    let feed = move || {
        let end = now() + limit;
        while now() < end {
            watchdogs.feed(true, now());
            pause(watchdogs.period());
        }
        // Whoever fed them no more must not disarm them either: a driver may take a close for that.
        std::mem::forget(watchdogs);
    };
    // Without a thread the time of a watchdog is what stage 1 has.
    if let Err(error) = std::thread::Builder::new().spawn(feed) {
        say::kernel_log(&format!("watchdog: it is not fed: {error}"));
    }
}

/// Loads the driver that needs no hardware, when there is no watchdog.
///
/// # Errors
/// A sentence.
pub fn load_last_resort(loader: &mut Loader) -> Option<String> {
    if !devices(Path::new("/dev")).is_empty() {
        return None;
    }
    loader.load(LAST_RESORT).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(seconds: u32) -> (Watchdogs, File) {
        let file = tempfile::tempfile().expect("a file");
        let twin = file.try_clone().expect("a second handle");
        let armed = vec![(PathBuf::from("/dev/watchdog0"), file)];
        (Watchdogs { armed, seconds, next: Duration::ZERO, alive: Duration::ZERO }, twin)
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn stage_1_is_fed_while_a_driver_waits_and_not_for_ever() {
        use std::os::unix::fs::FileExt as _;
        let (mut watchdogs, twin) = armed(1);
        watchdogs.next = now();
        let length = || twin.metadata().expect("a file").len();
        feed_beside(watchdogs, Duration::from_millis(600));
        // Nobody here does anything meanwhile.
        pause(Duration::from_secs(1));
        let fed = length();
        assert!((2..=4).contains(&fed), "{fed} times in 0.6 s, one each sixth of a second");
        pause(Duration::from_millis(400));
        assert_eq!(length(), fed, "after its limit");
        let mut last = [1];
        twin.read_exact_at(&mut last, fed - 1).expect("read");
        assert_eq!(last, [0], "and not the V that disarms");
    }

    #[test]
    fn they_are_fed_while_the_director_works_and_not_for_long_without() {
        let (mut it, twin) = armed(30);
        let fed = || twin.metadata().expect("a file").len();
        assert_eq!(it.feed(true, seconds(10)), None);
        assert_eq!((fed(), it.poll_timeout()), (1, Some(seconds(15))));
        it.feed(true, seconds(12));
        assert_eq!(fed(), 1, "before its time");
        it.feed(true, seconds(20));
        assert_eq!(
            it.feed(false, seconds(20) + GRACE - seconds(1)),
            None,
            "a director that is started again is waited for"
        );
        assert_eq!(fed(), 3);
        let said = it.feed(false, seconds(24) + GRACE);
        assert!(said.is_some_and(|said| said.contains("will be reset")));
        assert_eq!(it.feed(false, seconds(30) + GRACE), None, "once is enough");
        assert_eq!(fed(), 3);
        it.feed(true, seconds(40) + GRACE);
        assert_eq!(fed(), 4, "it came back before the reset");
    }

    #[test]
    fn the_command_line_sets_their_time_or_leaves_them_alone() {
        let of = |text: &str| Watchdogs::new(&Cmdline::parse(text), Duration::ZERO);
        assert_eq!(of("quiet").0.expect("ours").seconds, SECONDS);
        assert_eq!(of("yoke.watchdog=8").0.expect("ours").seconds, 8);
        assert!(of("yoke.watchdog=0").0.is_none());
        let (it, problem) = of("yoke.watchdog=soon");
        assert!(
            it.is_some_and(|it| it.seconds == SECONDS)
                && problem.is_some_and(|problem| problem.contains("not a number"))
        );
    }

    #[test]
    fn every_numbered_device_is_one_and_the_common_name_only_without_them() {
        let dev = tempfile::tempdir().expect("a folder");
        let make = |name: &str| fs::write(dev.path().join(name), "").expect("a file");
        assert!(devices(dev.path()).is_empty());
        make("watchdog");
        assert_eq!(devices(dev.path()), [dev.path().join("watchdog")]);
        for name in ["watchdog1", "watchdog0", "watchdogs"] {
            make(name);
        }
        assert_eq!(devices(dev.path()), [dev.path().join("watchdog0"), dev.path().join("watchdog1")]);
    }
}
