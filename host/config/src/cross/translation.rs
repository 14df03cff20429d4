//! Between IPv4 and IPv6: what virtuals must agree on.

use std::sync::Arc;

use super::super::model::{Config, PacketVirtual};
use super::super::report::{Cause, Refusal};
use super::super::walk::Walk;
use super::path;

pub(super) fn check(config: &Config, walk: &mut Walk) {
    translators_apart(config, walk);
    addresses_agree(config, walk);
}

/// A packet has one translation.
fn translators_apart(config: &Config, walk: &mut Walk) {
    for (place, translator) in config.translators.iter().enumerate() {
        let clash = config.translators[..place].iter().find_map(|other| {
            let both = translator.interfaces.iter().find(|name| other.interfaces.contains(name))?;
            Some((other, both))
        });
        let Some((other, both)) = clash else { continue };
        let (here, key) = walk.spot(&path(&["virtual", &translator.name, "interfaces"]));
        let (first, _) = walk.spot(&path(&["virtual", &other.name, "interfaces"]));
        let message = format!("virtual `{}` already translates packets of `{both}`", other.name);
        let refusal = Refusal::new(Cause::Duplicate, message)
            .label("again here")
            .also(first, "first here")
            .help("give each virtual of mode `siit` interfaces of its own");
        walk.refuse(&here, Some(&key), refusal);
    }
}

/// Workers find the flow of an answer by its client, whom it names in the other family: so an address means the same
/// at all virtuals. Those of mode `siit` have no flows.
fn addresses_agree(config: &Config, walk: &mut Walk) {
    let known = |virtual_: &PacketVirtual| {
        let translation = virtual_.translation.as_ref()?;
        translation.mapping.knows_any().then(|| (virtual_.name.clone(), Arc::clone(translation)))
    };
    let known: Vec<_> = config.packet_virtuals.iter().filter_map(known).collect();
    for (place, (name, translation)) in known.iter().enumerate() {
        let mapping = &translation.mapping;
        let clash = known[..place].iter().find_map(|(other, before)| {
            let address = mapping.at_odds(&before.mapping)?;
            Some((other, address, mapping.to_v4(address)?, before.mapping.to_v4(address)?))
        });
        let Some((other, address, this, that)) = clash else { continue };
        let (here, key) = walk.spot(&path(&["virtual", name, "translation"]));
        let (first, _) = walk.spot(&path(&["virtual", other, "translation"]));
        let message =
            format!("client `{address}` has the IPv4 address `{this}` at `{name}` and `{that}` at `{other}`");
        let refusal = Refusal::new(Cause::Conflict, message)
            .label(format!("`{this}` here"))
            .also(first, format!("`{that}` here"))
            .help(
                "give it one IPv4 address at all virtuals: Shunt finds the flow of a reply by that address",
            );
        walk.refuse(&here, Some(&key), refusal);
    }
}
