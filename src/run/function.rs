//! Functions (AWS Lambda): a request gets an execution environment of its own, idle or new.
//!
//! An environment is an instance with one worker. It is frozen between requests: the timers of its pools
//! stand still, so that connections stay open that a process would have closed; what is overdue when it
//! is thawed happens first. One that is gone, for having been idle or because its execution took too
//! long, takes its memory and its connections with it.

use super::event::Kind;
use super::meter::{Counter, MILLI, Part};
use super::provisioned::Provision;
use super::service::Phase;
use super::task::{Role, State, flag};
use super::world::World;
use crate::component::function_fleet::{Account, Fleet, Invoked};
use crate::failure::Failure;
use crate::kernel::{Event, PendingEvents};
use crate::model::ids::ServiceId;
use crate::model::{Function, Model};
use crate::units::{Duration, Time};

/// Random numbers of the start of an environment.
pub(super) const INIT: u32 = 0x1a17;

/// A function while it runs.
pub struct FunctionState {
    /// Its environments.
    pub(super) fleet: Fleet,
    /// Whose executions it takes: among all accounts, those of regions first.
    pub(super) account: usize,
    /// How the number of those that are kept ready follows their use.
    pub(super) provision: Option<Provision>,
    /// When idle environments are looked at next.
    looks_at: Time,
    /// Environments started again in the place of those that are kept ready.
    restarts: u64,
}

/// Executions that may run at once, by region, and then for each function that has its own.
pub fn accounts(model: &Model) -> Vec<Account> {
    let functions = || model.services.iter().filter_map(|it| Some((it, it.function.as_ref()?)));
    let of_region = |region: usize| {
        let here = functions().find(|(service, _)| service.region.0 as usize == region);
        here.map_or(Account::new(0, 0), |(_, it)| Account::new(it.account.0, it.account.1))
    };
    let own = |it: &Function| {
        let reserved = it.reserved?;
        Some(Account::new(reserved - it.provisioned, reserved))
    };
    let regions = (0..model.regions.len()).map(of_region);
    regions.chain(functions().filter_map(|(_, function)| own(function))).collect()
}

impl FunctionState {
    /// Of a service, if that is a function.
    pub fn new(model: &Model, service: ServiceId) -> Option<Box<FunctionState>> {
        let spec = &model.services[service];
        let function = spec.function.as_ref()?;
        let reserves = |id: &ServiceId| {
            model.services[*id].function.as_ref().is_some_and(|it| it.reserved.is_some())
        };
        let before = model.services.ids().take_while(|id| *id != service).filter(reserves).count();
        let account = match function.reserved {
            Some(_) => model.regions.len() + before,
            None => spec.region.0 as usize,
        };
        let Function { provisioned, idle, scaling, .. } = **function;
        let fleet = Fleet::new(spec.slots, provisioned, idle, scaling);
        let provision = Provision::new(function);
        Some(Box::new(FunctionState {
            fleet,
            account,
            provision,
            looks_at: Time::NEVER,
            restarts: 0,
        }))
    }
}

