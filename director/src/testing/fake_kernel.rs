//! A kernel that keeps its table in memory, counts what it is asked and refuses what it is told to.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use ipvs::connections::parse_line;
use ipvs::sync::Ending;
use ipvs::wire::Request;
use ipvs::{
    ApplyError, Change, Daemon, DestinationKey, Error, Family, Info, ObservedDestination, ObservedService, Refusal,
    ServiceKey, Stats, SyncRole, Table, Timeouts,
};

use crate::kernel::{Kernel, Links, Observed};
use crate::nft::Generation;

/// A handle; clones are the same kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeKernel(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
pub(crate) struct Inside {
    pub(crate) table: Table,
    pub(crate) timeouts: Timeouts,
    pub(crate) daemons: Vec<Daemon>,
    /// The change with this number, counted from 0 over the kernel's life, is refused, once.
    pub(crate) refuse_change: Option<usize>,
    /// Schedulers it does not have.
    pub(crate) unknown_schedulers: BTreeSet<String>,
    /// Nothing answers.
    pub(crate) gone: bool,
    /// Changes asked for, refused ones included.
    pub(crate) changes: usize,
    pub(crate) observations: usize,
    /// Where the table of connections is a file.
    pub(crate) connections: Option<PathBuf>,
    /// The first line of it, if it holds this, is that of a busy connection.
    pub(crate) busy: Option<String>,
    /// It stays busy until `busy` is taken back.
    pub(crate) busy_always: bool,
    pub(crate) zeroed: Vec<Option<ServiceKey>>,
    /// A file to look at when something changes, and what it held each time.
    pub(crate) watched: Option<PathBuf>,
    pub(crate) seen: Vec<String>,
    pub(crate) links: Links,
    /// Of nft's tables: whoever changes one counts it up.
    pub(crate) generation: u32,
    /// Files to which a stand-in for nft adds a line for each transaction: they count too.
    pub(crate) transactions: Vec<PathBuf>,
}

impl FakeKernel {
    pub(crate) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    pub(crate) fn table(&self) -> Table {
        self.inside().table.clone()
    }
}

/// Whether the two families differ: the kernel has no sync daemon beside such a destination.
fn is_mixed(service: &ServiceKey, destination: &DestinationKey) -> bool {
    (service.family() == Family::V6) != destination.address.is_ipv6()
}

impl Inside {
    fn answer(&self) -> Result<(), Error> {
        if self.gone { Err(Error::NoIpvs) } else { Ok(()) }
    }

    fn change(&mut self, change: &Change) -> Result<(), Refusal> {
        let number = self.changes;
        self.changes += 1;
        if let Some(path) = &self.watched {
            self.seen.push(std::fs::read_to_string(path).unwrap_or_default());
        }
        if self.refuse_change == Some(number) {
            self.refuse_change = None;
            return Err(Refusal::NotPermitted);
        }
        if let Change::AddService { service, .. } | Change::EditService { to: service, .. } = change
            && self.unknown_schedulers.contains(service.scheduler.as_str())
        {
            return Err(Refusal::NoSchedulerOrEngine);
        }
        if let Change::AddDestination { service, key, .. } = change
            && !self.daemons.is_empty()
            && is_mixed(service, key)
        {
            return Err(Refusal::InvalidDestination);
        }
        self.table.apply(change)
    }
}

impl Kernel for FakeKernel {
    fn loader(&self) -> fn() {
        || ()
    }

    fn observe(&mut self) -> Result<Table, Error> {
        let mut inside = self.inside();
        inside.answer()?;
        inside.observations += 1;
        Ok(inside.table.clone())
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        let mut inside = self.inside();
        let mut result = ApplyError { failed: Vec::new(), done: Vec::new() };
        // As the kernel does with one send: what follows a refused message is still worked off.
        for (place, change) in changes.iter().enumerate() {
            match inside.change(change) {
                Ok(()) => result.done.push(place),
                Err(refusal) => {
                    result.failed.push((place, Error::Refused { request: Box::new(change.request()), refusal }))
                }
            }
        }
        if result.failed.is_empty() { Ok(()) } else { Err(result) }
    }

    fn statistics(&mut self) -> Result<Vec<Observed>, Error> {
        let inside = self.inside();
        inside.answer()?;
        let observed = inside.table.services.iter().map(|(&key, entry)| {
            let destinations = entry.destinations.iter().map(|(&key, &destination)| ObservedDestination {
                key,
                destination,
                active: 1,
                inactive: 2,
                persistent: 0,
                stats: Stats::default(),
            });
            let stats = Stats { connections: 7, ..Stats::default() };
            (ObservedService { key, service: entry.service, stats }, destinations.collect())
        });
        Ok(observed.collect())
    }

    fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let inside = self.inside();
        inside.answer()?;
        Ok(inside.timeouts)
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), Error> {
        self.inside().timeouts = timeouts;
        Ok(())
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, Error> {
        let inside = self.inside();
        inside.answer()?;
        Ok(inside.daemons.clone())
    }

    fn start_daemon(&mut self, daemon: Daemon) -> Result<(), Error> {
        let mut inside = self.inside();
        if *daemon.interface == *"eth9" {
            let request = Box::new(Request::NewDaemon(daemon));
            return Err(Error::Refused { request, refusal: Refusal::NoInterface });
        }
        let mut destinations = inside.table.services.iter().flat_map(|(service, entry)| {
            entry.destinations.keys().map(move |destination| is_mixed(service, destination))
        });
        if destinations.any(|mixed| mixed) {
            let request = Box::new(Request::NewDaemon(daemon));
            return Err(Error::Refused { request, refusal: Refusal::InvalidDaemon });
        }
        inside.daemons.push(daemon);
        Ok(())
    }

    fn stop_daemon(&mut self, role: SyncRole) -> Result<(), Error> {
        self.inside().daemons.retain(|daemon| daemon.role != role);
        Ok(())
    }

    fn end(&mut self, daemon: &Daemon, endings: &[Ending]) -> io::Result<()> {
        let mut inside = self.inside();
        assert!(inside.daemons.contains(daemon), "nobody hears");
        let Some(path) = inside.connections.clone() else { return Ok(()) };
        let text = std::fs::read(&path)?;
        let left = |line: &&[u8]| {
            let ending = parse_line(*line).ok().flatten().and_then(|connection| Ending::of(&connection));
            // A busy one survives once.
            let busy = if inside.busy_always { inside.busy.clone() } else { inside.busy.take() };
            busy.is_some_and(|client| String::from_utf8_lossy(line).contains(&client))
                || ending.is_none_or(|ending| !endings.contains(&ending))
        };
        let left: Vec<u8> = text.split_inclusive(|byte| *byte == b'\n').filter(left).flatten().copied().collect();
        std::fs::write(path, left)
    }

    fn info(&mut self) -> Result<Info, Error> {
        self.inside().answer()?;
        Ok(Info { version: (1, 2, 1), table_size: 4096 })
    }

    fn zero(&mut self, service: Option<ServiceKey>) -> Result<(), Error> {
        self.inside().zeroed.push(service);
        Ok(())
    }

    fn links(&mut self) -> io::Result<Links> {
        Ok(self.inside().links.clone())
    }

    fn generation(&mut self) -> io::Result<Generation> {
        let inside = self.inside();
        let texts = inside.transactions.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let lines: usize = texts.map(|text| text.lines().count()).sum();
        Ok(Generation { id: inside.generation + u32::try_from(lines).unwrap(), program: "intruder".into() })
    }
}
