//! Whether groups hold what they should: an active one all of its addresses and its virtual interface up, any other none and down. Events put most of it right at once
//! ([`Units::handle_address`]); this looks at the state itself, once a second, so that no lost event and no refused request lasts.

use vrrp::Instant;
use vrrp::router::Role;

use super::io::Io;
use super::units::{Units, add, switch};
use crate::links::Links;
use crate::worker::Job;

/// Looks with the same wrong answer before something is done: what was asked for a moment ago may be in the kernel and not yet told.
const LOOKS: u32 = 2;
/// Looks between two attempts.
const EVERY: u32 = 10;
/// Looks with a worker that has work and does none before that is told.
const STUCK: u32 = 5;

/// What is known of the worker.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    done: u64,
    looks: u32,
}

impl Progress {
    /// Whether the worker is idle; tells when it has not moved for too long.
    fn look(&mut self, io: &Io) -> bool {
        let (asked, done) = io.jobs.progress();
        let stands = asked != done && done == self.done;
        self.looks = if stands { self.looks.saturating_add(1) } else { 0 };
        self.done = done;
        if self.looks == STUCK {
            io.problem(format!("addresses: the kernel has not answered for {STUCK} s, {} requests wait", asked - done));
        }
        asked == done
    }
}

impl Units {
    /// Looks at every group. To be called once a second.
    pub(crate) fn check(&mut self, now: Instant, io: &mut Io, links: &Links) {
        if !self.progress.look(io) {
            return;
        }
        let ids: Vec<_> = self.units.keys().copied().collect();
        for id in ids {
            let count = self.units.get(&id).map_or(0, |unit| unit.groups.len());
            for member in 0..count {
                self.check_group((id, member), now, io, links);
            }
        }
    }

