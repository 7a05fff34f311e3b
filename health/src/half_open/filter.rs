//! The program by which the kernel keeps from a raw socket what answers none of our SYNs: classic BPF (Documentation/networking/filter.rst). Pure.
//!
//! Our SYNs have sequence numbers that begin with the same bits, a secret of this process. Who does not know them reaches the socket with one packet
//! in so many, and does not fill its queue, where a true answer would be lost. A server that is asked knows them; the rest of the number is of each SYN.
//!
//! A raw socket of IPv4 sees a packet from its IP header on, one of IPv6 from what follows it.

use std::ops::Range;

use socket2::SockFilter;

/// Of which packets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    /// TCP: those that may answer a SYN.
    Answers,
    /// ICMP: those that say what has become of one.
    Errors,
}

/// The bits of a sequence number that all have in common: 12, so that of a flood of a million packets a second 244 come through, and 20 are left to be
/// guessed by who knows them, within a probe's time and from its port.
pub(super) const COMMON: u32 = 0xfff0_0000;

/// Opcodes (linux/bpf_common.h): the accumulator A, the index X.
const LOAD_WORD: u16 = 0x20;
const LOAD_WORD_X: u16 = 0x40;
const LOAD_BYTE: u16 = 0x30;
const LOAD_BYTE_X: u16 = 0x50;
const LOAD_HALF: u16 = 0x28;
const LOAD_HALF_X: u16 = 0x48;
/// X becomes the length of the IPv4 header at that place.
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const SUBTRACT: u16 = 0x14;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const ADD_X: u16 = 0x0c;
const TO_X: u16 = 0x07;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Flags of TCP: SYN or RST, ACK.
const SYN_RST: u32 = 0x06;
const ACK: u32 = 0x10;

/// A step; a jump is relative to the next.
type Step = (u16, u8, u8, u32);

/// Whose answers are let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Our ports.
    pub(super) ports: Range<u16>,
    /// How sequence numbers of ours begin, within [`COMMON`].
    pub(super) common: u32,
}

/// Lets through what comes to one of the ports and acknowledges a number of ours, or is about what went from one with such a number.
pub(super) fn program(of: Of, ipv6: bool, asked: &Asked) -> Vec<SockFilter> {
    let steps = steps(of, ipv6, asked);
    steps.into_iter().map(|(code, yes, no, k)| SockFilter::new(code, yes, no, k)).collect()
}

fn steps(of: Of, ipv6: bool, Asked { ports, common }: &Asked) -> Vec<Step> {
    let count = u32::from(ports.end - ports.start);
    // The difference wraps around for those below.
    let is_ours = [(SUBTRACT, 0, 0, u32::from(ports.start)), (JUMP_GREATER_OR_EQUAL, DROP, 0, count)];
    let mut steps: Vec<Step> = match (of, ipv6) {
        (Of::Answers, false) => vec![(LOAD_HEADER_LENGTH, 0, 0, 0), (LOAD_HALF_X, 0, 0, 2)],
        (Of::Answers, true) => vec![(LOAD_HALF, 0, 0, 2)],
        // The type of the message: unreachable, time exceeded, parameter problem. The protocol of the packet it quotes. The port that came from.
        (Of::Errors, false) => vec![
            (LOAD_HEADER_LENGTH, 0, 0, 0),
            (LOAD_BYTE_X, 0, 0, 0),
            (JUMP_EQUAL, 2, 0, 3),
            (JUMP_EQUAL, 1, 0, 11),
            (JUMP_EQUAL, 0, DROP, 12),
            (LOAD_BYTE_X, 0, 0, 8 + 9),
            (JUMP_EQUAL, 0, DROP, 6),
            (LOAD_BYTE_X, 0, 0, 8),
            (AND, 0, 0, 0x0f),
            (SHIFT_LEFT, 0, 0, 2),
            (ADD_X, 0, 0, 0),
            (TO_X, 0, 0, 0),
            (LOAD_HALF_X, 0, 0, 8),
        ],
        (Of::Errors, true) => vec![
            (LOAD_BYTE, 0, 0, 0),
            (JUMP_EQUAL, 2, 0, 1),
            (JUMP_EQUAL, 1, 0, 3),
            (JUMP_EQUAL, 0, DROP, 4),
            (LOAD_BYTE, 0, 0, 8 + 6),
            (JUMP_EQUAL, 0, DROP, 6),
            (LOAD_HALF, 0, 0, 8 + 40),
        ],
    };
    steps.extend(is_ours);
    if matches!(of, Of::Answers) {
        let load = if ipv6 { LOAD_BYTE } else { LOAD_BYTE_X };
        steps.extend([(load, 0, 0, 13), (JUMP_SET, 0, DROP, ACK), (JUMP_SET, 0, DROP, SYN_RST)]);
    }
    // Acknowledged, which is one more: no number of ours ends in ones only. Or quoted.
    steps.push(match (of, ipv6) {
        (Of::Answers, false) => (LOAD_WORD_X, 0, 0, 8),
        (Of::Answers, true) => (LOAD_WORD, 0, 0, 8),
        (Of::Errors, false) => (LOAD_WORD_X, 0, 0, 8 + 4),
        (Of::Errors, true) => (LOAD_WORD, 0, 0, 8 + 40 + 4),
    });
    steps.extend([(AND, 0, 0, COMMON), (JUMP_EQUAL, 0, DROP, *common)]);
    let end = steps.len() + 1;
    for (at, (code, yes, no, _)) in steps.iter_mut().enumerate() {
        let away = u8::try_from(end - at - 1).expect("a short program");
        if *code & 0x07 == 0x05 {
            for jump in [yes, no] {
                if *jump == DROP {
                    *jump = away;
                }
            }
        }
    }
    steps.extend([(RETURN, 0, 0, u32::MAX), (RETURN, 0, 0, 0)]);
    steps
}

/// A jump to the end, where nothing is let through.
const DROP: u8 = u8::MAX;

#[cfg(test)]
mod tests;
