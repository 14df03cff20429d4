//! The daemon and the command line of Shunt.

pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
pub mod doctor;
mod http;
pub mod live;
pub mod monitor;
pub mod packet;
pub mod tls;
mod worker;