    fn check_group(&mut self, (id, member): (super::units::Id, usize), now: Instant, io: &mut Io, links: &Links) {
        let owners = &self.owners;
        let Some(unit) = self.units.get_mut(&id) else { return };
        let active = unit.sync.members()[member].role() == Role::Active;
        let group = &mut unit.groups[member];
        let is_own = |addr: &std::net::IpAddr| owners.get(addr) == Some(&(id, member));
        let wrong: Vec<_> = if active {
            let there = |(index, net): &(u32, _)| links.has(*index, *net);
            group.places(links).into_iter().filter(|place| is_own(&place.1.addr) && !there(place)).collect()
        } else {
            let own = group.wanted.addresses.iter().map(|address| address.net.addr).filter(is_own);
            own.flat_map(|addr| links.places(addr)).collect()
        };
        let missing = group.vmac.as_ref().filter(|(_, index)| *index == 0).map(|(vmac, _)| vmac.clone());
        // Up while the group is active and only then: who is not must take in nothing that is sent to the virtual MAC.
        let switched = group.vmac.as_ref().filter(|(_, index)| links.get(*index).is_some_and(|l| l.enabled != active));
        let (state, with) = if active { ("active", "without") } else { ("not active", "with") };
        let what = match (wrong.as_slice(), &missing, switched) {
            ([(_, first)], ..) => format!("{with} its address {first}"),
            ([(_, first), more @ ..], ..) => format!("{with} its address {first} and {} more", more.len()),
            ([], Some(vmac), _) => format!("without its interface {}", vmac.name),
            ([], None, Some((vmac, _))) => {
                format!("with its interface {} {}", vmac.name, if active { "down" } else { "up" })
            }
            ([], None, None) => {
                group.wrong = 0;
                return;
            }
        };
        group.wrong = group.wrong.saturating_add(1);
        if group.wrong == LOOKS {
            io.problem(format!("vrrp group {}: {state} {what}: put right", group.wanted.name));
        }
        if group.wrong % EVERY != LOOKS {
            return;
        }
        if let Some(vmac) = missing {
            io.job(Job::Make(vmac));
        } else if active {
            add(group, wrong, io);
            unit.sync.announce(member, now);
            self.settle(id, io, links);
        } else {
            if !wrong.is_empty() {
                io.job(Job::Remove(wrong));
            }
            switch(group, false, io);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use tokio::sync::mpsc::{self, UnboundedReceiver};
    use yoke_config::model::Config;

    use super::super::Event;
    use super::*;
    use crate::group::World;
    use crate::wanted::Wanted;
    use crate::worker::{Jobs, Waiting, jobs};

    struct Rig {
        units: Units,
        io: Io,
        waiting: Waiting,
        told: UnboundedReceiver<Event>,
        links: Links,
        now: Instant,
    }

    impl Rig {
        /// One group on an interface with a link, started.
        fn new() -> Self {
            Self::with("")
        }

        /// The same with another line in the group.
        fn with(line: &str) -> Self {
            let (jobs, waiting): (Jobs, Waiting) = jobs();
            let (events, told) = mpsc::unbounded_channel();
            let mut io = Io::new(jobs, crate::opener::asks().unwrap().0, events);
            io.ports.insert((3, vrrp::Family::V4), crate::port::Port::on_loopback(3).0);
            let mut links = Links::default();
            links.set(3, "eth0", &["10.0.0.2/24"]);
            links.set(7, "vrrp4-51-3", &[]);
            links.enable(7, false);
            let text = "vrrp group a\n vrid 51 interface eth0\n address 10.0.0.100/24\n address 10.0.0.101/24\n";
            let config = Config::try_from(&yoke_config::tree::load(&format!("{text}{line}")).0).unwrap();
            let (mut units, now) = (Units::default(), Instant::from_nanos(1_000_000_000));
            let world = World { director: true, servers: BTreeMap::new() };
            assert!(units.configure(Wanted::from(&config), now, &mut io, &links, &world).is_empty());
            let mut it = Self { units, io, waiting, told, links, now };
            it.work();
            it
        }

        /// What the worker was asked for since, done without an effect, as if the kernel had forgotten it.
        fn work(&mut self) -> Vec<String> {
            let mut seen = Vec::new();
            while let Some(job) = self.waiting.try_next() {
                match job {
                    Job::Add(addresses) => seen.extend(addresses.iter().map(|(_, net)| format!("add {net}"))),
                    Job::Remove(addresses) => seen.extend(addresses.iter().map(|(_, net)| format!("remove {net}"))),
                    Job::Make(vmac) => seen.push(format!("make {}", vmac.name)),
                    Job::Switch(index, up) => seen.push(format!("switch {index} {up}")),
                    Job::Unmake(names) => seen.extend(names.iter().map(|name| format!("unmake {name}"))),
                    Job::Announce(_) | Job::Then(_) => {}
                }
                self.waiting.done();
            }
            seen
        }

        fn look(&mut self) -> Vec<String> {
            self.now = self.now + Duration::from_secs(1);
            self.units.check(self.now, &mut self.io, &self.links);
            self.work()
        }

        fn become_active(&mut self) {
            self.now = self.now + Duration::from_millis(400);
            self.units.handle_timeouts(self.now, &mut self.io, &self.links);
            assert_eq!(self.work(), ["add 10.0.0.100/24", "add 10.0.0.101/24"]);
        }

        fn problems(&mut self) -> Vec<String> {
            let mut found = Vec::new();
            while let Ok(event) = self.told.try_recv() {
                if let Event::Problem(text) = event {
                    found.push(text);
                }
            }
            found
        }
    }

    #[test]
    fn an_active_group_gets_back_what_it_lacks_and_it_is_told_once() {
        let mut it = Rig::new();
        it.become_active();
        it.links.set(3, "eth0", &["10.0.0.2/24", "10.0.0.100/24"]);
        assert!(it.look().is_empty(), "it may be on its way");
        assert_eq!(it.look(), ["add 10.0.0.101/24"]);
        let attempts: Vec<String> = (0..25).flat_map(|_| it.look()).collect();
        assert_eq!(attempts, ["add 10.0.0.101/24"; 2], "every ten seconds");
        assert_eq!(it.problems(), ["vrrp group a: active without its address 10.0.0.101/24: put right"]);
        it.links.set(3, "eth0", &["10.0.0.2/24", "10.0.0.100/24", "10.0.0.101/24"]);
        assert!((0..20).all(|_| it.look().is_empty()) && it.problems().is_empty());
    }

    /// The state in which the lab once found a box: initialize, and both addresses there.
    #[test]
    fn a_group_that_is_not_active_loses_what_it_has() {
        let mut it = Rig::new();
        it.become_active();
        it.links.set(3, "eth0", &["10.0.0.2/24", "10.0.0.100/24", "10.0.0.101/24"]);
        it.units.hand_over("a", it.now, &mut it.io, &it.links).unwrap();
        assert_eq!(it.work(), ["remove 10.0.0.100/24", "remove 10.0.0.101/24"]);
        assert!(it.look().is_empty());
        assert_eq!(it.look(), ["remove 10.0.0.100/24", "remove 10.0.0.101/24"]);
        let said = it.problems();
        assert_eq!(said, ["vrrp group a: not active with its address 10.0.0.100/24 and 1 more: put right"]);
    }

    /// Somebody at a shell: addresses of IPv4 stay where they are, so that only the interface shows it.
    #[test]
    fn a_virtual_interface_is_up_while_the_group_is_active_and_only_then() {
        let mut it = Rig::with(" use-vmac\n");
        it.now = it.now + Duration::from_millis(400);
        it.units.handle_timeouts(it.now, &mut it.io, &it.links);
        let both = ["10.0.0.100/24", "10.0.0.101/24"];
        assert_eq!(it.work(), ["switch 7 true".to_owned(), format!("add {}", both[0]), format!("add {}", both[1])]);
        it.links.set(7, "vrrp4-51-3", &both);
        it.links.enable(7, false);
        assert!(it.look().is_empty(), "it may be on its way");
        assert_eq!(it.look(), ["switch 7 true"]);
        it.links.enable(7, true);
        assert!(it.look().is_empty());
        it.units.hand_over("a", it.now, &mut it.io, &it.links).unwrap();
        assert_eq!(it.work().last().unwrap(), "switch 7 false");
        it.links.set(7, "vrrp4-51-3", &[]);
        assert!(it.look().is_empty());
        assert_eq!(it.look(), ["switch 7 false"]);
        let said = ["active with its interface vrrp4-51-3 down", "not active with its interface vrrp4-51-3 up"];
        assert_eq!(it.problems(), said.map(|what| format!("vrrp group a: {what}: put right")));
    }

    /// A backup that is deaf would become active beside one that is well.
    #[test]
    fn a_group_without_a_socket_takes_no_part() {
        let mut it = Rig::new();
        let world = World { director: true, servers: BTreeMap::new() };
        let ports = std::mem::take(&mut it.io.ports);
        it.units.refresh(it.now, &mut it.io, &it.links, &world);
        it.work();
        it.now = it.now + Duration::from_secs(5);
        it.units.handle_timeouts(it.now, &mut it.io, &it.links);
        assert!(it.work().is_empty());
        it.io.ports = ports;
        it.units.refresh(it.now, &mut it.io, &it.links, &world);
        it.work();
        it.become_active();
    }

    #[test]
    fn a_worker_that_stands_still_is_told_of_once_and_not_given_more_to_do() {
        let mut it = Rig::new();
        it.become_active();
        it.io.job(Job::Remove(Vec::new()));
        for _ in 0..20 {
            it.now = it.now + Duration::from_secs(1);
            it.units.check(it.now, &mut it.io, &it.links);
        }
        assert_eq!(it.problems(), ["addresses: the kernel has not answered for 5 s, 1 requests wait"]);
        assert!(it.work().is_empty());
    }
}
