//! Numbers, addresses and names, as the C library reads and writes them.
//!
//! Names come from `/etc/hosts` and `/etc/services` and from nowhere else: no question leaves the machine because a table is listed.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Protocol;

/// A decimal number as `strtol` reads it, with nothing after it, from `min` to `max`.
pub(super) fn number(text: &str, min: i64, max: i64) -> Option<i64> {
    // Nearly all of them are plain.
    if text.len() < 19 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let value = text.bytes().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        return (min..=max).contains(&value).then_some(value);
    }
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: i64 = text.parse().ok()?;
    (min..=max).contains(&value).then_some(value)
}

/// The number a text begins with, as `atoi` reads it; 0 when it begins with none.
pub(super) fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let sign = text.len() - text.trim_start_matches(['+', '-']).len();
    let digits = text[sign.min(1)..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign.min(1) + digits].parse().unwrap_or(0)
}

/// An IPv4 address in any form `inet_aton` takes: one to four parts, decimal, octal or hexadecimal, the last filling what is left.
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut bits = 0u32;
    // Bits that are left for the part that comes.
    let mut room = u32::MAX;
    let mut parts = text.split('.').peekable();
    while let Some(text) = parts.next() {
        let value = part(text)?;
        if parts.peek().is_none() {
            return (value <= room).then(|| Ipv4Addr::from_bits(bits | value));
        }
        if value > 255 || room == 255 {
            return None;
        }
        room >>= 8;
        bits |= value << room.count_ones();
    }
    None
}

fn part(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// An address as `inet_ntop` writes it. It differs from Rust in one case: `::1.2.3.4`.
pub(super) fn address(address: IpAddr) -> String {
    if let IpAddr::V6(v6) = address {
        let segments = v6.segments();
        if segments[..6] == [0; 6] && segments[6] != 0 {
            let [.., a, b, c, d] = v6.octets();
            return format!("::{a}.{b}.{c}.{d}");
        }
    }
    address.to_string()
}

/// Where a service or a server is, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    /// `None` when none was typed.
    pub(super) port: Option<u16>,
}

/// Names of hosts and services. The default knows none.
#[derive(Debug, Default)]
pub struct Names {
    /// By address, the first name of the first line that has it.
    hosts: BTreeMap<IpAddr, String>,
    /// By name, IPv4 only: ipvsadm resolves no other.
    addresses: BTreeMap<String, Ipv4Addr>,
    /// By port and protocol.
    services: BTreeMap<(u16, String), String>,
    /// By name or alias, and protocol.
    ports: BTreeMap<(String, String), u16>,
}

impl Names {
    /// Those of this machine. A file that is not there has none.
    #[must_use]
    pub fn load() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/etc/hosts"), &read("/etc/services"))
    }

    /// Those of the text of the two files.
    #[must_use]
    pub fn parse(hosts: &str, services: &str) -> Self {
        let mut names = Self::default();
        for line in hosts.lines() {
            let mut words = words(line);
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for (place, name) in words.enumerate() {
                if place == 0 {
                    names.hosts.entry(address).or_insert_with(|| name.to_owned());
                }
                if let IpAddr::V4(v4) = address {
                    names.addresses.entry(name.to_owned()).or_insert(v4);
                }
            }
        }
        for line in services.lines() {
            let mut words = words(line);
            let Some(name) = words.next() else { continue };
            let Some((port, protocol)) = words.next().and_then(|word| word.split_once('/')) else { continue };
            let Ok(port) = port.parse() else { continue };
            names.services.entry((port, protocol.to_owned())).or_insert_with(|| name.to_owned());
            for name in [name].into_iter().chain(words) {
                names.ports.entry((name.to_owned(), protocol.to_owned())).or_insert(port);
            }
        }
        names
    }

    /// Reads `host[:port]`, `[v6]:port` or a bare IPv6 address. Without a protocol a port has to be a number.
    pub(super) fn place(&self, text: &str, protocol: Option<Protocol>) -> Option<Place> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once("]:")?;
            let address = IpAddr::V6(host.parse().ok()?);
            return Some(Place { address, port: Some(self.port(port, protocol)?) });
        }
        let (host, port) = match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                // Two colons: an IPv6 address, or nothing.
                return text.parse::<Ipv6Addr>().ok().map(|v6| Place { address: v6.into(), port: None });
            }
            Some((host, port)) => (host, Some(self.port(port, protocol)?)),
            None => (text, None),
        };
        let address = ipv4(host).or_else(|| self.addresses.get(host).copied())?;
        Some(Place { address: address.into(), port })
    }

    fn port(&self, text: &str, protocol: Option<Protocol>) -> Option<u16> {
        match number(text, 0, u16::MAX.into()) {
            Some(port) => u16::try_from(port).ok(),
            None => self.ports.get(&(text.to_owned(), protocol?.to_string())).copied(),
        }
    }

    /// Writes `host:port` or `[host]:port`, with names where there are any.
    pub(super) fn named(&self, at: IpAddr, port: u16, protocol: Protocol) -> String {
        let host = self.hosts.get(&at).cloned().unwrap_or_else(|| address(at));
        let service = self.services.get(&(port, protocol.to_string()));
        let port = service.cloned().unwrap_or_else(|| port.to_string());
        if at.is_ipv6() { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or_default().split_whitespace()
}

/// Writes `address:port` or `[address]:port` in digits.
pub(super) fn numeric(at: IpAddr, port: u16) -> String {
    let IpAddr::V4(at) = at else { return format!("[{}]:{port}", address(at)) };
    // Without the machinery of `fmt`: a listing is made of these.
    let mut text = String::with_capacity("255.255.255.255:65535".len());
    for octet in at.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        digits(u16::from(octet), &mut text);
    }
    text.push(':');
    digits(port, &mut text);
    text
}

