//! What other rooms need of the director: the requests it answers, the rows it answers with, and how it hashes secrets.

pub mod secret;
pub mod status;
