//! Worlds that tests step through by hand.

use super::world::World;
use crate::kernel::{EventList, PendingEvents};
use crate::model::Model;
use crate::model::compile::compile;
use crate::topology::load;
use crate::units::Duration;

/// The model of a text.
pub fn model(text: &str) -> Model {
    let text = text.to_string();
    let loaded = load("test.toml", &[], &mut |_| Ok(text.clone()));
    compile(&loaded.topology.expect("sound"))
}

/// Runs for so long, and checks the books there.
pub fn run_for(world: &mut World<EventList>, length: Duration) {
    let until = world.now + length;
    while let Some(event) = world.events.pop() {
        if event.at() > until {
            world.events.push(event);
            break;
        }
        world.step(event);
    }
    world.now = until;
    assert_eq!(world.audit().broken, Vec::<String>::new(), "at {until:?}");
}
