//! Whether a pack may run here: where it comes from, who signed it, and what it asks for. Decides, and does no I/O.
//!
//! A [`Policies`] is what the operator wrote, in order: the first whose pattern matches decides. Packs that come with
//! Shunt are always trusted. Where no policy is written, packs of this host run as they are; packs of registries never
//! run without one.

mod pattern;
mod policy;
mod source;
mod version;

pub use pattern::{Pattern, PatternError};
pub use policy::{Judgement, Policies, Policy, Signer, Signers, TrustError, TrustProblem};
pub use source::Source;
pub use version::is_older;
