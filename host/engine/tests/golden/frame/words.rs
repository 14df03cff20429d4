//! The words of a layer.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The words of each layer. A text in quotes is one word that starts with the quote.
pub(super) fn split(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut layers = vec![Vec::new()];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('"') {
            let end = behind.find('"').ok_or("a quote that does not end")?;
            layers.last_mut().ok_or("no layer")?.push(format!("\"{}", &behind[..end]));
            rest = &behind[end + 1..];
        } else {
            let (word, behind) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
            if word == "|" {
                layers.push(Vec::new());
            } else {
                layers.last_mut().ok_or("no layer")?.push(word.to_owned());
            }
            rest = behind;
        }
        rest = rest.trim_start();
    }
    if layers.iter().any(Vec::is_empty) {
        return Err("an empty layer".to_owned());
    }
    Ok(layers)
}

/// The words of one layer, taken one by one or by name.
pub(super) struct Words {
    first: String,
    rest: Vec<String>,
}

impl Words {
    pub(super) fn new(mut words: Vec<String>) -> Self {
        let first = words.remove(0);
        Self { first, rest: words }
    }

    pub(super) fn first(&self) -> &str {
        &self.first
    }

    pub(super) fn next(&mut self) -> Result<String, String> {
        if self.rest.is_empty() {
            return Err(format!("{} says too little", self.first));
        }
        Ok(self.rest.remove(0))
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Result<T, String> {
        number(&self.next()?)
    }

    pub(super) fn hex(&mut self) -> Result<Vec<u8>, String> {
        hex(&self.next()?)
    }

    /// `A > B`.
    pub(super) fn pair<T>(&mut self, read: impl Fn(&str) -> Result<T, String>) -> Result<(T, T), String> {
        let (from, arrow, to) = (self.next()?, self.next()?, self.next()?);
        if arrow != ">" {
            return Err(format!("{}: {arrow} stands where > should", self.first));
        }
        Ok((read(&from)?, read(&to)?))
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        let at = self.rest.iter().position(|word| word == name);
        at.map(|at| self.rest.remove(at)).is_some()
    }

    pub(super) fn optional<T: TryFrom<u64>>(&mut self, name: &str) -> Result<Option<T>, String> {
        self.optional_with(name, number)
    }

    pub(super) fn optional_with<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let Some(at) = self.rest.iter().position(|word| word == name) else { return Ok(None) };
        self.rest.remove(at);
        if at == self.rest.len() {
            return Err(format!("{} {name} what?", self.first));
        }
        read(&self.rest.remove(at)).map(Some)
    }

    pub(super) fn required<T: TryFrom<u64>>(&mut self, name: &str) -> Result<T, String> {
        self.optional(name)?.ok_or_else(|| format!("{} needs {name}", self.first))
    }

    pub(super) fn end(self) -> Result<(), String> {
        match self.rest.first() {
            Some(word) => Err(format!("{}: what is {word}?", self.first)),
            None => Ok(()),
        }
    }
}

pub(super) fn number<T: TryFrom<u64>>(word: &str) -> Result<T, String> {
    let value = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    value
        .ok()
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| format!("no number for its place: {word}"))
}

pub(super) fn hex(word: &str) -> Result<Vec<u8>, String> {
    let pairs = word.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digits = std::str::from_utf8(pair).map_err(say)?;
            if digits.len() == 2 {
                u8::from_str_radix(digits, 16).map_err(say)
            } else {
                Err("half a byte".to_owned())
            }
        })
        .collect()
}

pub(super) fn mac(word: &str) -> Result<[u8; 6], String> {
    hex(&word.replace(':', ""))?.try_into().map_err(|_| format!("no Ethernet address: {word}"))
}

pub(super) fn v4(word: &str) -> Result<[u8; 4], String> {
    Ipv4Addr::from_str(word).map(|address| address.octets()).map_err(|_| format!("no IPv4 address: {word}"))
}

pub(super) fn v6(word: &str) -> Result<[u8; 16], String> {
    Ipv6Addr::from_str(word).map(|address| address.octets()).map_err(|_| format!("no IPv6 address: {word}"))
}

pub(super) fn say(error: impl ToString) -> String {
    error.to_string()
}
