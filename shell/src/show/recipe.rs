//! `show real-server ... setup`: what has to be typed on a real server for its mode to work.
//!
//! The text is meant to be pasted into a root shell of that server as it is, remarks and all; the lab does just that. What a server
//! needs is worked out once ([`mod@needs`]), each system has its words for it. It lasts until that server starts again: how it is kept is
//! that system's own business.

mod elsewhere;
mod linux;
mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::json;
use yoke_config::model::{Config, VirtualServer};
use yoke_config::value::{Name, Value};
use yoke_director::status::RealServerRow;

use self::needs::Needs;
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;

/// Whose commands are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum System {
    Linux,
    FreeBsd,
    Windows,
}

impl System {
    /// The word that was typed, or Linux.
    fn of(values: &[Value]) -> Self {
        match values.last() {
            Some(word) if word.is_kw("freebsd") => Self::FreeBsd,
            Some(word) if word.is_kw("windows") => Self::Windows,
            _ => Self::Linux,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::FreeBsd => "freebsd",
            Self::Windows => "windows",
        }
    }
}

/// What one system's administrator gets to read.
#[derive(Debug, Default)]
struct Recipe {
    /// To be typed in this order; lines of one command that are continued end with a backslash.
    commands: Vec<String>,
    /// What no command can do.
    remarks: Vec<String>,
}

impl Recipe {
    fn remark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.remarks.contains(&text) {
            self.remarks.push(text);
        }
    }
}

/// Prints the recipes of the real servers in `rows`, one for each machine.
pub(crate) fn show(shell: &mut Shell, rows: &[RealServerRow], values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let tree = shell.refresh()?.tree;
    let config = Config::try_from(&*tree)
        .map_err(|problems| Fail::failed(problems.first().map_or_else(String::new, ToString::to_string)))?;
    let mut servers: Vec<Server<'_>> =
        rows.iter().map(|row| (row.virtual_server.as_str(), (row.address, row.port))).collect();
    // No row is a sorry server's.
    if !values.iter().any(|value| matches!(value, Value::Addr(_))) {
        let names: BTreeSet<&str> = servers.iter().map(|(name, _)| *name).collect();
        servers
            .extend(config.virtual_servers.iter().filter(|(name, _)| names.contains(name.as_str())).filter_map(sorry));
    }
    let machines = machines(&config, servers);
    let system = System::of(values);
    if out.is_json() {
        let setup: Vec<_> = machines.values().map(|needs| object(needs, system)).collect();
        return out.object("setup", &setup);
    }
    machines.values().flat_map(|needs| lines(needs, system)).try_for_each(|line| out.text(&line)).map_err(Into::into)
}

/// Name of the virtual server, address and port.
type Server<'a> = (&'a str, (IpAddr, u16));

fn sorry<'a>((name, server): (&'a Name, &VirtualServer)) -> Option<Server<'a>> {
    server.sorry_server.map(|sorry| (name.as_str(), (sorry.address, sorry.port)))
}

/// What each machine needs, for all that these servers are.
fn machines<'a>(config: &Config, servers: impl IntoIterator<Item = Server<'a>>) -> BTreeMap<IpAddr, Needs> {
    let mut machines: BTreeMap<IpAddr, Needs> = BTreeMap::new();
    for (name, (address, port)) in servers {
        let Some((name, server)) = config.virtual_servers.iter().find(|(known, _)| known.as_str() == name) else {
            continue;
        };
        let sorry = server.sorry_server.filter(|sorry| (sorry.address, sorry.port) == (address, port));
        let mode = server.real_servers.get(&(address, port)).map(|real| real.mode).or(sorry.map(|sorry| sorry.mode));
        if let Some(mode) = mode {
            machines.entry(address).or_insert_with(|| Needs::new(address)).add(config, name, server, mode);
        }
    }
    machines
}

fn recipe(needs: &Needs, system: System) -> Recipe {
    match system {
        System::Linux => linux::recipe(needs),
        System::FreeBsd => elsewhere::freebsd(needs),
        System::Windows => elsewhere::windows(needs),
    }
}

fn lines(needs: &Needs, system: System) -> Vec<String> {
    let modes: Vec<&str> = needs.modes.iter().map(|mode| mode.word()).collect();
    let of = match system {
        System::Linux => "",
        System::FreeBsd => " with FreeBSD",
        System::Windows => " with Windows",
    };
    let mut lines = vec![format!("On {}{of} (mode {}):", needs.address, modes.join(", "))];
    let recipe = recipe(needs, system);
    lines.extend(recipe.remarks.iter().map(|remark| format!("  # {remark}")));
    lines.extend(recipe.commands.iter().map(|command| format!("  {command}")));
    lines
}

fn object(needs: &Needs, system: System) -> serde_json::Value {
    let recipe = recipe(needs, system);
    let commands: Vec<String> = recipe.commands.iter().map(|command| command.replace(" \\\n    ", " ")).collect();
    json!({
        "address": needs.address,
        "modes": needs.modes.iter().map(|mode| mode.word()).collect::<Vec<_>>(),
        "virtual_servers": needs.virtual_servers,
        "system": system.word(),
        "commands": commands,
        "remarks": recipe.remarks,
    })
}

#[cfg(test)]
mod tests;
