//! The transition table of RFC 9568 §6.4 as data: every state with every event.

use super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Start { resume: bool },
    Shutdown,
    Timer,
    Advert(IpAddr, AdvertPriority),
    LinkDown,
    HandOver,
    HandBack,
}

#[derive(Debug, Clone, Copy)]
enum From {
    Initialize,
    Backup,
    Active,
}

/// An effect without its instant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Advertise(AdvertPriority),
    Take,
    Drop,
    Announce,
    To(Role, Why),
}

/// When the next deadline is, from the event.
#[derive(Debug, Clone, Copy)]
enum Next {
    None,
    After(Duration),
    /// The event did not touch the timer.
    Unchanged,
}

struct Row {
    from: From,
    /// 200 unless said otherwise.
    priority: u8,
    preempt: Preempt,
    event: Event,
    does: &'static [Does],
    next: Next,
}

const RESIGN: AdvertPriority = AdvertPriority::Resign;
const NOW: Preempt = Preempt::On { delay: Duration::ZERO };
const OFF: Preempt = Preempt::Off;
const P199: AdvertPriority = AdvertPriority::Claim(Priority::new(199).unwrap());
const P200: AdvertPriority = AdvertPriority::Claim(Priority::new(200).unwrap());
const P201: AdvertPriority = AdvertPriority::Claim(Priority::new(201).unwrap());
const P255: AdvertPriority = AdvertPriority::Claim(Priority::OWNER);

const fn row(from: From, priority: u8, preempt: Preempt, event: Event, does: &'static [Does], next: Next) -> Row {
    Row { from, priority, preempt, event, does, next }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // §6.4.1 Initialize.
    row(From::Initialize, 200, OFF, Event::Start { resume: false },
        &[Does::Drop, Does::To(Role::Backup, Why::Started)], Next::After(DOWN)),
    row(From::Initialize, 255, OFF, Event::Start { resume: false },
        &[Does::Advertise(P255), Does::Take, Does::Announce, Does::To(Role::Active, Why::Owner)], Next::After(INTERVAL)),
    row(From::Initialize, 200, OFF, Event::Start { resume: true },
        &[Does::Take, Does::To(Role::Active, Why::Resumed)], Next::After(LISTENING)),
    row(From::Initialize, 200, OFF, Event::Shutdown, &[], Next::None),
    row(From::Initialize, 200, OFF, Event::Timer, &[], Next::None),
    row(From::Initialize, 200, NOW, Event::Advert(LOWER, P199), &[], Next::None),
    row(From::Initialize, 200, OFF, Event::Advert(HIGHER, RESIGN), &[], Next::None),
    row(From::Initialize, 200, OFF, Event::LinkDown, &[], Next::None),
    row(From::Initialize, 200, OFF, Event::HandOver, &[], Next::None),
    row(From::Initialize, 200, OFF, Event::HandBack, &[], Next::None),

    // §6.4.2 Backup.
    row(From::Backup, 200, OFF, Event::Start { resume: false }, &[], Next::Unchanged),
    row(From::Backup, 200, OFF, Event::Shutdown, &[Does::To(Role::Initialize, Why::Stopped)], Next::None),
    row(From::Backup, 200, OFF, Event::Timer,
        &[Does::Advertise(P200), Does::Take, Does::Announce, Does::To(Role::Active, Why::Silence)], Next::After(INTERVAL)),
    row(From::Backup, 200, OFF, Event::Advert(HIGHER, RESIGN), &[], Next::After(SKEW)),
    row(From::Backup, 200, NOW, Event::Advert(HIGHER, RESIGN), &[], Next::After(SKEW)),
    row(From::Backup, 200, OFF, Event::Advert(LOWER, P201), &[], Next::After(DOWN)),
    row(From::Backup, 200, NOW, Event::Advert(LOWER, P201), &[], Next::After(DOWN)),
    row(From::Backup, 200, OFF, Event::Advert(LOWER, P200), &[], Next::After(DOWN)),
    row(From::Backup, 200, NOW, Event::Advert(LOWER, P200), &[], Next::After(DOWN)),
    row(From::Backup, 200, NOW, Event::Advert(HIGHER, P200), &[], Next::After(DOWN)),
    row(From::Backup, 200, OFF, Event::Advert(LOWER, P199), &[], Next::After(DOWN)),
    row(From::Backup, 200, NOW, Event::Advert(LOWER, P199), &[], Next::Unchanged),
    row(From::Backup, 200, NOW, Event::Advert(HIGHER, P199), &[], Next::Unchanged),
    row(From::Backup, 200, OFF, Event::LinkDown,
        &[Does::To(Role::Initialize, Why::Fault(LINK))], Next::None),
    row(From::Backup, 200, OFF, Event::HandOver, &[], Next::Unchanged),
    row(From::Backup, 200, OFF, Event::HandBack,
        &[Does::Advertise(P200), Does::Take, Does::Announce, Does::To(Role::Active, Why::HandBack)], Next::After(INTERVAL)),

    // §6.4.3 Active. Preempt_Mode is not considered.
    row(From::Active, 200, OFF, Event::Start { resume: false }, &[], Next::Unchanged),
    row(From::Active, 200, OFF, Event::Shutdown,
        &[Does::Advertise(RESIGN), Does::Drop, Does::To(Role::Initialize, Why::Stopped)], Next::None),
    row(From::Active, 200, OFF, Event::Timer, &[Does::Advertise(P200)], Next::After(INTERVAL)),
    row(From::Active, 200, OFF, Event::Advert(HIGHER, RESIGN),
        &[Does::Advertise(P200), Does::Announce], Next::After(INTERVAL)),
    row(From::Active, 200, OFF, Event::Advert(LOWER, P201),
        &[Does::Advertise(P200), Does::Drop, Does::To(Role::Backup, Why::Higher(LOWER, Priority::new(201).unwrap()))],
        Next::After(DOWN)),
    row(From::Active, 200, NOW, Event::Advert(LOWER, P201),
        &[Does::Advertise(P200), Does::Drop, Does::To(Role::Backup, Why::Higher(LOWER, Priority::new(201).unwrap()))],
        Next::After(DOWN)),
    row(From::Active, 200, OFF, Event::Advert(HIGHER, P200),
        &[Does::Advertise(P200), Does::Drop, Does::To(Role::Backup, Why::Tie(HIGHER))], Next::After(DOWN)),
    row(From::Active, 200, OFF, Event::Advert(LOWER, P200),
        &[Does::Advertise(P200), Does::Announce], Next::After(INTERVAL)),
    row(From::Active, 200, OFF, Event::Advert(OWN, P200),
        &[Does::Advertise(P200), Does::Announce], Next::After(INTERVAL)),
    row(From::Active, 200, OFF, Event::Advert(HIGHER, P199),
        &[Does::Advertise(P200), Does::Announce], Next::After(INTERVAL)),
    row(From::Active, 200, NOW, Event::Advert(HIGHER, P199),
        &[Does::Advertise(P200), Does::Announce], Next::After(INTERVAL)),
    row(From::Active, 255, OFF, Event::Advert(HIGHER, P255),
        &[Does::Advertise(P255), Does::Drop, Does::To(Role::Backup, Why::Tie(HIGHER))],
        Next::After(Duration::from_nanos(300_390_625))),
    row(From::Active, 200, OFF, Event::LinkDown,
        &[Does::Advertise(RESIGN), Does::Drop, Does::To(Role::Initialize, Why::Fault(LINK))], Next::None),
    row(From::Active, 200, OFF, Event::HandOver,
        &[Does::Advertise(RESIGN), Does::Drop, Does::To(Role::Backup, Why::HandOver)], Next::After(DOWN)),
    row(From::Active, 200, OFF, Event::HandBack, &[], Next::Unchanged),
];

