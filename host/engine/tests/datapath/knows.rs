//! The words of a setting that say which addresses stand for which.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use shunt_engine::datapath::Translation;
use shunt_engine::mapping::{Embedding, Map, Mapping, Maps, Routers};
use shunt_engine::network::Prefix;
use shunt_wire::Address;

/// What was said so far.
#[derive(Default)]
pub(crate) struct Knows {
    embedding: Option<Embedding>,
    maps: Vec<Map>,
    routers: Vec<RangeInclusive<Address>>,
    lowest: Option<u16>,
}

impl Knows {
    /// Takes a word and what stands behind it; `false` if it is none of these words.
    pub(crate) fn take(&mut self, word: &str, said: &str) -> Result<bool, String> {
        match word {
            "prefix" => self.embedding = Some(Embedding::new(prefix(said)?).ok_or("no such prefix")?),
            "map" => {
                let (v4, v6) = said.split_once('=').ok_or("V4/N=V6/M")?;
                self.maps.push(Map { v4: prefix(v4)?, v6: prefix(v6)? });
            }
            "routers" => {
                let (first, last) = said.split_once('-').ok_or("FIRST-LAST")?;
                self.routers.push(address(first)?..=address(last)?);
            }
            "lowest" => self.lowest = Some(said.parse().map_err(|_| format!("no size: {said}"))?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// `None` if nothing was said.
    pub(crate) fn translation(self) -> Result<Option<Arc<Translation>>, String> {
        if self.embedding.is_none() && self.maps.is_empty() && self.lowest.is_none() {
            return Ok(None);
        }
        let maps = Maps::new(self.maps).map_err(|unfit| format!("{unfit:?}"))?;
        let routers = Routers::new(&self.routers).map_err(|range| format!("{range:?}"))?;
        let mapping = Mapping::new(self.embedding, maps, routers);
        Ok(Some(Arc::new(Translation { mapping, lowest_ipv6_mtu: self.lowest.unwrap_or(1280) })))
    }
}

fn address(text: &str) -> Result<Address, String> {
    text.parse::<IpAddr>().map(Address::from).map_err(|_| format!("no address: {text}"))
}

fn prefix(text: &str) -> Result<Prefix, String> {
    let (bits, length) = text.split_once('/').ok_or_else(|| format!("no prefix: {text}"))?;
    let length = length.parse().map_err(|_| format!("no length: {length}"))?;
    Prefix::new(address(bits)?, length).ok_or_else(|| format!("no prefix: {text}"))
}
