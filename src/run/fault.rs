//! Faults: when they come and go, and in which condition they leave what they strike.
//!
//! A fault is a process of its own: it begins, ends, and perhaps begins again. While it lasts, every
//! unit that it strikes (an instance, a node, a process) has a [`Condition`], which the component
//! looks at when it does something; `harm.rs` has what happens at the moment of the blow, and
//! `cut.rs` what a cut network does. A model without faults has none of this, and looks at nothing.

use crate::kernel::{Event, PendingEvents};
use crate::model::ids::{CacheId, FaultId};
use crate::model::{Extent, Fault, Harm, Model, UNIT_KINDS, Unit, UnitKind};
use crate::stream::StreamKey;
use crate::units::{Duration, Time};

use super::cut::ActiveCut;
use super::event::Kind;
use super::outcome::FaultMark;
use super::service::Phase;
use super::world::World;

/// How something is, as far as faults have to do with it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Condition {
    /// It does nothing at all.
    pub down: bool,
    /// How many times as long everything takes.
    pub slow: f64,
    /// The chance that what it is asked fails.
    pub errors: f64,
    /// It is gone with its machine, and nobody is told.
    pub silent: bool,
}

/// As nearly always.
pub const WELL: Condition = Condition { down: false, slow: 1.0, errors: 0.0, silent: false };

impl Condition {
    /// A length of time under this condition.
    #[inline(always)]
    pub fn stretch(self, length: Duration) -> Duration {
        if self.slow == 1.0 { length } else { length.scale(self.slow) }
    }
}

/// All faults while they run.
pub struct FaultState {
    /// The condition of each unit that was ever struck, by kind and number.
    conditions: [Vec<Condition>; UNIT_KINDS],
    /// Blows in force, in the order in which they fell.
    struck: Vec<Blow>,
    /// Networks that are cut.
    pub(super) cuts: Vec<ActiveCut>,
    /// What begins and ends.
    processes: Vec<Process>,
    /// Number of the first node of each cache among those of all caches.
    first_node: Vec<u32>,
    /// What has happened so far.
    pub marks: Vec<FaultMark>,
    /// Numbers the draws of flaky units.
    pub(super) trials: u64,
}

/// A blow in force.
struct Blow {
    process: u32,
    unit: Unit,
}

/// A fault, or one unit's own share of it.
struct Process {
    fault: FaultId,
    /// The unit that fails at times of its own.
    unit: Option<Unit>,
    /// Its random numbers.
    stream: StreamKey,
    /// How often it has begun.
    times: u32,
}

impl FaultState {
    /// Before the first; nothing where the model has none.
    pub fn new(model: &Model, key: StreamKey) -> Option<Box<FaultState>> {
        if model.faults.is_empty() {
            return None;
        }
        let mut processes = Vec::new();
        for (fault, spec) in model.faults.enumerate() {
            let stream = key.named("fault").named(&spec.name);
            let one = |unit, stream| Process { fault, unit, stream, times: 0 };
            if !spec.apart {
                processes.push(one(None, stream));
                continue;
            }
            for (target, units) in spec.targets.iter().enumerate() {
                for (place, unit) in units[..spec.extent.of(units.len())].iter().enumerate() {
                    let own = stream.numbered(target as u64).numbered(place as u64);
                    processes.push(one(Some(*unit), own));
                }
            }
        }
        let mut nodes = 0;
        let first_node = model.caches.iter().map(|cache| {
            let first = nodes;
            nodes += if cache.service.is_none() { cache.nodes } else { 0 };
            first
        });
        Some(Box::new(FaultState {
            conditions: Default::default(),
            struck: Vec::new(),
            cuts: Vec::new(),
            processes,
            first_node: first_node.collect(),
            marks: Vec::new(),
            trials: 0,
        }))
    }

    /// The number of a cache's node among those of all caches.
    pub fn cache_node(&self, cache: CacheId, node: u32) -> u32 {
        self.first_node[cache.0 as usize] + node
    }

