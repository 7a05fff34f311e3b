//! What other rooms need to know of init: the requests PID 1 answers.

pub mod request;
