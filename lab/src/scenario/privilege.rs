//! What a break-in would find: who may do what, what is written where, what listens. Within the boot of `faults`, whose lab shell looks.
//!
//! It compares with tables, so that a program, a capability, a mount or a port that is new has to be given a reason here. It tries no exploit.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::faults::RECOVERY_LIMIT;
use super::serve_nat;
use crate::net::addr;
use crate::runner::{Scene, World};
use crate::scan;
use crate::ssh::Ssh;
use crate::vm::{Firmware, Machine};
use crate::wait;

const CHOWN: u64 = 1;
const DAC_OVERRIDE: u64 = 1 << 1;
const FOWNER: u64 = 1 << 3;
const KILL: u64 = 1 << 5;
const SETGID: u64 = 1 << 6;
const SETUID: u64 = 1 << 7;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
const SYS_NICE: u64 = 1 << 23;
const SYS_TIME: u64 = 1 << 25;

/// Who runs a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Root,
    /// A number of its own.
    Other,
}

/// A program, whose it is, what it may do (capabilities(7)), what it could ever get, and why it may do that.
type Row = (&'static str, Owner, u64, u64, &'static str);

const OF_DIRECTOR: u64 = NET_ADMIN | NET_RAW | SETGID | SETUID | KILL | DAC_OVERRIDE;
const OF_DROPBEAR: u64 = NET_BIND_SERVICE | SETGID | SETUID | CHOWN | FOWNER;
const OF_LOGIN: u64 = SETGID | SETUID;
const OF_VRRPD: u64 = NET_ADMIN | NET_RAW | IPC_LOCK | SYS_NICE;

/// Everything that runs but PID 1, which may do everything. Nobody gets a right by what he executes (no_new_privs).
const TABLE: [Row; 8] = [
    (
        "director",
        Owner::Root,
        OF_DIRECTOR,
        OF_DIRECTOR,
        "IPVS and nft; ping and raw checks; check programs as nobody, ended",
    ),
    ("vrrpd", Owner::Root, OF_VRRPD, OF_VRRPD, "addresses; adverts and ARP; pages that stay; a realtime priority"),
    ("chronyd", Owner::Other, SYS_TIME, SYS_TIME, "the clock"),
    ("init", Owner::Other, 0, OF_LOGIN, "a sender of the log: it has become another user"),
    ("dropbear", Owner::Root, OF_DROPBEAR, OF_DROPBEAR, "port 22; to become the user; the user's terminal"),
    ("dropbear", Owner::Other, 0, OF_DROPBEAR, "a session whose user is known"),
    ("shell", Owner::Root, OF_LOGIN, OF_LOGIN, "a console that waits for a login: to become the user"),
    ("shell", Owner::Other, 0, OF_LOGIN | OF_DROPBEAR, "an operator's session, from a console or by SSH"),
];

/// Rows that need not be met at any moment: whether a session's dropbear goes on as root is that program's to choose.
const OPTIONAL: [(&str, Owner); 1] = [("dropbear", Owner::Other)];

/// Something of everything that can be configured to run, a VIP of IPVS and one of vrrp in both families, and `ip ssh shutdown`.
const MORE: &[&str] = &[
    "ip ssh shutdown",
    "interface eth0",
    "ipv6 address 2001:db8:1::2/64",
    "ntp server 203.0.113.99",
    "logging host 203.0.113.99",
    "virtual-server six",
    "virtual 2001:db8:1::10 tcp 80",
    "vrrp group lab",
    "vrid 9 interface eth0",
    "priority 200",
    "address 203.0.113.200/24",
];
const LESS: &[&str] = &[
    "no vrrp group lab",
    "no virtual-server six",
    "no logging host 203.0.113.99",
    "no ntp server 203.0.113.99",
    "interface eth0",
    "no ipv6 address 2001:db8:1::2/64",
];

/// What an address is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Ssh,
    /// Port 80, and not the box's own.
    Balanced,
    Nothing,
}

/// The address of the vrrp group.
const VRRP_ADDRESS: &str = "203.0.113.200";

/// Every address of the box that clients can reach.
const ADDRESSES: [(&str, Port); 5] = [
    (addr::DIRECTOR, Port::Ssh),
    ("2001:db8:1::2", Port::Ssh),
    (addr::VIP_NAT, Port::Balanced),
    (addr::VIP_NAT6, Port::Balanced),
    (VRRP_ADDRESS, Port::Nothing),
];

/// The last of the ports that a quick scan tries: those with a name, and some more.
const SOME: u16 = 1100;

