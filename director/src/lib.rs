//! What other rooms need to know of the director: the requests it answers and the rows it answers with.

#![warn(missing_docs)]

pub mod status;
