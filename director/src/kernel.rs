//! The kernel's IPVS as the director needs it, behind a trait so that a test can be the kernel.
//!
//! [`converge`] brings it to what is wanted with the fewest changes; what is wanted is decided in [`crate::reconcile`].

mod reason;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use ipvs::sync::{self, Ending};
use ipvs::{
    ApplyError, Change, Client, Daemon, Error, Info, ObservedDestination, ObservedService, Refusal, ServiceKey,
    SyncRole, Table, Timeouts, plan,
};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::BindToDevice;

use crate::commit::port_word;
use crate::nft::{self, Generation};
use crate::reconcile::Desired;
use crate::show::interfaces;

/// What the director asks of the kernel. Every call is synchronous and short: the kernel answers before the send returns.
pub(crate) trait Kernel {
    /// What brings IPVS into the kernel, should it not be there: some tenths of a second, so for another thread. Whether it worked is known
    /// by the first call of the others.
    fn loader(&self) -> fn();
    /// The table as it is.
    fn observe(&mut self) -> Result<Table, Error>;
    /// Writes changes in order; stops at the first that is refused.
    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError>;
    /// The table with counters.
    fn statistics(&mut self) -> Result<Vec<Observed>, Error>;
    /// Idle timeouts of connections.
    fn timeouts(&mut self) -> Result<Timeouts, Error>;
    /// Sets them.
    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error>;
    /// Sync daemons that run.
    fn daemons(&mut self) -> Result<Vec<Daemon>, Error>;
    /// Starts a sync daemon.
    fn start_daemon(&mut self, daemon: Daemon) -> Result<(), Error>;
    /// Stops a sync daemon.
    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error>;
    /// Tells a backup daemon of this box that connections are closed, for a second more.
    fn end(&mut self, daemon: &Daemon, endings: &[Ending]) -> io::Result<()>;
    /// Version and table size.
    fn info(&mut self) -> Result<Info, Error>;
    /// Zeroes counters, of one service or of all. The kernel adds up what its processors have counted every 2 s (`ip_vs_est.c`): what is not
    /// added up yet counts afterwards, and the kernel does not say how much that is.
    fn zero(&mut self, service: Option<ServiceKey>) -> Result<(), Error>;
    /// Whether anybody has used nft since.
    fn generation(&mut self) -> io::Result<Generation>;
    /// The links as they are.
    fn links(&mut self) -> io::Result<Links>;
}

/// What comes and goes of the network without anybody's word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Links {
    /// Network cards by the kernel's index: one that goes and comes back has another.
    pub(crate) cards: BTreeMap<u32, String>,
    /// IPv6 addresses that the kernel has given up, because somebody says that they are his.
    pub(crate) given_up: BTreeSet<IpAddr>,
}

/// A service with its destinations and everybody's counters.
pub(crate) type Observed = (ObservedService, Vec<ObservedDestination>);

/// What is wanted of the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) timeouts: Timeouts,
}

/// How the kernel was brought to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Outcome {
    /// Steps that were done.
    pub(crate) changes: usize,
    /// Services that were refused and tolerated: a sentence each.
    pub(crate) refused: BTreeMap<ServiceKey, String>,
}

/// Brings the kernel to what is wanted with as few changes as there are. A refusal that concerns a service `tolerated` names leaves that
/// service as it is; any other ends the work.
///
/// # Errors
/// A sentence. What was done up to then is done: converging to what was wanted before undoes it.
pub(crate) fn converge(
    kernel: &mut dyn Kernel,
    wanted: &Wanted<'_>,
    tolerated: &dyn Fn(&ServiceKey) -> bool,
) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    set_timeouts(kernel, wanted.timeouts, &mut outcome).map_err(|e| timeouts_sentence(wanted.timeouts, &e))?;
    loop {
        let actual = kernel.observe().map_err(|e| format!("ipvs: {e}"))?;
        let mut changes = plan(&actual, &wanted.desired.table);
        changes.retain(|change| !outcome.refused.contains_key(&change.service()));
        if changes.is_empty() {
            return Ok(outcome);
        }
        let Err(failure) = kernel.apply(&changes) else {
            outcome.changes += changes.len();
            // Each change was acknowledged: nothing is left to look at.
            return Ok(outcome);
        };
        outcome.changes += failure.done.len();
        for (place, error) in &failure.failed {
            let Some(change) = changes.get(*place) else { return Err(format!("ipvs: {error}")) };
            let key = change.service();
            let sentence = sentence(wanted.desired, change, error);
            if error.refusal().is_none() || !tolerated(&key) {
                return Err(sentence);
            }
            outcome.refused.entry(key).or_insert(sentence);
        }
        // At least one more service is out of the way each time round, so this ends.
    }
}