const LINK: Faults = Faults::only(Fault::Link);

#[test]
fn every_state_with_every_event() {
    for Row { from, priority: number, preempt, event, does, next } in TABLE {
        let config = Config { priority: priority(*number), preempt: *preempt, ..config() };
        let (mut router, mut now) = match from {
            From::Initialize => (initialize(config), epoch() + INTERVAL),
            From::Backup => (backup(config), epoch() + INTERVAL),
            From::Active => active(config),
        };
        let what = format!("{from:?} priority {number} {preempt:?} {event:?}");
        let before = router.poll_timeout();
        let role = router.role();
        match event {
            Event::Start { resume } => router.start(*resume, now),
            Event::Shutdown => router.shutdown(now),
            Event::Timer => {
                now = before.unwrap_or(now);
                router.handle_timeout(now);
            }
            Event::Advert(source, priority) => router.handle_advert(heard(*source, *priority), now),
            Event::LinkDown => router.handle_link(false, now),
            Event::HandOver => drop(router.hand_over(now)),
            Event::HandBack => drop(router.hand_back(now)),
        }
        let done: Vec<Does> = drain(&mut router)
            .into_iter()
            .map(|effect| match effect {
                Effect::Advertise(priority) => Does::Advertise(priority),
                Effect::TakeAddresses => Does::Take,
                Effect::DropAddresses => Does::Drop,
                Effect::Announce => Does::Announce,
                Effect::Transition(transition) => {
                    assert_eq!((transition.from, transition.at), (role, now), "{what}");
                    Does::To(transition.to, transition.why)
                }
            })
            .collect();
        assert_eq!(done, *does, "{what}");
        let to = does.iter().find_map(|done| match done {
            Does::To(role, _) => Some(*role),
            Does::Advertise(_) | Does::Take | Does::Drop | Does::Announce => None,
        });
        assert_eq!(router.role(), to.unwrap_or(role), "{what}");
        let expected = match next {
            Next::None => None,
            // After a conflict or a take-over the announcements are due at the same time as the advertisement, or later.
            Next::After(pause) => Some(now + *pause),
            Next::Unchanged => before,
        };
        assert_eq!(router.poll_timeout(), expected, "{what}");
    }
}
