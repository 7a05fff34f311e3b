//! From a typed word to the value the trie asks for.
//!
//! One word in, one value out; forms of several words (address and mask, free text) are put together by the walker.

use std::net::IpAddr;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, u16 as number16};
use nom::combinator::{all_consuming, map_opt, opt, recognize, value, verify};
use nom::multi::separated_list1;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::{IpNet, Mask, Ports, Value, Word};
use crate::grammar::{Family, Kind, Ty};

/// Why a word is not a value of the type: nothing to add to the expected form, or a sentence.
pub(crate) type Why = Option<String>;

/// Reads one word (quotes already resolved) as `ty`.
pub(crate) fn parse(ty: Ty, text: &str) -> Result<Value, Why> {
    match ty {
        Ty::Kw => Err(None),
        Ty::Int(min, max) => integer(text).filter(|n| (min..=max).contains(n)).map(Value::Int).ok_or(None),
        Ty::Addr(family) => address(family, text).map(Value::Addr).ok_or(None),
        Ty::Host => host(text).ok_or(None),
        Ty::Net(family) => network(family, text),
        Ty::NetOrHost => match text.parse() {
            Ok(address) => Ok(Value::Net(IpNet::host(address))),
            Err(_) => network(Family::Any, text),
        },
        Ty::IfAddr(family) => interface_address(family, text),
        Ty::Port => whole(port, text).map(Value::Port).ok_or(None),
        Ty::Ports => whole(ports, text).map(Value::Ports).ok_or(None),
        Ty::Mask => mask(text).map(Value::Mask).ok_or(None),
        Ty::Netmask => Mask::dotted(text).map(Value::Mask).ok_or(None),
        Ty::Mac => text.parse().map(Value::Mac).map_err(|_| None),
        Ty::Ref(Kind::RealServer) => text.parse().map(Value::Addr).map_err(|_| None),
        Ty::Ref(Kind::Interface) | Ty::If => text.parse().map(Value::If).map_err(why),
        Ty::Name | Ty::Ref(_) => text.parse().map(Value::Name).map_err(why),
        Ty::Word => plain(text, |c| !c.is_whitespace() && !c.is_control()),
        Ty::Zone if text.starts_with('/') => Err(Some("a name is needed, such as Europe/Madrid".to_owned())),
        Ty::Zone => plain(text, |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+')),
        Ty::Base64 => plain(text, |c| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '=')),
        Ty::Url => url(text),
        Ty::Codes => whole(codes, text).map(word).ok_or(None),
        Ty::Text | Ty::Plain => free_text(text, &[]),
        Ty::Lines => free_text(text, &['\n', '\t']),
        Ty::Hash => text.parse().map(Value::Hash).map_err(|_| None),
    }
}

/// Whether `prefix` might grow into a value of `ty`: decides what `word?` lists and Tab asks for.
pub(crate) fn plausible(ty: Ty, prefix: &str) -> bool {
    let only = |good: fn(char) -> bool| prefix.chars().all(good);
    match ty {
        Ty::Kw => false,
        Ty::Int(..) => only(|c| c.is_ascii_digit()),
        Ty::Port => only(|c| c.is_ascii_digit()) || "any".starts_with(prefix),
        Ty::Ports => only(|c| c.is_ascii_digit() || c == '-') || "any".starts_with(prefix),
        Ty::Addr(_) | Ty::Net(_) | Ty::NetOrHost | Ty::IfAddr(_) | Ty::Ref(Kind::RealServer) | Ty::Mac => {
            only(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/' | '-'))
        }
        Ty::Mask | Ty::Netmask | Ty::Codes => only(|c| c.is_ascii_digit() || matches!(c, '.' | ':' | ',' | '-')),
        Ty::If | Ty::Ref(Kind::Interface) => ["eth", "bond", "lo"]
            .iter()
            .any(|kind| if prefix.len() <= kind.len() { kind.starts_with(prefix) } else { prefix.starts_with(kind) }),
        Ty::Hash => "$6$".starts_with(prefix) || prefix.starts_with("$6$"),
        Ty::Name | Ty::Ref(_) => only(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')),
        Ty::Host | Ty::Word | Ty::Zone | Ty::Base64 | Ty::Url | Ty::Text | Ty::Lines | Ty::Plain => true,
    }
}

/// Runs a nom parser over the whole word.
fn whole<'a, T>(
    parser: impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> Option<T> {
    all_consuming(parser).parse(text).ok().map(|(_, found)| found)
}

/// The sentence of a failed `FromStr`.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn why(error: super::ParseError) -> Why {
    Some(error.to_string())
}

fn word(text: &str) -> Value {
    Value::Word(Word(text.to_owned()))
}

/// A decimal number without sign; leading zeros are allowed and lost.
fn integer(text: &str) -> Option<u32> {
    whole(verify(recognize(take_while1(|c: char| c.is_ascii_digit())), |d: &str| d.len() <= 10), text)?.parse().ok()
}

fn address(family: Family, text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address| family.has(*address))
}

