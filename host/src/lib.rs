//! The daemon and the command line of Shunt.

pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
mod http;
pub mod live;
pub mod monitor;
pub mod tls;
mod worker;
