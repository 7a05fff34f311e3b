//! A kernel that lies: what it once answered (`tests/captures`), damaged on the way.
//!
//! Whatever comes, a client ends with an answer or an error, asks a bounded number of times, and takes nothing of it for the answer to its
//! next question.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use ipvs::{Client, Error, ReplyError, Table};
use proptest::prelude::*;
use support::replay::Replay;

/// Tables that were captured.
const TABLES: [&str; 5] = ["list", "list-mixed", "list-stats", "list-one", "list-empty"];
/// Datagrams one reading takes when all goes well, with room for each question to be asked three times, and for datagrams said twice.
const RECEIVES: usize = 300;

/// One way to damage an answer. Places are shares of its length.
#[derive(Debug, Clone)]
enum Damage {
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Twice,
    Lost,
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        5 => (place(), any::<u8>()).prop_map(|(place, byte)| Damage::Byte(place, byte)),
        2 => place().prop_map(Damage::Cut),
        1 => (place(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(place, bytes)| Damage::Insert(place, bytes)),
        1 => Just(Damage::Twice),
        1 => Just(Damage::Lost),
    ]
}

fn apply(damage: &Damage, mut answer: Vec<u8>) -> Vec<Vec<u8>> {
    match damage {
        // Nothing is left of it to damage.
        Damage::Byte(..) if answer.is_empty() => {}
        Damage::Byte(place, byte) => {
            let place = place.index(answer.len());
            answer[place] = *byte;
        }
        Damage::Cut(place) => answer.truncate(place.index(answer.len() + 1)),
        Damage::Insert(place, bytes) => {
            let place = place.index(answer.len() + 1);
            answer.splice(place..place, bytes.iter().copied());
        }
        Damage::Twice => return vec![answer.clone(), answer],
        Damage::Lost => return vec![],
    }
    vec![answer]
}

/// Reads in every way there is. Whatever comes, it must come to an end.
fn read_all(client: &mut Client<&mut Replay>) -> Vec<Result<(), Error>> {
    vec![
        client.observe().map(drop),
        client.statistics().map(drop),
        client.services().map(drop),
        client.daemons().map(drop),
        client.timeouts().map(drop),
        client.info().map(drop),
    ]
}

/// Replaces the `n`th answer and lets the others pass.
fn only(n: usize, mut damage: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static) -> impl FnMut(Vec<u8>) -> Vec<Vec<u8>> {
    let mut count = 0;
    move |answer| {
        count += 1;
        if count - 1 == n { damage(answer) } else { vec![answer] }
    }
}

fn kernel(table: &str) -> Replay {
    Replay::of(&[table, "daemon-list", "timeouts-get"]).forgiving()
}

fn observed(kernel: &mut Replay) -> Table {
    Client::with_transport(kernel).unwrap().observe().unwrap()
}

proptest! {
    #[test]
    fn a_damaged_answer_is_an_error_or_an_answer(
        table in prop::sample::select(TABLES.to_vec()),
        damages in proptest::collection::vec((0usize..24, damage()), 1..6),
    ) {
        let mut kernel = kernel(table);
        let mut count = 0;
        kernel.damage(move |answer| {
            let n = count;
            count += 1;
            let damages = damages.iter().filter(|(at, _)| *at == n).map(|(_, damage)| damage);
            let all = damages.fold(vec![answer], |all, damage| all.into_iter().flat_map(|a| apply(damage, a)).collect());
            all.into_iter().filter(|answer| !answer.is_empty()).collect()
        });
        // The family's number may be the first victim.
        if let Ok(mut client) = Client::with_transport(&mut kernel) {
            drop(read_all(&mut client));
        }
        prop_assert!(kernel.receives < RECEIVES, "{} datagrams", kernel.receives);
    }

    #[test]
    fn a_client_that_was_lied_to_believes_the_next_answer(
        n in 1usize..20,
        damage in damage(),
    ) {
        let mut kernel = kernel("list");
        let truth = observed(&mut kernel.again());
        kernel.damage(only(n, move |answer| apply(&damage, answer)));
        let mut client = Client::with_transport(&mut kernel).unwrap();
        drop(client.observe());
        prop_assert_eq!(client.observe().unwrap(), truth);
    }
}

/// Cut anywhere but between two messages, an answer is an error: never a shorter table.
#[test]
fn an_answer_that_was_cut_is_never_a_shorter_table() {
    let kernel = kernel("list");
    let truth = observed(&mut kernel.again());
    assert!(truth.services.len() > 3, "the capture has a table worth cutting");
    let answers = lengths("list");
    let mut cuts = 0;
    for (n, (length, ends)) in answers.iter().enumerate() {
        // Messages and attributes end on fours: threes find every place in one.
        for cut in (1..*length).step_by(3) {
            let mut kernel = kernel.again();
            kernel.damage(only(n, move |mut answer| {
                answer.truncate(cut);
                vec![answer]
            }));
            match Client::with_transport(&mut kernel).and_then(|mut client| client.observe()) {
                Ok(table) => assert!(ends.contains(&cut), "answer {n} cut to {cut} of {length} bytes gave {table:?}"),
                Err(Error::Reply { source: ReplyError::Parse(_) | ReplyError::Lost | ReplyError::Empty, .. }) => {}
                // That of the family's number.
                Err(Error::Open(_)) if n == 0 => {}
                Err(error) => panic!("answer {n} cut to {cut}: {error}"),
            }
            cuts += 1;
        }
    }
    assert!(cuts > 1000, "{cuts} cuts");
}

/// The answers to one `observe`: their lengths, and where messages in them end.
fn lengths(capture: &str) -> Vec<(usize, Vec<usize>)> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&seen);
    let mut kernel = kernel(capture);
    kernel.damage(move |answer| {
        let mut ends = Vec::new();
        let mut at = 0;
        while at < answer.len() {
            at += usize::try_from(u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap()))
                .unwrap()
                .next_multiple_of(4);
            ends.push(at);
        }
        into.borrow_mut().push((answer.len(), ends));
        vec![answer]
    });
    observed(&mut kernel);
    drop(kernel);
    seen.take()
}
