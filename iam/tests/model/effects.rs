//! What happens to a world when somebody's authority ends or comes back.

use tollgate_proto::ids::UserId;

use crate::world::{Fate, Key, Password, World};

/// All credentials end, for good. Nothing happens to one who is disabled.
pub(crate) fn disabled(mut world: World, id: UserId) -> World {
    let user = world.users.get_mut(&id).unwrap();
    if user.enabled {
        user.enabled = false;
        user.epoch += 1;
        end_keys(&mut world, id);
    }
    world
}

pub(crate) fn enabled(mut world: World, id: UserId) -> World {
    let user = world.users.get_mut(&id).unwrap();
    user.enabled = true;
    user.suspended = false;
    world
}

pub(crate) fn deleted(mut world: World, id: UserId) -> World {
    world.users.remove(&id);
    world.keys.retain(|_, key| key.user != id);
    world.grants.retain(|grant, _| grant.user != id);
    world
}

/// Sessions end; live keys stay.
pub(crate) fn reset(mut world: World, id: UserId) -> World {
    let user = world.users.get_mut(&id).unwrap();
    user.password = Password::Temporary;
    user.must_change = true;
    user.epoch += 1;
    world
}

fn end_keys(world: &mut World, id: UserId) {
    let live = |key: &&mut Key| key.user == id && key.fate == Fate::Alive;
    for key in world.keys.values_mut().filter(live) {
        key.fate = Fate::Ended;
    }
}
