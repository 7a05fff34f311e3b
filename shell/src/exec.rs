//! What each command does. This file only tells them apart; the work is in the files below and in [`crate::show`].

mod account;
mod balance;
mod clear;
mod files;
mod install;
mod power;
mod reach;
mod redundancy;
mod setup;
mod upload;

use yoke_config::grammar::Command as C;
use yoke_config::value::Value;
use yoke_director::status::VrrpCommand;

use crate::out::Out;
use crate::outcome::Fail;
use crate::session::Shell;
use crate::show;

/// Runs a command with the values of its walk.
///
/// # Errors
/// Whatever kept it from being done.
pub(crate) fn run(shell: &mut Shell, command: C, values: &[Value], out: &mut Out<'_>) -> Result<(), Fail> {
    match command {
        C::Enable => account::enable(shell, values),
        C::Disable => account::disable(shell),
        C::Exit => account::exit(shell),
        C::Logout => account::logout(shell),
        C::Help => account::help(out),
        C::TerminalLength => account::terminal_length(shell, values),
        C::TerminalWidth => account::terminal_width(shell, values),
        C::TerminalMonitor => account::terminal_monitor(shell, true),
        C::TerminalNoMonitor => account::terminal_monitor(shell, false),
        C::TerminalHistorySize => account::terminal_history(shell, values),
        C::TerminalContinueOnError => account::continue_on_error(shell),
        C::ShowHistory => account::show_history(shell, out),
        C::ShowPrivilege => account::show_privilege(shell, out),
        C::ShowTerminal => account::show_terminal(shell, out),
        C::ShowUsers => show::system::users(shell, out),

        C::ShowVersion => show::system::version(shell, out),
        C::ShowClock => show::system::date(out),
        C::ShowProcesses => show::system::processes(shell, out),
        C::ShowMemory => show::system::memory(shell, out),
        C::ShowFlash => show::system::flash(shell, out),
        C::ShowInventory => show::inventory::inventory(shell, out),
        C::ShowIpSsh => show::ssh::ssh(shell, out),
        C::ShowNtp => show::ntp::ntp(shell, out),
        C::ShowLogging => show::system::logging(shell, values, out),
        C::ShowTechSupport => show::support::tech_support(shell, values, out),
        C::ShowWarnings => show::system::warnings(shell, out),
        C::Reload => power::reload(shell, values),
        C::PowerOff => power::power_off(shell, values),
        C::FormatFlash => power::format_flash(shell, values),
        C::FactoryReset => power::factory_reset(shell, values),
        C::InstallAdd => install::add(shell, values),
        C::InstallActivate => install::activate(shell, values),
        C::InstallCommit => install::commit(shell),
        C::InstallDisk => install::disk(shell, values),
        C::InstallRollback => install::roll_back(shell, values),
        C::InstallAbort => install::abort(shell),
        C::ShowInstall => show::system::install(shell, out),
        C::Setup => setup::setup(shell),

        C::ShowInterfaces => show::network::interfaces(shell, values, out),
        C::ShowIpRoute => show::network::routes(shell, false, out),
        C::ShowIpv6Route => show::network::routes(shell, true, out),
        C::ShowArp => show::network::neighbours(shell, out),
        C::Ping => reach::ping(shell, values, out),
        C::Traceroute => reach::traceroute(shell, values, out),
        C::Resolve => reach::resolve(values, out),

        C::ShowVirtualServer => show::balance::virtual_servers(shell, values, out),
        C::ShowRealServer => show::balance::real_servers(shell, values, out),
        C::ShowConnections => show::connections::connections(shell, values, out),
        C::ShowStatistics => show::counters::statistics(shell, values, out),
        C::ShowRate => show::counters::rate(shell, values, out),
        C::ShowPersistence => show::connections::persistence(shell, values, out),
        C::ShowHealthCheck => show::health::checks(shell, values, out),
        C::ShowThresholds => show::balance::thresholds(shell, out),
        C::ShowIpvs => show::ipvs::settings(shell, out),
        C::ClearStatistics => clear::statistics(shell, values),
        C::ClearLogging => clear::log(shell),
        C::ClearCounters => clear::counters(shell, values),
        C::ClearArp => clear::arp(shell),
        C::ResetConnections => balance::reset_connections(shell, values, out),
        C::ResetPersistence => balance::reset_persistence(shell, values, out),
        C::Drain => balance::drain(shell, values, out),
        C::Undrain => balance::undrain(shell, values),
        C::Ipvsadm => show::balance::ipvsadm(shell, values, out),

        C::ShowVrrp => show::vrrp::vrrp(shell, values, out),
        C::ShowConnectionSync => show::vrrp::connection_sync(shell, out),
        C::HandOver => redundancy::tell(shell, VrrpCommand::HandOver, values),
        C::HandBack => redundancy::tell(shell, VrrpCommand::HandBack, values),
        C::ResetVrrp => redundancy::tell(shell, VrrpCommand::Reset, values),

        C::ShowRunningConfig => files::show_running(shell, values, out),
        C::ShowStartupConfig => files::show_startup(shell, out),
        C::ShowConfigurationDiff => files::show_diff(shell, out),
        C::ShowConfigurationHistory => files::show_history(shell, out),
        C::ShowConfigurationRejected => files::show_rejected(shell, out),
        C::Configure => files::configure(shell),
        C::ConfigureReplace => files::replace(shell, values),
        C::WriteMemory => files::write_memory(shell, values, out),
        C::WriteErase => files::write_erase(shell, values),
        C::Copy => files::copy(shell, values, out),

        C::End => shell.leave_configuration(),
        C::Commit => files::commit(shell, values),
        C::Abort => {
            shell.abort_block();
            Ok(())
        }
        C::ShowPending => files::show_pending(shell, out),
        C::ShowDiff => files::show_block_diff(shell, out),
    }
}

/// The number at the start of the values, where the grammar asks for one.
fn number(values: &[Value]) -> Option<u32> {
    match values.first() {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}
