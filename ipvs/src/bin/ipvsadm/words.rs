//! The words of the command line: a table, read by clap, and the typed line it makes of arguments.
//!
//! What they mean together is in [`crate::line`]. clap finds the words and their values; it knows no rule between words, because the rules and
//! their messages are ipvsadm's, and it neither prints nor exits. Words come out in the order they were typed: ipvsadm judges them so.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use crate::refuse::Failure;

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    AddService,
    EditService,
    DeleteService,
    Flush,
    Restore,
    Save,
    AddServer,
    EditServer,
    DeleteServer,
    List,
    Zero,
    Set,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
}

/// What a line does it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    Tcp,
    Udp,
    Sctp,
    Mark,
    V6,
    Scheduler,
    Persistent,
    Netmask,
    Engine,
    SchedulerFlags,
    OnePacket,
    RealServer,
    Gatewaying,
    Ipip,
    Masquerading,
    TunnelType,
    TunnelPort,
    TunnelNoChecksum,
    TunnelChecksum,
    TunnelRemoteChecksum,
    Weight,
    Upper,
    Lower,
    Connection,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Exact,
    Thresholds,
    PersistentConn,
    TunnelInfo,
    Sort,
    NoSort,
    Numeric,
    SyncId,
    SyncMaxlen,
    McastInterface,
    McastGroup,
    McastPort,
    McastTtl,
    // Not ipvsadm's.
    Json,
    Full,
    Replace,
    DryRun,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Do(Verb),
    With(Flag),
}
use Means::{Do, With};

