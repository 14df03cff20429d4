//! Virtuals of HTTP on loopback.

mod hot_loads;
mod lifecycle;
mod limits;
mod members;
mod messages;
mod mixed;
mod rules;
mod smuggling;
mod streaming;
mod tls;
mod upgrade;
