//! An update out of a real nginx by HTTPS: which certificates are taken, what is said of the others, and where a redirect leads.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};

use super::{ADD_LIMIT, image_file, runs};
use crate::net::Ns;
use crate::runner::{Scene, World};
use crate::scenario::health::certificates::Authority;

/// nginx, as the box reaches it.
const HOST: &str = "10.0.20.11";
/// Ports: a good certificate, one that has expired, one of another name, a redirect to the first, a redirect away from TLS.
const GOOD: u16 = 8443;
const OVER: u16 = 8444;
const OTHER: u16 = 8445;
const MOVED: u16 = 8446;
const DOWN: u16 = 8447;

/// Leaves the update in slot b, and the server as it was.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("an_update_comes_by_https_from_nginx_whose_certificate_is_good", |world| {
        let authority = Authority::new()?;
        serve(world, &authority)?;
        world.console()?.configure(&["interface eth1", "ip address 10.0.20.2/24"])?;
        refused(world, GOOD, "is not signed by a trusted authority; for one of your own use: install trust ca")?;
        world.console()?.configure(&[&format!("install trust ca {}", authority.base64())])?;
        refused(world, OVER, "the certificate has expired; the clock of this box says 20")?;
        refused(world, OTHER, "the certificate is for another name")?;
        refused(world, DOWN, "redirects from https to http://10.0.20.11:8080/down, which is not followed")?;
        let said = world.console()?.run_within(&format!("install add http://{HOST}:{MOVED}/good"), ADD_LIMIT)?.text();
        ensure!(said.contains("is in slot b. To start it: install activate"), "{said}");
        world.console()?.configure(&["no install trust"])?;
        runs(world, "a")?;
        fs::remove_file(world.dir.join(Ns::Server1.name()).join("tls.conf"))?;
        world.server(0)?.stop_nginx()?;
        world.server(0)?.start_nginx()
    });
}

fn refused(world: &mut World, port: u16, why: &str) -> Result<()> {
    let said = world.console()?.run(&format!("install add https://{HOST}:{port}/good"))?;
    let words = said.errors().join(" ");
    ensure!(words.contains(why) && words.contains(&format!("https://{HOST}:{port}/good: ")), "{port}: {}", said.text());
    Ok(())
}

fn serve(world: &mut World, authority: &Authority) -> Result<()> {
    let home = world.dir.join(Ns::Server1.name());
    let files = home.join("updates");
    fs::create_dir_all(&files)?;
    fs::copy(image_file(), files.join("good"))?;
    let mut conf = String::new();
    for (port, name, last_year, does) in [
        (GOOD, HOST, 4000, "root updates;".to_owned()),
        (OVER, HOST, 2021, "root updates;".to_owned()),
        (OTHER, "www.example.org", 4000, "root updates;".to_owned()),
        (DOWN, HOST, 4000, format!("return 302 http://{HOST}:8080/down;")),
    ] {
        let (certificate, key) = authority.signed(name, last_year)?;
        fs::write(home.join(format!("{port}.pem")), certificate)?;
        fs::write(home.join(format!("{port}.key")), key)?;
        let tls = format!("ssl_certificate {port}.pem; ssl_certificate_key {port}.key;");
        writeln!(conf, "server {{ listen {port} ssl; {tls} location / {{ {does} }} }}")?;
    }
    writeln!(conf, "server {{ listen {MOVED}; return 301 https://{HOST}:{GOOD}$request_uri; }}")?;
    fs::write(home.join("tls.conf"), conf)?;
    world.server(0)?.stop_nginx()?;
    world.server(0)?.start_nginx()
}
