//! TLS with clients, before its handshake: what a client says first, and what becomes of the connection by it.
//!
//! | module | what |
//! |---|---|
//! | `hello` | the ClientHello as it came, read and not answered |
//! | `choose` | `on-client-hello` |
//! | `terminate` | a handshake that goes on behind a ClientHello that was read |
//! | `alert` | what a client is told whose connection ends here |
//! | `pass_through` | a connection whose TLS is between client and member |

pub(crate) mod alert;
pub(crate) mod choose;
pub(crate) mod hello;
pub(crate) mod pass_through;
pub(crate) mod terminate;