fn digits(number: u16, text: &mut String) {
    if number >= 10 {
        digits(number / 10, text);
    }
    text.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_in_digits() {
        for (at, port) in [("0.0.0.0", 0), ("10.200.3.45", 80), ("255.255.255.255", 65535), ("1.0.100.9", 10000)] {
            assert_eq!(numeric(at.parse().unwrap(), port), format!("{at}:{port}"));
        }
        assert_eq!(numeric("fd00::1".parse().unwrap(), 53), "[fd00::1]:53");
    }

    #[test]
    fn addresses_in_every_form_of_inet_aton() {
        let read = |text| ipv4(text).map(|a| a.to_string());
        assert_eq!(read("10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(read("10.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(read("10.1.258").as_deref(), Some("10.1.1.2"));
        assert_eq!(read("167772162").as_deref(), Some("10.0.0.2"));
        assert_eq!(read("0x0a000003").as_deref(), Some("10.0.0.3"));
        assert_eq!(read("010.0.0.4").as_deref(), Some("8.0.0.4"));
        assert_eq!(read("255.255.255").as_deref(), Some("255.255.0.255"));
        for bad in ["", "10.0.0.300", "256.1", "1.2.3.4.5", "10.0.0.", "+1.2.3.4", "1.2.65536", "4294967296", "0x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_as_inet_ntop_writes_them() {
        for text in ["::1.2.3.4", "::ffff:1.2.3.4", "::1", "::", "1:0:0:2::3", "1:0:2:3:4:5:6:7", "10.0.0.1"] {
            assert_eq!(address(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn numbers_as_strtol_and_atoi_read_them() {
        assert_eq!(number(" +5", 0, 9), Some(5));
        assert_eq!(number("010", 0, 99), Some(10));
        for bad in ["", "5x", "0x10", "10", "-1", "+-5", "99999999999999999999"] {
            assert_eq!(number(bad, 0, 9), None, "{bad}");
        }
        assert_eq!([" 64", "+64", "64x", "", "-3", "x", "+-3"].map(leading_number), [64, 64, 64, 0, -3, 0, 0]);
    }

    #[test]
    fn names_both_ways() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1 vip.example vip # x\nfd00::1 six\n10.0.0.1 other\n";
        let names = Names::parse(hosts, "http 80/tcp www\ndomain 53/udp\n# c\n");
        assert_eq!(names.named([10, 0, 0, 1].into(), 80, Protocol::Tcp), "vip.example:http");
        assert_eq!(names.named([10, 0, 0, 1].into(), 80, Protocol::Udp), "vip.example:80");
        assert_eq!(names.named("fd00::1".parse().unwrap(), 53, Protocol::Udp), "[six]:domain");
        let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
        assert_eq!(names.place("vip:www", None), None);
        assert_eq!(names.place("vip:80", None).map(|p| p.port), Some(Some(80)));
        assert_eq!(names.place("vip:www", tcp).map(|p| p.port), Some(Some(80)));
        assert_eq!(names.place("vip:www", udp), None);
        assert_eq!(names.place("six:80", tcp), None);
        assert_eq!(names.place("[six]:80", tcp), None);
        assert_eq!(names.place("[fd00::2]", tcp), None);
        assert_eq!(names.place("fd00::1:80", tcp).map(|p| p.port), Some(None));
        assert_eq!(names.place(":80", tcp), None);
        assert_eq!(names.place("10.0.0.8:", tcp), None);
    }
}
