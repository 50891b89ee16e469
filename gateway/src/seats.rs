//! How many connections there may be: in all, and of strangers, in all and from one address.
//!
//! In: a connection that was accepted. Out: its [`Seat`], which it holds for as long as it lives.
//! Beyond the limits a few connections are let in to be told so, and all others are left.
//! Never: a friend that strangers keep waiting for longer than they may be strangers.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Connections that are told at once that there is no room for them.
const MAX_TURNED_AWAY: usize = 32;
/// Between two lines in the log about them.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    /// Of all.
    pub(crate) connections: usize,
    /// Of those that nobody has authenticated on.
    pub(crate) strangers: usize,
    /// Of these, from one address.
    pub(crate) strangers_at: usize,
}

/// The connections that there are.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    friends: usize,
    strangers: usize,
    turned_away: usize,
    by_block: HashMap<Block, usize>,
    warned: Option<Instant>,
}

/// One connection's place among them.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    standing: Mutex<Standing>,
}

/// What a connection counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody has authenticated on it. Without a block it is a proxy's, for a client yet unknown.
    Stranger(Option<Block>),
    /// Somebody has.
    Friend,
    /// It is only told that there is no room.
    TurnedAway,
}

/// Addresses that one peer may have: one of IPv4, a /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Block(IpAddr);

impl Block {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
            }
        })
    }
}

impl Seats {
    /// A seat for a connection from here; from one of our proxies without an address. None: it is
    /// not even told that there is none.
    pub(crate) fn take(self: &Arc<Self>, address: Option<IpAddr>, caps: &Caps) -> Option<Seat> {
        let block = address.map(Block::of);
        let mut counts = self.counts();
        let standing = if counts.take_stranger(block, caps) {
            Standing::Stranger(block)
        } else {
            counts.warn(address, caps);
            if counts.turned_away >= MAX_TURNED_AWAY {
                return None;
            }
            Standing::TurnedAway
        };
        counts.add(standing);
        Some(Seat { seats: Arc::clone(self), standing: Mutex::new(standing) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whether it is only to be told that there is no room.
    pub(crate) fn is_turned_away(&self) -> bool {
        *self.standing() == Standing::TurnedAway
    }

    /// Says for whom a proxy's connection is. It may be one too many from there.
    pub(crate) fn name(&self, address: IpAddr, caps: &Caps) {
        let block = Block::of(address);
        let mut standing = self.standing();
        if *standing == Standing::Stranger(None) {
            let mut counts = self.seats.counts();
            counts.remove(*standing);
            *standing = if counts.take_stranger(Some(block), caps) {
                Standing::Stranger(Some(block))
            } else {
                counts.warn(Some(address), caps);
                Standing::TurnedAway
            };
            counts.add(*standing);
        }
    }

    /// Somebody has authenticated on it.
    pub(crate) fn trust(&self) {
        let mut standing = self.standing();
        if matches!(*standing, Standing::Stranger(_)) {
            let mut counts = self.seats.counts();
            counts.remove(*standing);
            *standing = Standing::Friend;
            counts.add(*standing);
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let standing = *self.standing();
        self.seats.counts().remove(standing);
    }
}

impl Counts {
    /// Whether there is room for one more stranger from here.
    fn take_stranger(&self, block: Option<Block>, caps: &Caps) -> bool {
        let here = block.and_then(|block| self.by_block.get(&block)).copied().unwrap_or_default();
        self.friends + self.strangers < caps.connections
            && self.strangers < caps.strangers
            && here < caps.strangers_at
    }

    fn add(&mut self, standing: Standing) {
        match standing {
            Standing::Friend => self.friends += 1,
            Standing::TurnedAway => self.turned_away += 1,
            Standing::Stranger(block) => {
                self.strangers += 1;
                if let Some(block) = block {
                    *self.by_block.entry(block).or_default() += 1;
                }
            }
        }
    }

    fn remove(&mut self, standing: Standing) {
        match standing {
            Standing::Friend => self.friends -= 1,
            Standing::TurnedAway => self.turned_away -= 1,
            Standing::Stranger(block) => {
                self.strangers -= 1;
                if let Some(block) = block
                    && let Some(count) = self.by_block.get_mut(&block)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.by_block.remove(&block);
                    }
                }
            }
        }
    }

    /// Says now and then that there is no room.
    fn warn(&mut self, address: Option<IpAddr>, caps: &Caps) {
        if self.warned.is_none_or(|warned| warned.elapsed() >= BETWEEN_WARNINGS) {
            self.warned = Some(Instant::now());
            let Self { friends, strangers, .. } = self;
            tracing::warn!(
                client.address = address.map(tracing::field::display),
                friends,
                strangers,
                ?caps,
                "no room for another connection"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { connections: 6, strangers: 4, strangers_at: 2 };

    fn seats() -> Arc<Seats> {
        Arc::default()
    }

    fn take(seats: &Arc<Seats>, address: &str) -> Seat {
        seats.take(Some(address.parse().unwrap()), &CAPS).unwrap()
    }

    #[tokio::test]
    async fn strangers_of_one_address_leave_room_for_others() {
        let seats = seats();
        let check = |address, refused| {
            let seat = take(&seats, address);
            assert_eq!(seat.is_turned_away(), refused, "{address}");
            seat
        };
        let _held = [check("10.0.0.1", false), check("::ffff:10.0.0.1", false)];
        check("10.0.0.1", true);
        // A network of IPv6 is one peer.
        let six = [check("2001:db8::1", false), check("2001:db8::2:0:0:2", false)];
        drop(check("2001:db8:0:1::1", true));
        drop(six);
        drop(check("2001:db8:0:1::1", false));
    }

    #[tokio::test]
    async fn friends_need_no_room_among_strangers_and_all_have_their_limit() {
        let seats = seats();
        let friends: Vec<_> =
            (0..6).map(|_| take(&seats, "10.0.0.1")).inspect(Seat::trust).collect();
        assert!(friends.iter().all(|seat| !seat.is_turned_away()));
        let late = take(&seats, "10.0.0.2");
        assert!(late.is_turned_away());
        // Being told does not make a friend.
        late.trust();
        assert!(late.is_turned_away());
        drop(friends);
        assert!(!take(&seats, "10.0.0.2").is_turned_away());
    }

    #[tokio::test]
    async fn of_those_without_room_only_some_are_told() {
        let seats = seats();
        let caps = Caps { connections: 0, ..CAPS };
        let told: Vec<_> = (0..100).filter_map(|_| seats.take(None, &caps)).collect();
        assert_eq!(told.len(), MAX_TURNED_AWAY);
        drop(told);
        assert!(seats.take(None, &caps).is_some());
    }

    #[tokio::test]
    async fn a_proxys_connections_count_for_its_clients() {
        let seats = seats();
        let client = "10.0.0.1".parse().unwrap();
        let proxied = || {
            let seat = seats.take(None, &CAPS).unwrap();
            seat.name(client, &CAPS);
            seat
        };
        let held = [proxied(), proxied()];
        assert!(proxied().is_turned_away());
        drop(held);
        assert!(!proxied().is_turned_away());
        let counts = seats.counts();
        assert_eq!((counts.strangers, counts.turned_away, counts.by_block.len()), (0, 0, 0));
    }
}
