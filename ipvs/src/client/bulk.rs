//! Many requests in one send.

use std::collections::BTreeMap;

use netlink_packet_core::NLM_F_ACK;

use super::Client;
use super::exchange::{Failure, check};
use crate::socket::Transport;
use crate::table::ApplyError;
use crate::wire::{Body, Envelope, Request, messages};
use crate::{Error, ReplyError};

/// Messages in one send. Were each refused, the refusals (768 bytes of kernel memory each) would still fit the smallest receive queue Linux
/// gives by default, 208 KiB; and 256 of the longest, some 250 bytes, fit the send queue of the same size. More is not faster.
const BATCH: usize = 256;

impl<T: Transport> Client<T> {
    /// Sends requests that are answered with no more than an acknowledgement, in order, many at once. Stops after the send in which one was
    /// refused; the others of that send are done all the same, unless they needed it.
    ///
    /// # Errors
    /// [`ApplyError`] says which failed and which are done.
    pub fn execute(&mut self, requests: &[Request]) -> Result<(), ApplyError> {
        for (index, request) in requests.iter().enumerate() {
            check(request).map_err(|error| ApplyError::before(index, error))?;
        }
        for start in (0..requests.len()).step_by(BATCH) {
            let batch = &requests[start..requests.len().min(start + BATCH)];
            let (known, failed) = self.batch(batch);
            if !failed.is_empty() {
                return Err(ApplyError::in_batch(start, known, failed));
            }
        }
        Ok(())
    }

    /// Sends a batch. Returns of how many, from the first, the fate is known, and what failed by its place.
    fn batch(&mut self, batch: &[Request]) -> (usize, BTreeMap<usize, Error>) {
        let mut failed = BTreeMap::new();
        match self.exchange_batch(batch, &mut failed) {
            Ok(()) => (batch.len(), failed),
            // Which of those without an answer were done is not known. One by one they tell.
            Err(failure) if failure.is_loss() => (self.one_by_one(batch, &mut failed), failed),
            Err(failure) => {
                let first = (0..batch.len()).find(|place| !failed.contains_key(place)).unwrap_or(0);
                failed.insert(first, failure.about(&batch[first]));
                (0, failed)
            }
        }
    }

    /// Asks again each that has no answer, until one cannot even be asked.
    fn one_by_one(&mut self, batch: &[Request], failed: &mut BTreeMap<usize, Error>) -> usize {
        for (place, request) in batch.iter().enumerate() {
            if failed.contains_key(&place) {
                continue;
            }
            if let Err(error) = self.request_again(request) {
                let refused = error.refusal().is_some();
                failed.insert(place, error);
                if !refused {
                    return place;
                }
            }
        }
        batch.len()
    }

    fn exchange_batch(&mut self, batch: &[Request], failed: &mut BTreeMap<usize, Error>) -> Result<(), Failure> {
        self.begin()?;
        let first = self.sequence.wrapping_add(1);
        let last_place = batch.len() - 1;
        for (place, request) in batch.iter().enumerate() {
            let flags = if place == last_place { NLM_F_ACK } else { 0 };
            let sequence = self.next_sequence();
            request.emit(Envelope { family: self.family, flags, sequence }, &mut self.out);
        }
        self.send()?;
        loop {
            let length = self.receive()?;
            for message in messages(&self.room[..length]) {
                let message = message?;
                let place = usize::try_from(message.sequence.wrapping_sub(first))
                    .ok()
                    .filter(|place| *place <= last_place)
                    .ok_or(ReplyError::Sequence { expected: self.sequence, found: message.sequence })
                    .map_err(Failure::Reply)?;
                match message.body {
                    Body::Acknowledgement { errno: 0 } => {}
                    Body::Acknowledgement { errno } => {
                        failed.insert(place, Failure::Refused(errno).about(&batch[place]));
                    }
                    Body::Noop => continue,
                    Body::Overrun => return Err(Failure::Reply(ReplyError::Lost)),
                    Body::Done { .. } => return Err(Failure::Reply(ReplyError::Unexpected(3))),
                    Body::Family { id, .. } => return Err(Failure::Reply(ReplyError::Unexpected(id))),
                }
                if place == last_place {
                    self.stale = false;
                    return Ok(());
                }
            }
        }
    }
}