/// Leaves the box as it was.
pub(super) fn checks(scene: &mut Scene<'_>) {
    scene.check("no_port_is_open_that_was_not_configured", |world| {
        scan_all(world, &|address| if address == addr::DIRECTOR { u16::MAX } else { SOME })
    });
    scene.check("each_program_has_the_privileges_it_needs_and_no_more", |world| {
        let ssh = Ssh::new(&world.dir)?;
        let key = format!("username admin ssh-key {} lab", ssh.public_key()?);
        world.console()?.configure(&[&key])?;
        let mut session = ssh.hold("admin", addr::DIRECTOR)?;
        let checked = wait::until("all programs", RECOVERY_LIMIT, || privileges(world));
        let _ = session.kill();
        let _ = session.wait();
        std::fs::remove_dir_all(world.dir.join("ssh"))?;
        world.console()?.configure(&[&format!("no {key}")])?;
        world.console()?.configure(LESS)?;
        checked
    });
    scene.check("no_program_is_setuid_and_the_root_cannot_be_written_to", |world| {
        let shell = world.shell()?;
        let found =
            shell.ok("find $SLOT/ -xdev '(' -perm -4000 -o -perm -2000 -o -perm -0002 ! -perm -1000 ')' ! -type l")?;
        ensure!(found.trim().is_empty(), "setuid, setgid or writable by everybody: {found}");
        // Root with every capability.
        let (status, said) = shell.run("touch $SLOT/usr/sbin/x")?;
        ensure!(status != 0 && said.contains("Read-only"), "{said}");
        mounts(&shell.ok("cat /proc/1/mounts")?)
    });
}

/// Every port of every address, which takes a minute: within the boot of `faults` these are all of one address and [`SOME`] of the others.
pub(super) fn every_port(scene: &mut Scene<'_>) -> Result<()> {
    scene.network()?;
    scene.boot(Machine { firmware: Firmware::Direct { append: String::new() }, ..Machine::default() })?;
    scene.must("the_box_serves", |world| {
        world.shell()?.wait_ready()?;
        serve_nat(world)
    })?;
    scene.check("no_port_is_open_that_was_not_configured", |world| scan_all(world, &|_| u16::MAX));
    Ok(())
}

/// Scans the box with SSH closed, and with SSH open: of each address the ports up to what `last` says. Leaves [`MORE`] configured, SSH open.
fn scan_all(world: &mut World, last: &dyn Fn(&str) -> u16) -> Result<()> {
    world.console()?.configure(MORE)?;
    wait::until("SSH to be closed and the group to be active", RECOVERY_LIMIT, || {
        ensure!(scan::tcp(addr::DIRECTOR, 22..=22)?.is_empty(), "SSH is open");
        ensure!(scan::answers_ping(VRRP_ADDRESS), "no answer from the address of the group");
        Ok(())
    })?;
    let every = ADDRESSES.iter().all(|(address, _)| last(address) == u16::MAX);
    // A kernel says "port unreachable" once in a second to each; it is asked 65,000 times.
    let rates = "net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=1000000 net.ipv6.icmp.ratelimit=0";
    world.shell()?.ok(&format!("sysctl -w {rates}"))?;
    for (address, _) in ADDRESSES {
        open_are(address, last(address), false)?;
        // The kernel's own list has the rest, where it is too much for one boot of many.
        let silent = scan::udp(address, 1..=if every { u16::MAX } else { SOME })?;
        ensure!(silent.is_empty(), "{address}: UDP ports that do not refuse: {silent:?}");
    }
    listeners(world, &[])?;
    world.console()?.configure(&["no ip ssh shutdown"])?;
    for (address, _) in ADDRESSES.iter().filter(|(_, what)| *what == Port::Ssh) {
        // The box counts tries, and refuses who tries too often.
        wait::until_every("SSH to be open", RECOVERY_LIMIT, Duration::from_millis(500), || {
            ensure!(scan::tcp(address, 22..=22)? == [22], "{address}: SSH is closed");
            Ok(())
        })?;
    }
    // 10.0.20.2, 203.0.113.2 and 2001:db8:1::2, port 22, as the kernel prints them.
    let ssh = ["0214000A:0016", "027100CB:0016", "B80D0120000001000000000002000000:0016"];
    wait::until("SSH on all addresses and nothing else", RECOVERY_LIMIT, || listeners(world, &ssh))?;
    ADDRESSES.iter().try_for_each(|(address, _)| open_are(address, last(address).min(SOME), true))
}

