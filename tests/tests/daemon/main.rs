//! The daemon's life, its reloads and its admin socket.

mod admin;
mod life;
mod reload;
