//! Who else answers ARP for a virtual address of this box: most often a real server of mode dr that was given the address before it was told to
//! keep quiet about it. Its neighbours then send it everybody's connections, and only by day or by night, as their caches happen to fill.
//!
//! Asked is by ARP probe (RFC 5227 section 2.1.1): from nobody's address, so that nobody learns anything from the question. An answer becomes a
//! sentence of `show warnings`; nothing else is done about it. Only IPv4: for IPv6 a host answers for addresses of the interface alone. Only
//! what this box has now is asked for, so that the two boxes of a pair do not accuse each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use yoke_config::model::Config;
use yoke_config::value::{IfName, MacAddr, Name};

use crate::director::Director;
use crate::notes::Source;

/// How often some of the addresses are asked for: a broadcast each, to all stations of the network.
pub(crate) const EVERY: Duration = Duration::from_secs(30);
/// Addresses of one round. One that nobody answers for, as is right, takes a second.
const ROUND: usize = 16;

/// What has been found.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    /// Where the next round begins.
    after: Option<Ipv4Addr>,
    busy: bool,
    found: BTreeMap<Ipv4Addr, Rival>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    address: Ipv4Addr,
    interface: IfName,
    server: Name,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rival {
    server: Name,
    mac: MacAddr,
    /// What the rival is known by else.
    neighbour: Option<IpAddr>,
}

impl Rival {
    fn sentence(&self, address: Ipv4Addr) -> String {
        let known = self.neighbour.map(|address| format!(" ({address})")).unwrap_or_default();
        format!(
            "virtual-server {}: {}{known} answers ARP for {address} too and takes connections of its neighbours, see: show real-server setup",
            self.server, self.mac
        )
    }
}

impl Rivals {
    /// The next addresses, and forgets what is no longer asked for.
    fn round(&mut self, config: &Config) -> Vec<Probe> {
        let all = probes(config);
        self.found.retain(|address, _| all.contains_key(address));
        let after = self.after.take();
        let rest = all
            .range((after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded), std::ops::Bound::Unbounded));
        let round: Vec<Probe> = rest.take(ROUND).map(|(_, probe)| probe.clone()).collect();
        // A round that is not full was the last: the next begins again.
        if round.len() == ROUND {
            self.after = round.last().map(|probe| probe.address);
        }
        round
    }

    fn sentences(&self) -> Vec<String> {
        self.found.iter().map(|(address, rival)| rival.sentence(*address)).collect()
    }
}

/// Every virtual address that neighbours ask for, and where.
fn probes(config: &Config) -> BTreeMap<Ipv4Addr, Probe> {
    let in_service = config.virtual_servers.iter().filter(|(_, server)| !server.shutdown);
    let probe = |(name, server): (&Name, &yoke_config::model::VirtualServer)| {
        let Some(IpAddr::V4(address)) = server.virtual_.address() else { return None };
        let interface = config.interface_of(address.into())?.clone();
        Some((address, Probe { address, interface, server: name.clone() }))
    };
    in_service.filter_map(probe).collect()
}

/// Asks for some of the addresses.
pub(crate) async fn look(director: Rc<Director>) {
    let round = {
        let mut guard = director.state_mut();
        let state = &mut *guard;
        if state.rivals.busy {
            return;
        }
        state.rivals.busy = true;
        state.rivals.round(&state.running.config)
    };
    let (busybox, sys, proc) =
        (director.paths.busybox.clone(), director.paths.sys.clone(), director.paths.proc.clone());
    let asked = tokio::task::spawn_blocking(move || ask_all(&busybox, &sys, &proc, round));
    let asked = asked.await.expect("ask_all does not panic");
    let mut guard = director.state_mut();
    let state = &mut *guard;
    state.rivals.busy = false;
    let mut problems = Vec::new();
    for (probe, answer) in asked {
        match answer {
            Ok(None) => drop(state.rivals.found.remove(&probe.address)),
            Ok(Some(rival)) => {
                let sentence = rival.sentence(probe.address);
                if state.rivals.found.insert(probe.address, rival).is_none() {
                    log::warn!("{sentence}");
                }
            }
            Err(why) => problems
                .push(format!("virtual-server {}: not known who else has {}: {why}", probe.server, probe.address)),
        }
    }
    state.notes.set(Source::Rivals, [state.rivals.sentences(), problems].concat());
}

type Answer = Result<Option<Rival>, String>;

/// Blocks for a second for each address.
fn ask_all(busybox: &Path, sys: &Path, proc: &Path, round: Vec<Probe>) -> Vec<(Probe, Answer)> {
    let own = own(sys);
    let here = round.into_iter().filter(|probe| UdpSocket::bind((probe.address, 0)).is_ok());
    let asked = here.map(|probe| {
        let said = arping(busybox, &probe);
        let rival = said.map(|said| {
            let mac = answers(&said).into_iter().find(|mac| !own.contains(mac))?;
            let neighbours = std::fs::read_to_string(proc.join("net/arp")).unwrap_or_default();
            Some(Rival { server: probe.server.clone(), mac, neighbour: neighbour(&neighbours, mac, probe.address) })
        });
        (probe, rival)
    });
    asked.collect()
}

