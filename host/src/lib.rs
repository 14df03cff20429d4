//! The daemon and the command line of Shunt.

pub mod admin;
pub mod cli;
pub mod control;
pub mod doctor;
pub mod monitor;
pub mod resolve;
