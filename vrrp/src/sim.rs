//! Boxes on simulated networks that lose, delay, reorder and duplicate: real packets, real gates, real machines, and a
//! clock that is a number. Every run is decided by its seed. The laws are in [`laws`] and [`sync_laws`].

mod laws;
mod sync_laws;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::receive::screen;
use crate::router::{Role, Transition};
use crate::{
    AddressList, AdvertInterval, AdvertPriority, Auth, Carrier, Config, Effect, Endpoints, Family, Gate, Identity,
    Instant, Priority, Protocol, Router, SyncGroup, UnixTime, Vrid,
};

/// xorshift64*: small, seeded, ours.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.between(0, 99) < chance
    }

    fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap();
        Duration::from_nanos(self.between(nanos(range.start()), nanos(range.end())))
    }
}

/// How a network treats packets.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    pub(crate) delay: RangeInclusive<Duration>,
    /// Whether a later packet may arrive earlier. No single wire does that.
    pub(crate) reorders: bool,
    /// The side of every box. Packets stay on their side.
    pub(crate) side: Vec<u8>,
}

impl Link {
    pub(crate) fn whole(boxes: usize) -> Self {
        let delay = Duration::from_micros(50)..=Duration::from_micros(500);
        Self { loss_percent: 0, duplicate_percent: 0, delay, reorders: false, side: vec![0; boxes] }
    }

    pub(crate) fn bad(boxes: usize) -> Self {
        let delay = Duration::from_micros(50)..=Duration::from_millis(40);
        Self { loss_percent: 40, duplicate_percent: 20, delay, reorders: true, side: vec![0; boxes] }
    }
}

/// One box: a sync group with a member on every network.
pub(crate) struct Node {
    pub(crate) group: SyncGroup,
    gates: Vec<Gate>,
    pub(crate) sources: Vec<IpAddr>,
    /// Whether the process runs. The kernel goes on without it.
    pub(crate) alive: bool,
    /// Whether the kernel has the addresses, per network.
    pub(crate) holds: Vec<bool>,
    configs: Vec<Config>,
}

enum Delivery {
    Packet {
        net: usize,
        to: usize,
        endpoints: Endpoints,
        packet: Vec<u8>,
    },
    /// A gratuitous ARP reaches the client on a side of a network.
    Arp {
        net: usize,
        client: usize,
        from: usize,
    },
}

/// What happened, for the laws to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Happened {
    pub(crate) node: usize,
    pub(crate) net: usize,
    pub(crate) transition: Transition,
}

pub(crate) struct Sim {
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) links: Vec<Link>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) log: Vec<Happened>,
    /// The box that the client on each of the two sides of each network sends to.
    pub(crate) arp: Vec<[Option<usize>; 2]>,
    /// When the last advertisement of each box was sent.
    pub(crate) last_sent: Vec<Option<Instant>>,
    /// The last arrival from a box on a network.
    arrived: BTreeMap<(usize, usize), Instant>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    deliveries: BTreeMap<u64, Delivery>,
    sequence: u64,
    room: Vec<u8>,
}

pub(crate) fn config(net: usize, priority: u8, centis: u16) -> Config {
    let address = IpAddr::from([10, net_octet(net), 0, 100]);
    let addresses = AddressList::select(&[address], Family::V4).unwrap().advertised;
    let priority = Priority::new(priority).unwrap();
    Config { priority, ..Config::new(addresses, AdvertInterval::centis(centis).unwrap()) }
}

fn net_octet(net: usize) -> u8 {
    u8::try_from(net).unwrap()
}

fn identity() -> Identity {
    Identity { protocol: Protocol::V3(Family::V4), vrid: Vrid::new(51).unwrap() }
}

impl Sim {
    /// Boxes that are off. `configs[box][net]`; `hosts[box][net]` is the last octet of its address there.
    pub(crate) fn new(seed: u64, configs: &[Vec<Config>], hosts: &[Vec<u8>]) -> Self {
        let nets = configs[0].len();
        let now = Instant::from_nanos(1_000_000_000_000);
        let nodes = configs.iter().zip(hosts).map(|(configs, hosts)| {
            let address = |(net, host): (usize, &u8)| IpAddr::from([10, net_octet(net), 0, *host]);
            let sources: Vec<_> = hosts.iter().enumerate().map(address).collect();
            let gate = |(config, source): (&Config, &IpAddr)| {
                let mut gate = Gate::new(identity(), config, Auth::None, Vec::new());
                gate.set_source(Some(*source));
                gate
            };
            Node {
                group: SyncGroup::new(Vec::new(), now),
                gates: configs.iter().zip(&sources).map(gate).collect(),
                sources,
                alive: false,
                holds: vec![false; nets],
                configs: configs.clone(),
            }
        });
        Self {
            now,
            rng: Rng::new(seed),
            links: vec![Link::whole(configs.len()); nets],
            nodes: nodes.collect(),
            log: Vec::new(),
            arp: vec![[None; 2]; nets],
            last_sent: vec![None; configs.len()],
            arrived: BTreeMap::new(),
            queue: BinaryHeap::new(),
            deliveries: BTreeMap::new(),
            sequence: 0,
            room: Vec::new(),
        }
    }

    pub(crate) fn set_links(&mut self, link: &Link) {
        self.links.fill(link.clone());
    }

