//! Many targets on a simulated clock: spread, one probe each, nothing lost and nothing made up when the configuration changes.

use std::net::IpAddr;

use std::sync::Arc;

use yoke_config::model::Monitor;

use super::*;

const S: Duration = Duration::from_secs(1);

fn targets(count: u32, monitor: &Monitor) -> BTreeMap<Target, Probe> {
    let probe = Probe { monitor: Arc::new(monitor.clone()), passage: None };
    let target = |n: u32| Target {
        address: IpAddr::from((0x0a00_0000 + n).to_be_bytes()),
        port: 80,
        monitor: "web".parse().expect("a name"),
        via: None,
    };
    (0..count).map(|n| (target(n), probe.clone())).collect()
}

/// Runs until `end`, each probe taking `took`; returns when the probes began.
fn run(
    checks: &mut Checks,
    from: Time,
    end: Time,
    took: Duration,
    good: impl Fn(&Target) -> bool,
) -> Vec<(Time, Target)> {
    let (mut now, mut began) = (from, Vec::new());
    let mut flying: VecDeque<(Time, Job)> = VecDeque::new();
    loop {
        let ends = flying.front().map(|(at, _)| *at);
        let next = [checks.poll_timeout(), ends].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else { return began };
        now = now.max(next);
        while flying.front().is_some_and(|(at, _)| *at <= now) {
            let (_, job) = flying.pop_front().expect("there is one");
            let outcome = if good(&job.target) { Ok(took) } else { Err("connect: refused".to_owned()) };
            checks.handle_outcome(job.number, outcome, None, now);
        }
        while let Some(job) = checks.poll_job(now) {
            began.push((now, Target::clone(&job.target)));
            flying.push_back((now + took, job));
        }
    }
}

#[test]
fn ten_thousand_probes_are_spread_and_stay_so() {
    let mut checks = Checks::default();
    checks.handle_targets(&targets(10_000, &Monitor::default()), &BTreeMap::new(), S);
    let began = run(&mut checks, S, 21 * S - Duration::from_nanos(1), STAGGER, |_| true);
    assert_eq!(began.len(), 40_000, "one in five seconds for each");
    let mut in_second = BTreeMap::<u64, usize>::new();
    for (at, _) in &began {
        *in_second.entry(at.as_secs()).or_default() += 1;
    }
    assert!(in_second.values().all(|count| (1_900..=2_100).contains(count)), "{in_second:?}");
}

#[test]
fn a_few_are_probed_at_once_and_never_twice_at_a_time() {
    let mut checks = Checks::default();
    checks.handle_targets(&targets(3, &Monitor::default()), &BTreeMap::new(), S);
    // Longer than an interval.
    let began = run(&mut checks, S, 25 * S, 7 * S, |_| true);
    let first: Vec<Time> = began.iter().take(3).map(|(at, _)| *at).collect();
    assert_eq!(first, [S, S + STAGGER, S + 2 * STAGGER]);
    let of_one: Vec<u64> =
        began.iter().filter(|(_, target)| *target == began[0].1).map(|(at, _)| at.as_secs()).collect();
    assert_eq!(of_one, [1, 11, 21]);
}

#[test]
fn reports_tell_the_story() {
    let mut checks = Checks::default();
    let monitor = Monitor { retry: 0, ..Monitor::default() };
    let all = targets(2, &monitor);
    let bad = all.keys().next_back().expect("two").clone();
    checks.handle_targets(&all, &BTreeMap::new(), S);
    run(&mut checks, S, 8 * S, STAGGER, |_| true);
    run(&mut checks, 8 * S, 18 * S, STAGGER, |target| *target != bad);
    let reports = checks.reports();
    assert_eq!(reports[0].verdict, Verdict { state: State::Up, since: S + STAGGER, proven: true });
    assert_eq!((reports[0].good, reports[0].failed, reports[0].history.len()), (4, 0, 1));
    assert_eq!(reports[1].verdict.state, State::Down);
    assert!(reports[1].verdict.proven);
    assert_eq!((reports[1].good, reports[1].failed), (2, 2));
    assert_eq!(reports[1].history[1].reason, "connect: refused");
    assert_eq!(reports[1].last.as_ref().map(|(_, outcome)| outcome.clone()), Some(Err("connect: refused".to_owned())));
    for round in 0..30 {
        run(&mut checks, (20 + 5 * round) * S, (25 + 5 * round) * S, STAGGER, |target| {
            *target != bad || round % 2 == 0
        });
    }
    assert_eq!(checks.reports()[1].history.len(), HISTORY_MAX);
}

