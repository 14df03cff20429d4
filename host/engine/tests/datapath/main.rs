//! The packet datapath from outside: golden cases, and a simulated network.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue fails")]

#[path = "../golden/case.rs"]
mod case;
mod driver;
mod explain;
mod fragments;
#[path = "../golden/frame/mod.rs"]
mod frame;
mod golden;
mod lab;
mod operate;
mod partial;
mod script;
mod simulation;
mod translation;
