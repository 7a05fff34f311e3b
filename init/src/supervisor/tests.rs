//! The machine alone: policy as a table of instants, then any sequence of events against a model of the processes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::steps::delay;
use super::*;

const T0: Duration = Duration::from_secs(100);

fn spec(name: &str) -> ServiceSpec {
    ServiceSpec { name: name.into(), argv: vec![format!("/bin/{name}")], ..ServiceSpec::default() }
}

fn service(name: &str) -> Service {
    Service { spec: spec(name), ..Service::default() }
}

/// A supervisor and the processes it believes to have.
#[derive(Default)]
struct Box {
    supervisor: Supervisor,
    now: Duration,
    next_pid: i32,
    /// Living processes and the service each belongs to.
    alive: BTreeMap<i32, (String, Step)>,
    /// When each start was asked for.
    starts: Vec<(Duration, String)>,
    signals: Vec<(Duration, i32, Signal)>,
    all_stopped: usize,
    down: bool,
    /// Programs that cannot be executed.
    missing: bool,
}

impl Box {
    fn new() -> Self {
        Self { now: T0, next_pid: 10, ..Self::default() }
    }

    fn shutdown(&mut self) {
        self.down = true;
        self.supervisor.handle_shutdown(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.supervisor.poll_effect() {
            match effect {
                Effect::Spawn { name, step } => {
                    assert!(!self.down, "{name} starts though everything is being stopped");
                    let twin = self.alive.values().find(|(other, _)| *other == name);
                    assert_eq!(twin, None, "{name} has a process already");
                    self.starts.push((self.now, name.clone()));
                    let outcome = if self.missing {
                        Err("no such file".to_owned())
                    } else {
                        self.next_pid += 1;
                        self.alive.insert(self.next_pid, (name.clone(), step));
                        Ok(self.next_pid)
                    };
                    self.supervisor.handle_spawned(&name, outcome, self.now);
                }
                Effect::Signal { pid, signal } => self.signals.push((self.now, pid, signal)),
                Effect::Log(_) => {}
                Effect::AllStopped => self.all_stopped += 1,
            }
        }
    }

    fn add(&mut self, service: Service) {
        self.supervisor.handle_add(service, None, self.now);
        self.drain();
    }

    fn pid(&self, name: &str) -> i32 {
        self.alive.iter().find(|(_, (n, _))| n == name).map_or(0, |(pid, _)| *pid)
    }

    fn exit(&mut self, pid: i32, exit: &Exit) {
        self.alive.remove(&pid);
        self.supervisor.handle_exit(pid, exit, self.now);
        self.drain();
    }

    fn notice(&mut self, name: &str, notice: Notice) {
        self.supervisor.handle_notice(self.pid(name), notice, self.now);
        self.drain();
    }

    /// Lets time pass, waking up at each deadline as the loop does.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.supervisor.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.supervisor.handle_timeout(self.now);
            self.drain();
            assert!(self.supervisor.poll_timeout().is_none_or(|next| next > self.now), "a deadline does not pass");
        }
        self.now = end;
    }

    fn state(&self, name: &str) -> String {
        let all = self.supervisor.status(self.now);
        all.iter().find(|s| s.name == name).map_or_else(|| "gone".into(), |s| s.state.clone())
    }
}

