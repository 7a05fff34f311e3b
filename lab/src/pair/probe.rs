//! A client that asks a virtual address every millisecond (ICMP echo), and how long it went without an answer.
//!
//! Questions only: the answers are among what the third host [hears](super::Heard::answers), with the kernel's time of each.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use socket2::{Domain, Protocol, Socket, Type};

use super::Answer;
use super::hand::PRIORITY;
use crate::{disk, net};

/// Between two questions: the resolution of every outage.
const PACE: Duration = Duration::from_millis(1);

/// Tells the answers of one probe from those of the last.
static NEXT: AtomicU16 = AtomicU16::new(1);

/// It asks until it is stopped.
#[derive(Debug)]
pub struct Probe {
    id: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Duration>>>,
}

/// What a client missed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The last answer before the longest silence.
    pub from: Duration,
    /// The longest time between two answers in which more than one question was asked; zero when there was none. A question that somebody
    /// kept and had answered later ends no silence before its answer.
    pub longest: Duration,
    /// Questions without an answer.
    pub lost: usize,
}

impl Probe {
    pub(super) fn start(ns: &str, address: Ipv4Addr) -> Result<Self> {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = net::enter(ns, || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
            socket.set_nonblocking(true)?;
            // Nobody reads from it: the packet socket hears the answers.
            socket.set_recv_buffer_size(0)?;
            Ok(socket)
        })
        .context("a socket for ICMP")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = std::sync::mpsc::channel();
        let ends = stop.clone();
        let thread = std::thread::spawn(move || {
            let _ = tell.send(nix::unistd::gettid());
            ask(&socket, address, id, &ends)
        });
        let probe = Self { id, stop, thread: Some(thread) };
        // The one that asks must not be the one that is late.
        let tid = told.recv().context("the probe's thread")?.to_string();
        disk::run(Command::new("chrt").args(["--fifo", "--pid", PRIORITY, &tid])).context("realtime priority")?;
        Ok(probe)
    }

    /// Whose answers are to this probe's questions.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Ends it. When each question was asked, since 1970, by number.
    ///
    /// # Errors
    /// When its thread panicked.
    pub fn stop(mut self) -> Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(asked)) => Ok(asked),
            _ => bail!("the probe's thread panicked"),
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The clock that the kernel's receive times are of.
pub(crate) fn wall() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default()
}

/// Waits until the wall clock shows `at`.
pub(crate) fn until_wall(at: Duration) {
    let flags = ClockNanosleepFlags::TIMER_ABSTIME;
    // Woken by a signal, it is waited for again.
    while clock_nanosleep(ClockId::CLOCK_REALTIME, flags, &TimeSpec::from(at)).is_err() && wall() < at {}
}

fn ask(socket: &Socket, address: Ipv4Addr, id: u16, stop: &AtomicBool) -> Vec<Duration> {
    let to = SocketAddrV4::new(address, 0).into();
    let mut asked = Vec::new();
    let mut next = wall();
    while !stop.load(Ordering::Relaxed) {
        let number = u32::try_from(asked.len()).unwrap_or(u32::MAX);
        asked.push(wall());
        // One that cannot be sent has no answer.
        let _ = socket.send_to(&question(id, number), &to);
        next += PACE;
        until_wall(next);
    }
    asked
}

/// An echo request (RFC 792) that carries its number.
fn question(id: u16, number: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = 8;
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    // Six words: one carry, and the carry of that.
    let sum = (sum & 0xffff) + (sum >> 16);
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("two carries are folded in");
    bytes[2..4].copy_from_slice(&(!folded).to_be_bytes());
    bytes
}

impl Outage {
    /// What the client that asked at these times missed, by the answers it got. What was asked before the first answer that came or after
    /// the last does not count: it may be under way.
    #[must_use]
    pub fn of(asked: &[Duration], answers: &[Answer], probe: u16) -> Self {
        let ours = answers.iter().filter(|answer| answer.probe == probe);
        let arrived: BTreeSet<Duration> = ours.clone().map(|answer| answer.at).collect();
        let arrived: Vec<Duration> = arrived.into_iter().collect();
        let asked_within = |from, to| asked.iter().filter(|at| **at > from && **at < to).count();
        let silent = arrived.windows(2).filter(|pair| asked_within(pair[0], pair[1]) > 1);
        let (longest, from) = silent.map(|pair| (pair[1] - pair[0], pair[0])).max().unwrap_or_default();
        let answered: BTreeSet<u32> = ours.map(|answer| answer.number).collect();
        let lost = match (answered.first(), answered.last()) {
            (Some(first), Some(last)) => (*first..*last).filter(|number| !answered.contains(number)).count(),
            _ => 0,
        };
        Self { from, longest, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer that takes a tenth of the pace.
    fn answer(number: u32) -> Answer {
        let at = Duration::from_millis(number.into()) + Duration::from_micros(100);
        Answer { at, probe: 7, number, mac: [0; 6] }
    }

    #[test]
    fn silence_is_between_answers_while_somebody_asks() {
        let asked: Vec<Duration> = (0..20).map(Duration::from_millis).collect();
        let answers: Vec<Answer> = [1, 2, 4, 5, 6, 12, 13, 14].into_iter().map(answer).collect();
        let outage = Outage::of(&asked, &answers, 7);
        assert_eq!((outage.longest, outage.lost), (Duration::from_millis(6), 6));
        assert_eq!(outage.from, Duration::from_micros(6100));
        let all: Vec<Answer> = (0..20).map(answer).collect();
        assert_eq!(Outage::of(&asked, &all, 7), Outage::default());
        assert_eq!(Outage::of(&asked, &all, 8), Outage::default(), "answers of another");
        // Kept by somebody, and all answered at once.
        let late = |number| Answer { at: Duration::from_millis(15), ..answer(number) };
        let kept: Vec<Answer> = (0..5).map(answer).chain((5..16).map(late)).chain((16..20).map(answer)).collect();
        let outage = Outage::of(&asked, &kept, 7);
        assert_eq!((outage.longest, outage.lost), (Duration::from_micros(10_900), 0));
        // Whoever is late with his questions was not left without an answer.
        let late: Vec<Duration> =
            asked.iter().map(|at| *at + Duration::from_millis(if at.as_millis() > 9 { 5 } else { 0 })).collect();
        let answers: Vec<Answer> = late
            .iter()
            .zip(0..)
            .map(|(at, number)| Answer { at: *at + Duration::from_micros(100), ..answer(number) })
            .collect();
        assert_eq!(Outage::of(&late, &answers, 7).longest, Duration::ZERO);
    }

    /// RFC 1071: the sum over the whole message, checksum included, is all ones.
    #[test]
    fn a_question_has_the_right_checksum() {
        for (id, number) in [(0, 0), (0xffff, 0xffff_ffff), (7, 0x0001_fffe)] {
            let words = question(id, number);
            let sum: u32 = words.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        }
    }
}
