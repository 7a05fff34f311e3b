//! Connections and persistence templates.

use yoke_config::value::Value;
use yoke_config::walk::{has, option};
use yoke_director::status::{ConnectionFilter, ConnectionRow, Connections, Data, Show};

use super::{name, print, wrong};
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::table::{Column, draw, left, long, right};

/// `show connections`, with its filters in any order. What the director did not send is said: the count is always of all.
pub(crate) fn connections(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let filter = filter(values);
    let count = filter.count;
    let found = ask(shell, filter)?;
    if out.is_json() {
        return out.object("connections", &found);
    }
    if count {
        return Ok(out.text(&found.count.to_string())?);
    }
    table(&found.rows, out)?;
    let shown = u64::try_from(found.rows.len()).unwrap_or(u64::MAX);
    if shown < found.count {
        out.text(&format!("{shown} of {} connections, others are left out: use filters, or count", found.count))?;
    }
    Ok(())
}

/// `show persistence [NAME]`: clients that are bound to a real server.
pub(crate) fn persistence(shell: &Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    let filter = ConnectionFilter { virtual_server: name(values), templates: true, ..ConnectionFilter::default() };
    let Connections { count, rows } = ask(shell, filter)?;
    if out.is_json() {
        return out.object("persistence", &rows);
    }
    table(&rows, out)?;
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if shown < count {
        out.text(&format!("{shown} of {count} clients, others are left out: name a virtual server"))?;
    }
    Ok(())
}

fn filter(values: &[Value]) -> ConnectionFilter {
    let text = |word: &str| option(values, word).map(ToString::to_string);
    ConnectionFilter {
        virtual_server: text("virtual-server"),
        client: text("client"),
        real_server: match option(values, "real-server") {
            Some(Value::Addr(address)) => Some(*address),
            _ => None,
        },
        real_port: None,
        open: false,
        protocol: text("protocol"),
        state: text("state"),
        templates: false,
        count: has(values, "count"),
        limit: match option(values, "limit") {
            Some(Value::Int(limit)) => *limit,
            _ => 0,
        },
    }
}

pub(crate) fn ask(shell: &Shell, filter: ConnectionFilter) -> Result<Connections, Fail> {
    match shell.director.show(Show::Connections(filter))? {
        Data::Connections(found) => Ok(found),
        other => Err(wrong(other)),
    }
}

fn table(rows: &[ConnectionRow], out: &mut Out<'_>) -> Result<(), Fail> {
    let columns: [Column; 6] = [
        left("Prot", 4),
        long("Client", 15, 10),
        long("Virtual", 15, 10),
        long("Real server", 15, 10),
        left("State", 5),
        right("Expires", 7),
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let expires = format!("{} s", row.expires_s);
            let ends = [&row.client, &row.virtual_, &row.real_server].map(Clone::clone);
            let [client, virtual_, real] = ends;
            vec![row.protocol.clone(), client, virtual_, real, row.state.clone(), expires]
        })
        .collect();
    print(&draw(&columns, &cells), out)
}
