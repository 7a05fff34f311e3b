//! The words of the command line: a table, and what reads a line by it.
//!
//! No argument parser is used. ipvsadm judges words in the order they are typed and stops at the first that is wrong, a rule clap's parser does
//! not know; and `-R` reads ten thousand lines, of which that takes 12 us each, and its lexer (`clap_lex`, which owns every word) half of what is
//! left. Here a word is borrowed from the line, and looked up in a table.
//! What words mean together is in [`super::line`].

use super::refuse::Failure;

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
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
pub(super) enum Flag {
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
pub(super) enum Means {
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
}
use Takes::{Maybe, Nothing, One};

/// ipvsadm's default of `--persistent`, in seconds (its manual says 300; it is 360).
const PERSISTENT_DEFAULT: &str = "360";

/// `-l` is `-L`.
const LIST_ALIAS: char = 'l';

/// A word of the table.
#[derive(Debug)]
struct Word {
    long: &'static str,
    short: Option<char>,
    takes: Takes,
    means: Means,
}

const fn word(long: &'static str, short: Option<char>, takes: Takes, means: Means) -> Word {
    Word { long, short, takes, means }
}

#[rustfmt::skip]
const WORDS: &[Word] = &[
    word("add-service", Some('A'), Nothing, Do(Verb::AddService)),
    word("edit-service", Some('E'), Nothing, Do(Verb::EditService)),
    word("delete-service", Some('D'), Nothing, Do(Verb::DeleteService)),
    word("clear", Some('C'), Nothing, Do(Verb::Flush)),
    word("restore", Some('R'), Nothing, Do(Verb::Restore)),
    word("save", Some('S'), Nothing, Do(Verb::Save)),
    word("add-server", Some('a'), Nothing, Do(Verb::AddServer)),
    word("edit-server", Some('e'), Nothing, Do(Verb::EditServer)),
    word("delete-server", Some('d'), Nothing, Do(Verb::DeleteServer)),
    word("list", Some('L'), Nothing, Do(Verb::List)),
    word("zero", Some('Z'), Nothing, Do(Verb::Zero)),
    word("set", None, Nothing, Do(Verb::Set)),
    word("start-daemon", None, One, Do(Verb::StartDaemon)),
    word("stop-daemon", None, One, Do(Verb::StopDaemon)),
    word("help", Some('h'), Nothing, Do(Verb::Help)),
    word("version", Some('v'), Nothing, Do(Verb::Version)),
    word("tcp-service", Some('t'), One, With(Flag::Tcp)),
    word("udp-service", Some('u'), One, With(Flag::Udp)),
    word("sctp-service", None, One, With(Flag::Sctp)),
    word("fwmark-service", Some('f'), One, With(Flag::Mark)),
    word("ipv6", Some('6'), Nothing, With(Flag::V6)),
    word("scheduler", Some('s'), One, With(Flag::Scheduler)),
    word("persistent", Some('p'), Maybe(PERSISTENT_DEFAULT), With(Flag::Persistent)),
    word("netmask", Some('M'), One, With(Flag::Netmask)),
    word("pe", None, One, With(Flag::Engine)),
    word("sched-flags", Some('b'), One, With(Flag::SchedulerFlags)),
    word("ops", Some('o'), Nothing, With(Flag::OnePacket)),
    word("real-server", Some('r'), One, With(Flag::RealServer)),
    word("gatewaying", Some('g'), Nothing, With(Flag::Gatewaying)),
    word("ipip", Some('i'), Nothing, With(Flag::Ipip)),
    word("masquerading", Some('m'), Nothing, With(Flag::Masquerading)),
    word("tun-type", None, One, With(Flag::TunnelType)),
    word("tun-port", None, One, With(Flag::TunnelPort)),
    word("tun-nocsum", None, Nothing, With(Flag::TunnelNoChecksum)),
    word("tun-csum", None, Nothing, With(Flag::TunnelChecksum)),
    word("tun-remcsum", None, Nothing, With(Flag::TunnelRemoteChecksum)),
    word("weight", Some('w'), One, With(Flag::Weight)),
    word("u-threshold", Some('x'), One, With(Flag::Upper)),
    word("l-threshold", Some('y'), One, With(Flag::Lower)),
    word("connection", Some('c'), Nothing, With(Flag::Connection)),
    word("timeout", None, Nothing, With(Flag::Timeout)),
    word("daemon", None, Nothing, With(Flag::Daemon)),
    word("stats", None, Nothing, With(Flag::Stats)),
    word("rate", None, Nothing, With(Flag::Rate)),
    word("exact", None, Nothing, With(Flag::Exact)),
    word("thresholds", None, Nothing, With(Flag::Thresholds)),
    word("persistent-conn", None, Nothing, With(Flag::PersistentConn)),
    word("tun-info", None, Nothing, With(Flag::TunnelInfo)),
    word("sort", None, Nothing, With(Flag::Sort)),
    word("nosort", None, Nothing, With(Flag::NoSort)),
    word("numeric", Some('n'), Nothing, With(Flag::Numeric)),
    word("syncid", None, One, With(Flag::SyncId)),
    word("sync-maxlen", None, One, With(Flag::SyncMaxlen)),
    word("mcast-interface", None, One, With(Flag::McastInterface)),
    word("mcast-group", None, One, With(Flag::McastGroup)),
    word("mcast-port", None, One, With(Flag::McastPort)),
    word("mcast-ttl", None, One, With(Flag::McastTtl)),
    word("json", None, Nothing, With(Flag::Json)),
    word("full", None, Nothing, With(Flag::Full)),
    word("replace", None, Nothing, With(Flag::Replace)),
    word("dry-run", None, Nothing, With(Flag::DryRun)),
];

/// Places in [`WORDS`] by letter: `-R` reads tens of thousands of them.
static LETTERS: [u8; 128] = {
    let mut letters = [u8::MAX; 128];
    let mut place = 0;
    while place < WORDS.len() {
        if let Some(letter) = WORDS[place].short {
            // The table has less than 255 words, and ASCII letters.
            #[expect(clippy::cast_possible_truncation, reason = "see above")]
            let number = place as u8;
            letters[letter as usize] = number;
        }
        place += 1;
    }
    letters
};

fn by_letter(letter: char) -> Option<&'static Word> {
    let place = LETTERS.get(usize::try_from(u32::from(letter)).ok()?)?;
    WORDS.get(usize::from(*place))
}

