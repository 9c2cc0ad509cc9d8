//! Flows become tape. Loops are unrolled, branches jump forward only, and what runs side by side or
//! elsewhere (branches, scatters, calls) is appended behind the flow that starts it.

mod cached;
mod lookups;
mod messages;
mod middleware;
mod protected;
mod sessions;

pub(super) use self::lookups::lookups;
pub(super) use self::messages::{messages, of_sockets, records};
use super::super::ids::*;
use super::super::tape::{Command, Draw, DrawId, LocksId, Op, Pc, PollId, Route, Statement};
use super::super::{Choice, Model, Operation, Poll, Timer};
use super::{Compiler, balancers, draw_id, find, mix, named, optional, processes};
use crate::component::job_queue::Driver;
use crate::topology::{self, Flow, Named, Section, Step};
use crate::variate::{AliasTable, Law};

/// Compiles every operation.
pub(super) fn operations(compiler: &mut Compiler, model: &mut Model) {
    let topology = compiler.topology;
    let (shares, mix) = mix::by_shares(topology, &model.home_shares);
    model.mix = mix;
    for (operation, share) in topology.operations.iter().zip(shares) {
        let entry = compiler.operation(operation, model);
        model.operations.push(Operation {
            name: operation.name.clone(),
            share,
            entry,
            idempotent: operation.spec.idempotent,
            login: operation.spec.login,
            memory: operation.spec.memory.map(|bytes| bytes.0),
            next: Vec::new(),
            homes: Vec::new(),
            failover: operation.spec.failover.as_ref().map(|other| {
                let service = topology.service_of(&operation.spec).expect("checked");
                (find(&topology.services, &service.name), find(&topology.operations, &other.name))
            }),
        });
    }
}

/// Compiles health checks, probes and timers: they pass no middleware where they do not say so.
pub(super) fn checks(compiler: &mut Compiler, model: &mut Model) {
    let topology = compiler.topology;
    for balancer in &topology.balancers {
        let Some(checks) = balancers::checks(&balancer.spec) else { continue };
        let service: ServiceId = find(&topology.services, &balancer.spec.service.name);
        let flow = balancer.spec.checks.as_ref().map(|said| (&said.flow, said.middleware));
        let path = format!("balancer.{}.checks", balancer.name);
        let enter = Op::Enter { service, epilogue: None };
        let entry = aside(compiler, model, (service, enter), path, flow);
        model.services[service].health.checks = Some((checks, entry));
    }
    for (index, service) in topology.services.iter().enumerate() {
        let id = ServiceId(index as u32);
        for (place, (what, said)) in processes::probes(&service.spec).into_iter().enumerate() {
            let Some(said) = said else { continue };
            let path = format!("service.{}.{what}", service.name);
            let enter = Op::Enter { service: id, epilogue: None };
            let flow = Some((&said.flow, said.middleware));
            let entry = aside(compiler, model, (id, enter), path, flow);
            let process = model.services[id].process.as_mut().expect("it is probed");
            process.probes[place] = Some(processes::probe(said, entry));
        }
        for (place, said) in service.spec.timers.iter().enumerate() {
            let path = format!("service.{}.timers.{place}", service.name);
            let begins = Op::Again { timer: place as u16 };
            let entry = aside(compiler, model, (id, begins), path, Some((&said.flow, false)));
            let process = model.services[id].process.as_mut().expect("it has timers");
            process.timers.push(Timer { every: said.every, entry });
        }
    }
}

/// Compiles what a service does beside requests, to answer a check or by itself; says where that
/// begins.
fn aside<'t>(
    compiler: &mut Compiler<'t>,
    model: &mut Model,
    (service, begins): (ServiceId, Op),
    path: String,
    flow: Option<(&'t topology::Flow, bool)>,
) -> Pc {
    let place = Place::alone(service, path);
    let entry = compiler.here();
    let enter = compiler.emit(begins);
    let mut behind = Vec::new();
    let mut sessions = Sessions::new();
    if let Some((flow, middleware)) = flow {
        if middleware {
            sessions = compiler.before(&place, model);
        }
        compiler.flow(flow, &place, model, &sessions, &mut behind);
    }
    compiler.end_sessions(&place, model, &sessions);
    compiler.emit(Op::End);
    compiler.epilogue(enter, &place, model, &sessions);
    compiler.rest(behind, model);
    entry
}

