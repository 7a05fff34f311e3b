//! The program run as the kernel runs it, on what the parsers take and on what they do not.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::segment::tests::{complaint, ipv4};
use super::super::segment::{Answer, Syn, parse_answer, parse_error_v4, parse_error_v6, parse_ipv4};
use super::*;

const PORTS: Range<u16> = 40_000..40_016;
const OURS: u32 = 0xabc0_0000;

/// Classic BPF, as far as the program needs it. Bytes beyond the end drop the packet, as they do there.
fn passes(of: Of, ipv6: bool, packet: &[u8]) -> bool {
    let steps = steps(of, ipv6, &Asked { ports: PORTS, common: OURS });
    run(&steps, packet).is_some_and(|length| length > 0)
}

fn run(steps: &[Step], packet: &[u8]) -> Option<u32> {
    let byte = |at: u32| packet.get(usize::try_from(at).ok()?).map(|byte| u32::from(*byte));
    let half = |at: u32| Some(byte(at)? << 8 | byte(at + 1)?);
    let word = |at: u32| Some(half(at)? << 16 | half(at + 2)?);
    let (mut a, mut x, mut at) = (0u32, 0u32, 0);
    loop {
        let &(code, yes, no, k) = steps.get(at).expect("no jump leaves the program");
        at += 1;
        let mut jump = |condition| at += usize::from(if condition { yes } else { no });
        match code {
            LOAD_WORD => a = word(k)?,
            LOAD_WORD_X => a = word(x + k)?,
            LOAD_BYTE => a = byte(k)?,
            LOAD_BYTE_X => a = byte(x + k)?,
            LOAD_HALF => a = half(k)?,
            LOAD_HALF_X => a = half(x + k)?,
            LOAD_HEADER_LENGTH => x = (byte(k)? & 0x0f) * 4,
            SUBTRACT => a = a.wrapping_sub(k),
            AND => a &= k,
            SHIFT_LEFT => a <<= k,
            ADD_X => a = a.wrapping_add(x),
            TO_X => x = a,
            JUMP_EQUAL => jump(a == k),
            JUMP_GREATER_OR_EQUAL => jump(a >= k),
            JUMP_SET => jump(a & k != 0),
            RETURN => return Some(k),
            other => unreachable!("{other}"),
        }
    }
}

fn is_ours(answer: Option<Answer>) -> bool {
    answer.is_some_and(|answer| PORTS.contains(&answer.port) && answer.isn & COMMON == OURS)
}

proptest! {
    #[test]
    fn what_is_parsed_and_is_ours_passes(
        port in 39_990u16..40_026, flags: u8, words in 0u8..=10, type_ in 0u8..14, code in 0u8..16, common in prop_oneof![Just(OURS), any::<u32>()], rest in 0..!COMMON,
    ) {
        let isn = common & COMMON | rest;
        let addresses: [(IpAddr, IpAddr); 2] =
            [([10, 0, 0, 1].into(), [10, 0, 0, 2].into()), ("fd00::1".parse().expect("one"), "fd00::2".parse().expect("one"))];
        for (source, to) in addresses {
            let v6 = to.is_ipv6();
            let syn = Syn { source, port, server: (to, 80).into(), isn };
            let mut segment = syn.emit().to_vec();
            segment.swap(0, 2);
            segment.swap(1, 3);
            segment[8..12].copy_from_slice(&(isn + 1).to_be_bytes());
            segment[13] = flags;
            let answer = parse_answer(to, &segment);
            let packet = if v6 { segment } else { ipv4(to, source, 6, words, &segment) };
            let passed = passes(Of::Answers, v6, &packet);
            prop_assert!(passed || !is_ours(answer));
            prop_assert!(!passed || PORTS.contains(&port) && flags & 0x10 != 0 && flags & 0x06 != 0 && isn & COMMON == OURS);

            let message = complaint(&syn, type_, code);
            let answer = if v6 { parse_error_v6(&message) } else { parse_error_v4(&message) };
            let packet = if v6 { message } else { ipv4(to, source, 1, words, &message) };
            let passed = passes(Of::Errors, v6, &packet);
            prop_assert!(passed || !is_ours(answer));
            prop_assert!(!passed || PORTS.contains(&port) && isn & COMMON == OURS);
        }
    }

    #[test]
    fn any_packet_ends_it(bytes in proptest::collection::vec(any::<u8>(), 0..140)) {
        let answer = parse_ipv4(&bytes).and_then(|([from, _], segment)| parse_answer(from, segment));
        prop_assert!(passes(Of::Answers, false, &bytes) || !is_ours(answer));
        let _ = (passes(Of::Answers, true, &bytes), passes(Of::Errors, true, &bytes));
        let error = parse_ipv4(&bytes).and_then(|(_, message)| parse_error_v4(message));
        prop_assert!(passes(Of::Errors, false, &bytes) || !is_ours(error));
    }
}
