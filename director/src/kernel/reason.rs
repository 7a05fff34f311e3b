//! The kernel's refusals in an operator's words: what is wrong with the line, and what to do. Pure.
//!
//! `Refusal` has been told from the errno already, which means another thing for each command; its own text speaks of services and
//! destinations, to who programs. Whose refusal it is stands before these words.

use ipvs::{Change, Destination, Forward, Refusal, Service};

/// Why a change was refused.
pub(super) fn reason(change: &Change, refusal: Refusal) -> String {
    let text = match refusal {
        Refusal::NoSchedulerOrEngine => return no_module(change),
        Refusal::OutOfRange => return out_of_range(change),
        Refusal::InvalidDestination => return invalid_server(change),
        Refusal::NotPermitted => "director may not change the table, it lacks CAP_NET_ADMIN",
        Refusal::NoMemory => "the kernel is out of memory",
        Refusal::FamilyUnsupported => "this kernel has no IPv6",
        Refusal::ServiceExists | Refusal::DestinationExists => {
            "somebody else has just put it into the kernel's table, try again"
        }
        Refusal::NoService | Refusal::NoDestination => {
            "somebody else has just taken it out of the kernel's table, try again"
        }
        Refusal::InvalidService => "the kernel takes these options not together",
        Refusal::DaemonRunning
        | Refusal::NoDaemon
        | Refusal::NoInterface
        | Refusal::InvalidDaemon
        | Refusal::InvalidTimeout
        | Refusal::Other(_) => return format!("the kernel refuses: {refusal}"),
    };
    text.to_owned()
}

fn no_module(change: &Change) -> String {
    let (Change::AddService { service, .. } | Change::EditService { to: service, .. }) = change else {
        return format!("the kernel refuses: {}", Refusal::NoSchedulerOrEngine);
    };
    let Service { scheduler, engine, .. } = service;
    match engine {
        // It does not say which.
        Some(engine) => format!("the kernel lacks scheduler {scheduler} or persistence engine {engine}, use another"),
        None => format!("the kernel has no scheduler {scheduler}, use another"),
    }
}

/// The destination a change would have made.
fn destination(change: &Change) -> Option<&Destination> {
    match change {
        Change::AddDestination { destination, .. } | Change::EditDestination { to: destination, .. } => {
            Some(destination)
        }
        Change::AddService { .. }
        | Change::EditService { .. }
        | Change::RemoveService { .. }
        | Change::RemoveDestination { .. } => None,
    }
}

fn out_of_range(change: &Change) -> String {
    match destination(change).map(|destination| destination.thresholds) {
        Some(limits) if limits.lower > limits.upper => {
            format!("threshold {} {} has its lower value above the upper", limits.upper, limits.lower)
        }
        Some(_) | None => "weight or threshold is out of range".to_owned(),
    }
}

fn invalid_server(change: &Change) -> String {
    let address = match change {
        Change::AddDestination { service, key, .. } | Change::EditDestination { service, key, .. } => {
            Some((key.address, key.address.is_ipv6() != (service.family() == ipvs::Family::V6)))
        }
        _ => None,
    };
    let tunnelled = destination(change).is_some_and(|d| matches!(d.forward, Forward::Tunnel(_)));
    match address {
        Some((_, true)) if tunnelled => {
            "a real server of the other address family cannot be while connections are synchronised, use before it: no \
             connection-sync"
                .to_owned()
        }
        Some((address, true)) => format!("{address} is of the other address family, which needs mode tun"),
        Some((address, false)) => format!("{address} is no address a real server can have, use a unicast one"),
        None => format!("the kernel refuses: {}", Refusal::InvalidDestination),
    }
}

#[cfg(test)]
mod tests {
    use ipvs::{DestinationKey, ServiceKey, Thresholds, Tunnel};

    use super::*;

    /// As Linux numbers it on x86-64.
    const EIO: i32 = 5;

    fn add(address: &str, destination: Destination) -> Change {
        let service = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
        Change::AddDestination { service, key: DestinationKey::new(address.parse().unwrap()), destination }
    }

    #[test]
    fn a_refusal_names_what_was_refused_and_what_to_do() {
        let key = ServiceKey::tcp("192.0.2.1:80".parse().unwrap());
        let service = Service::new("mh".parse().unwrap());
        let with_engine = Service { engine: "sip".parse().ok(), ..service };
        let nat = Destination::masquerade(1);
        let tunnelled = Destination { forward: Forward::Tunnel(Tunnel::Ipip), ..nat };
        let limited = Destination { thresholds: Thresholds { upper: 10, lower: 20 }, ..nat };
        for (change, refusal, said) in [
            (
                Change::AddService { key, service },
                Refusal::NoSchedulerOrEngine,
                "the kernel has no scheduler mh, use another",
            ),
            (
                Change::AddService { key, service: with_engine },
                Refusal::NoSchedulerOrEngine,
                "the kernel lacks scheduler mh or persistence engine sip, use another",
            ),
            (add("10.0.0.1:80", limited), Refusal::OutOfRange, "threshold 10 20 has its lower value above the upper"),
            (
                add("224.0.0.1:80", nat),
                Refusal::InvalidDestination,
                "224.0.0.1 is no address a real server can have, use a unicast one",
            ),
            (
                add("[fd00::1]:80", nat),
                Refusal::InvalidDestination,
                "fd00::1 is of the other address family, which needs mode tun",
            ),
            (
                add("[fd00::1]:80", tunnelled),
                Refusal::InvalidDestination,
                "a real server of the other address family cannot be while connections are synchronised, use before it: \
                 no connection-sync",
            ),
            (
                add("10.0.0.1:80", nat),
                Refusal::NoService,
                "somebody else has just taken it out of the kernel's table, try again",
            ),
            (add("10.0.0.1:80", nat), Refusal::Other(EIO), "the kernel refuses: Input/output error (os error 5)"),
        ] {
            assert_eq!(reason(&change, refusal), said);
        }
    }
}
