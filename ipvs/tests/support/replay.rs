//! A kernel that knows only what was captured: the answer to a request is the one that was captured after it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;

use ipvs::socket::Transport;

use super::capture::{self, Datagram};

/// Captured answers by request.
pub(crate) struct Replay {
    answers: Rc<BTreeMap<Vec<u8>, Vec<Vec<u8>>>>,
    queue: VecDeque<Vec<u8>>,
    /// What stands in the place of an answer, when that is not always the truth.
    damage: Option<Damage>,
    forgiving: bool,
    /// Answers asked for.
    pub(crate) receives: usize,
}

type Damage = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

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
        Self { answers: Rc::new(answers), queue: VecDeque::new(), damage: None, forgiving: false, receives: 0 }
    }

    /// Knows nothing of what was never captured: an empty list, or no such service.
    pub(crate) fn forgiving(mut self) -> Self {
        self.forgiving = true;
        self
    }

    /// The same kernel, with nothing under way and nothing but the truth to tell.
    pub(crate) fn again(&self) -> Self {
        let answers = Rc::clone(&self.answers);
        Self { answers, queue: VecDeque::new(), damage: None, forgiving: self.forgiving, receives: 0 }
    }

    /// From now on, `damage` puts any number of datagrams in the place of each answer.
    pub(crate) fn damage(&mut self, damage: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static) {
        self.damage = Some(Box::new(damage));
    }
}

/// `NLMSG_DONE`, errno 0.
const END: [u8; 20] = [20, 0, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `NLMSG_ERROR`, errno `ESRCH`.
const NO_SUCH: [u8; 20] = [20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff];
/// The second byte of a dump's flags (`NLM_F_DUMP`).
const NLM_F_DUMP_HIGH: u8 = 3;

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
        let none = if datagram[7] & NLM_F_DUMP_HIGH == 0 { vec![NO_SUCH.to_vec()] } else { vec![END.to_vec()] };
        let answers = match self.answers.get(&anonymous(datagram)) {
            Some(answers) => answers,
            None if self.forgiving => &none,
            None => panic!("never captured: {datagram:02x?}"),
        };
        for answer in answers {
            // ipvsadm asks for an acknowledgement where data is coming anyway; who does not ask gets none.
            if is_success(answer) && datagram[6] & NLM_F_ACK == 0 {
                continue;
            }
            let mut answer = answer.clone();
            renumber(&mut answer, &datagram[8..12]);
            match &mut self.damage {
                Some(damage) => self.queue.extend(damage(answer)),
                None => self.queue.push_back(answer),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receives += 1;
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

impl Transport for &mut Replay {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        (**self).send(datagram)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).receive(buffer)
    }

    fn reopen(&mut self) -> io::Result<()> {
        (**self).reopen()
    }
}