impl<Q: PendingEvents> World<'_, Q> {
    /// A request for a function: an environment takes it, is started for it, or it is throttled.
    pub(super) fn invoke(&mut self, task: u32, service: ServiceId) {
        let model = self.model;
        let (spec, now) = (&model.services[service], self.now);
        let function = spec.function.as_ref().expect("a function is invoked");
        self.count(function.executions, Counter::Arrivals);
        let first = self.services[service].first_instance;
        let mut state = self.services[service].function.take().expect("built with its service");
        let mut account = self.accounts[state.account];
        let invoked = state.fleet.invoke(now, &mut account, |it| !self.is_kept_down(first + it));
        self.accounts[state.account] = account;
        let turn = match invoked {
            Invoked::Warm(number) | Invoked::Cold(number) => state.fleet.turn(number),
            _ => 0,
        };
        if let (Some(its), Invoked::Warm(number)) = (&mut state.provision, invoked)
            && state.fleet.is_kept(number)
        {
            its.usage.change(now, 1, 0);
        }
        self.services[service].function = Some(state);
        let refusal = match invoked {
            Invoked::Throttled => Some((429, Failure::Limited)),
            Invoked::Nowhere => Some((503, Failure::NoInstance)),
            _ => None,
        };
        if let Some((status, why)) = refusal {
            self.count(function.executions, Counter::Rejected);
            self.tasks[task].answered = status;
            return self.fail(task, why);
        }
        self.meters[function.executions].busy.add(now, MILLI);
        let stream = self.tasks[task].stream;
        let hop = model.draw_law(spec.hop, stream, 0x0b0b);
        let (Invoked::Warm(number) | Invoked::Cold(number)) = invoked else { unreachable!() };
        let index = first + number;
        let record = &mut self.tasks[task];
        record.flags |= flag::OUTSTANDING;
        record.worker = self.instances[index as usize].first_worker;
        record.since = now;
        if let Invoked::Cold(_) = invoked {
            record.state = State::Backlog;
            self.instances[index as usize].phase = Phase::Starting;
            self.instances[index as usize].backlog.push_back(task);
            self.meters[spec.station].enter(now);
            let ready = now + hop + model.draw_law(function.init, stream, INIT);
            return self.at(ready, Kind::Boot, index);
        }
        self.thaw(index);
        self.time_execution(index, function.timeout, turn);
        if hop.is_zero() {
            return self.place(task);
        }
        self.spend(task, self.network, Part::Service, hop);
        self.at_task(now + hop, Kind::Place, task);
    }

    fn time_execution(&mut self, index: u32, timeout: Duration, turn: u32) {
        let at = self.now + timeout;
        self.events.push(Event::new(at, Kind::Target as u8, turn, index));
    }

    /// What was due while an environment was frozen happens now.
    fn thaw(&mut self, index: u32) {
        let model = self.model;
        let worker = self.instances[index as usize].first_worker;
        for kind in &model.services[self.service_of_worker(worker)].pools {
            let first = self.first_sub_pool(*kind, worker);
            for sub in first..first + self.sub_pools_per_worker(*kind) {
                if self.pools[sub as usize].armed == Time::NEVER {
                    self.pools[sub as usize].armed = self.now;
                    self.pool_timer(sub);
                }
            }
        }
    }

    /// Whether a sub-pool is part of a frozen environment, in which no timer runs.
    pub(super) fn is_frozen(&self, sub: u32) -> bool {
        let service = self.model.pools[self.pools[sub as usize].kind].service;
        self.services[service].function.as_ref().is_some_and(|state| {
            let index = self.workers[self.worker_of(sub) as usize].instance;
            let runs = self.instances[index as usize].phase == Phase::Up;
            runs && !state.fleet.is_busy(index - self.services[service].first_instance)
        })
    }

    /// An environment has started: it takes the request that it was started for, or is kept ready.
    pub(super) fn environment_ready(&mut self, index: u32) {
        let model = self.model;
        let service = self.instances[index as usize].service;
        let spec = &model.services[service];
        let worker = self.instances[index as usize].first_worker;
        let state = &mut self.workers[worker as usize];
        (state.down, state.started) = (false, Some(self.now));
        (state.heap, state.pause) = (state.heap.emptied(), Duration::ZERO);
        self.count_instances(service);
        self.instances[index as usize].phase = Phase::Up;
        self.services[service].running += 1;
        self.meters[spec.station].count(Counter::Opened);
        self.meters[spec.station].held.add(self.now, 1);
        self.start_pools(worker);
        let number = index - self.services[service].first_instance;
        let function = spec.function.as_ref().expect("only functions have environments");
        let state = self.services[service].function.as_mut().expect("built with its service");
        if !state.fleet.is_busy(number) {
            state.fleet.rest(number, self.now);
            self.note_provisioned(service, 0, 1);
            return self.look_later(service);
        }
        let turn = state.fleet.turn(number);
        self.time_execution(index, function.timeout, turn);
        self.accept_waiting(index);
    }

    /// An environment is rid of its request, which it has answered, or which never reached it.
    pub(super) fn execution_over(&mut self, index: u32) {
        if !self.end_execution(index) {
            return;
        }
        let service = self.instances[index as usize].service;
        let executions = self.model.services[service].function.as_ref().map(|it| it.executions);
        self.count(executions.expect("it is a function"), Counter::Served);
        let worker = self.instances[index as usize].first_worker;
        if self.workers[worker as usize].down {
            return; // gone with its request
        }
        let number = index - self.services[service].first_instance;
        let now = self.now;
        let state = self.services[service].function.as_mut().expect("built with its service");
        state.fleet.rest(number, now);
        self.look_later(service);
    }

    /// Closes the books of an execution; says whether there was one.
    fn end_execution(&mut self, index: u32) -> bool {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let number = index - self.services[service].first_instance;
        let state = self.services[service].function.as_mut().expect("built with its service");
        let Some(since) = state.fleet.end(number, &mut self.accounts[state.account]) else {
            return false;
        };
        if let Some(its) = state.provision.as_mut().filter(|_| state.fleet.is_kept(number)) {
            its.usage.change(self.now, -1, 0);
        }
        let executions = spec.function.as_ref().expect("it is a function").executions;
        let meter = &mut self.meters[executions];
        meter.busy.add(self.now, -MILLI);
        meter.add(Counter::BilledMillis, self.now.since(since).0.div_ceil(Duration::millis(1).0));
        true
    }

    /// Who is still on the way to an environment that has died is lost as it arrives there, whoever the
    /// environment in its place is for by then.
    fn lose_who_travels(&mut self, index: u32) {
        let worker = self.instances[index as usize].first_worker;
        for task in 0..self.tasks.capacity() as u32 {
            let record = self.tasks.peek(task);
            let caller = matches!(record.role, Role::Attempt | Role::Call);
            let travels = record.has(flag::OUTSTANDING) && !record.has(flag::ADMITTED);
            if record.state != State::Free && record.worker == worker && caller && travels {
                let record = &mut self.tasks[task];
                record.flags &= !flag::OUTSTANDING;
                record.status = Failure::InstanceLost as u8;
            }
        }
    }

    /// An environment is gone with all that it had: one that is kept ready is started anew.
    pub(super) fn environment_died(&mut self, index: u32) {
        self.lose_who_travels(index);
        self.end_execution(index);
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let number = index - self.services[service].first_instance;
        let state = self.services[service].function.as_mut().expect("built with its service");
        let was_kept = state.fleet.is_kept(number);
        let again = state.fleet.lose(number);
        if was_kept {
            self.note_provisioned(service, 0, -1);
            if !again {
                self.keeps_one_less(service);
            }
        }
        if again {
            let state = self.services[service].function.as_mut().expect("built with its service");
            state.restarts += 1;
            let restart = state.restarts;
            self.instances[index as usize].phase = Phase::Starting;
            let key = self.key.named("init").named(&spec.name).numbered(restart);
            let init = spec.function.as_ref().expect("it is a function").init;
            let ready = self.now + self.model.draw_law(init, key, INIT);
            self.at(ready, Kind::Boot, index);
        }
    }

    /// An execution may have taken too long.
    pub(super) fn execution_timeout(&mut self, index: u32, turn: u32) {
        let service = self.instances[index as usize].service;
        let spec = &self.model.services[service];
        let number = index - self.services[service].first_instance;
        let state = self.services[service].function.as_ref().expect("built with its service");
        if state.fleet.is_busy(number) && state.fleet.turn(number) == turn {
            let executions = spec.function.as_ref().expect("it is a function").executions;
            self.count(executions, Counter::TimedOut);
            self.kill_instance(index);
        }
    }

    /// Has idle environments looked at when the first of them will have been idle for too long.
    pub(super) fn look_later(&mut self, service: ServiceId) {
        let state = self.services[service].function.as_mut().expect("built with its service");
        let Some(at) = state.fleet.next_expiry().map(|at| at.max(self.now)) else { return };
        if at < state.looks_at {
            state.looks_at = at;
            self.at(at, Kind::Balancer, service.0);
        }
    }

    /// Environments that have been idle for too long are gone.
    pub(super) fn reclaim(&mut self, service: ServiceId) {
        let first = self.services[service].first_instance;
        let state = self.services[service].function.as_mut().expect("built with its service");
        if state.looks_at != self.now {
            return; // superseded
        }
        state.looks_at = Time::NEVER;
        while let Some(number) =
            self.services[service].function.as_ref().and_then(|state| state.fleet.expired(self.now))
        {
            self.kill_instance(first + number);
        }
        self.look_later(service);
    }

    /// Executions that functions count and those that are.
    pub(super) fn executions(&self, service: ServiceId) -> Option<u64> {
        self.services[service].function.as_ref().map(|state| state.fleet.at_work())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, run_for};
    use super::super::world::World;
    use crate::kernel::EventList;
    use crate::units::Duration;

    /// Environments are killed at all times, on their way and while they start: the books hold, and in
    /// the end nobody is at work and no connection of the dead is left.
    #[test]
    fn everything_adds_up_however_environments_die() {
        let model = model(
            "version = 1\n[arrivals]\nrate = '200/s'\n[region.here]\nfunctions = 130\n\
             [service.api]\nhop = '2ms'\n[service.api.function]\nidle = '300ms'\ntimeout = '200ms'\n\
             provisioned = 3\nmemory = '512MiB'\n[service.work]\n[service.work.function]\nreserved = 20\n\
             scaling = 100\ntimeout = '1s'\n[pool.pg]\nservice = 'work'\ndatabase = 'main'\nsize = 1\n\
             idle_timeout = '50ms'\n[database.main]\ncores = 2\n[operation.a]\nservice = 'api'\n\
             share = 1\nflow = [{ cpu.exponential = '5ms' }, { call = { service = 'work', flow = [\n\
             { query = { pool = 'pg', read.exponential = '20ms' } }] } }, { wait = '20ms' }]\n\
             [operation.b]\nservice = 'work'\nshare = 1\nflow = [{ query = { pool = 'pg', \
             read.exponential = '30ms' } }]\n[run]\nduration = '1h'\n",
        );
        let mut world = World::<EventList>::new(&model, 0);
        let mut draws = world.key.named("torment").draw(0);
        for _ in 0..600 {
            run_for(&mut world, Duration::micros(u64::from(draws.below(60_000))));
            let busy = draws.below(12);
            let index = if busy < 6 { busy } else { draws.below(world.instances.len() as u32) };
            match draws.below(3) {
                0 => world.kill_instance(index),
                1 => world.restart_worker(world.instances[index as usize].first_worker),
                _ => {}
            }
            run_for(&mut world, Duration::ZERO);
        }
        let api = &world.meters[model.services.iter().next().expect("two").station];
        assert!(api.counters[super::Counter::Opened as usize] > 100, "environments come and go");
        for index in 0..world.instances.len() as u32 {
            world.kill_instance(index);
        }
        run_for(&mut world, Duration::ZERO);
    }
}
