//! UDP: datagrams of a client go to one member, and its answers back, as long as they have a session.
//!
//! | module | what |
//! |---|---|
//! | `listeners` | the sockets of a worker, from change to change |
//! | `listener` | a worker's socket: receives, finds or begins sessions, sends answers |
//! | `session` | one client and one member: the socket between Shunt and the member |
//! | `outbox` | answers that wait to be sent together |
//!
//! The kernel gives each client's datagrams to one worker (`SO_REUSEPORT`), so a session is one worker's. Datagrams are
//! received and sent many with one call; nothing is copied but answers, once.

mod listener;
mod listeners;
mod outbox;
mod session;

pub(crate) use listeners::UdpListeners;
