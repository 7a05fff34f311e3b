//! A firmware on trial: whether it works is found out every few seconds and told to init, which keeps the trial's time. A firmware that does
//! not say so for five minutes is left, whenever in its trial that is; the verdict never commits it.
//!
//! What counts is what this firmware does with what was saved: all of it is loaded, applied to the network and the kernel, and the services
//! it asks for run. What is out there (cables, neighbours, real servers) counts for nothing: it may be worse for other reasons.

use std::rc::Rc;
use std::time::Duration;

use crate::director::Director;
use crate::notes::Source;
use crate::show::system::cmdline;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// What of `show warnings` speaks against a firmware, in the order in which it is said.
const SOURCES: [Source; 5] = [Source::Loading, Source::Network, Source::Kernel, Source::Nft, Source::Accounts];
/// Services that have to run when the configuration asks for them. Consoles come and go, and a receiver of the log may be away.
const SERVICES: [&str; 3] = ["director", "vrrpd", "ssh"];

/// Looks and tells until it is committed; at once when this firmware is not on trial.
pub(crate) async fn watch(director: Rc<Director>) {
    if cmdline(&director.paths.proc, "yoke.trial").is_none() {
        return;
    }
    let mut said = None;
    while !director.install.is_committed() {
        let problem = problem(&director).await;
        let told = match &problem {
            None => director.init.healthy().await,
            Some(why) => director.init.unhealthy(why.clone()).await,
        };
        match (&problem, told) {
            (_, Err(e)) => log::error!("{e}"),
            _ if said.as_ref() == Some(&problem) => {}
            (None, _) => log::info!("this firmware is on trial and healthy, to keep it: install commit"),
            (Some(why), _) => log::error!("this firmware is on trial and not healthy: {why}"),
        }
        said = Some(problem);
        tokio::time::sleep(EVERY).await;
    }
}

/// The first thing that speaks against it.
async fn problem(director: &Director) -> Option<String> {
    let (rejected, notes) = {
        let state = director.state();
        (state.rejected.len(), state.notes.clone())
    };
    if rejected > 0 {
        return Some(format!("configuration: {rejected} lines were rejected, see show configuration rejected"));
    }
    if let Some(sentence) = SOURCES.into_iter().flat_map(|source| notes.of(source)).next() {
        return Some(sentence);
    }
    match director.init.status().await {
        Ok((services, _)) => {
            let needed = |name: &str| SERVICES.iter().any(|needed| name == *needed || name.starts_with("ssh-"));
            let down = services.into_iter().find(|service| needed(&service.name) && service.state != "running");
            down.map(|service| format!("service {}: {}, {}", service.name, service.state, service.why))
        }
        Err(e) => Some(e.to_string()),
    }
}
