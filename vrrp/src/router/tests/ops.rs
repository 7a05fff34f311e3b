//! Random inputs, and what must hold after each of them.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Nanoseconds pass; everything that is due is handled on time.
    Run(u64),
    /// Nanoseconds pass, and nobody looks at the timers.
    Sleep(u64),
    Timeout,
    Advert {
        source: u8,
        priority: u8,
        centis: u16,
        age: u64,
    },
    Link(bool),
    Source(bool),
    Fault(usize, bool),
    Track {
        failed: bool,
        penalty: u16,
    },
    Start {
        resume: bool,
    },
    Shutdown,
    Config {
        priority: u8,
        centis: u16,
        preempt: Option<u64>,
        addresses: u8,
    },
    HandOver,
    HandBack,
    Announce,
}

fn op() -> impl Strategy<Value = Op> {
    let millis = |range: std::ops::Range<u64>| range.prop_map(|millis| millis * 1_000_000 + millis % 7);
    prop_oneof![
        4 => millis(0..400).prop_map(Op::Run),
        1 => millis(0..2000).prop_map(Op::Sleep),
        2 => Just(Op::Timeout),
        6 => (1..4_u8, any::<u8>(), 1..=30_u16, millis(0..50)).prop_map(|(source, priority, centis, age)| {
            Op::Advert { source, priority, centis, age }
        }),
        1 => any::<bool>().prop_map(Op::Link),
        1 => any::<bool>().prop_map(Op::Source),
        1 => (0..Fault::ALL.len(), any::<bool>()).prop_map(|(fault, present)| Op::Fault(fault, present)),
        1 => (any::<bool>(), 0..300_u16).prop_map(|(failed, penalty)| Op::Track { failed, penalty }),
        2 => any::<bool>().prop_map(|resume| Op::Start { resume }),
        1 => Just(Op::Shutdown),
        1 => (1..=255_u8, 1..=30_u16, proptest::option::of(0..500_u64), 1..5_u8)
            .prop_map(|(priority, centis, preempt, addresses)| Op::Config { priority, centis, preempt, addresses }),
        1 => Just(Op::HandOver),
        1 => Just(Op::HandBack),
        1 => Just(Op::Announce),
    ]
}

/// What the owner of a router would have done with its effects.
struct Owner {
    router: Router,
    now: Instant,
    holds: bool,
    role: Role,
    /// Before the input.
    in_doubt: bool,
    effects_max: usize,
}

/// Active, and not sure of it.
fn in_doubt(router: &Router) -> bool {
    matches!(router.state(), State::Active { standing: Standing::Restarted | Standing::Overslept, .. })
}

impl Owner {
    fn apply(&mut self, op: &Op) {
        let now = self.now;
        self.in_doubt = in_doubt(&self.router);
        match *op {
            Op::Run(nanos) => {
                let end = now + Duration::from_nanos(nanos);
                while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
                    self.now = self.now.max(at);
                    self.in_doubt = in_doubt(&self.router);
                    self.router.handle_timeout(self.now);
                    self.drain();
                }
                self.now = end;
            }
            Op::Sleep(nanos) => self.now = now + Duration::from_nanos(nanos),
            Op::Timeout => self.router.handle_timeout(now),
            Op::Advert { source, priority, centis, age } => {
                let interval = AdvertInterval::centis(centis).unwrap();
                let heard = Heard { interval, ..heard(IpAddr::from([10, 0, 0, source]), priority.into()) };
                self.router.handle_advert(heard, Instant::from_nanos(now.as_nanos() - age));
            }
            Op::Link(up) => self.router.handle_link(up, now),
            Op::Source(present) => self.router.handle_source(present.then_some(OWN), now),
            Op::Fault(fault, present) => self.router.handle_fault(Fault::ALL[fault], present, now),
            Op::Track { failed, penalty } => self.router.handle_tracking(Tracking { failed, penalty }, now),
            Op::Start { resume } => self.router.start(resume, now),
            Op::Shutdown => self.router.shutdown(now),
            Op::Config { priority: number, centis, preempt, addresses } => {
                let preempt =
                    preempt.map_or(Preempt::Off, |millis| Preempt::On { delay: Duration::from_millis(millis) });
                let group: Vec<_> = (0..addresses).map(|last| IpAddr::from([10, 0, 1, last])).collect();
                let addresses = AddressList::select(&group, Family::V4).unwrap().advertised;
                let interval = AdvertInterval::centis(centis).unwrap();
                let config = Config { priority: priority(number), interval, preempt, addresses, ..config() };
                self.router.set_config(config, now).unwrap();
            }
            Op::HandOver => drop(self.router.hand_over(now)),
            Op::HandBack => drop(self.router.hand_back(now)),
            Op::Announce => self.router.announce(now),
        }
        self.drain();
        self.check();
    }

    fn drain(&mut self) {
        let effects = drain(&mut self.router);
        self.effects_max = self.effects_max.max(effects.len());
        let ends_active = self.router.role() == Role::Active;
        if self.in_doubt && in_doubt(&self.router) {
            let silent = |effect: &Effect| !matches!(effect, Effect::Advertise(_) | Effect::Announce);
            assert!(effects.iter().all(silent), "a router in doubt speaks: {effects:?}");
        }
        for (index, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Advertise(AdvertPriority::Resign) => {
                    assert_eq!(self.role, Role::Active, "only an active router resigns");
                    assert!(!ends_active);
                }
                Effect::Advertise(AdvertPriority::Claim(claimed)) => {
                    assert!(self.role == Role::Active || ends_active);
                    assert_eq!(*claimed, self.router.priority());
                }
                Effect::TakeAddresses => self.holds = true,
                Effect::DropAddresses => self.holds = false,
                Effect::Announce => assert!(self.holds, "announced before the addresses are there"),
                Effect::Transition(transition) => {
                    assert_eq!(index, effects.len() - 1, "the last effect");
                    assert_eq!(transition.from, self.role);
                    assert_ne!(transition.to, transition.from);
                    self.role = transition.to;
                }
            }
        }
    }

    fn check(&self) {
        let router = &self.router;
        assert_eq!(self.role, router.role(), "every change is told");
        assert_eq!(self.holds, self.role == Role::Active, "addresses are held by the active router and nobody else");
        if self.role != Role::Initialize {
            assert!(router.started && router.faults().is_empty());
        } else {
            assert!(!router.started || !router.faults().is_empty());
        }
        assert!(router.priority() <= Priority::HIGHEST_BACKUP || router.config().priority.is_owner());
        // No deadline is missing, and none lies beyond what its state can ask for.
        let latest = match router.state() {
            State::Initialize => return assert_eq!(router.poll_timeout(), None),
            // Set when the priority may have been another: 1 waits longest.
            State::Backup { .. } => self.now + AdvertInterval::centis(30).unwrap().active_down(Priority::LOWEST),
            State::Active { .. } => self.now + listening(AdvertInterval::centis(30).unwrap()),
        };
        let deadline = router.poll_timeout().expect("a state that waits has a deadline");
        assert!(deadline <= latest, "{:?} in {:?}", deadline.since(self.now), router.state());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn invariants_hold_after_every_input(ops in proptest::collection::vec(op(), 1..60)) {
        let router = Router::new(identity(), config()).unwrap();
        let mut owner = Owner { router, now: epoch(), holds: false, role: Role::Initialize, in_doubt: false, effects_max: 0 };
        for op in [Op::Link(true), Op::Source(true)].iter().chain(&ops) {
            owner.apply(op);
        }
        // Alone a router has four at most.
        prop_assert!(owner.effects_max <= 4, "{}", owner.effects_max);
    }
}
