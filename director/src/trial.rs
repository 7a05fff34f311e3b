//! A firmware on trial: whether it works is found out every few seconds and told to init, which keeps the trial's time. A firmware that does
//! not say so for five minutes is left, whenever in its trial that is; the verdict never commits it.
//!
//! What counts is what this firmware does with what was saved: all of it is loaded, applied to the network and the kernel, and the services
//! it asks for run. What is out there (cables, neighbours, real servers, cards that were taken out) counts for nothing: it may be worse for
//! other reasons. SSH may be closed on one address, whose interface has no cable, but not on all.

use std::rc::Rc;
use std::time::Duration;

use yoke_init::nics::Known;
use yoke_init::request::ServiceStatus;
use yoke_init::setup::plan::is_outside;

use crate::director::Director;
use crate::notes::Source;
use crate::show::system::cmdline;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);
/// What of `show warnings` speaks against a firmware, in the order in which it is said.
const SOURCES: [Source; 5] = [Source::Loading, Source::Network, Source::Kernel, Source::Nft, Source::Accounts];
/// Services that have to run when the configuration asks for them. Consoles come and go, and a receiver of the log may be away.
const SERVICES: [&str; 2] = ["director", "vrrpd"];

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
    let cards = Known::parse(&std::fs::read_to_string(director.paths.cards()).unwrap_or_default());
    let outside =
        |source, sentence: &str| source == Source::Network && is_outside(sentence, |card| is_fitted(&cards, card));
    let said =
        SOURCES.into_iter().flat_map(|source| notes.of(source).into_iter().map(move |sentence| (source, sentence)));
    if let Some((_, sentence)) = said.into_iter().find(|(source, sentence)| !outside(*source, sentence)) {
        return Some(sentence);
    }
    match director.init.status().await {
        Ok((services, _)) => {
            down(&services).map(|service| format!("service {}: {}, {}", service.name, service.state, service.why))
        }
        Err(e) => Some(e.to_string()),
    }
}

/// The first service that has to run and does not.
fn down(services: &[ServiceStatus]) -> Option<&ServiceStatus> {
    let is_down = |service: &&ServiceStatus| service.state != "running";
    let ssh = || services.iter().filter(|service| service.name.starts_with("ssh-"));
    let shut = ssh().all(|service| is_down(&service)).then(|| ssh().next()).flatten();
    services.iter().filter(is_down).find(|service| SERVICES.contains(&service.name.as_str())).or(shut)
}

/// Whether the card of that name, as it was when another firmware drove it, is in the box.
fn is_fitted(cards: &Known, name: &str) -> bool {
    let Some(device) = cards.device(name) else { return false };
    // The device of virtio is its driver's; the one below it is the card.
    let is_virtio = device.file_name().is_some_and(|name| name.to_string_lossy().starts_with("virtio"));
    let card = if is_virtio { device.parent().unwrap_or(device) } else { device };
    card.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, state: &str) -> ServiceStatus {
        let (name, state) = (name.to_owned(), state.to_owned());
        ServiceStatus { name, pid: 0, state, why: String::new(), restarts: 0, since_s: 1, status: String::new() }
    }

    #[test]
    fn ssh_has_to_answer_on_one_address_and_the_daemons_have_to_run() {
        let found = |services: &[(&str, &str)]| {
            let services: Vec<_> = services.iter().map(|(name, state)| service(name, state)).collect();
            down(&services).map(|service| service.name.clone())
        };
        assert_eq!(found(&[("director", "running"), ("console-ttyS0", "backoff")]), None, "no SSH is asked for");
        let (up, dark) = (("ssh-192.0.2.2", "running"), ("ssh-2001:db8::2", "backoff"));
        assert_eq!(found(&[dark, up]), None, "no cable");
        assert_eq!(found(&[dark]), Some("ssh-2001:db8::2".to_owned()));
        assert_eq!(found(&[dark, up, ("vrrpd", "backoff")]), Some("vrrpd".to_owned()));
    }
}
