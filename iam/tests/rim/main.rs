//! IAM as the gateway meets it: calls over a real socket, on a real file.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod bootstrap;
#[cfg(test)]
mod access;
#[cfg(test)]
mod session;
#[cfg(test)]
mod user;
#[cfg(test)]
mod key;
#[cfg(test)]
mod workspace;
#[cfg(test)]
mod authority;
#[cfg(test)]
mod grant;
#[cfg(test)]
mod last_admin;
#[cfg(test)]
mod existence;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod signing;
#[cfg(test)]
mod mint;
#[cfg(test)]
mod transport;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod process;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod compact;
#[cfg(test)]
mod restore;
