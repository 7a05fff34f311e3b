//! Tree to Config, with every semantic check.
use crate::{model::Config, tree::Tree};
/// `<object>: <what is wrong>, <what to do>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(
    /// The sentence.
    pub String,
);
impl TryFrom<&Tree> for Config {
    type Error = Vec<Problem>;
    fn try_from(_t: &Tree) -> Result<Self, Vec<Problem>> {
        todo!()
    }
}
