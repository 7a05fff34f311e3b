//! The requests PID 1 answers on `/run/yoke/init.sock` (root only), as `control` carries them.
//!
//! Types only: what they do is in the supervisor.

use serde::{Deserialize, Serialize};

/// Where PID 1 listens, mode 0600.
pub const SOCKET: &str = "/run/yoke/init.sock";

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Request {
    /// Run `init setup` once; the reply comes when it has ended. A request during a run queues one further run.
    Setup,
    /// Make the file system of `/flash` anew, which must not be mounted; the reply, [`Reply::Setup`], comes when it is done.
    Format,
    /// Read `/run/yoke/services.json` again and start, stop or restart what changed.
    Services,
    /// Restart one service by name.
    Restart {
        /// As in [`ServiceStatus::name`].
        name: String,
    },
    /// What runs, and why not what does not.
    Status,
    /// The last `lines` lines of the log ring.
    Log {
        /// At most this many; 0 is all.
        lines: u32,
    },
    /// Show no line any more that is in the log ring now.
    ClearLog,
    /// For who sends the log elsewhere: the lines after those it has confirmed; the reply comes when there are some. One follower of a
    /// name at a time, an earlier one is told so.
    Follow {
        /// Whose place in the log it is: what was confirmed under this name is not given again.
        follower: String,
        /// [`Followed::next`] of the last lines, which it is done with; absent when it begins.
        #[serde(default)]
        confirmed: Option<u64>,
    },
    /// A firmware on trial works. Said again every few seconds, since silence counts against it; without a trial it means nothing.
    Healthy,
    /// A firmware on trial does not work.
    Unhealthy {
        /// A sentence, for `show warnings`.
        why: String,
    },
    /// It was committed, or is aborted by a restart that follows: nobody keeps its time any more.
    TrialOver,
    /// Stop everything in order, then restart the machine. The reply precedes the stop.
    Reboot,
    /// Stop everything in order, then switch the machine off.
    PowerOff,
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// Accepted, or done.
    Done,
    /// Refused or failed: a sentence that names the object.
    Failed {
        /// Why.
        why: String,
    },
    /// How `init setup`, or the new file system, ended: every problem one sentence; empty means that all is there.
    Setup {
        /// Sentences for the operator, such as `interface eth3: no such device`.
        problems: Vec<String>,
    },
    /// Answer to [`Request::Status`].
    Status {
        /// In start order.
        services: Vec<ServiceStatus>,
        /// What went wrong at boot (a module, a mount): one sentence each, for `show warnings`.
        warnings: Vec<String>,
    },
    /// Answer to [`Request::Log`].
    Log {
        /// Oldest first.
        lines: Vec<LogLine>,
    },
    /// Answer to [`Request::Follow`].
    Followed(Followed),
}

/// Lines for who follows the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// At least one, in the order they came.
    pub lines: Vec<LogLine>,
    /// What to confirm them with.
    pub next: u64,
    /// Lines that were pushed out of the ring before they could be given.
    pub lost: u64,
}

/// One supervised process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Such as `director`, `console-ttyS0`, `ssh`.
    pub name: String,
    /// 0 when it does not run.
    pub pid: i32,
    /// `running`, `starting`, `backoff`, `stopping`, `stopped`.
    pub state: String,
    /// Why it is not running; empty when it is.
    pub why: String,
    /// Times it was started again since boot.
    pub restarts: u32,
    /// Seconds in this state.
    pub since_s: u64,
    /// What it last said of itself by sd_notify `STATUS=`; empty when it said nothing since it was started.
    #[serde(default)]
    pub status: String,
}

/// One line of the log ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since boot (CLOCK_BOOTTIME).
    pub uptime_ms: u64,
    /// 0 (emergency) to 7 (debug), RFC 5424 §6.2.1.
    pub severity: u8,
    /// Who wrote it: a service, `init` or `kernel`.
    pub source: String,
    /// The line without its end.
    pub text: String,
}

/// One entry of `/run/yoke/services.json`: what the director wants to run beside the fixed services.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique; restarts keep it.
    pub name: String,
    /// Program (absolute path) and arguments.
    pub argv: Vec<String>,
    /// Environment, nothing else is inherited.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// User and group to run as; absent: root.
    #[serde(default)]
    pub ids: Option<(u32, u32)>,
    /// Capabilities to keep (names as in capabilities(7), lower case without `cap_`); absent: all, for programs that
    /// drop them themselves.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// Processes and threads of each user (not root) who descends from it, at most; absent: no limit of its own.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Who is ended first when memory is short (`oom_score_adj` of proc(5), -1000 to 1000): less than 0 for what clients depend on, more for
    /// what somebody can have grow. What it starts inherits it.
    #[serde(default)]
    pub oom_score_adj: i16,
    /// Commands (absolute path and arguments) run one after the other before each start, with the same environment but
    /// as root who may do no more than make files and give them away. One that fails is a failed start of the service. Such as `dropbearkey` when there is no host key.
    #[serde(default)]
    pub before: Vec<Vec<String>>,
    /// Whether it says READY=1 (sd_notify) once it works.
    #[serde(default)]
    pub notify: bool,
    /// Longest silence between two WATCHDOG=1 in seconds; 0: it has no watchdog.
    #[serde(default)]
    pub watchdog_s: u32,
    /// For one whose absence hurts at once: it is started again without a wait, and after the third failure in 10 s this
    /// command (absolute path and arguments) lets go of what it held, before the usual waits. Empty: none.
    #[serde(default)]
    pub release: Vec<String>,
}

impl ServiceSpec {
    /// [`oom_score_adj`](Self::oom_score_adj) of daemons whose end clients notice.
    pub const ENDED_LAST: i16 = -900;
    /// The same of sessions: whoever may log in can ask for long answers, in many sessions.
    pub const ENDED_FIRST: i16 = 500;
}