fn set_timeouts(kernel: &mut dyn Kernel, wanted: Timeouts, outcome: &mut Outcome) -> Result<(), Error> {
    if kernel.timeouts()? != wanted {
        kernel.set_timeouts(wanted)?;
        outcome.changes += 1;
    }
    Ok(())
}

/// Longest timeout every kernel takes: 2^31 - 1 ticks of 1000 a second, in seconds. 24 days.
const TIMEOUT_MAX_S: u32 = 2_147_483;

/// A refusal of timeouts in the operator's words.
fn timeouts_sentence(wanted: Timeouts, error: &Error) -> String {
    let Some(refusal) = error.refusal() else { return format!("ipvs: {error}") };
    let all = [("tcp", wanted.tcp), ("tcpfin", wanted.tcp_fin), ("udp", wanted.udp)];
    let long = all.iter().find(|(_, seconds)| *seconds > TIMEOUT_MAX_S);
    match (refusal, long) {
        (Refusal::InvalidTimeout, Some((name, seconds))) => {
            format!("ipvs timeout {name} {seconds}: too long for this kernel, use at most: {TIMEOUT_MAX_S}")
        }
        _ => format!("ipvs timeout: the kernel refuses: {refusal}"),
    }
}

/// A refusal in the operator's words.
fn sentence(desired: &Desired, change: &Change, error: &Error) -> String {
    let (key, name) = (change.service(), desired.name(&change.service()));
    let what = match change {
        // Its one destination is the real server that the name has already.
        _ if desired.checks.contains_key(&key) => name,
        Change::AddDestination { key, .. }
        | Change::EditDestination { key, .. }
        | Change::RemoveDestination { key, .. } => {
            format!("{name}: real-server {} {}", key.address, port_word(key.port))
        }
        Change::AddService { .. } | Change::EditService { .. } | Change::RemoveService { .. } => name,
    };
    let why = match error.refusal() {
        Some(refusal) => reason::reason(change, refusal),
        None => error.to_string(),
    };
    let instead = if desired.checks.contains_key(&key) { ", its own address is asked" } else { "" };
    format!("{what}: {why}{instead}")
}

/// Multicast group and port of sync where the daemon has none of its own (ip_vs.h).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
const PORT: u16 = 8848;

/// The kernel of this machine. Opened when it is first needed, and again after it was not there.
#[derive(Debug, Default)]
pub(crate) struct Netlink(Option<Client>);

impl Netlink {
    fn client(&mut self) -> Result<&mut Client, Error> {
        match &mut self.0 {
            Some(client) => Ok(client),
            none => Ok(none.insert(Client::open()?)),
        }
    }
}

impl Kernel for Netlink {
    fn loader(&self) -> fn() {
        || drop(Client::open())
    }

    fn observe(&mut self) -> Result<Table, Error> {
        self.client()?.observe()
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        match self.client() {
            Ok(client) => client.apply(changes),
            Err(error) => Err(ApplyError { failed: vec![(0, error)], done: Vec::new() }),
        }
    }

