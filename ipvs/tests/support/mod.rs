//! What the integration tests share: captures, a kernel made of a [`ipvs::Table`], and arbitrary values.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod capture;
pub(crate) mod fake;
pub(crate) mod replay;
pub(crate) mod values;