    /// Starts the process of a box that is off or was killed. It resumes what the kernel still holds.
    pub(crate) fn start(&mut self, node: usize) {
        let now = self.now;
        let this = &mut self.nodes[node];
        let members = this.configs.iter().zip(&this.sources).map(|(config, source)| {
            let mut router = Router::new(identity(), config.clone()).unwrap();
            router.handle_source(Some(*source), now);
            router.handle_link(true, now);
            router
        });
        this.group = SyncGroup::new(members.collect(), now);
        this.alive = true;
        let resume = this.holds.iter().all(|holds| *holds);
        this.group.start(resume, now);
        self.drain(node);
    }

    /// kill -9: no goodbye, and the kernel keeps the addresses.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    /// The power cord.
    pub(crate) fn power_off(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.nodes[node].holds.fill(false);
    }

    /// Hands an input to a box and does what it asks for.
    pub(crate) fn input(&mut self, node: usize, input: impl FnOnce(&mut SyncGroup, Instant)) {
        let now = self.now;
        if self.nodes[node].alive {
            input(&mut self.nodes[node].group, now);
            self.drain(node);
        }
    }

    pub(crate) fn role(&self, node: usize, net: usize) -> Role {
        let this = &self.nodes[node];
        if this.alive { this.group.members()[net].role() } else { Role::Initialize }
    }

    /// The boxes whose kernel has the addresses of `net`.
    pub(crate) fn holders(&self, net: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].holds[net]).collect()
    }

    /// Runs for `span`, and calls `look` after every instant at which something happened.
    pub(crate) fn run(&mut self, span: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now + span;
        loop {
            let arrival = self.queue.peek().map(|Reverse((at, _))| *at);
            let alive = self.nodes.iter().filter(|node| node.alive);
            let timeout = alive.filter_map(|node| node.group.poll_timeout()).min();
            let Some(next) = arrival.into_iter().chain(timeout).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            // The contract: packets that have arrived come before timers.
            while let Some(Reverse((at, number))) = self.queue.peek().copied()
                && at <= self.now
            {
                self.queue.pop();
                let delivery = self.deliveries.remove(&number).unwrap();
                self.deliver(delivery);
            }
            for node in 0..self.nodes.len() {
                let due = self.nodes[node].group.poll_timeout().is_some_and(|at| at <= self.now);
                if due {
                    self.input(node, SyncGroup::handle_timeout);
                }
            }
            look(self);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Arp { net, client, from } => self.arp[net][client] = Some(from),
            Delivery::Packet { net, to, endpoints, packet } => {
                let now = self.now;
                let this = &mut self.nodes[to];
                if !this.alive {
                    return;
                }
                let message = screen(&packet, &Carrier { endpoints, hop_limit: 255 }).unwrap();
                let wall = UnixTime::new(Duration::from_secs(1_700_000_000));
                let received = this.gates[net].admit(&message, &endpoints, wall).unwrap();
                this.group.handle_advert(net, received.heard, now);
                self.drain(to);
            }
        }
    }

    fn drain(&mut self, node: usize) {
        while let Some((net, effect)) = self.nodes[node].group.poll_effect() {
            match effect {
                Effect::Advertise(priority) => self.advertise(node, net, priority),
                Effect::TakeAddresses => self.nodes[node].holds[net] = true,
                Effect::DropAddresses => self.nodes[node].holds[net] = false,
                Effect::Announce => self.announce(node, net),
                Effect::Transition(transition) => self.log.push(Happened { node, net, transition }),
            }
        }
    }

    fn advertise(&mut self, node: usize, net: usize, priority: AdvertPriority) {
        self.last_sent[node] = Some(self.now);
        let this = &mut self.nodes[node];
        let router = &this.group.members()[net];
        let advertisement = router.advertisement(priority);
        let endpoints = Endpoints::multicast(this.sources[net]);
        let form = router.checksum_form();
        let wall = UnixTime::new(Duration::from_secs(1_700_000_000));
        let mut room = std::mem::take(&mut self.room);
        let mut packet = Vec::new();
        this.gates[net].emit(&advertisement, [endpoints], form, wall, &mut room, |_, sent| packet = sent.to_vec());
        self.room = room;
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            if self.links[net].side[to] == self.links[net].side[node] {
                let copy = || Delivery::Packet { net, to, endpoints, packet: packet.clone() };
                self.send(net, node, copy);
            }
        }
    }

    fn announce(&mut self, node: usize, net: usize) {
        let sides = &self.links[net].side;
        let whole = sides.iter().all(|side| *side == sides[0]);
        let own = usize::from(sides[node]);
        for client in [0, 1] {
            if whole || client == own {
                self.send(net, node, || Delivery::Arp { net, client, from: node });
            }
        }
    }

    /// Onto the network, with what that does to a packet.
    fn send(&mut self, net: usize, from: usize, delivery: impl Fn() -> Delivery) {
        let link = self.links[net].clone();
        let copies = 1 + usize::from(self.rng.percent(link.duplicate_percent));
        for _ in 0..copies {
            if !self.rng.percent(link.loss_percent) {
                let mut at = self.now + self.rng.duration(&link.delay);
                let last = self.arrived.entry((net, from)).or_insert(at);
                if !link.reorders {
                    at = at.max(*last);
                }
                *last = at.max(*last);
                self.sequence += 1;
                self.queue.push(Reverse((at, self.sequence)));
                self.deliveries.insert(self.sequence, delivery());
            }
        }
    }
}