    fn statistics(&mut self) -> Result<Vec<Observed>, Error> {
        self.client()?.statistics()
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        self.client()?.timeouts()
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        self.client()?.set_timeouts(timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        self.client()?.daemons()
    }

    fn start_daemon(&mut self, daemon: Daemon) -> Result<(), Error> {
        self.client()?.start_daemon(daemon)
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        self.client()?.stop_daemon(role)
    }

    fn end(&mut self, daemon: &Daemon, endings: &[Ending]) -> io::Result<()> {
        let interface = daemon.interface.as_str();
        // On lo the sender is this box, whatever other addresses there are.
        let from = if interface == "lo" { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let to = (daemon.group.unwrap_or(IpAddr::V4(GROUP)), daemon.port.unwrap_or(PORT));
        let socket = if to.0.is_ipv6() { UdpSocket::bind("[::]:0")? } else { UdpSocket::bind((from, 0))? };
        setsockopt(&socket, BindToDevice, &OsString::from(interface))?;
        let room = usize::from(daemon.max_length.unwrap_or(sync::DATAGRAM_MAX));
        let (mut datagram, mut rest) = (Vec::new(), endings);
        while !rest.is_empty() {
            datagram.clear();
            let some = sync::emit(daemon.sync_id, rest, room, &mut datagram);
            if some == 0 {
                return Err(io::Error::other("its datagrams are too short for a connection"));
            }
            socket.send_to(&datagram, to)?;
            rest = &rest[some..];
        }
        Ok(())
    }

    fn info(&mut self) -> Result<Info, Error> {
        self.client()?.info()
    }

    fn zero(&mut self, service: Option<ServiceKey>) -> Result<(), Error> {
        self.client()?.zero(service)
    }

    fn links(&mut self) -> io::Result<Links> {
        interfaces::links_now()
    }

    fn generation(&mut self) -> io::Result<Generation> {
        nft::generation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Pools, desired};
    use crate::testing::config;
    use ipvs::wire::Request;

    const EPERM: i32 = 1;
    const ENOENT: i32 = 2;
    const ESRCH: i32 = 3;
    const ENOMEM: i32 = 12;
    const ENOSPC: i32 = 28;
    const EEXIST: i32 = 17;
    const EINVAL: i32 = 22;
    const ERANGE: i32 = 34;
    const EAFNOSUPPORT: i32 = 97;

    fn refused(request: Request, errno: i32) -> Error {
        let refusal = Refusal::new(&request, errno);
        Error::Refused { request: Box::new(request), refusal }
    }

    /// Every errno the kernel answers with, by every operation, names the object and says what is wrong in words.
    #[test]
    fn refusals_name_the_object_in_the_operators_words() {
        let config =
            config("virtual-server www\n virtual 192.0.2.10 tcp 80\n scheduler mh\n real-server 10.0.0.1 8080\n");
        let desired = desired(&config, &Pools::default());
        let (&key, entry) = desired.table.services.first_key_value().unwrap();
        let (&of, &destination) = entry.destinations.first_key_value().unwrap();
        let service = entry.service;
        let services = [
            Change::AddService { key, service },
            Change::EditService { key, from: service, to: service },
            Change::RemoveService { key, entry: entry.clone() },
        ];
        let destinations = [
            Change::AddDestination { service: key, key: of, destination },
            Change::EditDestination { service: key, key: of, from: destination, to: destination },
            Change::RemoveDestination { service: key, key: of, destination },
        ];
        let of_all = [
            (EPERM, "it lacks CAP_NET_ADMIN"),
            (ENOMEM, "the kernel is out of memory"),
            (EAFNOSUPPORT, "this kernel has no IPv6"),
            (ESRCH, "somebody else has just taken it out"),
            // One that nobody has seen yet is said in the words of the C library, not as a number alone.
            (ENOSPC, "No space left"),
        ];
        let of_services = [
            (EEXIST, "somebody else has just put it into the kernel's table"),
            (ENOENT, "scheduler"),
            (EINVAL, "takes these options not together"),
        ];
        let of_destinations = [
            (EEXIST, "somebody else has just put it into the kernel's table"),
            (ENOENT, "somebody else has just taken it out"),
            (EINVAL, "address"),
            (ERANGE, "weight or threshold is out of range"),
        ];
        let www = "virtual-server www: ";
        let real = "virtual-server www: real-server 10.0.0.1 8080: ";
        for (changes, begin, own) in
            [(&services, www, of_services.as_slice()), (&destinations, real, of_destinations.as_slice())]
        {
            for change in changes {
                for (errno, words) in of_all.iter().chain(own) {
                    let said = sentence(&desired, change, &refused(change.request(), *errno));
                    assert!(said.starts_with(begin) && said.contains(words), "{change}, errno {errno}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_refused_service_of_a_check_is_named_by_its_real_server() {
        let config = config("virtual-server www\n virtual 192.0.2.10 tcp 80\n mode dr\n real-server 10.0.0.1 80\n");
        let pools = Pools::from([(
            "www".parse().unwrap(),
            yoke_health::pool::judge(
                &config,
                config.virtual_servers.values().next().unwrap(),
                &|_| None,
                &yoke_health::pool::Pool::default(),
                std::time::Duration::ZERO,
            ),
        )]);
        let desired = desired(&config, &pools);
        let (&key, entry) = desired.table.services.iter().find(|(key, _)| desired.checks.contains_key(key)).unwrap();
        let (&of, &destination) = entry.destinations.first_key_value().unwrap();
        let add = Change::AddDestination { service: key, key: of, destination };
        let said = sentence(&desired, &add, &refused(add.request(), ENOMEM));
        let why = "the kernel is out of memory, its own address is asked";
        assert_eq!(said, format!("health-check of real-server 10.0.0.1 by mode dr: {why}"));
        let gone = Change::RemoveService { key, entry: entry.clone() };
        let said = sentence(&Desired::default(), &gone, &refused(gone.request(), EPERM));
        assert!(said.starts_with("health-check of a real server that is no more: "), "{said}");
    }

    #[test]
    fn a_timeout_that_is_too_long_is_named() {
        let wanted = Timeouts { tcp: 900, tcp_fin: 120, udp: 31_536_000 };
        let said = timeouts_sentence(wanted, &refused(Request::SetTimeouts(wanted), EINVAL));
        assert_eq!(said, "ipvs timeout udp 31536000: too long for this kernel, use at most: 2147483");
        let said = timeouts_sentence(wanted, &refused(Request::SetTimeouts(wanted), EPERM));
        assert!(said.starts_with("ipvs timeout: the kernel refuses: not permitted"), "{said}");
    }
}