#[test]
fn a_change_of_the_monitor_keeps_the_verdict_and_probes_soon() {
    let mut checks = Checks::default();
    let all = targets(1, &Monitor::default());
    checks.handle_targets(&all, &BTreeMap::new(), S);
    run(&mut checks, S, 3 * S, STAGGER, |_| true);
    // Told the same again, nothing moves.
    let due = checks.poll_timeout();
    checks.handle_targets(&all, &BTreeMap::new(), 3 * S);
    assert_eq!(checks.poll_timeout(), due);
    let job = checks.poll_job(6 * S).expect("due");
    let other = targets(1, &Monitor { interval_s: 60, ..Monitor::default() });
    assert_eq!(checks.handle_targets(&other, &BTreeMap::new(), 7 * S), [job.number].into(), "nobody waits for it");
    assert_eq!(checks.reports()[0].verdict.state, State::Up, "an edit takes no server out");
    assert_eq!(
        checks.handle_outcome(job.number, Err("late".into()), None, 8 * S),
        None,
        "what was asked before says nothing"
    );
    assert_eq!(checks.under_way(), 0);
    let began = run(&mut checks, 8 * S, 70 * S, STAGGER, |_| true);
    assert_eq!(began.iter().map(|(at, _)| at.as_secs()).collect::<Vec<_>>(), [8, 67]);
    checks.handle_targets(&BTreeMap::new(), &BTreeMap::new(), 80 * S);
    assert_eq!((checks.poll_timeout(), checks.reports().len()), (None, 0));
}

#[test]
fn what_an_earlier_process_knew_is_where_this_one_begins() {
    let mut checks = Checks::default();
    let all = targets(2, &Monitor { retry: 0, ..Monitor::default() });
    let keys: Vec<Target> = all.keys().cloned().collect();
    let up = Verdict { state: State::Up, since: S, proven: true };
    let down = Verdict { state: State::Down, since: 2 * S, proven: true };
    checks.handle_targets(&all, &[(keys[0].clone(), up), (keys[1].clone(), down)].into(), 9 * S);
    assert_eq!(checks.verdicts(), [(keys[0].clone(), up), (keys[1].clone(), down)].into());
    run(&mut checks, 9 * S, 10 * S, STAGGER, |_| true);
    assert_eq!(checks.verdicts()[&keys[0]], up, "no change is no news");
    assert_eq!(checks.verdicts()[&keys[1]].state, State::Up);
}

#[test]
fn that_a_probe_went_aside_is_noted_once() {
    let mut checks = Checks::default();
    checks.handle_targets(&targets(1, &Monitor::default()), &BTreeMap::new(), S);
    let mut attempt = |at: u32, aside: Option<&str>| {
        let now = at * 10 * S;
        let job = checks.poll_job(now).expect("due");
        let noted = checks.handle_outcome(job.number, Ok(STAGGER), aside.map(str::to_owned), now);
        noted.and_then(|noted| noted.aside)
    };
    assert_eq!(attempt(1, None), None);
    assert_eq!(attempt(2, Some("no route")), Some(Some("no route".to_owned())));
    assert_eq!(attempt(3, Some("no route")), None);
    assert_eq!(attempt(4, None), Some(None));
    assert_eq!(checks.reports()[0].aside, None);
}