/// Where in a flow the compiler stands.
#[derive(Clone)]
pub(super) struct Place<'t> {
    /// The operation, for limits and guards that concern some only.
    pub(super) operation: &'t str,
    /// The service that runs the steps.
    pub(super) service: usize,
    /// The path of the step: the root of its random numbers.
    path: String,
    /// The pools whose connections are held, outermost first.
    pub(super) held: Vec<PoolId>,
    /// On the innermost of them a transaction has begun.
    pub(super) begun: bool,
    /// The innermost is got by the first statement only; whether that may be on the primary alone.
    pub(super) lazy: Option<bool>,
    /// Whether the steps run in a thread.
    pub(super) in_thread: bool,
    /// The key that a cache in front has missed, and of which set.
    pub(super) keyed: Option<(&'t str, DrawId)>,
}

impl Place<'_> {
    /// Where a service does something beside requests.
    fn alone(service: ServiceId, path: String) -> Self {
        Place {
            operation: "",
            service: service.0 as usize,
            path,
            held: Vec::new(),
            begun: false,
            lazy: None,
            in_thread: false,
            keyed: None,
        }
    }
    pub(super) fn at(&self, step: impl std::fmt::Display) -> Self {
        Place { path: format!("{}.{step}", self.path), ..self.clone() }
    }
    pub(super) fn draw(&self, purpose: &str) -> DrawId {
        draw_id(&format!("{}/{purpose}", self.path))
    }
}

/// A piece of tape to be compiled behind the flow that starts it, and where its entry is wanted.
pub(super) enum Behind<'t> {
    Fork { slot: usize, flow: &'t Flow, place: Place<'t> },
    Call { at: usize, call: &'t topology::Call, place: Place<'t> },
    Protect { at: usize, flow: &'t Flow, place: Place<'t> },
    Scatter { at: usize, scatter: &'t topology::Scatter, place: Place<'t> },
    Lookup { usage: u32, lookup: &'t topology::Dist, place: Place<'t> },
}

/// What the session middlewares of a request leave to be done at its end.
pub(super) type Sessions = Vec<(SessionId, usize)>;

impl<'t> Compiler<'t> {
    pub(super) fn emit(&mut self, op: Op) -> usize {
        self.tape.push(op);
        self.tape.len() - 1
    }
    pub(super) fn here(&self) -> Pc {
        Pc(self.tape.len() as u32)
    }

    fn operation(&mut self, operation: &'t Named<topology::Operation>, model: &mut Model) -> Pc {
        let entry = self.here();
        let service = self.topology.service_of(&operation.spec).expect("checked: it has a service");
        let index: ServiceId = find(&self.topology.services, &service.name);
        let place = Place {
            operation: &operation.name,
            service: index.0 as usize,
            path: format!("operation.{}", operation.name),
            held: Vec::new(),
            begun: false,
            lazy: None,
            in_thread: false,
            keyed: None,
        };
        let edge = operation.spec.cdn.as_ref().map(|cdn| {
            let cdn: CdnId = find(&self.topology.cdns, &cdn.name);
            self.emit(Op::Edge { cdn, key: place.draw("edge"), hit: Pc(0) })
        });
        let enter = self.emit(Op::Enter { service: index, epilogue: None });
        let edge_keys = operation.spec.cdn.as_ref().map(|cdn| {
            let cdn = named(&self.topology.cdns, &cdn.name);
            (cdn.spec.keys.name.as_str(), place.draw("edge"))
        });
        let place = self.balanced(enter, place, edge_keys);
        let mut behind = Vec::new();
        let sessions = self.before(&place, model);
        self.flow(&operation.spec.flow, &place, model, &sessions, &mut behind);
        let replies = operation.spec.flow.iter().any(|step| matches!(step.value, Step::Reply(_)));
        if !replies {
            self.end_sessions(&place, model, &sessions);
            let bytes = self.constant(0.0);
            self.emit(Op::Reply { bytes, status: 200 });
        }
        self.emit(Op::End);
        self.epilogue(enter, &place, model, &sessions);
        if let Some(edge) = edge {
            self.edge_hit(edge, operation);
        }
        self.rest(behind, model);
        entry
    }

    /// The steps of a request that enters there: if its balancer goes by keys, they are for the same key,
    /// which is that of an edge before it where both have one set.
    fn balanced(
        &mut self,
        enter: usize,
        place: Place<'t>,
        edge: Option<(&'t str, DrawId)>,
    ) -> Place<'t> {
        let service = &self.topology.services[place.service].name;
        let before = self.topology.balancers.iter().find(|it| it.spec.service.name == *service);
        let Some(topology::BalanceBy::Keys(keys)) = before.map(|balancer| &balancer.spec.by) else {
            return place;
        };
        let at_edge = edge.filter(|(name, _)| *name == keys.name);
        let keyed = at_edge.unwrap_or_else(|| (&keys.name, place.draw("balanced")));
        self.balanced.push((Pc(enter as u32), keyed.1));
        Place { keyed: Some(keyed), ..place }
    }

