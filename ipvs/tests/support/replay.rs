//! A kernel that knows only what was captured: the answer to a request is the one that was captured after it.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use ipvs::socket::Transport;

use super::capture::{self, Datagram};

/// Captured answers by request.
pub(crate) struct Replay {
    answers: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    queue: VecDeque<Vec<u8>>,
}

impl Replay {
    /// The exchanges of several captures. `info` is always among them: it resolves the family.
    pub(crate) fn of(names: &[&str]) -> Self {
        let mut answers: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for name in ["info"].iter().chain(names) {
            let mut question = Vec::new();
            for datagram in capture::read(name) {
                match datagram {
                    Datagram::To(bytes) => {
                        question = anonymous(&bytes);
                        answers.insert(question.clone(), Vec::new());
                    }
                    Datagram::From(bytes) => answers.get_mut(&question).expect("a question first").push(bytes),
                }
            }
        }
        Self { answers, queue: VecDeque::new() }
    }
}

/// A request without flags, sequence number and sender.
fn anonymous(request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    bytes[6..16].fill(0);
    bytes
}

const NLM_F_ACK: u8 = 4;

/// Whether it is `NLMSG_ERROR` with errno 0.
fn is_success(answer: &[u8]) -> bool {
    answer[4..6] == [2, 0] && answer[16..20] == [0; 4]
}

/// Gives every message of a datagram a sequence number.
fn renumber(datagram: &mut [u8], sequence: &[u8]) {
    let mut at = 0;
    while at < datagram.len() {
        let length = u32::from_ne_bytes(datagram[at..at + 4].try_into().unwrap());
        datagram[at + 8..at + 12].copy_from_slice(sequence);
        at += usize::try_from(length).unwrap().next_multiple_of(4);
    }
}

impl Transport for Replay {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let answers = self.answers.get(&anonymous(datagram));
        let answers = answers.unwrap_or_else(|| panic!("never captured: {datagram:02x?}"));
        for answer in answers {
            // ipvsadm asks for an acknowledgement where data is coming anyway; who does not ask gets none.
            if is_success(answer) && datagram[6] & NLM_F_ACK == 0 {
                continue;
            }
            let mut answer = answer.clone();
            renumber(&mut answer, &datagram[8..12]);
            self.queue.push_back(answer);
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        let fits = datagram.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&datagram[..fits]);
        Ok(datagram.len())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.queue.clear();
        Ok(())
    }
}