/// How many values a word takes.
#[derive(Debug, Clone, Copy)]
enum Takes {
    Nothing,
    One,
    /// One that may be left out, and then is this.
    Maybe(&'static str),
    /// Three; how many there are is counted later.
    Three,
}
use Takes::{Maybe, Nothing, One, Three};

/// ipvsadm's default of `--persistent`, in seconds (its manual says 300; it is 360).
const PERSISTENT_DEFAULT: &str = "360";

#[rustfmt::skip]
const WORDS: &[(&str, Option<char>, Takes, Means)] = &[
    ("add-service", Some('A'), Nothing, Do(Verb::AddService)),
    ("edit-service", Some('E'), Nothing, Do(Verb::EditService)),
    ("delete-service", Some('D'), Nothing, Do(Verb::DeleteService)),
    ("clear", Some('C'), Nothing, Do(Verb::Flush)),
    ("restore", Some('R'), Nothing, Do(Verb::Restore)),
    ("save", Some('S'), Nothing, Do(Verb::Save)),
    ("add-server", Some('a'), Nothing, Do(Verb::AddServer)),
    ("edit-server", Some('e'), Nothing, Do(Verb::EditServer)),
    ("delete-server", Some('d'), Nothing, Do(Verb::DeleteServer)),
    ("list", Some('L'), Nothing, Do(Verb::List)),
    ("zero", Some('Z'), Nothing, Do(Verb::Zero)),
    ("set", None, Three, Do(Verb::Set)),
    ("start-daemon", None, One, Do(Verb::StartDaemon)),
    ("stop-daemon", None, One, Do(Verb::StopDaemon)),
    ("help", Some('h'), Nothing, Do(Verb::Help)),
    ("version", Some('v'), Nothing, Do(Verb::Version)),
    ("tcp-service", Some('t'), One, With(Flag::Tcp)),
    ("udp-service", Some('u'), One, With(Flag::Udp)),
    ("sctp-service", None, One, With(Flag::Sctp)),
    ("fwmark-service", Some('f'), One, With(Flag::Mark)),
    ("ipv6", Some('6'), Nothing, With(Flag::V6)),
    ("scheduler", Some('s'), One, With(Flag::Scheduler)),
    ("persistent", Some('p'), Maybe(PERSISTENT_DEFAULT), With(Flag::Persistent)),
    ("netmask", Some('M'), One, With(Flag::Netmask)),
    ("pe", None, One, With(Flag::Engine)),
    ("sched-flags", Some('b'), One, With(Flag::SchedulerFlags)),
    ("ops", Some('o'), Nothing, With(Flag::OnePacket)),
    ("real-server", Some('r'), One, With(Flag::RealServer)),
    ("gatewaying", Some('g'), Nothing, With(Flag::Gatewaying)),
    ("ipip", Some('i'), Nothing, With(Flag::Ipip)),
    ("masquerading", Some('m'), Nothing, With(Flag::Masquerading)),
    ("tun-type", None, One, With(Flag::TunnelType)),
    ("tun-port", None, One, With(Flag::TunnelPort)),
    ("tun-nocsum", None, Nothing, With(Flag::TunnelNoChecksum)),
    ("tun-csum", None, Nothing, With(Flag::TunnelChecksum)),
    ("tun-remcsum", None, Nothing, With(Flag::TunnelRemoteChecksum)),
    ("weight", Some('w'), One, With(Flag::Weight)),
    ("u-threshold", Some('x'), One, With(Flag::Upper)),
    ("l-threshold", Some('y'), One, With(Flag::Lower)),
    ("connection", Some('c'), Nothing, With(Flag::Connection)),
    ("timeout", None, Nothing, With(Flag::Timeout)),
    ("daemon", None, Nothing, With(Flag::Daemon)),
    ("stats", None, Nothing, With(Flag::Stats)),
    ("rate", None, Nothing, With(Flag::Rate)),
    ("exact", None, Nothing, With(Flag::Exact)),
    ("thresholds", None, Nothing, With(Flag::Thresholds)),
    ("persistent-conn", None, Nothing, With(Flag::PersistentConn)),
    ("tun-info", None, Nothing, With(Flag::TunnelInfo)),
    ("sort", None, Nothing, With(Flag::Sort)),
    ("nosort", None, Nothing, With(Flag::NoSort)),
    ("numeric", Some('n'), Nothing, With(Flag::Numeric)),
    ("syncid", None, One, With(Flag::SyncId)),
    ("sync-maxlen", None, One, With(Flag::SyncMaxlen)),
    ("mcast-interface", None, One, With(Flag::McastInterface)),
    ("mcast-group", None, One, With(Flag::McastGroup)),
    ("mcast-port", None, One, With(Flag::McastPort)),
    ("mcast-ttl", None, One, With(Flag::McastTtl)),
    ("json", None, Nothing, With(Flag::Json)),
    ("full", None, Nothing, With(Flag::Full)),
    ("replace", None, Nothing, With(Flag::Replace)),
    ("dry-run", None, Nothing, With(Flag::DryRun)),
];

/// Words that stand alone.
const REST: &str = "";

/// A word as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) means: Means,
    /// Its values; one empty one when it takes none.
    pub(crate) values: Vec<String>,
    /// How it is named in an error.
    pub(crate) name: String,
}

/// The words of a line, in order, and what stands alone.
pub(crate) struct Words {
    pub(crate) typed: Vec<Typed>,
    pub(crate) rest: Vec<String>,
}

fn grammar() -> Command {
    let mut grammar = Command::new("ipvsadm")
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(Arg::new(REST).num_args(0..).action(ArgAction::Append));
    for &(long, short, takes, means) in WORDS {
        let arg = Arg::new(long).long(long).short(short).action(ArgAction::Append);
        let arg = if means == Do(Verb::List) { arg.short_alias('l') } else { arg };
        grammar = grammar.arg(match takes {
            Nothing => arg.num_args(0).default_missing_value(""),
            // Also a value that begins with a dash.
            One => arg.num_args(1).allow_hyphen_values(true),
            Maybe(value) => arg.num_args(0..=1).default_missing_value(value),
            Three => arg.num_args(0..=3),
        });
    }
    grammar
}

