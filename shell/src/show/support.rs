//! `show tech-support`: everything somebody far away would ask for, in one output.

use yoke_config::grammar::Command as C;
use yoke_config::value::Value;
use yoke_config::walk::has;

use crate::exec;
use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;

/// What is shown, under the line one would type for it.
const PARTS: [(&str, C); 19] = [
    ("show clock", C::ShowClock),
    ("show version", C::ShowVersion),
    ("show inventory", C::ShowInventory),
    ("show ntp", C::ShowNtp),
    ("show ip ssh", C::ShowIpSsh),
    ("show warnings", C::ShowWarnings),
    ("show install summary", C::ShowInstall),
    ("show processes", C::ShowProcesses),
    ("show memory", C::ShowMemory),
    ("show flash:", C::ShowFlash),
    ("show interfaces", C::ShowInterfaces),
    ("show ip route", C::ShowIpRoute),
    ("show ipv6 route", C::ShowIpv6Route),
    ("show arp", C::ShowArp),
    ("show virtual-server", C::ShowVirtualServer),
    ("show real-server", C::ShowRealServer),
    ("show statistics", C::ShowStatistics),
    ("show ipvs", C::ShowIpvs),
    ("ipvsadm -Ln", C::Ipvsadm),
];

/// `show tech-support [redact]`. A part that fails says so and does not keep the others.
pub(crate) fn tech_support(shell: &mut Shell, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    if out.is_json() {
        return Err(Fail::failed("show tech-support: is text only, ask for its parts with | json"));
    }
    for (line, command) in PARTS {
        part(shell, line, command, &[], out)?;
    }
    let secrets = if has(values, "redact") { vec![Value::Kw("sanitized")] } else { Vec::new() };
    part(shell, "show running-config", C::ShowRunningConfig, &secrets, out)?;
    part(shell, "show logging", C::ShowLogging, &[], out)
}

fn part(shell: &mut Shell, line: &str, command: C, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    out.text(&format!("\n------------------ {line} ------------------\n"))?;
    match exec::run(shell, command, values, out) {
        Err(Fail::Stopped(stop)) => Err(stop.into()),
        Err(fail) => fail.lines().iter().try_for_each(|line| out.text(line)).map_err(Into::into),
        Ok(()) => Ok(()),
    }
}
