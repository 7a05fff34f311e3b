//! The names of everything that can be done now. What each does is in the shell; arguments are the values of the walk.

/// Every EXEC command and every control word of configuration mode.
///
/// A variant's comment lists its arguments ([`crate::walk::Meaning::Run`]'s `values`), in the order typed; `[...]` may be
/// absent, keywords among them are [`crate::value::Value::Kw`]. An option and its value stand together:
/// [`crate::walk::option`] finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    // Session.
    /// `enable [1|15]`: Int.
    Enable,
    /// `disable`.
    Disable,
    /// `exit`: one level up in configuration mode; ends the session in EXEC mode.
    Exit,
    /// `logout`.
    Logout,
    /// `help`: one screen about keys.
    Help,
    /// `who`, `show users`.
    ShowUsers,
    /// `terminal length N`: Int, 0 is no paging.
    TerminalLength,
    /// `terminal width N`: Int, 0 is unlimited.
    TerminalWidth,
    /// `terminal monitor`.
    TerminalMonitor,
    /// `terminal no monitor`.
    TerminalNoMonitor,
    /// `terminal history size N`: Int.
    TerminalHistorySize,
    /// `terminal continue-on-error`.
    TerminalContinueOnError,
    /// `show history`.
    ShowHistory,
    /// `show privilege`.
    ShowPrivilege,
    /// `show terminal`.
    ShowTerminal,

    // The box.
    /// `show version`.
    ShowVersion,
    /// `show clock`.
    ShowClock,
    /// `show processes`.
    ShowProcesses,
    /// `show memory`.
    ShowMemory,
    /// `show flash:`.
    ShowFlash,
    /// `show inventory`.
    ShowInventory,
    /// `show ip ssh`.
    ShowIpSsh,
    /// `show ntp`.
    ShowNtp,
    /// `show logging [tail N]`: Kw tail, Int.
    ShowLogging,
    /// `show tech-support [redact]`: Kw.
    ShowTechSupport,
    /// `show warnings`.
    ShowWarnings,
    /// `reload [force]`: Kw.
    Reload,
    /// `poweroff [force]`: Kw.
    PowerOff,
    /// `factory-reset [force]`: Kw.
    FactoryReset,
    /// `format flash: [force]`: Kw force.
    FormatFlash,
    /// `install add URL|FILE [force]`: Word, Kw.
    InstallAdd,
    /// `install activate [auto-abort-timer M]`: Kw, Int.
    InstallActivate,
    /// `install commit`.
    InstallCommit,
    /// `install disk NAME [force]`: Word, Kw.
    InstallDisk,
    /// `install rollback [force]`: Kw.
    InstallRollback,
    /// `install abort`.
    InstallAbort,
    /// `show install summary`.
    ShowInstall,
    /// `setup`.
    Setup,

    // Network.
    /// `show interfaces [IFNAME] [counters]`: If, Kw.
    ShowInterfaces,
    /// `show ip route`.
    ShowIpRoute,
    /// `show ipv6 route`.
    ShowIpv6Route,
    /// `show arp`: neighbours of both families.
    ShowArp,
    /// `ping HOST [count N] [source ADDR] [size N] [df]`: Word; Kw count, Int; Kw source, Addr; Kw size, Int; Kw df.
    Ping,
    /// `traceroute HOST`: Word.
    Traceroute,
    /// `resolve NAME`: Word.
    Resolve,

    // Balancing.
    /// `show virtual-server [NAME] [detail]`: Name, Kw.
    ShowVirtualServer,
    /// `show real-server [NAME [ADDR PORT]] [setup [linux|freebsd|windows]]`: Name, Addr, Port, Kw, Kw.
    ShowRealServer,
    /// `show connections [virtual-server NAME] [client PREFIX] [real-server ADDR] [protocol P] [state S] [count]
    /// [limit N]`, in any order: Kw virtual-server, Name; Kw client, Net; Kw real-server, Addr; Kw protocol, Kw; Kw state, Kw; Kw count;
    /// Kw limit, Int.
    ShowConnections,
    /// `show statistics [virtual-server NAME]`: Kw virtual-server, Name.
    ShowStatistics,
    /// `show rate [virtual-server NAME] [interval S]`, in any order: Kw virtual-server, Name; Kw interval, Int.
    ShowRate,
    /// `show persistence [NAME]`: Name.
    ShowPersistence,
    /// `show health-check [NAME]`: Name.
    ShowHealthCheck,
    /// `show thresholds`.
    ShowThresholds,
    /// `show ipvs`.
    ShowIpvs,
    /// `clear statistics [virtual-server NAME]`: Kw virtual-server, Name.
    ClearStatistics,
    /// `clear logging`.
    ClearLogging,
    /// `clear counters [interface NAME]`: Kw interface, If.
    ClearCounters,
    /// `clear arp`.
    ClearArp,
    /// `reset connections {all|client PREFIX|real-server ADDR [PORT]|virtual-server NAME}`: Kw all; Kw client, Net; Kw
    /// real-server, Addr, Port; Kw virtual-server, Name.
    ResetConnections,
    /// `reset persistence [NAME]`: Name.
    ResetPersistence,
    /// `drain real-server ADDR [PORT] [virtual-server NAME] [wait [timeout S]]`: Addr, Port; Kw virtual-server, Name;
    /// Kw wait; Kw timeout, Int.
    Drain,
    /// `undrain real-server ADDR [PORT] [virtual-server NAME]`: Addr, Port; Kw virtual-server, Name.
    Undrain,
    /// `ipvsadm [ARGUMENTS]`, read-only: Text.
    Ipvsadm,

    // Redundancy.
    /// `show vrrp [group NAME] [detail]`: Kw group, Name; Kw detail.
    ShowVrrp,
    /// `show connection-sync`.
    ShowConnectionSync,
    /// `hand-over vrrp {all|group NAME}`: Kw all; or Kw group, Name.
    HandOver,
    /// `hand-back vrrp {all|group NAME}`: the same.
    HandBack,
    /// `reset vrrp group NAME`: Kw group, Name.
    ResetVrrp,

    // Configuration.
    /// `show running-config [all|diff|sanitized|interface IFNAME|virtual-server NAME|health-monitor NAME|vrrp ...]`: Kw
    /// all, diff or sanitized; or the words of a section ([`crate::tree::Tree::section`] takes them joined by spaces).
    ShowRunningConfig,
    /// `show startup-config`.
    ShowStartupConfig,
    /// `show configuration diff`: running against startup.
    ShowConfigurationDiff,
    /// `show configuration history`.
    ShowConfigurationHistory,
    /// `show configuration rejected`.
    ShowConfigurationRejected,
    /// `configure [terminal]`.
    Configure,
    /// `configure replace startup-config [force]`: Kw startup-config; Kw force.
    ConfigureReplace,
    /// `write [memory] [force]`: Kw force (saves in spite of rejected lines).
    WriteMemory,
    /// `write erase [force]`: Kw.
    WriteErase,
    /// `copy SOURCE DESTINATION`: Kw running-config, Kw startup-config; or the other way round.
    Copy,

    // Configuration mode only.
    /// `end`: apply the open block and leave configuration mode.
    End,
    /// `commit [force]`: Kw force. Apply the open block and stay.
    Commit,
    /// `abort`: drop the open block.
    Abort,
    /// `show pending`: the lines of the open block that are not applied.
    ShowPending,
    /// `show diff`: the same as commands against the running configuration.
    ShowDiff,
}