/// A word of the table as it was typed.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    pub(super) means: Means,
    /// Empty when it takes none.
    pub(super) value: &'a str,
    /// How a second command is named in an error: its value, or what it stands in.
    pub(super) name: &'a str,
}

/// A piece of a line.
#[derive(Debug)]
pub(super) enum Token<'a> {
    Word(Typed<'a>),
    /// What is no option.
    Alone(&'a str),
}

/// Reads a line, word by word.
pub(super) struct Words<'a> {
    /// What comes.
    rest: &'a [&'a str],
    /// What is left of a cluster such as `-Ln`, and all of it.
    cluster: Option<(&'a str, &'a str)>,
    /// Behind `--`.
    options_end: bool,
    /// The first option, which must be what the line does, was seen.
    begun: bool,
}

impl<'a> Words<'a> {
    pub(super) fn new(arguments: &'a [&'a str]) -> Self {
        Self { rest: arguments, cluster: None, options_end: false, begun: false }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the first option is not what the line does, or is itself wrong; [`Failure::Word`] for an unknown word, or one
    /// whose value is missing or too much.
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, Failure> {
        let token = match self.cluster.take() {
            Some((shorts, all)) => self.short(shorts, all),
            None => self.argument(),
        };
        if self.begun || matches!(token, Ok(Some(Token::Alone(_)))) {
            return token;
        }
        self.begun = true;
        match token {
            Ok(Some(Token::Word(Typed { means: Do(_), .. }))) => token,
            _ => Err(Failure::Usage),
        }
    }

    fn argument(&mut self) -> Result<Option<Token<'a>>, Failure> {
        let Some(all) = self.following() else { return Ok(None) };
        if self.options_end {
            return Ok(Some(Token::Alone(all)));
        }
        if all == "--" {
            self.options_end = true;
            return if self.begun { self.argument() } else { Err(Failure::Usage) };
        }
        if let Some(long) = all.strip_prefix("--") {
            let (long, value) = long.split_once('=').map_or((long, None), |(long, value)| (long, Some(value)));
            let Some(word) = WORDS.iter().find(|word| word.long == long) else { return Err(unknown(all)) };
            return self.word(word, value, all).map(Some);
        }
        match all.strip_prefix('-') {
            // A dash by itself is no option.
            Some("") | None => Ok(Some(Token::Alone(all))),
            Some(letters) => self.short(letters, all),
        }
    }

    /// The word that comes.
    fn following(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next letter of a cluster.
    fn short(&mut self, letters: &'a str, all: &'a str) -> Result<Option<Token<'a>>, Failure> {
        let mut rest = letters.chars();
        let Some(letter) = rest.next() else { return self.argument() };
        let rest = rest.as_str();
        let letter = if letter == LIST_ALIAS { 'L' } else { letter };
        let Some(word) = by_letter(letter) else { return Err(unknown(all)) };
        if matches!(word.takes, Nothing) {
            self.cluster = Some((rest, all));
            return self.word(word, None, all).map(Some);
        }
        let attached = if rest.is_empty() { None } else { Some(rest.strip_prefix('=').unwrap_or(rest)) };
        self.word(word, attached, all).map(Some)
    }

    /// A word with its value: what is attached, or what follows.
    fn word(&mut self, word: &'static Word, attached: Option<&'a str>, all: &'a str) -> Result<Token<'a>, Failure> {
        let value = match (word.takes, attached) {
            (Nothing, None) => "",
            (Nothing, Some(_)) => {
                return Err(Failure::Word { word: all.into(), problem: "option does not take an argument" });
            }
            (One | Maybe(_), Some(value)) => value,
            // Also one that begins with a dash.
            (One, None) => match self.following() {
                Some(value) => value,
                None => return Err(Failure::Word { word: all.into(), problem: "missing argument" }),
            },
            (Maybe(default), None) => self.value().unwrap_or(default),
        };
        let name = match (word.means, word.takes) {
            (With(_), _) => "",
            (Do(_), Nothing) => all,
            (Do(_), One | Maybe(_)) => value,
        };
        Ok(Token::Word(Typed { means: word.means, value, name }))
    }

    /// What follows, if it is no option.
    fn value(&mut self) -> Option<&'a str> {
        self.rest.first().filter(|value| !value.starts_with('-'))?;
        self.following()
    }
}

fn unknown(word: &str) -> Failure {
    Failure::Word { word: word.into(), problem: "unknown option" }
}