/// Whether the TCP ports of `address` up to `last` that are open are those that its row allows; `ssh`: whether SSH is open.
fn open_are(address: &str, last: u16, ssh: bool) -> Result<()> {
    let open = scan::tcp(address, 1..=last)?;
    let (_, what) = ADDRESSES.iter().find(|(of, _)| *of == address).context("an address of the list")?;
    let wanted: &[u16] = match what {
        Port::Ssh if ssh => &[22],
        // An answer over IPv6 needs real servers, which `six` has none of: a connection may be taken or not.
        Port::Balanced if open.contains(&80) => &[80],
        Port::Ssh | Port::Balanced | Port::Nothing => &[],
    };
    ensure!(open == wanted, "{address}: open TCP ports: {open:?}, wanted: {wanted:?}");
    Ok(())
}

/// Compares the kernel's own list of sockets that anybody's packet can reach with `wanted`, addresses and ports as it prints them.
fn listeners(world: &mut World, wanted: &[&str]) -> Result<()> {
    let shell = world.shell()?;
    // The fourth column is the state: 0A is LISTEN (linux/tcp_states.h).
    let text = shell.ok("cat /proc/1/net/tcp /proc/1/net/tcp6 | awk '$4 == \"0A\" { print $2 }'")?;
    let found: BTreeSet<&str> = text.split_whitespace().collect();
    ensure!(found == wanted.iter().copied().collect(), "{found:?}");
    // 07 is a socket without a peer: chrony's and the log's have one.
    let text = shell.ok("cat /proc/1/net/udp /proc/1/net/udp6 | awk '$4 == \"07\"'")?;
    ensure!(text.trim().is_empty(), "{text}");
    Ok(())
}

/// One line for each thread: process, program, user, then CapInh, CapPrm, CapEff, CapBnd, CapAmb and NoNewPrivs.
const LOOK: &str = "for t in /proc/[0-9]*/task/*; do exe=$(readlink $t/exe) || continue; \
                    echo $exe $(awk '/^(Uid|Cap...|NoNewPrivs):/ { print $2 }' $t/status); done; true";

/// Compares everything that runs with the table.
fn privileges(world: &mut World) -> Result<()> {
    let text = world.shell()?.ok(LOOK)?;
    let mut met = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The lab's own programs are not on the slot.
        let [path, uid, inheritable, permitted, effective, bounding, ambient, no_new] = words[..] else { continue };
        let Some(program) = path.strip_prefix("/usr/sbin/").or_else(|| path.strip_prefix("/usr/bin/")) else {
            continue;
        };
        let owner = if uid == "0" { Owner::Root } else { Owner::Other };
        if (program, owner) == ("init", Owner::Root) {
            continue;
        }
        let row = TABLE.iter().position(|(name, whose, ..)| (*name, *whose) == (program, owner));
        let row = row.with_context(|| format!("nobody has said what this may do: {line}"))?;
        let (_, _, may, could, why) = TABLE[row];
        let set = |digits: &str| u64::from_str_radix(digits, 16).with_context(|| line.to_owned());
        for now in [permitted, effective] {
            ensure!(set(now)? == may, "{program} of {uid} may do {now} instead of {may:x} ({why})");
        }
        for later in [inheritable, bounding, ambient] {
            ensure!(set(later)? & !could == 0, "{program} of {uid} could get {later} instead of {could:x} ({why})");
        }
        ensure!(no_new == "1", "{program} of {uid} gets rights from what it executes");
        met.insert(row);
    }
    for (row, (program, owner, ..)) in TABLE.iter().enumerate() {
        ensure!(
            met.contains(&row) || OPTIONAL.contains(&(program, *owner)),
            "{program} ({owner:?}) does not run:\n{text}"
        );
    }
    Ok(())
}

/// Whether each mount that can be written to obeys neither setuid bits nor device files, and which of them execute.
fn mounts(text: &str) -> Result<()> {
    for line in text.lines() {
        let [_, target, kind, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { bail!("{line}") };
        let has = |option: &str| options.split(',').any(|o| o == option);
        ensure!(has("nosuid"), "{target} ({kind}) obeys setuid bits: {options}");
        // Device files are what these two are for.
        ensure!(
            has("nodev") || ["/dev", "/dev/pts"].contains(&target),
            "{target} ({kind}) has device files: {options}"
        );
        ensure!(
            has("noexec") || target == "/" && has("ro"),
            "{target} ({kind}) has programs that can be changed: {options}"
        );
        ensure!(
            has("ro") || ["proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ext4", "pstore"].contains(&kind),
            "{line}"
        );
    }
    Ok(())
}