fn arping(busybox: &Path, probe: &Probe) -> Result<String, String> {
    let output = Command::new(busybox)
        .env_clear()
        .args(["arping", "-D", "-c", "1", "-w", "1", "-I", probe.interface.as_ref(), &probe.address.to_string()])
        .output()
        .map_err(|e| format!("arping: {e}"))?;
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // It ends with 1 as well when somebody has answered.
    if said.is_empty() { Err(complaint.trim().to_owned()) } else { Ok(said.into_owned()) }
}

/// Who answered, as busybox's arping tells: `Unicast reply from 10.0.20.100 [52:54:0:59:1:1] 0.512ms`.
fn answers(said: &str) -> Vec<MacAddr> {
    let replies = said.lines().filter(|line| line.contains(" reply from "));
    replies.filter_map(|line| mac(line.split_once('[')?.1.split_once(']')?.0)).collect()
}

/// Six bytes in hexadecimal, of one or two digits.
fn mac(text: &str) -> Option<MacAddr> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    Some(MacAddr(bytes?.try_into().ok()?))
}

/// Of all interfaces: two of them in one network answer for each other's addresses.
fn own(sys: &Path) -> BTreeSet<MacAddr> {
    let interfaces = std::fs::read_dir(sys.join("class/net")).into_iter().flatten().flatten();
    let address = |path: PathBuf| mac(std::fs::read_to_string(path.join("address")).ok()?.trim());
    interfaces.filter_map(|interface| address(interface.path())).collect()
}

/// Who else `mac` is, in `/proc/net/arp`.
fn neighbour(table: &str, mac_: MacAddr, but: Ipv4Addr) -> Option<IpAddr> {
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let of_mac = rows.filter(|row| row.get(3).copied().and_then(mac) == Some(mac_));
    of_mac.filter_map(|row| row[0].parse().ok()).find(|address| *address != IpAddr::V4(but))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x59, 1, 1]);

    #[test]
    fn answers_are_read_from_what_arping_prints() {
        let said = "ARPING 10.0.20.100 from 0.0.0.0 eth1\nUnicast reply from 10.0.20.100 [52:54:0:59:1:1] 0.512ms\n\
                    Sent 1 probe(s) (1 broadcast(s))\nReceived 1 response(s)\n";
        assert_eq!(answers(said), [MAC]);
        for none in [
            "",
            "Received 0 response(s)\n",
            " reply from x [52:54",
            " reply from x [1:2:3:4:5:6:7]",
            " reply from x [g:0:0:0:0:0]",
        ] {
            assert_eq!(answers(none), [], "{none}");
        }
    }

    #[test]
    fn a_rival_is_named_by_the_address_it_is_known_by() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.0.20.100      0x1         0x2         52:54:00:59:01:01     *        eth1\n\
                     10.0.20.21       0x1         0x2         52:54:00:59:01:01     *        eth1\n";
        let vip = Ipv4Addr::new(10, 0, 20, 100);
        let known = neighbour(table, MAC, vip);
        assert_eq!(known, Some("10.0.20.21".parse().unwrap()));
        assert_eq!(neighbour(table, MacAddr([2; 6]), vip), None);
        let rival = Rival { server: "web".parse().unwrap(), mac: MAC, neighbour: known };
        assert_eq!(
            rival.sentence(vip),
            "virtual-server web: 52:54:00:59:01:01 (10.0.20.21) answers ARP for 10.0.20.100 too and takes connections of its neighbours, \
             see: show real-server setup"
        );
    }

    #[test]
    fn rounds_go_through_all_addresses_that_neighbours_ask_for() {
        let mut text = "interface eth1\n ip address 10.0.20.2/24\n".to_owned();
        for host in 100..120 {
            text += &format!("virtual-server v{host}\n virtual 10.0.20.{host} tcp 80\n");
        }
        text += "virtual-server off\n virtual 10.0.20.99 tcp 80\n shutdown\nvirtual-server routed\n virtual 198.51.100.1 tcp 80\n\
                 virtual-server six\n virtual 2001:db8::1 tcp 80\nvirtual-server again\n virtual 10.0.20.100 udp 80\n";
        let config = config(&text);
        let mut rivals = Rivals::default();
        let rival = Rival { server: "off".parse().unwrap(), mac: MAC, neighbour: None };
        rivals.found.insert(Ipv4Addr::new(10, 0, 20, 99), rival);
        let hosts = |rivals: &mut Rivals| -> Vec<u8> {
            rivals.round(&config).iter().map(|probe| probe.address.octets()[3]).collect()
        };
        assert_eq!(hosts(&mut rivals), (100..116).collect::<Vec<_>>());
        assert_eq!(hosts(&mut rivals), (116..120).collect::<Vec<_>>());
        assert_eq!(hosts(&mut rivals), (100..116).collect::<Vec<_>>());
        assert!(rivals.sentences().is_empty(), "what is not asked for is forgotten");
    }
}
