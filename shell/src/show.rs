//! What `show` prints: the director's rows as tables of 79 columns, or as they are with `| json`.

pub(crate) mod balance;
pub(crate) mod connections;
pub(crate) mod counters;
pub(crate) mod health;
pub(crate) mod inventory;
pub(crate) mod ipvs;
pub(crate) mod network;
pub(crate) mod ntp;
pub(crate) mod recipe;
pub(crate) mod ssh;
pub(crate) mod support;
pub(crate) mod system;
pub(crate) mod vrrp;

use yoke_config::value::Value;
use yoke_director::status::{Data, Reply};

use crate::director::unexpected;
use crate::out::Out;
use crate::outcome::Fail;

/// Data of a kind that was not asked for.
fn wrong(data: Data) -> Fail {
    unexpected(&Reply::Data(data))
}

/// Writes the lines of a table.
fn print(lines: &[String], out: &mut Out<'_>) -> Result<(), Fail> {
    lines.iter().try_for_each(|line| out.text(line)).map_err(Into::into)
}

/// The first value that is a name.
fn name(values: &[Value]) -> Option<String> {
    values.iter().find(|value| matches!(value, Value::Name(_) | Value::If(_))).map(ToString::to_string)
}

/// `any` for port 0.
pub(crate) fn port(port: u16) -> String {
    if port == 0 { "any".to_owned() } else { port.to_string() }
}
