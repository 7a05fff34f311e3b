//! Certificates of a real nginx: which of them a check takes, and why not the others.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use super::BACK_LIMIT;
use crate::net::Ns;
use crate::runner::{Scene, World};
use crate::wait;

/// What the check asks for.
const NAME: &str = "www.example.net";
/// A year that is over, and one that is not.
const YEARS: (i32, i32) = (2021, 4000);

/// What a port shows, and what a check says that trusts one authority.
struct Port {
    number: u16,
    name: &'static str,
    last_year: i32,
    /// Signed by somebody else.
    foreign: bool,
    said: &'static str,
}

const PORTS: [Port; 4] = [
    Port { number: 8443, name: NAME, last_year: YEARS.1, foreign: false, said: "" },
    Port { number: 8444, name: NAME, last_year: YEARS.0, foreign: false, said: "tls: the certificate has expired" },
    Port {
        number: 8445,
        name: "www.example.org",
        last_year: YEARS.1,
        foreign: false,
        said: "tls: the certificate is for another name",
    },
    Port { number: 8446, name: NAME, last_year: YEARS.1, foreign: true, said: STRANGER },
];
const STRANGER: &str = "tls: the certificate is not signed by a trusted authority";
/// Here nginx speaks no TLS.
const PLAIN: (u16, &str) = (8080, "tls: the server does not speak tls");

/// Leaves the box and the first server as they were.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("a_certificate_of_nginx_is_taken_or_refused_with_the_reason", |world| {
        let (trusted, foreign) = (Authority::new()?, Authority::new()?);
        let home = world.dir.join(Ns::Server1.name());
        let mut conf = String::new();
        for port in &PORTS {
            let by = if port.foreign { &foreign } else { &trusted };
            let (certificate, key) = by.signed(port.name, port.last_year)?;
            let number = port.number;
            fs::write(home.join(format!("{number}.pem")), certificate)?;
            fs::write(home.join(format!("{number}.key")), key)?;
            writeln!(
                conf,
                "server {{ listen {number} ssl; ssl_certificate {number}.pem; ssl_certificate_key {number}.key; \
                 location / {{ return 200 fine; }} }}"
            )?;
        }
        fs::write(home.join("tls.conf"), conf)?;
        world.server(0)?.stop_nginx()?;
        world.server(0)?.start_nginx()?;

        let (host, trust) = (format!("request host {NAME}"), format!("tls trust ca {}", trusted.base64()));
        let servers: Vec<String> = PORTS
            .iter()
            .map(|port| port.number)
            .chain([PLAIN.0])
            .map(|port| format!("real-server 10.0.20.11 {port}"))
            .collect();
        let mut lines = vec!["health-monitor secure", "type https", &host, &trust, "interval 1", "retry 0"];
        lines.extend(["virtual-server secure", "virtual 203.0.113.10 tcp 443", "health-check secure"]);
        lines.extend(servers.iter().map(String::as_str));
        world.console()?.configure(&lines)?;
        said(world, |port| port.said)?;
        // Mozilla's list knows none of the two. Only the date is looked at before that.
        world.console()?.configure(&["health-monitor secure", "tls trust public"])?;
        said(world, |port| if port.last_year == YEARS.0 { port.said } else { STRANGER })?;
        world.console()?.configure(&["health-monitor secure", "tls trust any"])?;
        said(world, |_| "")?;
        world.console()?.configure(&["no virtual-server secure", "no health-monitor secure"])?;
        fs::remove_file(home.join("tls.conf"))?;
        world.server(0)?.stop_nginx()?;
        world.server(0)?.start_nginx()
    });
}

/// Waits until each port is up where nothing is to be said of it, and down for what is.
fn said(world: &mut World, of: impl Fn(&Port) -> &'static str) -> Result<()> {
    let expected = PORTS.iter().map(|port| (port.number, of(port))).chain([PLAIN]);
    for (port, said) in expected {
        wait::until(&format!("what is said of port {port}"), BACK_LIMIT, || {
            let shown = world.console()?.json("show health-check secure")?;
            let row = shown["health_checks"].as_array().and_then(|rows| rows.iter().find(|row| row["port"] == port));
            let row = row.with_context(|| shown.to_string())?;
            let state = if said.is_empty() { "up" } else { "down" };
            ensure!(row["state"] == state && row["reason"] == said, "{state} {said:?}: {row}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Who signs.
pub(in crate::scenario) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(in crate::scenario) fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// As the configuration has it.
    pub(in crate::scenario) fn base64(&self) -> String {
        self.pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    /// A certificate for that name that ends with that year, and its key.
    pub(in crate::scenario) fn signed(&self, name: &str, last_year: i32) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}
