//! Lines of `health-monitor NAME`, and which of them belong together.

use crate::model::{Check, HealthCheck, HttpCheck, Monitor, Statuses, Tls, Trust};
use crate::tree::Tree;
use crate::value::{Name, Value};

use super::global::{port16, small};
use super::{Findings, Line};

/// Lines that only some types have, as they were found.
#[derive(Default)]
struct Lines {
    type_: Option<&'static str>,
    path: Option<String>,
    host: Option<String>,
    name: Option<String>,
    payload: Option<String>,
    status: Option<Statuses>,
    regex: Option<String>,
    tls_name: Option<String>,
    trust: Option<Trust>,
    program: Option<String>,
    connect: bool,
}

/// Problems are reported; what is read is the best that can be made of the lines.
pub(super) fn read(name: &Name, below: &Tree, out: &mut Findings) -> Monitor {
    use Value as V;
    let object = format!("health-monitor {name}");
    let (mut monitor, mut lines) = (Monitor::default(), Lines::default());
    for (key, entry) in below.lines() {
        let line = Line::new(key, entry);
        match (line.kind.as_str(), line.words.as_slice()) {
            ("description", [V::Text(text)]) => monitor.description = Some(text.clone()),
            ("type", [V::Kw(word)]) => lines.type_ = Some(word),
            ("connect", []) => lines.connect = true,
            ("interval", [V::Int(seconds)]) => monitor.interval_s = port16(*seconds),
            ("timeout", [V::Int(seconds)]) => monitor.timeout_s = port16(*seconds),
            ("retry", [V::Int(times)]) => monitor.retry = small(*times),
            ("retry-delay", [V::Int(seconds)]) => monitor.retry_delay_s = port16(*seconds),
            ("rise", [V::Int(times)]) => monitor.rise = small(*times),
            ("fall", [V::Int(times)]) => monitor.fall = small(*times),
            ("port", [V::Int(port)]) => monitor.port = Some(port16(*port)),
            ("request path", [V::Word(path)]) => lines.path = Some(path.as_str().to_owned()),
            ("request host", [V::Word(host)]) => lines.host = Some(host.as_str().to_owned()),
            ("request name", [V::Word(name)]) => lines.name = Some(name.as_str().to_owned()),
            ("request payload", [V::Text(text)]) => lines.payload = Some(text.clone()),
            ("expect status", [V::Word(codes)]) => lines.status = Some(statuses(codes.as_str())),
            ("expect regex", [V::Text(text)]) => lines.regex = Some(text.clone()),
            ("tls name", [V::Word(name)]) => lines.tls_name = Some(name.as_str().to_owned()),
            ("tls trust", [V::Kw(word)]) => {
                lines.trust = Some(if *word == "public" { Trust::Public } else { Trust::Any });
            }
            ("tls trust", [V::Kw(_), V::Word(base64)]) => {
                lines.trust =
                    Some(Trust::Authority(authority(&format!("{object}: tls trust ca"), base64.as_str(), out)));
            }
            ("program", [V::Word(program)]) => lines.program = Some(program.as_str().to_owned()),
            _ => out.unread(&line),
        }
    }
    lines.check(&object, out);
    monitor.check = lines.into_check(&object, out);
    monitor
}