#[test]
fn restarts_come_at_once_then_double_to_half_a_minute() {
    let expected = [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
    for (failures, wait) in (1..).zip(expected) {
        assert_eq!(delay(failures), Duration::from_millis(wait), "after failure {failures}");
    }
    assert_eq!(delay(u32::MAX), RETRY_MAX);

    let mut it = Box::new();
    it.missing = true;
    it.add(service("a"));
    it.advance(Duration::from_secs(70));
    let at: Vec<u128> = it.starts.iter().map(|(at, _)| (*at - T0).as_millis()).collect();
    assert_eq!(at, [0, 0, 500, 1_500, 3_500, 7_500, 15_500, 31_500, 61_500]);
    assert_eq!(it.supervisor.warnings(), ["service a: failed 9 times in a row, last: no such file"]);
    it.missing = false;
    it.supervisor.handle_restart("a", it.now).unwrap();
    it.drain();
    assert_eq!(it.state("a"), "running", "an operator does not wait");
    assert_eq!(it.supervisor.warnings(), Vec::<String>::new());
}

#[test]
fn a_minute_of_health_clears_the_record() {
    for (ran, starts_at_once) in [(HEALTHY - Duration::from_nanos(1), false), (HEALTHY, true)] {
        let mut it = Box::new();
        it.add(service("a"));
        it.exit(it.pid("a"), &Exit::Code(1));
        it.advance(ran);
        it.exit(it.pid("a"), &Exit::Signal(9));
        assert_eq!(it.pid("a") != 0, starts_at_once, "after {ran:?}");
    }
}

#[test]
fn a_logout_is_no_failure_and_a_broken_console_is() {
    let mut it = Box::new();
    it.add(Service { terminal: Some("ttyS0".into()), ..service("console") });
    for _ in 0..20 {
        it.advance(LOGOUT);
        it.exit(it.pid("console"), &Exit::Code(0));
        assert_eq!(it.state("console"), "running");
    }
    it.exit(it.pid("console"), &Exit::Code(0));
    it.exit(it.pid("console"), &Exit::Code(0));
    assert_eq!(it.state("console"), "backoff", "ended orderly, but at once: an endless loop");
}

#[test]
fn what_must_not_be_absent_is_back_at_once_until_it_has_to_let_go() {
    let vrrpd = ServiceSpec { release: vec!["/bin/a".into(), "--release".into()], ..spec("a") };
    let mut it = Box::new();
    it.supervisor.handle_configured(&[vrrpd], T0);
    it.drain();
    // Never three within ten seconds: never a wait, however often.
    for _ in 0..20 {
        it.advance(RELEASE_WINDOW / 2);
        it.exit(it.pid("a"), &Exit::Signal(9));
        assert_eq!(it.alive.values().next(), Some(&("a".to_owned(), Step::Main)));
    }
    it.advance(RELEASE_WINDOW);
    for step in [Step::Main, Step::Main, Step::Release] {
        it.exit(it.pid("a"), &Exit::Signal(9));
        assert_eq!(it.alive.values().next(), Some(&("a".to_owned(), step)));
    }
    assert_eq!(it.state("a"), "stopping");
    it.exit(it.pid("a"), &Exit::Code(0));
    assert_eq!((it.pid("a"), it.state("a").as_str()), (0, "backoff"));
    it.advance(RETRY_MAX);
    assert_eq!(it.alive.values().next(), Some(&("a".to_owned(), Step::Main)), "never given up");

    // One that does not let go either is killed.
    for _ in 0..3 {
        it.exit(it.pid("a"), &Exit::Code(1));
    }
    let pid = it.pid("a");
    it.signals.clear();
    it.advance(RELEASE_LIMIT);
    assert_eq!(it.signals, [(it.now, pid, Signal::Kill)]);
    it.missing = true;
    it.exit(pid, &Exit::Signal(9));
    it.advance(RETRY_MAX * 3);
    it.missing = false;
    it.advance(RETRY_MAX);
    assert_eq!(it.state("a"), "running");
}

#[test]
fn readiness_is_waited_for_and_bounded() {
    let mut it = Box::new();
    it.add(Service { notify: true, ..service("a") });
    let pid = it.pid("a");
    it.advance(READY_LIMIT - Duration::from_millis(1));
    assert_eq!(it.state("a"), "starting");
    it.advance(Duration::from_millis(1));
    assert_eq!(it.signals, [(T0 + READY_LIMIT, pid, Signal::Abort)]);
    it.advance(TERM_GRACE);
    assert_eq!(it.signals[1], (T0 + READY_LIMIT + TERM_GRACE, pid, Signal::Kill));
    it.exit(pid, &Exit::Signal(9));
    let second = it.pid("a");
    assert_ne!(second, 0, "the first failure: again at once");
    it.notice("a", Notice::Ready);
    it.notice("a", Notice::Status("3 virtual servers".into()));
    assert_eq!(it.state("a"), "running");
    assert_eq!(it.supervisor.status(it.now)[0].status, "3 virtual servers");
    it.advance(READY_LIMIT * 10);
    assert_eq!(it.pid("a"), second, "without a watchdog silence is fine");
}

#[test]
fn silence_is_death_and_somebody_elses_word_does_not_count() {
    let period = Duration::from_secs(10);
    let mut it = Box::new();
    it.add(Service { notify: true, watchdog: Some(period), ..service("a") });
    it.notice("a", Notice::Ready);
    let pid = it.pid("a");
    for _ in 0..5 {
        it.advance(period - Duration::from_millis(1));
        it.notice("a", Notice::Alive);
    }
    it.supervisor.handle_notice(pid + 1, Notice::Alive, it.now);
    let silent_since = it.now;
    it.advance(period);
    assert_eq!(it.signals, [(silent_since + period, pid, Signal::Abort)]);
    it.notice("a", Notice::Alive);
    it.advance(TERM_GRACE);
    assert_eq!(it.signals.len(), 2, "it is too late then");
    it.exit(pid, &Exit::Signal(9));
    assert_eq!(it.supervisor.status(it.now)[0].restarts, 1);

    it.notice("a", Notice::Ready);
    it.notice("a", Notice::Broken);
    assert_eq!(it.state("a"), "stopping");
}

#[test]
fn commands_before_it_run_in_order_and_their_failure_is_its_own() {
    let mut it = Box::new();
    let before = vec![vec!["/bin/key".into(), "rsa".into()], vec!["/bin/other".into()]];
    it.supervisor.handle_configured(&[ServiceSpec { before, ..spec("ssh") }], T0);
    it.drain();
    assert_eq!(it.alive[&it.pid("ssh")].1, Step::Before(0));
    assert_eq!(it.supervisor.status(T0)[0].why, "waits for /bin/key");
    it.exit(it.pid("ssh"), &Exit::Code(0));
    assert_eq!(it.alive[&it.pid("ssh")].1, Step::Before(1));
    it.exit(it.pid("ssh"), &Exit::Code(0));
    assert_eq!(it.alive[&it.pid("ssh")].1, Step::Main);
    it.exit(it.pid("ssh"), &Exit::Code(1));
    it.exit(it.pid("ssh"), &Exit::Code(7));
    assert_eq!(it.state("ssh"), "backoff");
    assert_eq!(it.supervisor.status(T0)[0].why, "/bin/key: exit status 7");
}

#[test]
fn configured_services_follow_the_file_and_only_what_changed_is_touched() {
    let mut it = Box::new();
    it.add(service("director"));
    it.supervisor.handle_configured(&[spec("ssh"), spec("ntp"), spec("director"), spec("ssh")], it.now);
    it.drain();
    let (ssh, ntp, director) = (it.pid("ssh"), it.pid("ntp"), it.pid("director"));
    let changed = ServiceSpec { argv: vec!["/bin/ssh".into(), "-p".into(), "2222".into()], ..spec("ssh") };
    it.supervisor.handle_configured(&[changed, spec("ntp")], it.now);
    it.drain();
    assert_eq!(it.signals, [(T0, ssh, Signal::Term)]);
    it.exit(ssh, &Exit::Signal(15));
    assert_eq!(it.supervisor.service("ssh").unwrap().spec.argv.len(), 3);
    assert_eq!((it.pid("ntp"), it.pid("director")), (ntp, director));

    it.supervisor.handle_configured(&[], it.now);
    it.drain();
    it.supervisor.handle_configured(&[spec("ntp")], it.now);
    it.drain();
    let ssh = it.pid("ssh");
    it.exit(ssh, &Exit::Code(0));
    it.exit(ntp, &Exit::Code(0));
    assert_eq!((it.state("ssh").as_str(), it.state("ntp").as_str()), ("gone", "running"));
}

#[test]
fn what_is_held_back_starts_when_released_and_only_then() {
    let mut it = Box::new();
    it.supervisor.handle_add(service("director"), Some("waits for /flash"), T0);
    it.supervisor.handle_restart("director", T0).unwrap();
    it.drain();
    assert_eq!((it.pid("director"), it.state("director").as_str()), (0, "starting"));
    it.supervisor.handle_release("director", T0);
    it.supervisor.handle_release("director", T0);
    it.drain();
    assert_eq!(it.starts.len(), 1);
}

#[test]
fn everything_stops_in_reverse_order_and_what_hangs_is_killed() {
    let mut it = Box::new();
    it.add(service("first"));
    it.add(service("waiting"));
    it.add(service("last"));
    it.exit(it.pid("waiting"), &Exit::Code(1));
    it.exit(it.pid("waiting"), &Exit::Code(1));
    let (first, last) = (it.pid("first"), it.pid("last"));
    it.signals.clear();
    it.shutdown();
    assert_eq!(it.signals, [(T0, last, Signal::Term)]);
    it.advance(TERM_GRACE);
    assert_eq!(it.signals[1], (T0 + TERM_GRACE, last, Signal::Kill));
    it.exit(last, &Exit::Signal(9));
    assert_eq!(it.signals.last(), Some(&(T0 + TERM_GRACE, first, Signal::Term)));
    assert_eq!(it.all_stopped, 0);
    assert!(it.supervisor.handle_restart("last", it.now).is_err());
    it.exit(first, &Exit::Signal(15));
    assert_eq!((it.all_stopped, it.alive.len()), (1, 0));
}

#[test]
fn a_process_that_cannot_die_does_not_hold_the_box() {
    let mut it = Box::new();
    it.add(service("stuck"));
    it.shutdown();
    it.advance(SHUTDOWN_LIMIT - Duration::from_millis(1));
    assert_eq!(it.all_stopped, 0);
    it.advance(Duration::from_millis(1));
    assert_eq!(it.all_stopped, 1);
    assert_eq!(it.supervisor.poll_timeout(), None);
}

#[derive(Debug, Clone)]
enum Op {
    Exit(usize, i32),
    Killed(usize),
    Notice(usize, bool),
    Advance(u64),
    Configure(u8),
    Restart(usize),
    Missing(bool),
    Shutdown,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6usize, 0..2i32).prop_map(|(n, code)| Op::Exit(n, code)),
        2 => (0..6usize).prop_map(Op::Killed),
        4 => (0..6usize, any::<bool>()).prop_map(|(n, ready)| Op::Notice(n, ready)),
        4 => (0..70_000u64).prop_map(Op::Advance),
        2 => (0..16u8).prop_map(Op::Configure),
        1 => (0..6usize).prop_map(Op::Restart),
        1 => any::<bool>().prop_map(Op::Missing),
        1 => Just(Op::Shutdown),
    ]
}

