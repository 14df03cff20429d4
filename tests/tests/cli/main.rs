//! What the commands of the program print, and what they refuse.

mod check;
mod commands;
mod rules;
