//! The second realtime thread: addresses, virtual interfaces and announcements, one job after the other. The kernel may make it wait (a
//! driver that holds the RTNL lock); the engine, which advertises, never does.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp::announce::{Mac, gratuitous_arp, unsolicited_advertisement};
use yoke_config::value::IpNet;

use crate::engine::{Event, Events};
use crate::links::OURS;
use crate::netlink::{Netlink, Request};
use crate::sys;
use crate::vmac::{self, Vmac};

/// Below the engine: on one processor it interrupts the work on 200 addresses when an advertisement is due.
const PRIORITY: i32 = 40;
/// Addresses in one send. The kernel does not let go of the processor within one.
const BATCH: usize = 16;

/// Metric of the route that an address on a virtual interface brings: what is sent leaves through the real one, as long as that has an
/// address in the prefix.
const LAST_METRIC: u32 = 65_536;

/// What to do. Jobs are done in order, and each is idempotent.
pub(crate) enum Job {
    /// Have these addresses.
    Add(Vec<(u32, IpNet)>),
    /// Do not have these addresses.
    Remove(Vec<(u32, IpNet)>),
    /// Have this virtual interface, down.
    Make(Vmac),
    /// Do not have these virtual interfaces.
    Unmake(Vec<String>),
    /// Take this virtual interface up or down.
    Switch(u32, bool),
    /// Tell the neighbours where these addresses are.
    Announce(Vec<(u32, Mac, IpAddr)>),
    /// Everything before is done: do this, which does not wait.
    Then(Box<dyn FnOnce() + Send>),
}

/// Where jobs are put. Jobs are counted, so that who waits for their effect knows whether they were done.
pub(crate) struct Jobs {
    sender: Sender<Job>,
    asked: AtomicU64,
    done: Arc<AtomicU64>,
}

/// Where they are taken from.
pub(crate) struct Waiting {
    receiver: Receiver<Job>,
    done: Arc<AtomicU64>,
}

/// Both ends.
pub(crate) fn jobs() -> (Jobs, Waiting) {
    let (sender, receiver) = channel();
    let done = Arc::<AtomicU64>::default();
    (Jobs { sender, asked: AtomicU64::new(0), done: done.clone() }, Waiting { receiver, done })
}

impl Jobs {
    pub(crate) fn put(&self, job: Job) {
        // The worker ends after the engine.
        if self.sender.send(job).is_ok() {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were put, and how many of them are done.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Acquire);
        (self.asked.load(Ordering::Relaxed), done)
    }
}

impl Waiting {
    /// The next job; `None` when nobody can put one any more.
    fn next(&self) -> Option<Job> {
        self.receiver.recv().ok()
    }

    /// The next job, if there is one.
    #[cfg(test)]
    pub(crate) fn try_next(&self) -> Option<Job> {
        self.receiver.try_recv().ok()
    }

    /// The last job is done.
    pub(crate) fn done(&self) {
        self.done.fetch_add(1, Ordering::Release);
    }
}

/// The worker's own.
pub(crate) struct Worker {
    jobs: Waiting,
    events: Events,
    netlink: Netlink,
    frames: OwnedFd,
    /// Virtual interfaces that were taken up.
    virtuals: BTreeSet<u32>,
}

impl Worker {
    /// # Errors
    /// When a socket cannot be had.
    pub(crate) fn new(jobs: Waiting, events: Events) -> io::Result<Self> {
        // Protocol 0: it receives nothing.
        let frames = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        Ok(Self { jobs, events, netlink: Netlink::open()?, frames: frames.into(), virtuals: BTreeSet::new() })
    }

    /// Works until nobody has a job any more.
    pub(crate) fn run(mut self, realtime: bool) {
        if realtime && let Err(error) = sys::realtime(PRIORITY) {
            self.tell(format!("realtime priority: {error}, addresses may move late"));
        }
        while let Some(job) = self.jobs.next() {
            match job {
                Job::Add(addresses) => self.addresses(&addresses, true),
                Job::Remove(addresses) => self.addresses(&addresses, false),
                Job::Make(vmac) => self.make(&vmac),
                Job::Unmake(names) => {
                    for name in names {
                        self.link(&name, &vmac::unmake(&name), &[libc::ENODEV]);
                    }
                }
                Job::Switch(index, up) => {
                    self.virtuals.insert(index);
                    let tolerated: &[i32] = if up { &[] } else { &[libc::ENODEV] };
                    self.link(if up { "take up" } else { "take down" }, &vmac::switch(index, up), tolerated);
                }
                Job::Announce(addresses) => self.announce(&addresses),
                Job::Then(act) => act(),
            }
            self.jobs.done();
        }
    }

