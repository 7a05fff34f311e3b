//! A kernel in memory: applies changes to a [`Network`] and refuses what Linux refuses. Only for tests.

use std::collections::BTreeSet;
use std::net::IpAddr;

use yoke_config::value::IpNet;

use super::super::table::{Address, Change, Kind, Link, Network};

pub(super) struct Kernel {
    pub(super) network: Network,
    /// Links that went down, and addresses that went, in order.
    pub(super) went_down: Vec<String>,
    pub(super) lost: Vec<IpNet>,
    next_index: u32,
}

impl Kernel {
    /// A box with cards and `lo`, all down.
    pub(super) fn new(cards: &[&str]) -> Self {
        let mut kernel = Self { network: Network::default(), went_down: vec![], lost: vec![], next_index: 1 };
        kernel.make("lo", Kind::Loopback, None);
        for card in cards {
            kernel.make(card, Kind::Card, None);
        }
        kernel
    }

    pub(super) fn make(&mut self, name: &str, kind: Kind, parent: Option<&str>) {
        let mtu = parent.map_or(1500, |parent| self.network.links[parent].mtu);
        let link = Link {
            index: self.next_index,
            kind,
            up: false,
            carrier: false,
            mtu,
            mtu_max: if kind == Kind::Card { 9_216 } else { 0 },
            master: None,
            parent: parent.map(str::to_owned),
        };
        self.next_index += 1;
        self.network.links.insert(name.to_owned(), link);
        let addresses = self.network.addresses.entry(name.to_owned()).or_default();
        if kind == Kind::Loopback {
            addresses.push(Address { net: IpNet::new(IpAddr::from([127, 0, 0, 1]), 8).unwrap(), duplicate: false });
            addresses.push(Address { net: IpNet::host(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])), duplicate: false });
        }
    }

    pub(super) fn link(&mut self, name: &str) -> Result<&mut Link, String> {
        self.network.links.get_mut(name).ok_or_else(|| format!("{name}: no such device"))
    }

    fn down(&mut self, name: &str) -> Result<(), String> {
        self.link(name)?.up = false;
        self.link(name)?.carrier = false;
        self.went_down.push(name.to_owned());
        for child in self.children(name) {
            if self.network.links[&child].up {
                self.down(&child)?;
            }
        }
        let network = &mut self.network;
        let reaches = |via: &BTreeSet<IpAddr>| {
            let up =
                network.links.iter().filter(|(_, link)| link.up).filter_map(|(name, _)| network.addresses.get(name));
            let nets: Vec<IpNet> = up.flatten().map(|address| address.net).collect();
            via.iter().all(|gateway| nets.iter().any(|net| net.contains(*gateway)))
        };
        network.routes.retain(|_, via| reaches(via));
        network.neighbours.retain(|(link, _), _| link != name);
        Ok(())
    }

    fn up(&mut self, name: &str) -> Result<(), String> {
        if let Some(parent) = self.link(name)?.parent.clone()
            && !self.link(&parent)?.up
        {
            return Err(format!("{name}: network is down"));
        }
        self.link(name)?.up = true;
        self.link(name)?.carrier = true;
        Ok(())
    }

    fn children(&self, name: &str) -> Vec<String> {
        let of_name = |link: &&Link| link.parent.as_deref() == Some(name);
        self.network.links.iter().filter(|(_, link)| of_name(link)).map(|(name, _)| name.clone()).collect()
    }

    fn members(&self, bond: &str) -> Vec<String> {
        let of_bond = |link: &&Link| link.master.as_deref() == Some(bond);
        self.network.links.iter().filter(|(_, link)| of_bond(link)).map(|(name, _)| name.clone()).collect()
    }

    fn delete(&mut self, name: &str) -> Result<(), String> {
        self.link(name)?;
        for child in self.children(name) {
            self.delete(&child)?;
        }
        for member in self.members(name) {
            self.release(&member)?;
        }
        if self.link(name)?.up {
            self.down(name)?;
        }
        self.network.links.remove(name);
        self.network.addresses.remove(name);
        Ok(())
    }

    fn release(&mut self, name: &str) -> Result<(), String> {
        self.link(name)?.master.take().ok_or_else(|| format!("{name}: has no master"))?;
        // The bond closes the device of a member that leaves it.
        self.link(name)?.up = false;
        Ok(())
    }

    fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), String> {
        let limit = match self.link(name)?.parent.clone() {
            Some(parent) => self.network.links[&parent].mtu,
            None => 65_536,
        };
        if mtu > limit {
            return Err(format!("{name}: mtu {mtu} above {limit}"));
        }
        self.link(name)?.mtu = mtu;
        for child in self.children(name) {
            let link = self.link(&child)?;
            link.mtu = link.mtu.min(mtu);
        }
        for member in self.members(name) {
            self.link(&member)?.mtu = mtu;
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Hostname(name) => self.network.hostname.clone_from(name),
            Change::Sysctl { key, .. } => self.network.sysctl_drift.retain(|(k, _)| k != key),
            Change::DeleteRoute { to, .. } => {
                self.network.routes.remove(to).ok_or("no such route")?;
            }
            Change::DeleteNeighbour { link, address } => {
                self.network.neighbours.remove(&(link.clone(), *address)).ok_or("no such neighbour")?;
            }
            Change::DeleteAddress { link, net } => {
                self.link(link)?;
                let addresses = self.network.addresses.entry(link.clone()).or_default();
                let at = addresses.iter().position(|a| a.net == *net).ok_or("no such address")?;
                addresses.remove(at);
                if !addresses.iter().any(|a| a.net.addr == net.addr) {
                    self.lost.push(*net);
                }
            }
            Change::Release { link } => self.release(link)?,
            Change::DeleteLink { link } => self.delete(link)?,
            Change::Down { link } => self.down(link)?,
            Change::AddBond { link, mode } => self.make(link, Kind::Bond(Some(*mode)), None),
            Change::BondMode { link, mode } => {
                if self.link(link)?.up || !self.members(link).is_empty() {
                    return Err(format!("{link}: device or resource busy"));
                }
                self.link(link)?.kind = Kind::Bond(Some(*mode));
            }
            Change::AddVlan { link, parent, id } => {
                self.link(parent)?;
                self.make(link, Kind::Vlan(*id), Some(parent));
            }
            Change::Enslave { link, bond } => {
                let mtu = self.link(bond)?.mtu;
                let member = self.link(link)?;
                if member.up || member.master.is_some() {
                    return Err(format!("{link}: device can not be enslaved while up"));
                }
                member.master = Some(bond.clone());
                member.mtu = mtu;
                self.up(link)?;
            }
            Change::Mtu { link, mtu } => self.set_mtu(link, *mtu)?,
            Change::AddAddress { link, net, .. } => {
                self.link(link)?;
                let addresses = self.network.addresses.entry(link.clone()).or_default();
                let clash = |a: &Address| a.net == *net || (net.addr.is_ipv6() && a.net.addr == net.addr);
                if addresses.iter().any(clash) {
                    return Err(format!("{net}: file exists"));
                }
                addresses.push(Address { net: *net, duplicate: false });
            }
            Change::Up { link } => self.up(link)?,
            Change::Route { to, via, replace } => {
                if self.network.routes.insert(*to, via.clone()).is_some() != *replace {
                    return Err(format!("{}: file exists, or not", to.prefix));
                }
            }
            Change::Neighbour { link, address, mac } => {
                self.link(link)?;
                self.network.neighbours.insert((link.clone(), *address), *mac);
            }
            Change::AddRule(rule) => {
                if !self.network.takes_in.contains(&rule.ipv6()) || !self.network.rules.insert(*rule) {
                    return Err(format!("{rule}: leads nowhere, or file exists"));
                }
            }
            Change::DeleteRule(rule) => {
                self.network.rules.remove(rule).then_some(()).ok_or("no such rule")?;
            }
            Change::TakeIn { ipv6 } => {
                if !self.link("lo")?.up || !self.network.takes_in.insert(*ipv6) {
                    return Err("file exists, or lo is down".to_owned());
                }
            }
            Change::TakeNothingIn { ipv6 } => {
                self.network.takes_in.remove(ipv6).then_some(()).ok_or("no such route")?;
            }
        }
        Ok(())
    }
}
