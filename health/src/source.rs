//! The ports from which real servers are asked in path: one of its own for each check.
//!
//! IPVS knows a connection by both addresses and both ports, and an entry outlives its probe: by 10 s after a reset, by minutes after silence. All
//! probes of one virtual address and port come from the same address of the box. From a port that another server's probe had, a probe would follow
//! that one's entry to the other server, and each would be judged by the other. So a check has its port as long as it exists, across restarts
//! too ([`SourcePorts::keep`]). Pure.
//!
//! Not for datagrams: they leave no entry behind, and a port that nobody can guess is worth something to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::Target;
use crate::path::fold;

/// Below what the kernel gives to those who ask for none (`net.ipv4.ip_local_port_range`, from 32,768), above what services use.
pub const SOURCE_PORTS: RangeInclusive<u16> = 10_240..=32_767;

/// Which check has which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcePorts(BTreeMap<Target, u16>);

impl SourcePorts {
    /// What a check had in an earlier process. One that another check has too is not kept: whoever comes first has it.
    pub fn keep(&mut self, target: Target, port: u16) {
        let taken = |(other, has): (&Target, &u16)| *has == port && place(other) == place(&target);
        if SOURCE_PORTS.contains(&port) && !self.0.iter().any(taken) {
            self.0.insert(target, port);
        }
    }

    /// That of a check; `None` when it has none.
    #[must_use]
    pub fn of(&self, target: &Target) -> Option<u16> {
        self.0.get(target).copied()
    }

    /// Gives one to each of `targets` and takes back those of others. One that has a port keeps it; where all of a virtual address and port are
    /// taken, it gets none.
    pub(crate) fn settle(&mut self, targets: &BTreeSet<Target>) {
        self.0.retain(|target, _| targets.contains(target));
        let mut taken = BTreeMap::<Place, BTreeSet<u16>>::new();
        for (target, port) in &self.0 {
            taken.entry(place(target)).or_default().insert(*port);
        }
        let (first, count) = (*SOURCE_PORTS.start(), SOURCE_PORTS.end() - SOURCE_PORTS.start() + 1);
        for target in targets.iter().filter(|target| !self.0.contains_key(target)).cloned().collect::<Vec<_>>() {
            let wish = u16::try_from(fold(&target.to_string()) % u32::from(count)).unwrap_or(0);
            let taken = taken.entry(place(&target)).or_default();
            if taken.len() == usize::from(count) {
                continue;
            }
            // Both below 32,768: their sum is a port.
            if let Some(port) = (0..count).map(|step| first + (wish + step) % count).find(|port| taken.insert(*port)) {
                self.0.insert(target, port);
            }
        }
    }
}

/// Within which a port belongs to one check: virtual address and port.
type Place = (Option<IpAddr>, u16);

fn place(target: &Target) -> Place {
    (target.via.map(|way| way.virtual_), target.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Way;

    fn target(server: u32, virtual_: u8) -> Target {
        Target {
            address: IpAddr::from((0x0a00_0000 + server).to_be_bytes()),
            port: 80,
            monitor: "m".parse().expect("a name"),
            via: Some(Way { virtual_: IpAddr::from([192, 0, 2, virtual_]), tunnel: None }),
        }
    }

    #[test]
    fn no_two_checks_of_a_virtual_address_share_a_port() {
        let mut ports = SourcePorts::default();
        ports.settle(&(0..10_000).map(|n| target(n, 1)).collect());
        let distinct: BTreeSet<u16> = ports.0.values().copied().collect();
        assert_eq!(distinct.len(), 10_000);
        assert!(distinct.iter().all(|port| SOURCE_PORTS.contains(port)));
        ports.settle(&(0..30_000).map(|n| target(n, 1)).collect());
        assert_eq!(ports.0.len(), SOURCE_PORTS.len(), "there are no more");
    }

    #[test]
    fn a_check_keeps_its_port_whoever_comes_and_goes() {
        let mut ports = SourcePorts::default();
        ports.settle(&(1_000..3_000).map(|n| target(n, 1)).collect());
        let before = ports.clone();
        ports.settle(&(0..3_000).chain(5_000..9_000).map(|n| target(n, 1)).collect());
        assert!(before.0.iter().all(|(target, port)| ports.of(target) == Some(*port)));
        // As after a restart: told what was, then of those there are.
        let mut again = SourcePorts::default();
        before.0.iter().for_each(|(target, port)| again.keep(target.clone(), *port));
        again.settle(&(0..3_000).map(|n| target(n, 1)).collect());
        assert!(before.0.iter().all(|(target, port)| again.of(target) == Some(*port)));
    }

    #[test]
    fn what_an_earlier_process_says_is_not_believed_blindly() {
        let mut ports = SourcePorts::default();
        ports.keep(target(1, 1), 80);
        ports.keep(target(2, 1), 20_000);
        ports.keep(target(3, 1), 20_000);
        ports.keep(target(3, 2), 20_000);
        let kept = [(target(2, 1), 20_000), (target(3, 2), 20_000)];
        assert_eq!(ports.0, kept.into());
    }
}