    fn addresses(&mut self, addresses: &[(u32, IpNet)], add: bool) {
        for batch in addresses.chunks(BATCH) {
            let is_virtual = |index: &u32| self.virtuals.contains(index);
            let requests: Vec<Request> =
                batch.iter().map(|(index, net)| request(*index, *net, add, is_virtual(index))).collect();
            let answers = match self.netlink.batch(&requests) {
                Ok(answers) => answers,
                Err(error) => {
                    self.tell(format!("addresses: {error}"));
                    // What is still under way must not be taken for the next answer.
                    if let Ok(netlink) = Netlink::open() {
                        self.netlink = netlink;
                    }
                    continue;
                }
            };
            for ((_, net), answer) in batch.iter().zip(answers) {
                if let Err(error) = answer.or_else(|error| tolerable(error, add)) {
                    let what = if add { "not added" } else { "not removed" };
                    self.tell(format!("address {net}: {what}: {error}"));
                }
            }
        }
    }

    fn make(&mut self, vmac: &Vmac) {
        self.link(&vmac.name, &vmac.make(), &[libc::EEXIST]);
        for (family, key, value) in vmac::SETTINGS {
            let path = format!("/proc/sys/net/{family}/conf/{}/{key}", vmac.name);
            // A kernel without IPv6 has none of its settings.
            if let Err(error) = std::fs::write(&path, value)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.tell(format!("{path}: {error}"));
            }
        }
    }

    /// One request about a virtual interface.
    fn link(&mut self, what: &str, request: &Request, tolerated: &[i32]) {
        let answer: io::Result<()> =
            self.netlink.batch(std::slice::from_ref(request)).and_then(|answers| answers.into_iter().collect());
        if let Err(error) = answer
            && !error.raw_os_error().is_some_and(|code| tolerated.contains(&code))
        {
            self.tell(format!("virtual interface: {what}: {error}"));
        }
    }

    fn announce(&self, addresses: &[(u32, Mac, IpAddr)]) {
        for (index, mac, address) in addresses {
            // A link that has just gone is told by netlink; the announcement is made again when it returns.
            let _ = match address {
                IpAddr::V4(address) => sys::send_frame(&self.frames, *index, &gratuitous_arp(*address, *mac)),
                IpAddr::V6(address) => {
                    sys::send_frame(&self.frames, *index, &unsolicited_advertisement(*address, *mac, true))
                }
            };
        }
    }

    fn tell(&self, text: String) {
        let _ = self.events.send(Event::Problem(text));
    }
}

/// What was asked for was so already; or the interface is gone, and the address with it.
fn tolerable(error: io::Error, add: bool) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EEXIST) if add => Ok(()),
        Some(libc::EADDRNOTAVAIL | libc::ENODEV) if !add => Ok(()),
        _ => Err(error),
    }
}

fn request(index: u32, net: IpNet, add: bool, is_virtual: bool) -> Request {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = net.prefix_len;
    message.attributes = vec![AddressAttribute::Local(net.addr), AddressAttribute::Address(net.addr)];
    message.header.family = if net.addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    if !add {
        return (RouteNetlinkMessage::DelAddress(message), 0);
    }
    message.attributes.push(AddressAttribute::Protocol(OURS));
    if is_virtual {
        message.attributes.push(AddressAttribute::RoutePriority(LAST_METRIC));
    }
    if net.addr.is_ipv6() {
        // In service at once: the other box had it a millisecond ago, and duplicate address detection would find that. Deprecated, so
        // that this box takes it for none of its own connections.
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        let mut info = CacheInfo::default();
        (info.ifa_preferred, info.ifa_valid) = (0, u32::MAX);
        message.attributes.push(AddressAttribute::CacheInfo(info));
    }
    (RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
}
