//! What planes do alike around rules.

pub mod fault_log;
