//! Prints the kernel's table, as little as it takes to see how the crate is used.
//!
//! `cargo run -p ipvs --example observe`, as root, where a kernel with IPVS runs. For a listing that scripts can rely on there is ipvsadm.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use ipvs::{Client, Error};

fn main() -> Result<(), Error> {
    let mut client = Client::open()?;
    let (info, timeouts) = (client.info()?, client.timeouts()?);
    let (major, minor, patch) = info.version;
    println!("IPVS {major}.{minor}.{patch}, {} buckets, timeouts {timeouts:?}", info.table_size);
    for daemon in client.daemons()? {
        println!("{} sync daemon on {}, id {}", daemon.role, daemon.interface, daemon.sync_id);
    }
    for (service, destinations) in client.statistics()? {
        println!("{} {:?}", service.key, service.service);
        println!("  {:?}", service.stats);
        for destination in destinations {
            println!("  {} {:?}", destination.key, destination.destination);
            println!("    {} active, {} inactive, {:?}", destination.active, destination.inactive, destination.stats);
        }
    }
    Ok(())
}
