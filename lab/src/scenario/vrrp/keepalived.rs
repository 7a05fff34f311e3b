//! vrrpd and Debian's keepalived as one pair: every version, family and way to send that both know, in both roles.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{LIMIT, vip, wait_backup};
use crate::pair::{Pair, Side};
use crate::wait;

/// A pair with keepalived.
pub(super) struct Peer {
    pub(super) name: &'static str,
    tag: &'static str,
    version: u8,
    ipv6: bool,
    unicast: bool,
    password: bool,
}

/// All of them.
pub(super) const PEERS: [Peer; 6] = [
    Peer { name: "version_2", tag: "k2", version: 2, ipv6: false, unicast: false, password: false },
    Peer { name: "version_2_with_its_password", tag: "k2p", version: 2, ipv6: false, unicast: false, password: true },
    Peer { name: "version_3", tag: "k3", version: 3, ipv6: false, unicast: false, password: false },
    Peer { name: "version_3_unicast", tag: "k3u", version: 3, ipv6: false, unicast: true, password: false },
    Peer { name: "version_3_ipv6", tag: "k6", version: 3, ipv6: true, unicast: false, password: false },
    Peer { name: "version_3_ipv6_unicast", tag: "k6u", version: 3, ipv6: true, unicast: true, password: false },
];

impl Peer {
    fn address(side: Side, ipv6: bool) -> IpAddr {
        if ipv6 { side.v6() } else { side.v4() }
    }

    /// Ours, on side A.
    fn ours(&self, priority: u8) -> String {
        let mut config = format!(
            "vrrp group v\n vrid 51 interface eth0\n version {}\n priority {priority}\n preempt\n timers advertise {}\n",
            self.version,
            if self.version == 2 { 1000 } else { 100 }
        );
        config += if self.ipv6 {
            " address fe80::51/64\n address 2001:db8:77::100/64\n"
        } else {
            " address 10.77.0.100/24\n"
        };
        if self.unicast {
            config += &format!(" peer {}\n", Self::address(Side::B, self.ipv6));
        }
        if self.password {
            config += " authentication text 1111\n";
        }
        config
    }

    /// keepalived, on side B.
    fn theirs(&self, priority: u8) -> String {
        let unicast = if self.unicast {
            let (own, peer) = (Self::address(Side::B, self.ipv6), Self::address(Side::A, self.ipv6));
            format!(" unicast_src_ip {own}\n unicast_ttl 255\n unicast_peer {{\n  {peer}\n }}\n")
        } else {
            String::new()
        };
        let password = if self.password { " authentication {\n  auth_type PASS\n  auth_pass 1111\n }\n" } else { "" };
        let addresses = if self.ipv6 { "fe80::51/64\n  2001:db8:77::100/64" } else { "10.77.0.100/24" };
        format!(
            "global_defs {{\n router_id b\n}}\nvrrp_instance v {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n \
             priority {priority}\n version {}\n advert_int {}\n{unicast}{password} virtual_ipaddress {{\n  {addresses}\n }}\n}}\n",
            self.version,
            if self.version == 2 { "1" } else { "0.1" }
        )
    }

    fn vip(&self) -> Result<IpAddr> {
        Ok(if self.ipv6 { "2001:db8:77::100".parse()? } else { vip() })
    }
}

/// Both roles, both ways to change them: ours preempts, resigns and dies; keepalived does the same to us.
pub(super) fn run(case: &Peer, dir: &Path) -> Result<()> {
    let mut pair = Pair::up(case.tag, dir)?;
    let vip = case.vip()?;
    pair.keepalived(Side::B, &case.theirs(100))?;
    pair.wait_holder(Side::B, vip, LIMIT).context("keepalived alone")?;
    pair.vrrpd(Side::A, &case.ours(200))?;
    pair.wait_holder(Side::A, vip, LIMIT).context("ours preempts")?;
    let group = pair.status(Side::A)?.groups[0].clone();
    ensure!(group.why.starts_with("preempted "), "{}", group.why);
    pair.signal(Side::A, Signal::SIGTERM)?;
    pair.wait_holder(Side::B, vip, LIMIT).context("ours resigns")?;
    pair.vrrpd(Side::A, &case.ours(200))?;
    pair.wait_holder(Side::A, vip, LIMIT).context("ours returns")?;
    pair.signal(Side::A, Signal::SIGKILL)?;
    wait::until("keepalived to take over from a dead process", LIMIT, || {
        ensure!(pair.holds(Side::B, vip)?, "not yet");
        Ok(())
    })?;

    // The other way round.
    pair.signal(Side::B, Signal::SIGTERM)?;
    pair.vrrpd(Side::A, &case.ours(100))?;
    pair.wait_holder(Side::A, vip, LIMIT).context("ours alone")?;
    pair.keepalived(Side::B, &case.theirs(200))?;
    pair.wait_holder(Side::B, vip, LIMIT).context("keepalived preempts")?;
    wait_backup(&pair, Side::A)?;
    pair.signal(Side::B, Signal::SIGTERM)?;
    pair.wait_holder(Side::A, vip, LIMIT).context("keepalived resigns")?;
    let group = pair.status(Side::A)?.groups[0].clone();
    ensure!(group.why.ends_with(" resigned"), "{}", group.why);
    ensure!(group.counters.is_empty(), "advertisements of keepalived were discarded or strange: {:?}", group.counters);
    let heard = pair.heard();
    ensure!(heard.wrong.is_empty(), "{:?}", heard.wrong);
    Ok(())
}
