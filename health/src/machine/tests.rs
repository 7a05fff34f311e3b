//! Tables of outcomes and verdicts, and laws over any outcomes at any times.

use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn timing(retry: u8, rise: u8, fall: u8) -> Timing {
    Timing { interval: 5 * S, timeout: 3 * S, retry, retry_delay: S, rise, fall }
}

/// Feeds outcomes, each attempt taking no time; returns the state after each, as letters, and when each attempt began.
fn run(machine: &mut Machine, timing: &Timing, outcomes: &str) -> (String, Vec<u64>) {
    let (mut states, mut times) = (String::new(), Vec::new());
    for outcome in outcomes.chars() {
        let now = machine.poll_timeout().expect("nothing is under way");
        times.push(now.as_secs());
        machine.handle_start(now);
        assert_eq!(machine.poll_timeout(), None);
        machine.handle_outcome(outcome == '+', now, timing);
        states.push(match machine.state() {
            State::Unknown => '?',
            State::Up => 'U',
            State::Down => 'D',
        });
    }
    (states, times)
}

#[test]
fn the_table_of_verdicts() {
    // What was known, retry, rise, fall; outcomes; verdicts after each; seconds at which the attempts began.
    type Row = (State, (u8, u8, u8), &'static str, &'static str, &'static [u64]);
    let table: [Row; 9] = [
        (State::Unknown, (2, 3, 3), "++", "UU", &[0, 5]),
        (State::Unknown, (2, 1, 1), "-+", "DU", &[0, 5]),
        (State::Up, (2, 1, 1), "---+", "UUDU", &[0, 1, 2, 5]),
        (State::Up, (2, 1, 1), "--+---", "UUUUUD", &[0, 1, 2, 5, 6, 7]),
        (State::Up, (0, 1, 1), "-", "D", &[0]),
        (State::Up, (0, 1, 3), "--+---", "UUUUUD", &[0, 5, 10, 15, 20, 25]),
        (State::Up, (1, 1, 2), "----", "UUUD", &[0, 1, 5, 6]),
        (State::Down, (2, 3, 1), "++-+++", "DDDDDU", &[0, 5, 10, 15, 20, 25]),
        (State::Down, (2, 1, 1), "--+", "DDU", &[0, 5, 10]),
    ];
    for (state, (retry, rise, fall), outcomes, states, times) in table {
        let mut machine = Machine::new(state, Time::ZERO);
        let found = run(&mut machine, &timing(retry, rise, fall), outcomes);
        assert_eq!(
            found,
            (states.to_owned(), times.to_vec()),
            "{state:?} retry {retry} rise {rise} fall {fall} {outcomes}"
        );
    }
}

#[test]
fn a_retry_that_ran_into_its_timeout_is_followed_at_once() {
    let timing = timing(2, 1, 1);
    let mut machine = Machine::new(State::Up, 10 * S);
    for (start, next) in [(10, 13), (13, 16), (16, 20)] {
        machine.handle_start(start * S);
        machine.handle_outcome(false, (start + 3) * S, &timing);
        assert_eq!(machine.poll_timeout(), Some(next * S));
    }
    assert_eq!(machine.state(), State::Down);
    assert_eq!(timing.detection_max(), 14 * S);
}

/// What `docs/operate.md` says, to the second: from a death just after a good attempt to the verdict.
#[test]
fn the_longest_time_to_a_verdict_is_the_formula() {
    // Interval, timeout, retry, retry-delay, fall; what each attempt takes; seconds.
    let table = [
        ((5, 2, 2, 1, 1), 2, 11, "the defaults, silence: 5 + 2 x 2 + 2"),
        ((5, 2, 2, 1, 1), 0, 7, "the defaults, refused: 5 + 2 x 1"),
        ((1, 1, 1, 1, 1), 1, 3, "1 + 1 x 1 + 1"),
        ((5, 3, 0, 1, 1), 3, 8, "5 + 3"),
        ((5, 2, 2, 4, 1), 2, 15, "5 + 2 x 4 + 2"),
        ((5, 3, 2, 1, 2), 3, 24, "5 + 10 + 9: the second check begins at the next beat"),
    ];
    for ((interval, timeout, retry, delay, fall), took, seconds, why) in table {
        let timing =
            Timing { interval: interval * S, timeout: timeout * S, retry, retry_delay: delay * S, rise: 1, fall };
        let mut machine = Machine::new(State::Up, Time::ZERO);
        machine.handle_start(Time::ZERO);
        machine.handle_outcome(true, Time::ZERO, &timing);
        let mut now = Time::ZERO;
        while machine.state() == State::Up {
            now = machine.poll_timeout().expect("idle");
            machine.handle_start(now);
            now += took * S;
            machine.handle_outcome(false, now, &timing);
        }
        assert_eq!(now, seconds * S, "{why}");
        assert!(took < timeout || now == timing.detection_max(), "{why}");
    }
}

#[test]
fn the_defaults_find_a_death_within_interval_x_retry_and_a_timeout() {
    let timing = Timing::from(Monitor::DEFAULT);
    assert!(timing.detection_max() <= timing.interval * u32::from(timing.retry) + timing.timeout);
    assert_eq!(timing.detection_max(), 11 * S);
}

/// What begins late because others begin with it costs no time twice.
#[test]
fn a_retry_is_counted_from_when_its_attempt_was_due() {
    const MS: Duration = Duration::from_millis(1);
    let timing = timing(2, 1, 1);
    for (late, next) in [(0, 6_000), (20, 6_000), (50, 6_000), (60, 6_010), (900, 6_850)] {
        let mut machine = Machine::new(State::Up, 5 * S);
        machine.handle_start(5 * S + late * MS);
        machine.handle_outcome(false, 5 * S + late * MS, &timing);
        assert_eq!(machine.poll_timeout(), Some(next * MS), "{late} ms late");
    }
}

#[test]
fn a_late_start_does_not_shift_the_schedule_and_what_is_missed_is_missed() {
    let timing = timing(0, 1, 1);
    let mut machine = Machine::new(State::Up, 10 * S);
    machine.handle_start(12 * S);
    machine.handle_outcome(true, 12 * S, &timing);
    assert_eq!(machine.poll_timeout(), Some(15 * S));
    machine.handle_start(31 * S);
    machine.handle_outcome(true, 33 * S, &timing);
    assert_eq!(machine.poll_timeout(), Some(35 * S), "of 20, 25 and 30 none is made up for");
}

#[test]
fn an_outcome_nobody_waits_for_says_nothing() {
    let mut machine = Machine::new(State::Up, Time::ZERO);
    assert_eq!(machine.handle_outcome(false, S, &timing(0, 1, 1)), None);
    assert_eq!(machine.state(), State::Up);
}

proptest! {
    /// Whatever happens: a server is up only after a success; it leaves only after retry + 1 failures without a success between; the next
    /// attempt is never in the past, nor further away than an interval.
    #[test]
    fn laws(
        retry in 0u8..4, rise in 1u8..4, fall in 1u8..4,
        steps in proptest::collection::vec((any::<bool>(), 0u32..9, 0u32..4), 1..200),
    ) {
        let timing = timing(retry, rise, fall);
        let mut machine = Machine::new(State::Unknown, Time::ZERO);
        let (mut now, mut good_in_a_row, mut failed_in_a_row) = (Time::ZERO, 0u32, 0u32);
        for (good, late, took) in steps {
            let due = machine.poll_timeout().expect("idle");
            prop_assert!(due >= now);
            prop_assert!(due <= now + timing.interval);
            now = due + late * S;
            machine.handle_start(now);
            now += took * S;
            let before = machine.state();
            if good { good_in_a_row += 1; failed_in_a_row = 0 } else { failed_in_a_row += 1; good_in_a_row = 0 }
            let change = machine.handle_outcome(good, now, &timing);
            prop_assert_eq!(change.is_some(), before != machine.state());
            match (before, machine.state()) {
                (State::Up, State::Down) => prop_assert_eq!(failed_in_a_row, (u32::from(retry) + 1) * u32::from(fall)),
                (State::Down, State::Up) => prop_assert_eq!(good_in_a_row, u32::from(rise)),
                (State::Unknown, after) => prop_assert_eq!(after == State::Up, good),
                (before, after) => prop_assert_eq!(before, after),
            }
            // A new verdict starts to count anew.
            if change.is_some() { good_in_a_row = 0; failed_in_a_row = 0 }
        }
    }

    /// A server that dies at any moment is found out within the bound, whatever each attempt takes.
    #[test]
    fn a_death_is_found_in_time(
        retry in 0u8..4, fall in 1u8..4, interval in 1u32..20, timeout in 1u32..5, delay in 1u32..5, dies in 0u32..60, took in 0u32..5,
    ) {
        let timing =
            Timing { interval: interval * S, timeout: timeout * S, retry, retry_delay: delay * S, rise: 1, fall };
        let mut machine = Machine::new(State::Up, Time::ZERO);
        let mut now;
        loop {
            now = machine.poll_timeout().expect("idle");
            machine.handle_start(now);
            let dead = now >= dies * S;
            now += if dead { took.min(timeout) * S } else { Time::ZERO };
            if machine.handle_outcome(!dead, now, &timing).is_some() {
                break;
            }
        }
        prop_assert!(now <= dies * S + timing.detection_max(), "{now:?} {:?}", timing.detection_max());
    }
}
