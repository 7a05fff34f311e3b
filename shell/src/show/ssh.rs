//! `show ip ssh`: where SSH answers, whom, and what it lets somebody try who has no login.

use yoke_director::status::{Data, Show};

use super::{print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::pairs;

/// `show ip ssh`.
pub(crate) fn ssh(shell: &Shell, out: &mut Out<'_>) -> Result<(), Fail> {
    let ssh = match shell.director.show(Show::Ssh)? {
        Data::Ssh(ssh) => ssh,
        other => return Err(wrong(other)),
    };
    if out.is_json() {
        return out.object("ssh", &ssh);
    }
    if ssh.addresses.is_empty() {
        return Ok(out.text("SSH is closed")?);
    }
    let clients = if ssh.clients.is_empty() { "everybody".to_owned() } else { ssh.clients.join(", ") };
    let refused = ssh.refused.map_or_else(|| "not limited".to_owned(), |count| count.to_string());
    let lines = [
        ("Answers on", format!("{}, port {}", ssh.addresses.join(", "), ssh.port)),
        ("Lets in", clients),
        ("Guesses", format!("{} in a connection", ssh.guesses)),
        ("Connections", format!("{} a minute from one source, {} at once", ssh.a_minute, ssh.burst)),
        ("Refused", refused),
        (
            "Without login",
            format!("{} from one source, {} in all, on each address", ssh.unknown_of_source, ssh.unknown),
        ),
    ];
    print(&pairs(&lines), out)
}
