//! One group at work: what the library's router does not know. Interface, addresses with their places, tracked objects, packets out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp::announce::Mac;
use vrrp::track::{Tracker, Tracking};
use vrrp::{AdvertPriority, Auth, Endpoints, Family, Gate, Instant, Router};
use yoke_config::value::IpNet;

use crate::clock;
use crate::links::Links;
use crate::opener::Key;
use crate::port::Port;
use crate::vmac::Vmac;
use crate::wanted::{self, Tracked, WantedGroup};

/// Sockets, by interface and family.
pub(crate) type Ports = BTreeMap<Key, Port>;

/// One group.
pub(crate) struct Group {
    pub(crate) wanted: WantedGroup,
    pub(crate) gate: Gate,
    pub(crate) tracker: Tracker<Tracked>,
    /// Its interface; 0 while there is none.
    pub(crate) ifindex: u32,
    /// Its virtual interface, if it wants one, and the index of that; 0 while there is none.
    pub(crate) vmac: Option<(Vmac, u32)>,
    /// The worker was asked for it.
    pub(crate) vmac_asked: bool,
    pub(crate) source: Option<IpAddr>,
    pub(crate) send_errors: u64,
    /// What the router was told of link, source and tracking.
    pub(crate) told: Option<Facts>,
    /// The last advertisement for this group that was not believed.
    pub(crate) discarded: Option<Strange>,
    /// How often in a row it was found without addresses that it should hold, or with some that it should not.
    pub(crate) wrong: u32,
    /// The last that carried other addresses or another interval than are configured here.
    pub(crate) differs: Option<Strange>,
}

/// What a router is told of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether its interface has a link, and a socket.
    pub(crate) up: bool,
    /// What it may send from.
    pub(crate) source: Option<IpAddr>,
    /// What it depends on.
    pub(crate) tracking: Tracking,
}

/// An advertisement that an operator should know of.
#[derive(Debug, Clone)]
pub(crate) struct Strange {
    pub(crate) source: IpAddr,
    pub(crate) why: String,
    pub(crate) at: Instant,
}

/// What groups may track besides interfaces.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) director: bool,
    pub(crate) servers: BTreeMap<String, bool>,
}

impl Group {
    /// # Errors
    /// A sentence, for keys that cannot be used.
    pub(crate) fn new(wanted: WantedGroup) -> Result<Self, String> {
        let auth = wanted::auth(&wanted.auth)?;
        let gate = Gate::new(wanted.identity, &wanted.config, auth, wanted.peers.clone());
        Ok(Self {
            wanted,
            gate,
            tracker: Tracker::default(),
            ifindex: 0,
            vmac: None,
            vmac_asked: false,
            source: None,
            send_errors: 0,
            told: None,
            discarded: None,
            wrong: 0,
            differs: None,
        })
    }

    /// Follows a change of the configuration that keeps the router. Replay marks stay when keys change.
    pub(crate) fn set(&mut self, wanted: WantedGroup) -> Result<(), String> {
        if wanted.auth != self.wanted.auth {
            let fresh = wanted::auth(&wanted.auth)?;
            match (self.gate.auth_mut(), wanted::hmac(&wanted.auth)?) {
                (Auth::Hmac(hmac), Some(config)) => hmac.set_config(config),
                (auth, _) => *auth = fresh,
            }
        }
        self.gate.set_config(&wanted.config);
        self.gate.set_peers(wanted.peers.clone());
        self.wanted = wanted;
        Ok(())
    }

    pub(crate) fn family(&self) -> Family {
        self.wanted.identity.protocol.family()
    }

    /// Each address with the interface it belongs on; those whose interface does not exist are left out. What belongs on the group's own
    /// goes on its virtual one, if it wants one.
    pub(crate) fn places(&self, links: &Links) -> Vec<(u32, IpNet)> {
        let place = |address: &yoke_config::model::VrrpAddress| {
            let index = match (&address.interface, &self.vmac) {
                (Some(name), _) if *name != self.wanted.interface => links.index(name.as_str()).unwrap_or(0),
                (_, Some((_, index))) => *index,
                _ if self.wanted.vmac => 0,
                _ => self.ifindex,
            };
            (index != 0).then_some((index, address.net))
        };
        self.wanted.addresses.iter().filter_map(place).collect()
    }

