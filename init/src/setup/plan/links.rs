//! Interfaces: which go, which are made, who is a member of whom, MTUs, up and down.

use yoke_config::model::BondMode;
use yoke_config::value::IfName;

use super::super::table::{Change, Kind};
use super::super::wanted::WantedKind;
use super::{IS_MISSING, IS_SHUT_DOWN, NO_CARD, Planner, is_ours};

/// MTU of a bond that is told nothing.
const ETHERNET_MTU: u32 = 1500;

impl Planner<'_> {
    /// Names with VLANs after what they lie on.
    fn bottom_up(&self) -> Vec<String> {
        let mut names: Vec<String> = self.links.keys().cloned().collect();
        names.sort_by_key(|name| self.links[name].parent.is_some());
        names
    }

    /// VLANs and bonds that nobody wants any more, and those whose name lies.
    pub(super) fn remove_links(&mut self) {
        for (name, link) in self.network.links.iter().rev() {
            let parsed = name.parse::<IfName>().ok();
            let nameable = parsed.as_ref().is_some_and(|n| n.is_bond() || n.vlan().is_some());
            let made = matches!(link.kind, Kind::Bond(_) | Kind::Vlan(_));
            if nameable && made && (!self.links.contains_key(name) || !is_ours(name, link)) {
                self.change(Change::DeleteLink { link: name.clone() });
            }
        }
    }

    pub(super) fn make_links(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            match (wanted.kind, self.actual(&name).map(|link| link.kind)) {
                (WantedKind::Card | WantedKind::Loopback, Some(_)) | (WantedKind::Vlan(_), Some(_)) => {}
                (WantedKind::Card | WantedKind::Loopback, None) => {
                    self.problem(format!("interface {name}{NO_CARD}"));
                }
                (WantedKind::Bond(mode), None) => self.change(Change::AddBond { link: name, mode }),
                (WantedKind::Bond(mode), Some(kind)) => self.bond_mode(&name, mode, kind),
                (WantedKind::Vlan(id), None) => {
                    let parent = wanted.parent.unwrap_or_default();
                    if self.can_exist(&parent) {
                        self.change(Change::AddVlan { link: name, parent, id });
                    } else {
                        self.problem(format!("interface {name}: interface {parent} {IS_MISSING}"));
                    }
                }
            }
        }
    }

    /// The kernel changes the mode of a bond only while it is down and empty.
    fn bond_mode(&mut self, name: &str, mode: BondMode, actual: Kind) {
        if actual == Kind::Bond(Some(mode)) {
            return;
        }
        for (member, link) in &self.network.links {
            if link.master.as_deref() == Some(name) {
                self.change(Change::Release { link: member.clone() });
            }
        }
        if self.actual(name).is_some_and(|link| link.up) {
            self.change(Change::Down { link: name.to_owned() });
        }
        self.change(Change::BondMode { link: name.to_owned(), mode });
    }

    /// Whether the kernel takes an interface down because it, or everybody, is taken out of its bond.
    fn leaves_bond(&self, name: &str) -> bool {
        let bond = self.actual(name).and_then(|link| link.master.clone());
        self.is_planned(&Change::Release { link: name.to_owned() })
            || bond.is_some_and(|bond| self.is_planned(&Change::DeleteLink { link: bond }))
    }

    pub(super) fn members(&mut self) {
        for (name, wanted) in self.links.clone() {
            let Some(link) = self.actual(&name).cloned() else { continue };
            let released = self.is_planned(&Change::Release { link: name.clone() });
            let in_right_bond = link.master == wanted.master && !released;
            if in_right_bond {
                continue;
            }
            if let Some(bond) = &link.master
                && !released
            {
                // Out of a bond of ours only; what somebody else has put together stays.
                let deleted = self.is_planned(&Change::DeleteLink { link: bond.clone() });
                if self.actual(bond).is_none() {
                    continue;
                }
                if !deleted {
                    self.change(Change::Release { link: name.clone() });
                }
            }
            if let Some(bond) = wanted.master {
                // A member that leaves its bond comes out down; any other must be taken down.
                if link.up && link.master.is_none() {
                    self.change(Change::Down { link: name.clone() });
                }
                self.change(Change::Enslave { link: name, bond });
            }
        }
    }

    /// The MTU an interface is to have in the end; `None`: as it is.
    fn mtu_of(&self, name: &str) -> Option<u32> {
        let wanted = self.links.get(name)?;
        let fallback = || match wanted.kind {
            WantedKind::Card => self.driver_mtu.get(name).copied(),
            WantedKind::Bond(_) => Some(ETHERNET_MTU),
            WantedKind::Vlan(_) => {
                let parent = wanted.parent.as_deref()?;
                self.mtu_of(parent).or_else(|| Some(self.actual(parent)?.mtu))
            }
            WantedKind::Loopback => None,
        };
        wanted.mtu.or_else(fallback)
    }

    pub(super) fn mtus(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            let Some(mtu) = self.mtu_of(&name) else { continue };
            let (is, max) = match self.actual(&name) {
                Some(link) => (link.mtu, link.mtu_max),
                // It begins with what its parent has, or with Ethernet's.
                None if self.can_exist(&name) => (wanted.parent.as_deref().map_or(ETHERNET_MTU, |p| self.mtu_is(p)), 0),
                None => continue,
            };
            // A member has the MTU of its bond.
            if is == mtu || wanted.master.is_some() {
                continue;
            }
            if max != 0 && mtu > max {
                self.problem(format!("interface {name}: mtu {mtu} is more than the {max} its driver can do"));
            } else {
                self.change(Change::Mtu { link: name, mtu });
            }
        }
    }

    fn mtu_is(&self, name: &str) -> u32 {
        self.actual(name).map_or(ETHERNET_MTU, |link| link.mtu)
    }

    pub(super) fn up_and_down(&mut self) {
        for name in self.bottom_up() {
            let wanted = self.links[&name].clone();
            if !self.can_exist(&name) {
                continue;
            }
            let taken_down = self.is_planned(&Change::Down { link: name.clone() }) || self.leaves_bond(&name);
            let is_up = self.actual(&name).is_some_and(|link| link.up) && !taken_down;
            // Becoming a member brings a link up.
            let is_up =
                is_up || self.plan.changes.iter().any(|c| matches!(c, Change::Enslave { link, .. } if *link == name));
            let parent_up = wanted.parent.as_ref().is_none_or(|p| self.links.get(p).is_none_or(|parent| parent.up));
            match (wanted.up, is_up) {
                (true, false) if parent_up => self.change(Change::Up { link: name }),
                (true, _) if !parent_up => {
                    let parent = wanted.parent.unwrap_or_default();
                    self.problem(format!("interface {name}: does not work while interface {parent} {IS_SHUT_DOWN}"));
                }
                (false, true) => self.change(Change::Down { link: name }),
                (true, _) | (false, false) => {}
            }
        }
    }
}