    /// The cache and the place in it of a node.
    pub fn place_of_cache_node(&self, number: u32) -> (CacheId, u32) {
        // Memory of workers has no nodes: the last cache that begins there is the one.
        let after = self.first_node.partition_point(|first| *first <= number) as u32;
        let cache = CacheId(after - 1);
        (cache, number - self.first_node[cache.0 as usize])
    }

    fn condition(&self, unit: Unit) -> Condition {
        let known = self.conditions[unit.kind as usize].get(unit.number as usize);
        known.copied().unwrap_or(WELL)
    }

    /// Whether a new machine in a unit's place would be down as well: all of its kind are. Environments of a
    /// function are not restarted: a restart takes those that there are, and others start for the next requests.
    pub(super) fn keeps_down(&self, unit: Unit, model: &Model, is_environment: bool) -> bool {
        self.struck.iter().filter(|blow| blow.unit == unit).any(|blow| {
            let fault = &model.faults[self.processes[blow.process as usize].fault];
            let falls = fault.harm.falls();
            let goes = is_environment && fault.harm == Harm::Restart && !fault.regional;
            falls && fault.extent == Extent::All && !fault.apart && !fault.zonal && !goes
        })
    }

    /// What the last blow in force does to a unit.
    pub(super) fn harm_of<'m>(&self, unit: Unit, model: &'m Model) -> Option<&'m Harm> {
        let blow = self.struck.iter().rfind(|blow| blow.unit == unit)?;
        Some(&model.faults[self.processes[blow.process as usize].fault].harm)
    }

    /// A unit has its place on another machine now: what befell the old one is nothing to it.
    pub(super) fn forget_machine(&mut self, unit: Unit, model: &Model) {
        let processes = &self.processes;
        self.struck.retain(|blow| {
            let harm = &model.faults[processes[blow.process as usize].fault].harm;
            blow.unit != unit || !matches!(harm, Harm::NodeLoss(_))
        });
        self.examine(unit, model);
    }

    /// What all blows in force make of a unit.
    fn examine(&mut self, unit: Unit, model: &Model) {
        let mut condition = WELL;
        for blow in self.struck.iter().filter(|blow| blow.unit == unit) {
            match model.faults[self.processes[blow.process as usize].fault].harm {
                Harm::Stop | Harm::Restart | Harm::Failover(_) | Harm::Promote => {
                    condition.down = true;
                }
                Harm::NodeLoss(_) => (condition.down, condition.silent) = (true, true),
                Harm::Slow(times) => condition.slow *= times,
                Harm::Flaky(share) => {
                    condition.errors = 1.0 - (1.0 - condition.errors) * (1.0 - share);
                }
                Harm::Cut(..) | Harm::BrokerLoss(_) => {}
            }
        }
        let all = &mut self.conditions[unit.kind as usize];
        if all.len() <= unit.number as usize {
            all.resize(unit.number as usize + 1, WELL);
        }
        all[unit.number as usize] = condition;
    }
}