    /// What a failing request still does: its session is kept before its answer leaves.
    fn epilogue(&mut self, enter: usize, place: &Place, model: &mut Model, sessions: &Sessions) {
        if sessions.is_empty() {
            return;
        }
        let at = self.here();
        self.end_sessions(&place.at("failed"), model, sessions);
        self.emit(Op::Refuse);
        let Op::Enter { epilogue, .. } = &mut self.tape[enter] else {
            unreachable!("a request enters where it was said to")
        };
        *epilogue = Some(at);
    }

    /// What the edge answers by itself: the body of the flow's reply.
    fn edge_hit(&mut self, edge: usize, operation: &Named<topology::Operation>) {
        let at = self.here();
        let bytes = operation.spec.flow.iter().find_map(|step| match &step.value {
            Step::Reply(reply) => Some(reply.bytes.law.clone()),
            _ => None,
        });
        let law = self.add_law(bytes.unwrap_or(Law::Constant(0.0)));
        let id = draw_id(&format!("operation.{}/edge-reply", operation.name));
        self.emit(Op::Reply { bytes: Draw { law, id }, status: 200 });
        self.emit(Op::End);
        let Op::Edge { hit, .. } = &mut self.tape[edge] else { unreachable!("just emitted") };
        *hit = at;
    }

    pub(super) fn constant(&mut self, value: f64) -> Draw {
        Draw { law: self.add_law(Law::Constant(value)), id: DrawId(0) }
    }

    /// Compiles what has been put off.
    fn rest(&mut self, behind: Vec<Behind<'t>>, model: &mut Model) {
        for piece in behind {
            let entry = self.here();
            let mut further = Vec::new();
            match piece {
                Behind::Fork { slot, flow, place } => {
                    self.forks[slot] = entry;
                    self.flow(flow, &place, model, &Vec::new(), &mut further);
                }
                Behind::Protect { at, flow, place } => {
                    let Op::Protect { entry: wanted, .. } = &mut self.tape[at] else {
                        unreachable!("a breaker waits for its flow")
                    };
                    *wanted = entry;
                    self.flow(flow, &place, model, &Vec::new(), &mut further);
                }
                Behind::Call { at, call, place } => {
                    let Op::Call { entry: wanted, .. } = &mut self.tape[at] else {
                        unreachable!("a call waits for its flow")
                    };
                    *wanted = entry;
                    let service = ServiceId(place.service as u32);
                    let enter = self.emit(Op::Enter { service, epilogue: None });
                    let place = self.balanced(enter, place, None);
                    let sessions = self.before(&place, model);
                    self.flow(&call.flow, &place, model, &sessions, &mut further);
                    self.end_sessions(&place, model, &sessions);
                    self.emit(Op::End);
                    self.epilogue(enter, &place, model, &sessions);
                }
                Behind::Lookup { usage, lookup, place } => {
                    self.store_lookup(usage, lookup, &place);
                }
                Behind::Scatter { at, scatter, place } => {
                    let Op::Scatter { entry: wanted, .. } = &mut self.tape[at] else {
                        unreachable!("a scatter waits for its branch")
                    };
                    *wanted = entry;
                    let pool: PoolId = find(&self.topology.pools, &scatter.pool.name);
                    let route = Route::Branch;
                    let acquire = Op::Acquire { pool, route, write: false, awaited: false };
                    self.acquire(acquire, &place);
                    let begins = self.topology.pools[pool.0 as usize].spec.always_begins();
                    if begins {
                        self.mark("begin", true, &place);
                    }
                    let work = Draw { law: self.law(&scatter.read), id: place.draw("read") };
                    self.query(work, Statement::Read, 0.0, None);
                    if begins {
                        self.mark("rollback", false, &place);
                    }
                    self.give_back(pool, &place);
                }
            }
            self.emit(Op::End);
            self.rest(further, model);
        }
    }

    /// The middlewares of a service, in order, and its own work for each request.
    fn before(&mut self, place: &Place<'t>, model: &mut Model) -> Sessions {
        let service = &self.topology.services[place.service];
        if let topology::Runtime::Uvicorn(its) = &service.spec.runtime
            && let Some(most) = its.limit_concurrency
        {
            self.emit(Op::Admit { most });
        }
        if service.spec.accept_cpu.law != topology::Law::Constant(0.0) {
            let law = self.law(&service.spec.accept_cpu);
            self.emit(Op::Cpu { work: Draw { law, id: place.draw("accept") } });
        }
        let mut sessions = Sessions::new();
        for middleware in &service.spec.before {
            let name = &middleware.name;
            match middleware.section {
                Section::Limit => self.limit(name, place),
                Section::Guard => self.guard(name, place),
                Section::Bulkhead => self.permit(name, place),
                _ => self.begin_session(name, place, model, &mut sessions),
            }
        }
        sessions
    }

