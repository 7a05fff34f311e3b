//! The `STATS` and `STATS64` nests: the same attributes, the counters of 32 or 64 bits.

use super::ParseError;
use super::attribute::{Attribute, attributes};
use super::uapi::*;
use crate::Stats;

const WHAT: &str = "stats";

/// Reads either nest. A counter that is not there is 0; padding attributes are skipped with all that is unknown.
pub(super) fn parse_stats(nest: &[u8]) -> Result<Stats, ParseError> {
    let mut stats = Stats::default();
    for attribute in attributes(WHAT, nest) {
        let attribute = attribute?;
        let field = match attribute.kind {
            IPVS_STATS_ATTR_CONNS => &mut stats.connections,
            IPVS_STATS_ATTR_INPKTS => &mut stats.packets_in,
            IPVS_STATS_ATTR_OUTPKTS => &mut stats.packets_out,
            IPVS_STATS_ATTR_INBYTES => &mut stats.bytes_in,
            IPVS_STATS_ATTR_OUTBYTES => &mut stats.bytes_out,
            IPVS_STATS_ATTR_CPS => &mut stats.rates.connections,
            IPVS_STATS_ATTR_INPPS => &mut stats.rates.packets_in,
            IPVS_STATS_ATTR_OUTPPS => &mut stats.rates.packets_out,
            IPVS_STATS_ATTR_INBPS => &mut stats.rates.bytes_in,
            IPVS_STATS_ATTR_OUTBPS => &mut stats.rates.bytes_out,
            _ => continue,
        };
        *field = counter(&attribute)?;
    }
    Ok(stats)
}

/// Bytes have 64 bits in the old nest too.
fn counter(attribute: &Attribute<'_>) -> Result<u64, ParseError> {
    attribute.u64_host().or_else(|_| attribute.u32_host().map(u64::from))
}
