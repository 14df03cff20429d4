//! Rule packs in OCI registries (OCI Distribution Specification 1.1), and pack files by their digest.
//!
//! A pack in a registry has the manifests and blobs of a pack file. Its tag points to the manifest of the component, which
//! other tools of WebAssembly read; the manifest of the pack has that one as its subject, and signatures have that of the
//! pack. A digest in a reference is that of the pack, and names all but the signatures.
//!
//! What comes from a registry is not trusted: every answer is bounded, every byte is compared with a digest, and
//! what is put together passes the reader of pack files. Nothing here compiles or runs a component.

mod cache;
mod client;
mod error;
mod login;
mod progress;
mod pull;
mod push;
mod referrers;
mod tags;
#[cfg(test)]
mod tests;
mod wire;

pub use cache::{Cache, CacheError};
pub use client::{Client, Settings};
pub use error::{Cause, RegistryError};
pub use login::docker_config;
pub use progress::Progress;
pub use push::{Pushed, Tag};
pub use tags::Version;
