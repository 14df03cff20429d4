//! What planes do alike around rules.

pub mod attached;
pub mod chain;
pub mod fault_log;
