//! The contract's values as the component model passes them: one type per item of `wit/`.
//!
//! They are written out and not generated, because generated ones own every string and
//! every list on its way out; the test beside this module links a component that
//! has the whole contract, so that the two cannot drift apart.

mod contract;
mod types;
#[cfg(test)]
pub(crate) mod v0_0_9;

pub use contract::ContractError;
pub(crate) use contract::{CONTRACTS, Contract, WIT, check_written, newest, read_name, spoken};
pub(crate) use types::*;

/// Where the contract's interfaces live.
pub(crate) const PACKAGE: &str = "shunt:rule";