/// A line, the types it is for, whether it is there.
type Belongs = (&'static str, &'static [&'static str], bool);

impl Lines {
    fn type_(&self) -> &'static str {
        self.type_.unwrap_or("tcp")
    }

    fn check(&self, object: &str, out: &mut Findings) {
        let belongs: [Belongs; 10] = [
            ("connect", &["tcp"], self.connect),
            ("request path", &["http", "https"], self.path.is_some()),
            ("request host", &["http", "https", "smtp"], self.host.is_some()),
            ("request name", &["dns"], self.name.is_some()),
            ("request payload", &["udp"], self.payload.is_some()),
            ("expect status", &["http", "https"], self.status.is_some()),
            ("expect regex", &["http", "https", "udp"], self.regex.is_some()),
            ("tls name", &["https"], self.tls_name.is_some()),
            ("tls trust", &["https"], self.trust.is_some()),
            ("program", &["external"], self.program.is_some()),
        ];
        for (line, types, there) in belongs {
            if there && !types.contains(&self.type_()) {
                let all = types.join(" or ");
                out.problem(format!("{object}: {line} is for type {all}, remove it or use: type {}", types[0]));
            }
        }
        if let Some(path) = &self.path
            && (!path.starts_with('/') || !path.is_ascii())
        {
            out.problem(format!("{object}: request path {path} is no path, it begins with / and is ASCII"));
        }
        let names = [("request host", &self.host), ("request name", &self.name), ("tls name", &self.tls_name)];
        for (line, name) in names {
            if let Some(name) = name.as_ref().filter(|name| !is_host(name)) {
                out.problem(format!("{object}: {line} {name} is no name of a host, use another"));
            }
        }
        if let Some(why) = self.regex.as_ref().and_then(|text| regex_lite::Regex::new(text).err()) {
            let why = why.to_string().replace('\n', " ");
            out.problem(format!("{object}: expect regex is no regular expression: {why}, correct it"));
        }
        if let Some(program) = self.program.as_ref().filter(|program| !is_program(program)) {
            out.problem(format!("{object}: program {program} is no name of a program, use letters, digits and - only"));
        }
    }

    fn into_check(self, object: &str, out: &mut Findings) -> Check {
        match self.type_() {
            "http" | "https" => {
                let tls = (self.type_() == "https")
                    .then(|| Tls { name: self.tls_name, trust: self.trust.unwrap_or_default() });
                Check::Http(HttpCheck {
                    path: self.path.unwrap_or_else(|| "/".to_owned()),
                    host: self.host,
                    status: self.status.unwrap_or_default(),
                    regex: self.regex,
                    tls,
                })
            }
            "udp" => Check::Udp { payload: self.payload.unwrap_or_default(), regex: self.regex },
            "dns" => Check::Dns { name: self.name },
            "smtp" => Check::Smtp { host: self.host },
            "icmp" => Check::Icmp,
            "external" => {
                if self.program.is_none() {
                    out.problem(format!("{object}: type external has no program, use: program NAME"));
                }
                Check::External { program: self.program.unwrap_or_default() }
            }
            _ => Check::Tcp { connect: self.connect },
        }
    }
}

/// `none`, or a name that need not exist.
pub(super) fn health_check(words: &[&Value]) -> HealthCheck {
    if let [Value::Name(name)] = words { HealthCheck::Monitor(name.clone()) } else { HealthCheck::None }
}

/// The trie has checked the form.
fn statuses(codes: &str) -> Statuses {
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    Statuses(codes.split(',').filter_map(range).collect())
}

/// A name or an address as it may stand in a header or in SNI: no space, no control character, and not so long that no name is.
fn is_host(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    !text.is_empty() && text.len() <= 255 && text.chars().all(good)
}

fn is_program(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The bytes of the certificate in the line `object`.
pub(super) fn authority(object: &str, base64: &str, out: &mut Findings) -> Vec<u8> {
    // A certificate is an ASN.1 sequence (RFC 5280 §4.1).
    let der = decode(base64).filter(|der| der.first() == Some(&0x30));
    der.unwrap_or_else(|| {
        let how = "use the lines between BEGIN and END CERTIFICATE as one";
        out.problem(format!("{object} is no certificate, {how}"));
        Vec::new()
    })
}

/// RFC 4648 §4, with its padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(digits.len()), 0u32, 0);
    for c in digits.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).unwrap_or_default());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("+/+/").as_deref(), Some(&[0xfb, 0xff, 0xbf][..]));
        for wrong in ["Z", "Zg", "Zg=", "Zm9v====", "Z===", "Zm=v", "Zm9-"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
