//! Lines of `health-monitor NAME`: how a server is asked whether it works.

use super::{Block, DESCRIPTION, Node, Ty, choice, flag, kw, value};

pub(super) static MONITOR: Block = Block {
    prompt: "config-hm",
    nodes: &[
        DESCRIPTION,
        kw("type", "What is tried").then(&[
            choice("tcp", "Begin a connection").default("tcp"),
            choice("http", "Request and status"),
            choice("https", "Request and status over TLS"),
            choice("udp", "Send, and wait for an answer or no refusal"),
            choice("dns", "Query"),
            choice("smtp", "Greeting and HELO"),
            choice("icmp", "Echo"),
            choice("external", "A program of the image"),
        ]),
        flag("connect", "Type tcp: make the connection, and not half of it"),
        kw("interval", "Time between two checks").then(&[seconds("<1-3600>", 1, 3600, "Seconds").default("5")]),
        kw("timeout", "Time to wait for an answer").then(&[seconds("<1-300>", 1, 300, "Seconds").default("2")]),
        kw("retry", "Failures in a row that are forgiven").then(&[seconds("<0-20>", 0, 20, "Failures").default("2")]),
        kw("retry-delay", "Time from one try to the next").then(&[seconds("<1-300>", 1, 300, "Seconds").default("1")]),
        kw("rise", "Good checks in a row until it is up again")
            .then(&[value("<1-20>", Ty::Int(1, 20), "Checks").default("1")]),
        kw("fall", "Failed checks in a row until it is down").then(&[value(
            "<1-20>",
            Ty::Int(1, 20),
            "Checks, each of them with its retries",
        )
        .default("1")]),
        kw("port", "Port to check, if not the real server's").then(&[value(
            "<1-65535>",
            Ty::Int(1, 65535),
            "Port; required where the real port is any",
        )]),
        kw("request", "What is asked").then(&[
            kw("path", "Path of the URL").then(&[value("WORD", Ty::Word, "Path, such as /healthz")]),
            kw("host", "Host header and TLS name").then(&[value("WORD", Ty::Word, "Name, such as www.example.net")]),
            kw("name", "Name to query").then(&[value("WORD", Ty::Word, "Domain name")]),
            kw("payload", "What a datagram carries").then(&[value("LINE", Ty::Text, "Text")]),
        ]),
        kw("expect", "What is a good answer").then(&[
            kw("status", "HTTP status").then(&[value("CODES", Ty::Codes, "Such as 200-299,304").default("200-299")]),
            kw("regex", "Text in the answer").then(&[value("LINE", Ty::Text, "Regular expression")]),
        ]),
        kw("tls", "TLS of type https").then(&[
            kw("name", "Name asked for, if not the host").then(&[value("WORD", Ty::Word, "Server name")]),
            kw("trust", "Whose certificate is good").then(&[
                choice("any", "Any, even one that has expired").default("any"),
                choice("public", "One that a public authority has signed"),
                kw("ca", "One that this authority has signed").val().then(&[value(
                    "BASE64",
                    Ty::Base64,
                    "Certificate of the authority, one line",
                )]),
            ]),
        ]),
        kw("program", "What type external runs").then(&[value("WORD", Ty::Word, "Name of a program of the image")]),
    ],
};

const fn seconds(word: &'static str, min: u32, max: u32, help: &'static str) -> Node {
    value(word, Ty::Int(min, max), help)
}
