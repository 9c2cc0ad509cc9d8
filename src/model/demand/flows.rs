//! Who sends work to whom: the edges of the deployment's picture.

use super::front::Taken;
use super::{Held, Visit, Walk};
use crate::component::job_queue::Driver;
use crate::model::ids::{JobId, QueueId, ServiceId, SocketId, StationId, StreamId};
use crate::model::tape::{AgentId, Op, Pc};
use crate::model::{Acks, Job, Queue};
use crate::theory::erlang_c;

/// Where a flow comes from: users, or a component.
pub type Sender = Option<StationId>;

impl Walk<'_> {
    /// Notes whom the operation at `pc`, run by `service`, turns to, and how often a request does.
    pub(super) fn note_flow(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>) {
        let model = self.model;
        let own = service.map(|id| model.services[id].station);
        let op = model.tape[pc.0 as usize];
        let flow = match op {
            Op::Edge { cdn, .. } => Some((None, model.cdns[cdn].station)),
            Op::Enter { service: to, .. } => {
                let edge = (pc.0 > 0 && service.is_none())
                    .then(|| model.tape[pc.0 as usize - 1])
                    .and_then(|before| match before {
                        Op::Edge { cdn, .. } => Some(model.cdns[cdn].station),
                        _ => None,
                    });
                Some((own.or(edge), model.services[to].station))
            }
            Op::Call { agent, .. } if agent != AgentId::default() => {
                model.client_of(agent).station.map(|client| (own, client))
            }
            Op::Child { .. } => service.map(|id| (own, model.services[id].children_station)),
            Op::Threads { .. } => service.map(|id| (own, model.services[id].threads_station)),
            Op::Limit { limit, .. } => Some((own, model.limits[limit].station)),
            Op::Guard { guard, .. } => Some((own, model.guards[guard].station)),
            Op::SessionSeek { session, .. } => Some((own, model.sessions[session].station)),
            Op::Acquire { pool, .. } => Some((own, model.pools[pool].station)),
            Op::CacheGet { cache, .. }
            | Op::CacheSet { cache, .. }
            | Op::CacheDelete { cache, .. }
            | Op::CacheLock { cache, .. }
            | Op::CacheUnlock { cache, .. }
            | Op::Command { cache, .. } => Some((own, model.caches[cache].station)),
            Op::Publish { stream, .. } => Some((own, model.streams[stream].station)),
            Op::Enqueue { job, .. } => Some((own, model.queues[model.jobs[job].queue].station)),
            Op::Reply { .. } => service
                .and_then(|id| model.services[id].link)
                .map(|link| (own, model.links[link].station)),
            Op::Transfer { .. } => service
                .and_then(|id| model.services[id].link)
                .map(|link| (own, model.links[link].into)),
            _ => None,
        };
        if let Some((from, to)) = flow
            && from != Some(to)
        {
            *self.flows.entry((from, to)).or_insert(0.0) += weight;
        }
    }

    /// Another service is called, over a connection that may be one of few.
    pub(super) fn call(
        &mut self,
        entry: Pc,
        agent: AgentId,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let called = std::mem::replace(&mut self.called, true);
        let limited = agent != AgentId::default() && self.model.client_of(agent).station.is_some();
        if !limited {
            self.go(entry, weight, service, held);
            self.called = called;
            return;
        }
        if let Some(station) = self.model.client_of(agent).station {
            self.visits[station] += weight;
            self.square(station, weight, self.call_length(entry, service));
        }
        self.taken.calls.push(agent);
        self.go(entry, weight, service, held);
        self.taken.calls.pop();
        self.called = called;
    }

    /// An object store is asked.
    pub(super) fn ask_store(
        &mut self,
        usage: u32,
        from: Option<ServiceId>,
        weight: f64,
        held: &[Held],
    ) {
        let usage = self.model.store_uses[usage as usize];
        let store = &self.model.stores[usage.store];
        self.visits[store.station] += weight;
        let moves = store.shared.map_or(0.0, |all| self.mean(usage.bytes.law) / all);
        self.service_s[store.station] += weight * moves;
        let far = self.way_to(from, store.region);
        self.elsewhere(usage.mean_s(self.model) + far, weight, held);
    }

    /// A message: its leader's time, and the time of everybody who consumes it.
    pub(super) fn publish(
        &mut self,
        id: StreamId,
        from: Option<ServiceId>,
        weight: f64,
        held: &[Held],
    ) {
        let model = self.model;
        let stream = &model.streams[id];
        self.visits[stream.station] += weight;
        if let Some(topic) = &stream.topic {
            let append = self.mean(topic.append);
            self.service_s[stream.station] +=
                weight * topic.shards.map_or(append, |it| it.limits.cost(stream.message).seconds());
            let copies = if topic.followers > 0 { self.mean(topic.replicate) } else { 0.0 };
            let far = self.way_to(from, stream.region);
            let waits = topic.linger.seconds() + self.mean(topic.rtt) + far + append;
            match topic.acks {
                Acks::None => {}
                Acks::Leader => self.elsewhere(waits, weight, held),
                Acks::All => self.elsewhere(waits + copies, weight, held),
            }
        }
        for consumer in &stream.consumers {
            let spec = &model.consumers[*consumer];
            if let Some(mapping) = spec.mapping() {
                self.visits[spec.station] += weight;
                let between = (Some(stream.station), spec.station);
                *self.flows.entry(between).or_insert(0.0) += weight;
                let handler = (mapping.entry, mapping.function);
                self.handle(handler, (spec.station, None), weight, false);
                continue;
            }
            let times = match spec.rules {
                crate::model::Rules::RedisPubSub(_) => f64::from(spec.members),
                _ => 1.0,
            };
            self.service_s[spec.station] += weight * times * self.mean(spec.work);
            self.visits[spec.station] += weight * times;
            let between = (Some(stream.station), spec.station);
            *self.flows.entry(between).or_insert(0.0) += weight * times;
        }
    }

    /// A job, and the time of whoever works at it.
    pub(super) fn enqueue(
        &mut self,
        (id, waits, delay): (JobId, bool, crate::units::Duration),
        from: Option<ServiceId>,
        weight: f64,
        held: &[Held],
    ) {
        let job = &self.model.jobs[id];
        let queue = &self.model.queues[job.queue];
        let far = self.way_to(from, queue.region.filter(|_| queue.cache.is_none()));
        if far > 0.0 {
            self.elsewhere(far, weight, held);
        }
        if waits && !delay.is_zero() {
            self.elsewhere(delay.seconds(), weight, held);
        }
        if let Some(mapping) = &queue.mapping {
            return self.message(job, mapping.function, weight, waits);
        }
        let scripts = self.scripts(job.queue, weight);
        if let Some(service) = queue.service {
            self.service_s[queue.station] += weight * scripts;
            if waits {
                self.elsewhere(scripts, weight, held);
            }
            return self.message(job, service, weight, waits);
        }
        // With all places of a process taken, jobs share its cores and take longer.
        let crowd = f64::from(queue.concurrency) * job.cpu_share / queue.cores;
        let seconds = self.mean(job.work) * crowd.max(1.0) + scripts;
        self.service_s[queue.station] += weight * seconds.max(queue.pace());
        self.visits[queue.station] += weight;
        if waits {
            self.elsewhere(self.mean(job.work) + scripts, weight, held);
        }
    }

    /// Scripts by which a job of a queue is claimed and ended, as long as they take its place (s): a place that
    /// is idle claims it, and the end of another job brings along what waits.
    fn scripts(&mut self, id: QueueId, weight: f64) -> f64 {
        let queue = &self.model.queues[id];
        let Some((scripts, cache)) = queue.scripts.zip(queue.cache) else { return 0.0 };
        let spec = &self.model.caches[cache];
        let (rtt, ends) = (self.mean(spec.rtt), self.mean(scripts.takes));
        let (claims, idle) = (self.mean(scripts.claims), self.idle[id.0 as usize]);
        for (takes, weight) in [(ends, weight), (claims, weight * idle)] {
            self.on_host(spec.host, weight * takes);
            // Whoever adds a job waits for neither.
            self.service_s[spec.station] += weight * takes;
            self.visits[spec.station] += weight;
            *self.queued.entry(cache.0).or_insert(0.0) += weight * takes;
        }
        // Who waits in a blocking command hears of the job half a round trip after it is there.
        rtt + ends + idle * (1.5 * rtt + claims)
    }

    /// The share of jobs of each queue that find an idle place: by Erlang's formula, as if they came at random.
    pub(super) fn predict_idle(&self) -> Vec<f64> {
        let rate = self.model.nominal_rate().0;
        let of = |queue: &Queue| {
            let places = self.model.stations[queue.station].capacity as u32;
            let always = queue.driver == Driver::Bull && queue.limiter.is_some();
            match always || places == 0 {
                true => 1.0,
                false => 1.0 - erlang_c(places, rate * self.service_s[queue.station]),
            }
        };
        self.model.queues.iter().map(of).collect()
    }

    /// A message of a queue that a function gets, in a batch of its own, or a job that a service does.
    fn message(&mut self, job: &Job, function: ServiceId, weight: f64, waits: bool) {
        let queue = &self.model.queues[job.queue];
        self.visits[queue.station] += weight;
        let place = queue.service.map(|_| queue.station);
        self.handle((job.entry, function), (queue.station, place), weight, waits);
    }

    /// A service does what is to be done with a message.
    fn handle(
        &mut self,
        (entry, service): (Pc, ServiceId),
        (from, within): (StationId, Option<StationId>),
        weight: f64,
        waits: bool,
    ) {
        let to = &self.model.services[service];
        *self.flows.entry((Some(from), to.station)).or_insert(0.0) += weight;
        let (awaited, place, taken) = (self.awaited, self.place, self.taken.clone());
        if !waits {
            self.taken = Taken::default();
        }
        self.awaited = if waits { awaited } else { 0.0 };
        self.place = within;
        self.go(entry, weight, Some(service), &[]);
        (self.awaited, self.place, self.taken) = (awaited, place, taken);
    }

    /// The other processes of a socket are asked: each answers, and all decode each answer.
    pub(super) fn inquire(&mut self, socket: SocketId, sent: bool, weight: f64) {
        let spec = &self.model.sockets[socket];
        let service = &self.model.services[spec.service];
        let all = f64::from(service.instances * service.workers);
        if !sent || all < 2.0 {
            return;
        }
        let others = all - 1.0;
        let decode = spec.adapter_cpu.seconds();
        let seconds = others * (decode + spec.answer_cpu.seconds() + all * decode);
        self.computes(service.station, service.host, weight * seconds);
        self.square(service.station, weight, None);
    }

    /// What is done with the messages of sockets: so many come for a request of the mix, and nobody waits.
    pub(super) fn begin_messages(&mut self) {
        let model = self.model;
        let requests = model.nominal_rate().0;
        for socket in model.sockets.iter().filter(|_| requests > 0.0) {
            let Some((entry, rate)) = socket.flow.zip(socket.messages) else { continue };
            self.visits[socket.station] += rate / requests;
            let visit = Visit {
                weight: rate / requests,
                awaited: 0.0,
                strand: 0,
                place: None,
                service: Some(socket.service),
                held: Vec::new(),
                taken: Taken::default(),
                called: false,
            };
            self.front.insert(entry, visit);
        }
    }

    /// What a loop computes for the chunks of a body, while it comes.
    pub(super) fn chunks(&mut self, pc: Pc, weight: f64, service: Option<ServiceId>) {
        let Op::Chunks { cpu, chunk, bytes } = self.model.tape[pc.0 as usize] else { return };
        let spec = &self.model.services[service.expect("a body comes to a service")];
        let many = self.mean(bytes) / f64::from(chunk);
        self.computes(spec.station, spec.host, weight * many * cpu.seconds());
    }

    /// What is computed beside a loop: by a thread, or a child process.
    pub(super) fn beside(
        &mut self,
        pc: Pc,
        seconds: f64,
        weight: f64,
        service: Option<ServiceId>,
        held: &[Held],
    ) {
        let spec = &self.model.services[service.expect("both belong to a service")];
        let station = match self.model.tape[pc.0 as usize] {
            Op::Child { .. } => spec.children_station,
            _ => spec.threads_station,
        };
        self.serve(station, seconds, weight, held);
        if spec.contended {
            self.service_s[spec.station] += weight * seconds;
        }
    }

    /// Notes that a statement goes from a pool to its database or to the replicas.
    pub(super) fn note_statement(&mut self, from: StationId, to: StationId, weight: f64) {
        *self.flows.entry((Some(from), to)).or_insert(0.0) += weight;
    }
}