    pub(super) fn query(
        &mut self,
        work: Draw,
        kind: Statement,
        fail: f64,
        slowed_by: Option<SessionId>,
    ) {
        let (fail, locks) = (fail as f32, LocksId(0));
        let (within, open, pages, sorts) = (false, false, 0, 0);
        self.emit(Op::Query { work, kind, fail, slowed_by, locks, within, open, pages, sorts });
    }

    /// The steps of a flow.
    pub(super) fn flow(
        &mut self,
        flow: &'t Flow,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let looks = self.topology.services[place.service].spec.deadlines;
        for (number, step) in flow.iter().enumerate() {
            if looks {
                self.emit(Op::Deadline);
            }
            self.step(&step.value, &place.at(number), model, sessions, behind);
        }
    }

    /// A request to another service, whose flow is compiled later.
    fn call_step(
        &mut self,
        call: &'t topology::Call,
        place: &Place<'t>,
        behind: &mut Vec<Behind<'t>>,
    ) {
        if let Some(lookup) = &call.lookup {
            self.look_up(lookup, place);
        }
        let service: ServiceId = find(&self.topology.services, &call.service.name);
        let caller = &self.topology.services[place.service].name;
        let (agent, without) = self.agent(call, caller);
        let timeout = self.spans.id(optional(call.timeout).or(without));
        let retry = self.call_retry(call, place.service);
        let draw = place.draw("call");
        let looks = self.topology.services[place.service].spec.deadlines;
        let at = self.emit(Op::Call { entry: Pc(0), timeout, draw, retry, agent, looks });
        if !call.idempotent {
            self.once.push(Pc(at as u32));
        }
        let place = Place {
            service: service.0 as usize,
            held: Vec::new(),
            lazy: None,
            in_thread: false,
            ..place.at("call")
        };
        behind.push(Behind::Call { at, call, place });
    }

    fn step(
        &mut self,
        step: &'t Step,
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        match step {
            Step::Cpu(work) => {
                let (law, id) = (self.law(work), place.draw("cpu"));
                self.emit(Op::Cpu { work: Draw { law, id } });
            }
            Step::Spin(work) => {
                let (law, id) = (self.law(work), place.draw("spin"));
                self.emit(Op::Spin { work: Draw { law, id } });
            }
            Step::Threads(work) => {
                let work = Draw { law: self.law(work), id: place.draw("threads") };
                self.emit(Op::Threads { work });
            }
            Step::Child(child) => self.child(child, place),
            // A thread goes on with what else would want one.
            Step::Blocking(flow) if place.in_thread => {
                self.flow(flow, place, model, sessions, behind);
            }
            Step::Blocking(flow) => {
                self.emit(Op::ThreadEnter);
                let place = Place { in_thread: true, ..place.at("blocking") };
                self.flow(flow, &place, model, sessions, behind);
                self.emit(Op::ThreadLeave);
                self.emit(Op::ThreadFree);
            }
            Step::Wait(length) => {
                let length = Draw { law: self.law(length), id: place.draw("wait") };
                // A thread that waits hears of nothing.
                let deadlines = self.topology.services[place.service].spec.deadlines;
                self.emit(Op::Wait { length, looks: deadlines && !place.in_thread });
            }
            Step::Put(said) | Step::Get(said) => {
                let write = matches!(step, Step::Put(_));
                let usage = self.store_use(said, write, place.draw("store"));
                self.connect_store(said, usage, place, behind);
                self.emit(Op::Store { usage });
            }
            Step::Query(query) => self.query_step(query, place),
            Step::Transaction(transaction) => {
                self.transaction(transaction, place, model, sessions, behind);
            }
            Step::Cache(lookup) => self.cache(lookup, place, model, sessions, behind),
            Step::Invalidate(invalidate) => {
                let cache = find(&self.topology.caches, &invalidate.cache.name);
                let keys = self.keyset(model, cache, &invalidate.keys.name);
                model.keys[keys].removed = true;
                self.look_into_memory(cache, place, "delete");
                self.emit(Op::CacheDelete { cache, keys, key: place.draw("key") });
            }
            Step::Update(update) => self.update(update, place, model, sessions, behind),
            Step::Command(own) => self.own_command(own, place),
            Step::Session(which) => self.session_step(which, place, model),
            Step::Call(call) => self.call_step(call, place, behind),
            Step::Enqueue(enqueue) => self.enqueue(enqueue, place, model),
            Step::Publish(stream) => self.publish(&stream.name, place),
            Step::FetchSockets(socket) => self.fetch_sockets(&socket.name, place),
            Step::Parallel(flows) => {
                let first = self.forks.len();
                self.forks.extend(flows.iter().map(|_| Pc(0)));
                self.emit(Op::Fork { first: first as u32, count: flows.len() as u32 });
                for (number, flow) in flows.iter().enumerate() {
                    let place = Place { held: Vec::new(), in_thread: false, ..place.at(number) };
                    behind.push(Behind::Fork { slot: first + number, flow, place });
                }
            }
            Step::Scatter(scatter) => {
                let pool = find(&self.topology.pools, &scatter.pool.name);
                let at = self.emit(Op::Scatter { pool, entry: Pc(0) });
                behind.push(Behind::Scatter { at, scatter, place: place.clone() });
            }
            Step::Breaker(call) => self.breaker(call, place, model, sessions, behind),
            Step::Bulkhead(inside) => self.bulkhead(inside, place, model, sessions, behind),
            Step::Choose(branches) => self.choose(branches, place, model, sessions, behind),
            Step::Repeat(repeat) => {
                for turn in 0..repeat.times {
                    self.flow(&repeat.flow, &place.at(turn), model, sessions, behind);
                }
            }
            Step::Transfer(said) => self.transfer(said, place),
            Step::Reply(reply) => {
                self.end_sessions(place, model, sessions);
                let bytes = Draw { law: self.law(&reply.bytes), id: place.draw("reply") };
                self.emit(Op::Reply { bytes, status: reply.status });
            }
        }
    }