    /// Wherever any of its addresses is now, and where it may be a moment from now.
    pub(crate) fn everywhere(&self, links: &Links) -> Vec<(u32, IpNet)> {
        let mut places = self.places(links);
        for address in &self.wanted.addresses {
            places.extend(links.places(address.net.addr));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// How many of its addresses this box has.
    pub(crate) fn held(&self, links: &Links) -> usize {
        self.places(links).into_iter().filter(|(index, net)| links.holds(*index, *net)).count()
    }

    /// Whether it still has every address from an earlier life of this process.
    pub(crate) fn is_held(&self, links: &Links) -> bool {
        self.held(links) == self.wanted.addresses.len()
    }

    /// What to announce: the hardware address is that of the interface where the address lives. A virtual one's is announced on the
    /// group's own, which is the way that is surely open.
    pub(crate) fn announcement(&self, links: &Links) -> Vec<(u32, Mac, IpAddr)> {
        let places = self.places(links).into_iter();
        let places = places.filter_map(|(index, net)| match &self.vmac {
            Some((vmac, own)) if *own == index => Some((vmac.parent, vmac.mac, net.addr)),
            _ => Some((index, links.get(index)?.mac?, net.addr)),
        });
        // One on `lo` is routed here: no neighbour looks for it.
        places.filter(|(_, mac, _)| *mac != Mac::default()).collect()
    }

    /// Looks at its interface, its source and what it tracks; what the router has to be told, if it is new. `moves` says which addresses
    /// are virtual.
    /// Without a socket it could neither hear nor say anything, which is as good as no link.
    pub(crate) fn look(
        &mut self,
        links: &Links,
        world: &World,
        ports: &Ports,
        moves: impl Fn(IpAddr) -> bool,
    ) -> Option<Facts> {
        self.ifindex = links.index(self.wanted.interface.as_str()).unwrap_or(0);
        let before = self.vmac.take();
        self.vmac = (self.wanted.vmac && self.ifindex != 0).then(|| {
            let vmac = Vmac::new(self.family(), self.wanted.identity.vrid, self.ifindex);
            let index = links.index(&vmac.name).unwrap_or(0);
            (vmac, index)
        });
        // Another one, or the one that was there is gone.
        if before != self.vmac && before.as_ref().map(|(_, index)| *index) != Some(0) {
            self.vmac_asked = false;
        }
        let is_open = ports.contains_key(&(self.ifindex, self.family()));
        let up = is_open && links.get(self.ifindex).is_some_and(|link| link.up);
        let source = links.source(self.ifindex, self.family(), self.wanted.source, moves);
        let facts = Facts { up, source, tracking: self.track(links, world) };
        if self.told == Some(facts) {
            return None;
        }
        self.told = Some(facts);
        self.source = source;
        self.gate.set_source(source);
        Some(facts)
    }

    /// What it tracks, as the world is now.
    fn track(&mut self, links: &Links, world: &World) -> Tracking {
        let mut sum = self.tracker.set(self.wanted.tracked.iter().map(|(what, weight)| (what.clone(), *weight)));
        for what in self.wanted.tracked.keys() {
            let up = match what {
                Tracked::Interface(name) => links.is_up(name.as_str()),
                // One that director does not speak of has no quorum to lose.
                Tracked::Server(name) => world.servers.get(name.as_str()).copied().unwrap_or(true),
                Tracked::Director => world.director,
            };
            sum = self.tracker.handle(what, up);
        }
        sum
    }

    /// Sends an advertisement to the group or to each peer. A failure is counted: a fault of the link comes by netlink.
    pub(crate) fn advertise(&mut self, router: &Router, priority: AdvertPriority, ports: &Ports, packet: &mut Vec<u8>) {
        let (Some(source), Some(port)) = (self.source, ports.get(&(self.ifindex, self.family()))) else {
            self.send_errors += 1;
            return;
        };
        // Unicast is the interface's own: RFC 9568 knows none, and the answer to an ARP request must find this box and not the active one.
        let mac = self.vmac.as_ref().map(|(vmac, _)| vmac.mac).filter(|_| self.wanted.peers.is_empty());
        let destinations: Vec<Endpoints> = if self.wanted.peers.is_empty() {
            vec![Endpoints::multicast(source)]
        } else {
            self.wanted.peers.iter().filter_map(|peer| Endpoints::unicast(source, *peer)).collect()
        };
        let (form, advertisement) = (router.checksum_form(), router.advertisement(priority));
        let errors = &mut self.send_errors;
        self.gate.emit(&advertisement, destinations, form, clock::unix(), packet, |endpoints, bytes| {
            let sent = match mac {
                Some(mac) => port.send_from(mac, endpoints, bytes),
                None => port.send(endpoints, bytes),
            };
            *errors += u64::from(sent.is_err());
        });
    }
}