/// Whether the first option is what the line does, which it must be.
fn begins_with_verb(first: &str) -> bool {
    let is_verb = |&(_, _, _, means): &&(&str, Option<char>, Takes, Means)| matches!(means, Do(_));
    let mut verbs = WORDS.iter().filter(is_verb);
    match first.strip_prefix("--") {
        Some(long) => verbs.any(|&(word, _, takes, _)| match long.split_once('=') {
            None => word == long,
            Some((long, _)) => word == long && matches!(takes, One),
        }),
        None => first
            .strip_prefix('-')
            .and_then(|shorts| shorts.chars().next())
            .is_some_and(|first| first == 'l' || verbs.any(|&(_, short, ..)| short == Some(first))),
    }
}

/// Finds the words of a line that is not empty.
///
/// # Errors
/// [`Failure::Usage`] when it does not begin with a verb; [`Failure::Word`] for an unknown word, or one whose value is missing or too much.
/// A line with two mistakes may be told another one first than ipvsadm tells.
pub(crate) fn read(arguments: &[String]) -> Result<Words, Failure> {
    let first = arguments.iter().find(|word| word.len() > 1 && word.starts_with('-'));
    if !first.is_some_and(|first| begins_with_verb(first)) {
        return Err(Failure::Usage);
    }
    let matches = grammar().try_get_matches_from(arguments).map_err(|error| lexical(&error, arguments))?;
    let mut typed = Vec::new();
    for &(long, short, takes, means) in WORDS {
        let (Some(indices), Some(occurrences)) = (matches.indices_of(long), matches.get_occurrences::<String>(long))
        else {
            continue;
        };
        // An occurrence has an index for each of its values.
        let mut indices = indices;
        for values in occurrences {
            let values: Vec<String> = values.cloned().collect();
            let place = indices.next().unwrap_or_default();
            for _ in 1..values.len() {
                indices.next();
            }
            let name = match takes {
                One => values.first().cloned().unwrap_or_default(),
                Nothing | Maybe(_) | Three => typed_name(arguments, long, short),
            };
            typed.push((place, Typed { means, values, name }));
        }
    }
    typed.sort_by_key(|(place, _)| *place);
    let rest = matches.get_many::<String>(REST).into_iter().flatten().cloned().collect();
    Ok(Words { typed: typed.into_iter().map(|(_, typed)| typed).collect(), rest })
}

/// A word without a value as it stands in a line: alone, or the cluster it is in.
fn typed_name(arguments: &[String], long: &str, short: Option<char>) -> String {
    let cluster =
        |word: &&String| word.starts_with('-') && !word.starts_with("--") && short.is_some_and(|c| word.contains(c));
    let spelt_out = format!("--{long}");
    if arguments.contains(&spelt_out) {
        return spelt_out;
    }
    arguments.iter().rev().find(cluster).cloned().unwrap_or(spelt_out)
}

/// clap's refusals in ipvsadm's (popt's) words.
fn lexical(error: &clap::Error, arguments: &[String]) -> Failure {
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            // The whole of a cluster is named.
            let short = invalid.strip_prefix('-').and_then(|rest| rest.chars().next());
            let typed = arguments.iter().find(|typed| **typed == invalid).or_else(|| {
                arguments.iter().find(|typed| {
                    typed.starts_with('-') && !typed.starts_with("--") && short.is_some_and(|c| typed.contains(c))
                })
            });
            Failure::Word { word: typed.cloned().unwrap_or(invalid), problem: "unknown option" }
        }
        ErrorKind::TooManyValues => {
            let name = invalid.split([' ', '=']).next().unwrap_or_default();
            let typed = arguments.iter().find(|typed| typed.starts_with(name) && typed.contains('='));
            Failure::Word { word: typed.cloned().unwrap_or(invalid), problem: "option does not take an argument" }
        }
        // Also a command's.
        _ if arguments.len() == 1 => Failure::Usage,
        _ => {
            let last = arguments.last().cloned().unwrap_or_default();
            Failure::Word { word: last, problem: "missing argument" }
        }
    }
}