    /// The loop starts a child process, and the flow waits for its end.
    fn child(&mut self, child: &topology::Child, place: &Place) {
        let spawn = Draw { law: self.law(&child.spawn), id: place.draw("spawn") };
        self.emit(Op::Cpu { work: spawn });
        let work = Draw { law: self.law(&child.cpu), id: place.draw("child") };
        self.emit(Op::Child { work });
    }

    fn enqueue(&mut self, enqueue: &topology::Enqueue, place: &Place, model: &Model) {
        let job: JobId = find(&self.topology.jobs, &enqueue.job.name);
        let queue =
            find(&self.topology.queues, &self.topology.jobs[job.0 as usize].spec.queue.name);
        let queue = &model.queues[queue];
        if let (Some(cache), Some(scripts)) = (queue.cache, queue.scripts) {
            let bytes = self.topology.jobs[job.0 as usize].spec.size.0 as u32;
            let (takes, draw) = (scripts.add, place.draw("push"));
            // What is due later is not put among those that wait.
            let inserts = queue.driver == Driver::Bull
                && model.jobs[job].priority > 0
                && enqueue.delay.is_zero();
            let command = match inserts {
                true => Command::Insert { takes, job },
                false => Command::Add(takes),
            };
            self.emit(Op::Command { cache, command, draw, bytes });
        }
        let poll = enqueue.poll.as_ref().map_or(PollId::default(), |poll| {
            self.polls.push(Poll {
                operation: find(&self.topology.operations, &poll.operation.name),
                every: poll.every,
                most: poll.most.unwrap_or(u32::MAX),
            });
            PollId(self.polls.len() as u16)
        });
        let (draw, wait, delay) = (place.draw("job"), enqueue.wait, enqueue.delay);
        self.emit(Op::Enqueue { job, draw, wait, poll, delay });
    }

    fn choose(
        &mut self,
        branches: &'t [topology::Branch],
        place: &Place<'t>,
        model: &mut Model,
        sessions: &Sessions,
        behind: &mut Vec<Behind<'t>>,
    ) {
        let choice = self.choices.len();
        let chances: Vec<f64> = branches.iter().map(|branch| branch.share.0).collect();
        let table = AliasTable::new(&chances);
        self.choices.push(Choice { table, chances, targets: Vec::new() });
        self.emit(Op::Choose { choice: choice as u32, draw: place.draw("choose") });
        let mut targets = Vec::new();
        let mut ends = Vec::new();
        for (number, branch) in branches.iter().enumerate() {
            targets.push(self.here());
            self.flow(&branch.flow, &place.at(number), model, sessions, behind);
            ends.push(self.emit(Op::Jump { to: Pc(0) }));
        }
        let to = self.here();
        for end in ends {
            self.tape[end] = Op::Jump { to };
        }
        self.choices[choice].targets = targets;
    }
}
