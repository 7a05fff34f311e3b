//! What an operator sees of a service.

use super::{Duration, ServiceStatus, State, Step, Unit, WORTH_A_WARNING};

pub(super) fn status(unit: &Unit, now: Duration) -> ServiceStatus {
    let (state, why) = match &unit.state {
        State::Held { why } => ("starting", why.clone()),
        State::Spawning { step: Step::Release } => ("stopping", unit.last_failure.clone()),
        State::Releasing { why, .. } => ("stopping", why.clone()),
        State::Spawning { step: Step::Main } | State::Starting { .. } => ("starting", "is not ready yet".to_owned()),
        State::Spawning { step: Step::Before(step) } | State::Preparing { step, .. } => {
            let program = unit.service.spec.before.get(*step).and_then(|argv| argv.first());
            ("starting", format!("waits for {}", program.map_or("nothing", |p| p)))
        }
        State::Running { .. } => ("running", String::new()),
        State::Aborting { why, .. } => ("stopping", why.clone()),
        State::Stopping { .. } => ("stopping", "was told to end".to_owned()),
        State::Backoff { why, .. } => ("backoff", why.clone()),
        State::Stopped { why } => ("stopped", why.clone()),
    };
    ServiceStatus {
        name: unit.service.spec.name.clone(),
        pid: unit.pid().unwrap_or(0),
        state: state.to_owned(),
        why,
        restarts: unit.restarts,
        since_s: now.saturating_sub(unit.since).as_secs(),
        status: unit.status.clone(),
    }
}

pub(super) fn warning(unit: &Unit) -> Option<String> {
    let State::Backoff { why, .. } = &unit.state else { return None };
    let name = &unit.service.spec.name;
    (unit.failures >= WORTH_A_WARNING)
        .then(|| format!("service {name}: failed {} times in a row, last: {why}", unit.failures))
}
