//! Lines of `health-monitor NAME`. Accepted, checked and kept; nothing runs them in this release.

use super::{Block, DESCRIPTION, Node, Ty, choice, kw, value};

pub(super) static MONITOR: Block = Block {
    prompt: "config-hm",
    nodes: &[
        DESCRIPTION,
        kw("type", "What is tried").then(&[
            choice("tcp", "Connect").default("tcp"),
            choice("http", "Request and status"),
            choice("https", "Request and status over TLS"),
            choice("udp", "Send, and wait for no refusal"),
            choice("dns", "Query"),
            choice("smtp", "Greeting and HELO"),
            choice("icmp", "Echo"),
        ]),
        kw("interval", "Time between two checks").then(&[seconds("<1-3600>", 1, 3600, "Seconds").default("5")]),
        kw("timeout", "Time to wait for an answer").then(&[seconds("<1-300>", 1, 300, "Seconds").default("3")]),
        kw("retry", "Failures in a row that are forgiven").then(&[seconds("<0-20>", 0, 20, "Failures").default("2")]),
        kw("retry-delay", "Time before trying again").then(&[seconds("<1-300>", 1, 300, "Seconds").default("1")]),
        kw("port", "Port to check, if not the real server's").then(&[value(
            "<1-65535>",
            Ty::Int(1, 65535),
            "Port; required where the real port is any",
        )]),
        kw("request", "What is asked").then(&[
            kw("path", "Path of the URL").then(&[value("WORD", Ty::Word, "Path, such as /healthz")]),
            kw("host", "Host header and TLS name").then(&[value("WORD", Ty::Word, "Name, such as www.example.net")]),
            kw("name", "Name to query").then(&[value("WORD", Ty::Word, "Domain name")]),
        ]),
        kw("expect", "What is a good answer").then(&[
            kw("status", "HTTP status").then(&[value("CODES", Ty::Codes, "Such as 200-299,304").default("200-299")]),
            kw("regex", "Text in the answer").then(&[value("LINE", Ty::Text, "Regular expression")]),
        ]),
    ],
};

const fn seconds(word: &'static str, min: u32, max: u32, help: &'static str) -> Node {
    value(word, Ty::Int(min, max), help)
}