const NAMES: [&str; 6] = ["director", "console", "s0", "s1", "s2", "s3"];

proptest! {
    /// No service ever has two processes, deadlines pass, nothing starts after the end, the end comes once and in time,
    /// and without a shutdown everything that should run is started again within the longest wait.
    #[test]
    fn any_history(ops in proptest::collection::vec(op(), 0..60)) {
        let mut it = Box::new();
        it.add(Service { notify: true, watchdog: Some(Duration::from_secs(10)), ..service("director") });
        it.add(Service { terminal: Some("ttyS0".into()), ..service("console") });
        let mut configured = 0;
        for op in ops {
            match op {
                Op::Exit(n, code) => it.exit(it.pid(NAMES[n]), &Exit::Code(code)),
                Op::Killed(n) => it.exit(it.pid(NAMES[n]), &Exit::Signal(9)),
                Op::Notice(n, ready) => it.notice(NAMES[n], if ready { Notice::Ready } else { Notice::Alive }),
                Op::Advance(ms) => it.advance(Duration::from_millis(ms)),
                Op::Configure(set) => {
                    let wanted = (0..4).filter(|n| set & (1 << n) != 0).map(|n| ServiceSpec {
                        release: if n == 3 { vec!["/bin/s3".into()] } else { Vec::new() },
                        ..spec(&format!("s{n}"))
                    });
                    it.supervisor.handle_configured(&wanted.collect::<Vec<_>>(), it.now);
                    it.drain();
                    configured = if it.down { configured } else { set };
                }
                Op::Restart(n) => {
                    let _ = it.supervisor.handle_restart(NAMES[n], it.now);
                    it.drain();
                }
                Op::Missing(missing) => it.missing = missing,
                Op::Shutdown => it.shutdown(),
            }
        }
        it.missing = false;
        if it.down {
            it.advance(SHUTDOWN_LIMIT);
            prop_assert_eq!(it.all_stopped, 1);
        } else {
            // Whatever is being stopped obeys.
            for pid in it.alive.keys().copied().collect::<Vec<_>>() {
                let stopping = it.supervisor.status(it.now).iter().any(|s| s.pid == pid && s.state == "stopping");
                if stopping {
                    it.exit(pid, &Exit::Signal(15));
                }
            }
            it.notice("director", Notice::Ready);
            it.advance(RETRY_MAX.min(Duration::from_secs(9)));
            it.notice("director", Notice::Alive);
            for _ in 0..4 {
                it.advance(Duration::from_secs(7));
                it.notice("director", Notice::Ready);
                it.notice("director", Notice::Alive);
            }
            for (n, name) in NAMES.iter().enumerate() {
                let wanted = n < 2 || configured & (1 << (n - 2)) != 0;
                prop_assert_eq!(it.pid(name) != 0, wanted, "{} {:?}", name, it.supervisor.status(it.now));
            }
        }
    }
}
