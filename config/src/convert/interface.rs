//! Lines of `interface NAME`. What they mean together is in [`super::check`].

use crate::model::{BondMode, Interface};
use crate::tree::Tree;
use crate::value::Value;

use super::{Findings, Line, global::port16};

pub(super) fn read(below: &Tree, out: &mut Findings) -> Interface {
    use Value as V;
    let mut interface = Interface::default();
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [V::Text(text)]) => interface.description = Some(text.clone()),
            ("ip address" | "ipv6 address", [V::Net(net)]) => interface.addresses.push(*net),
            ("mtu", [V::Int(mtu)]) => interface.mtu = Some(port16(*mtu)),
            ("member", [V::If(name)]) => interface.members.push(name.clone()),
            ("bond-mode", [V::Kw("802.3ad")]) => interface.bond_mode = Some(BondMode::Lacp),
            ("bond-mode", [V::Kw("balance-xor")]) => interface.bond_mode = Some(BondMode::BalanceXor),
            ("bond-mode", [V::Kw("active-backup")]) => interface.bond_mode = Some(BondMode::ActiveBackup),
            ("shutdown", []) => interface.shutdown = true,
            _ => out.unread(&line),
        }
    }
    interface
}