fn host(text: &str) -> Option<Value> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(word(&address.to_string()));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    // Digits and dots alone are a mistyped address, not a name.
    let address_like = name.chars().all(|c| c.is_ascii_digit() || c == '.');
    (name.len() <= 253 && !address_like && name.split('.').all(label)).then(|| word(text))
}

fn network(family: Family, text: &str) -> Result<Value, Why> {
    let net = text.parse::<IpNet>().ok().filter(|net| family.has(net.addr)).ok_or(None)?;
    if net == net.network() {
        Ok(Value::Net(net))
    } else {
        Err(Some(format!("host bits are set, use: {}", net.network())))
    }
}

fn interface_address(family: Family, text: &str) -> Result<Value, Why> {
    let net = text.parse::<IpNet>().ok().filter(|net| family.has(net.addr)).ok_or(None)?;
    let bad = net.addr.is_unspecified()
        || net.addr.is_multicast()
        || net.prefix_len == 0
        || matches!(net.addr, IpAddr::V4(a) if a.is_broadcast());
    // Of an interface, whose addresses are of one family in the grammar; a vrrp group needs one.
    let kernels = family == Family::V6 && matches!(net.addr, IpAddr::V6(a) if a.is_unicast_link_local());
    match (bad, kernels) {
        (true, _) => Err(Some("an address of one host is needed".to_owned())),
        (_, true) => Err(Some("each interface makes its link-local address itself, use a global one".to_owned())),
        _ => Ok(Value::Net(net)),
    }
}

/// 1-65535, `any`, or 0 for `any`.
fn port(input: &str) -> IResult<&str, u16> {
    alt((value(0, tag("any")), number16)).parse(input)
}

fn ports(input: &str) -> IResult<&str, Ports> {
    let one = || verify(number16, |n| *n > 0);
    let range = map_opt((one(), opt(preceded(char('-'), one()))), |(first, last)| {
        let last = last.unwrap_or(first);
        (first <= last).then_some(Ports { first, last })
    });
    alt((value(Ports::ANY, tag("any")), range)).parse(input)
}

fn mask(text: &str) -> Option<Mask> {
    let bare = || integer(text).and_then(|n| u8::try_from(n).ok()).map(|n| Mask { prefix_len: n, dotted: false });
    let mask = Mask::dotted(text).or_else(bare)?;
    (1..=128).contains(&mask.prefix_len).then_some(mask)
}

/// `200-299,304`: status codes of HTTP.
fn codes(input: &str) -> IResult<&str, &str> {
    let code = || verify(number16, |n| (100..=599).contains(n));
    let range = verify((code(), opt(preceded(char('-'), code()))), |(a, b)| b.is_none_or(|b| *a <= b));
    recognize(separated_list1(char(','), range)).parse(input)
}

fn url(text: &str) -> Result<Value, Why> {
    let (scheme, rest) = text.split_once("://").ok_or(None)?;
    let good = !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric())
        && !rest.is_empty()
        && rest.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        // It would be printed, logged and copied with the configuration.
        return Err(Some("a password does not belong into a URL, use a key".to_owned()));
    }
    if good { Ok(word(text)) } else { Err(None) }
}

fn plain(text: &str, good: impl Fn(char) -> bool) -> Result<Value, Why> {
    if !text.is_empty() && text.chars().all(good) { Ok(word(text)) } else { Err(None) }
}

/// Anything printable; `breaks` (which can only be typed as escapes) where the text may have several lines.
fn free_text(text: &str, breaks: &[char]) -> Result<Value, Why> {
    if text.chars().all(|c| !c.is_control() || breaks.contains(&c)) {
        Ok(Value::Text(text.to_owned()))
    } else {
        Err(Some("control characters are not allowed".to_owned()))
    }
}
