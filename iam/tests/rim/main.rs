//! IAM as the gateway meets it: calls over a real socket, on a real file.

#![cfg(test)]

mod harness;
mod bootstrap;
mod access;
mod session;
mod user;
mod key;
mod workspace;
mod authority;
mod grant;
mod last_admin;
mod existence;
mod retry;
mod signing;
mod start;
mod mint;
mod transport;
mod feed;
mod manner;
mod sockets;
mod audit;
mod durability;
mod process;
mod program;
mod verify;
mod older;
mod upgrade;
mod compact;
mod restore;