impl Extent {
    /// How many of so many.
    fn of(self, all: usize) -> usize {
        match self {
            Extent::All => all,
            Extent::Count(count) => all.min(count as usize),
            Extent::Share(share) => all.min((share * all as f64).round() as usize),
        }
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// Schedules the first beginning of every fault.
    pub fn start_faults(&mut self) {
        let Some(state) = &self.faults else { return };
        for process in 0..state.processes.len() as u32 {
            let spec = self.fault_of(process);
            match spec.at {
                Some(at) => self.schedule_fault(Time::ZERO + at, process, false),
                None => self.schedule_next(process),
            }
        }
    }

    fn fault_of(&self, process: u32) -> &Fault {
        let state = self.faults.as_ref().expect("a fault happens where there are some");
        &self.model.faults[state.processes[process as usize].fault]
    }

    fn schedule_fault(&mut self, at: Time, process: u32, ends: bool) {
        if at < Time::NEVER {
            self.events.push(Event::new(at, Kind::Fault as u8, u32::from(ends), process));
        }
    }

    fn schedule_next(&mut self, process: u32) {
        let state = self.faults.as_ref().expect("a fault happens where there are some");
        let Process { fault, stream, times, .. } = state.processes[process as usize];
        if let Some(every) = self.model.faults[fault].every {
            let pause = self.model.draw_law(every, stream.named("every"), times);
            self.schedule_fault(self.now + pause, process, false);
        }
    }

    /// A fault begins or ends.
    pub fn fault(&mut self, process: u32, ends: bool) {
        if ends {
            self.fault_ends(process);
        } else {
            self.fault_begins(process);
        }
    }

    fn fault_begins(&mut self, process: u32) {
        let model = self.model;
        let state = self.faults.as_mut().expect("a fault happens where there are some");
        let Process { fault, unit, stream, times } = state.processes[process as usize];
        state.processes[process as usize].times += 1;
        let spec = &model.faults[fault];
        let until = match spec.lasts {
            Some(law) => self.now + model.draw_law(law, stream.named("for"), times),
            None => Time::NEVER,
        };
        let units = match unit {
            Some(unit) => vec![unit],
            None => spec.targets.iter().flat_map(|all| self.chosen(all, spec.extent)).collect(),
        };
        let state = self.faults.as_mut().expect("a fault happens where there are some");
        state.marks.push(FaultMark {
            fault,
            process,
            from: self.now,
            until: None,
            units: units.len() as u32,
        });
        if let Harm::Cut(near, far) = &spec.harm {
            let cut = ActiveCut { process, near: near.clone(), far: *far, until };
            state.cuts.push(cut.clone());
            self.cut_consumers(&cut);
        }
        for unit in units {
            let state = self.faults.as_mut().expect("a fault happens where there are some");
            state.struck.push(Blow { process, unit });
            state.examine(unit, model);
            self.strike(unit, &spec.harm, until);
        }
        self.schedule_fault(until, process, true);
    }

    /// Those of a target's units that a fault strikes: the first of those that are there.
    fn chosen(&self, all: &[Unit], extent: Extent) -> Vec<Unit> {
        let is_there = |unit: &&Unit| {
            unit.kind != UnitKind::Instance
                || self.instances[unit.number as usize].phase == Phase::Up
                || extent == Extent::All
        };
        let mut there: Vec<Unit> = all.iter().filter(is_there).copied().collect();
        there.truncate(extent.of(there.len()));
        there
    }

    fn fault_ends(&mut self, process: u32) {
        let model = self.model;
        let now = self.now;
        let state = self.faults.as_mut().expect("a fault happens where there are some");
        let harm = &model.faults[state.processes[process as usize].fault].harm;
        let mark = state.marks.iter_mut().rfind(|mark| mark.process == process);
        mark.expect("what ends has begun").until = Some(now);
        let healed = state.cuts.iter().position(|cut| cut.process == process);
        let healed = healed.map(|place| state.cuts.remove(place));
        let (over, on): (Vec<Blow>, Vec<Blow>) =
            std::mem::take(&mut state.struck).into_iter().partition(|it| it.process == process);
        state.struck = on;
        for Blow { unit, .. } in over {
            let state = self.faults.as_mut().expect("a fault happens where there are some");
            state.examine(unit, model);
            self.heal(unit, harm);
        }
        if let Some(cut) = healed {
            self.heal_consumers(&cut);
        }
        self.schedule_next(process);
    }

    /// In which condition a unit is.
    #[inline(always)]
    pub fn condition(&self, kind: UnitKind, number: u32) -> Condition {
        match &self.faults {
            None => WELL,
            Some(state) => state.condition(Unit { kind, number }),
        }
    }

    /// In which condition the node of a cache is.
    #[inline(always)]
    pub fn condition_of_cache(&self, cache: CacheId, node: u32) -> Condition {
        match &self.faults {
            None => WELL,
            Some(state) => {
                let number = state.cache_node(cache, node);
                let condition = state.condition(Unit { kind: UnitKind::CacheNode, number });
                let standby = self.caches[cache].standby.as_ref();
                let replaced = condition.down && standby.is_some_and(|it| it.stands_in(node));
                if replaced { WELL } else { condition }
            }
        }
    }
}
