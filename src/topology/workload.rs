//! How many come: users, arrivals, clients; how a run is measured; what must hold.

use super::dist::Dist;
use super::retry::{Retry, Throttle};
use super::spec::spec;
use super::trace::Trace;
use crate::units::{Bandwidth, Bytes, Duration, Rate, Ratio};

spec! {
    /// One thing that the document behind the topology does not say and that was therefore assumed.
    table Assumption {
        /// The quantity that was assumed.
        what: String;
        /// The value that was assumed, in words.
        value: String;
        /// Between which values it may lie, in words.
        range: Option<String>;
        /// Why this value.
        why: Option<String>;
        /// The path of the key that carries the value, such as `users.think.exponential`.
        knob: Option<String>;
    }
}
spec! {
    /// How a run is measured and when it stops.
    table Run {
        /// Time before anything is measured.
        warmup: Duration = "\"30s\""
            from "assumed: long enough for queues to settle at usual loads";
        /// Time that is measured, after the warm-up.
        duration: Duration = "\"120s\"" from "assumed: two minutes of measurement", positive;
        /// Width of one step of the timeline.
        window: Duration = "\"1s\"" from "assumed: one point of the timeline per second", positive;
        /// How many independent runs make one estimate.
        replications: u32 = "5" from "assumed: the fewest that give a usable interval", positive;
        /// The seed of all random draws; the same seed gives the same bytes.
        seed: u64 = "1" from "assumed: any number serves";
        /// Confidence of the intervals.
        confidence: Ratio = "\"95%\"" from "assumed: the custom of the field", positive;
        /// The run stops with an error after so many events.
        max_events: u64 = "10_000_000_000" from "assumed: minutes of computing", positive;
        /// The run stops with an error above this memory.
        max_memory: Bytes = "\"16GB\"" from "assumed: a workstation", positive;
        /// The run stops with an error after this time on the wall.
        max_wall: Duration = "\"1h\"" from "assumed: nobody waits longer unasked", positive;
        /// Every n-th request has its path measured component by component.
        attribution_every: u64 = "1" from "assumed: every request", positive;
        /// The mean load of a month as a share of the measured one, for what is charged by use: of a peak
        /// hour perhaps 40 %.
        mean_load: Ratio = "\"100%\"" from "assumed: the measured time stands for the month", positive;
        /// The state at the start.
        start: Start = "{}" from "assumed";
    }
}
spec! {
    /// The state of the deployment when a run starts.
    table Start {
        /// Whether caches hold what their traffic would have left in them.
        caches: Warmth = "\"warm\"" from "assumed: the deployment has been running";
        /// Whether the session store holds as many sessions as its traffic and its time to live
        /// imply.
        sessions: Warmth = "\"warm\"" from "assumed: the deployment has been running";
        /// Which connections pools and poolers have open. Warm: so many as the traffic at the end of the
        /// warm-up and the idle timeout imply (at most a day's use where there is none); a run that begins
        /// with none begins with a storm of openings.
        pools: Fill = "\"warm\"" from "assumed: the deployment has been running";
    }
}
spec! {
    /// Whether something starts as long use would have left it.
    choice Warmth {
        /// As long use would have left it.
        Warm = "warm";
        /// Empty.
        Cold = "cold";
    }
}
spec! {
    /// How pools start.
    choice Fill {
        /// As long use would have left them.
        Warm = "warm";
        /// No connection is open.
        Empty = "empty";
        /// All connections are open and idle.
        Full = "full";
    }
}
spec! {
    /// A closed population: each user thinks, asks, waits for the answer, and thinks again.
    table Users {
        /// How many users there are at the start.
        population: u64, positive;
        /// Time between an answer and the next question of the same user. `"0s"` is back to back, as a
        /// virtual user of k6 whose script does not sleep.
        think: Dist;
        /// Mean length of a visit; each visit begins with a login that makes a session.
        visit: Option<Duration> = "one visit without end" from "assumed: users stay", positive;
        /// Share of visits that come with a session that still lives.
        returning: Ratio = "\"0%\"" from "assumed: every visit logs in";
        /// After so many failures of a visit the user leaves; somebody else comes in their place after a
        /// thinking time, and begins a visit anew.
        abandons_after: Option<u32> = "users stay whatever happens"
            from "assumed: failures are told to the user", positive;
        /// The population over time: straight lines from stage to stage, as in k6.
        stages: Vec<UserStage> = "[]" from "assumed: a steady population";
        /// How long a user below whom the population falls may finish what they are at; then it is
        /// interrupted, and counts neither as served nor as failed.
        graceful_ramp_down: Option<Duration> = "for ever"
            from "assumed: users are people; k6 ramping-vus 30s (gracefulRampDown)";
        /// How long after the last stage, if that leaves nobody, whatever `graceful_ramp_down` says.
        graceful_stop: Option<Duration> = "for ever"
            from "assumed: users are people; k6 30s (gracefulStop)";
        /// A crowd that comes at once and leaves at once.
        spike: Option<Spike>;
        /// Time over which the population arrives at the start, evenly.
        ramp: Duration = "\"0s\"" from "assumed: all users are there at the start";
    }
}
spec! {
    /// One stage of a population over time.
    table UserStage {
        /// How long the stage lasts.
        length "for": Duration;
        /// How many users there are at its end.
        to: u64;
    }
}
spec! {
    /// One stage of a rate over time.
    table RateStage {
        /// How long the stage lasts.
        length "for": Duration;
        /// The rate at its end.
        to: Rate;
    }
}
spec! {
    /// A sudden crowd.
    table Spike {
        /// When it comes, from the start of the measured time.
        at: Duration;
        /// How long it stays.
        length "for": Duration, positive;
        /// By what factor the load is multiplied.
        times: f64, positive;
    }
}
spec! {
    /// An open stream of operations, which does not slow down when the deployment does.
    table Arrivals {
        /// Operations per second at the start.
        rate: Option<Rate> = "0/s, the stages say the rest"
            from "k6 ramping-arrival-rate startRate";
        /// How arrivals are spaced.
        process: Process = "\"poisson\"" from "assumed: independent users make a Poisson stream";
        /// The rate over time: straight lines from stage to stage, as in k6.
        stages: Vec<RateStage> = "[]" from "assumed: a steady rate";
        /// A sudden multiple of the rate.
        spike: Option<Spike>;
        /// A daily or other wave around the rate.
        sinusoid: Option<Sinusoid>;
        /// Arrivals that are read from a file; the rate and the process then say nothing.
        trace: Option<Trace>;
        /// Phases, in turn or as their `next` says, each with its own multiple of the rate, for random
        /// times: bursts (a Markov-modulated Poisson process).
        phases: Vec<Phase> = "[]" from "assumed: the rate is the same all the time";
        /// How many users come at each arrival, all at once.
        batch: u32 = "1" from "assumed: users come alone", positive;
        /// A crowd that comes once, beside the stream.
        crowd: Option<Crowd>;
        /// The virtual users of a load generator: an arrival that finds none free is dropped.
        vus: Option<Vus> = "as many as it takes" from "assumed: users are people, not a generator's";
        /// What a user who has come does: one page after another.
        session: Option<Visits> = "each arrival is a single operation"
            from "assumed: an open stream of operations";
        /// How many distinct users stand behind the stream.
        users: u64 = "100_000" from "assumed: many users, few requests each", positive;
        /// Mean length of a visit; each visit begins with a login that makes a session.
        visit: Option<Duration> = "one visit without end" from "assumed: users stay", positive;
        /// Share of visits that come with a session that still lives.
        returning: Ratio = "\"0%\"" from "assumed: every visit logs in";
    }
}
spec! {
    /// One phase of a stream.
    table Phase {
        /// By what the rate is multiplied; 0 is a pause.
        times: f64;
        /// How long it lasts on average; the time is exponential.
        length "for": Duration, positive;
        /// With what probability each phase of the list follows it, 100 % in all: a row of the matrix of a Markov
        /// chain. A stream that says it starts in a phase drawn by the share of time that each takes; without, in
        /// the first.
        next: Vec<Ratio> = "[]" from "assumed: phases come in turn";
    }
}
impl Phase {
    /// The probability of each of so many phases to follow it, at its place among them.
    pub fn following(&self, place: usize, phases: usize) -> Vec<f64> {
        match self.next.is_empty() {
            true => (0..phases).map(|to| f64::from(u8::from(to == (place + 1) % phases))).collect(),
            false => self.next.iter().map(|share| share.0).collect(),
        }
    }
}
spec! {
    /// A crowd that comes once.
    table Crowd {
        /// When the first of them comes, from the start of the measured time.
        at: Duration;
        /// How many they are.
        users: u32, positive;
        /// Over which time they come, evenly.
        over: Duration = "\"0s\"" from "assumed: all at once";
    }
}
spec! {
    /// The virtual users of a load generator with a given rate of arrivals.
    table Vus {
        /// Those that are there from the start.
        pre_allocated: u32, positive;
        /// The most; each arrival that finds none free is dropped, and has one more made.
        max: Option<u32> = "no more than `pre_allocated`"
            from "k6 ramping-arrival-rate (maxVUs defaults to preAllocatedVUs)", positive;
        /// How long after the last stage, if that ends at no arrivals, they may finish what they are at;
        /// then it is interrupted, and counts neither as served nor as failed.
        graceful_stop: Duration = "\"30s\"" from "k6 (gracefulStop 30 s)";
    }
}
spec! {
    /// A session: pages with thinking between them, until the user has had enough.
    table Visits {
        /// Pages on average, geometrically distributed; operations that say `next` decide by it
        /// instead.
        pages: f64 = "1" from "assumed: one page", positive;
        /// Time between an answer and the next page.
        think: Dist, positive;
        /// After so many failures the user leaves.
        abandons_after: Option<u32> = "users stay whatever happens"
            from "assumed: failures are told to the user", positive;
    }
}
spec! {
    /// How arrivals are spaced.
    choice Process {
        /// At random, independently of one another.
        Poisson = "poisson";
        /// At equal distances, as k6 sends them.
        Even = "even";
    }
}
spec! {
    /// A wave: rate x (1 + amplitude x sin(2 pi t / period)).
    table Sinusoid {
        /// Length of one wave.
        period: Duration, positive;
        /// Height of the wave, as a share of the rate.
        amplitude: Ratio;
    }
}
spec! {
    /// A user who has waited too long loads the page anew: the request is sent once more, and what the
    /// first one has set in motion goes on for nobody.
    table Reload {
        /// How long the user waits before.
        after: Duration = "\"5s\"" from "assumed: models of impatience take 2 to 10 s", positive;
        /// Share of the requests whose user would reload.
        share: Ratio = "\"10%\"" from "assumed: most users wait";
        /// How often at most, for one wish.
        times: u32 = "1" from "assumed: once, then they wait or leave", positive;
    }
}
spec! {
    /// Names of services whose records change when health checks fail. A service is well for a check that finds
    /// an instance of it behind its balancer, over a network that is not cut; how long an answer takes does not count.
    table FailoverDns {
        /// How many health checkers there are. They do not wait for each other, and are spread over the regions
        /// that users live in.
        checkers: u32 = "16" from "assumed: two in each of the eight regions that Route 53 checks from", positive;
        /// From one check of each to its next.
        interval: Duration = "\"30s\"" from "Amazon Route 53 Developer Guide (request interval: 30 s, or 10 s)", positive;
        /// Checks in a row after which a checker changes its mind.
        threshold: u32 = "3" from "Amazon Route 53 Developer Guide (failure threshold)", positive;
        /// A service is well as long as more than this share of them say so.
        quorum: Ratio = "\"18%\"" from "Amazon Route 53 Developer Guide (how health is determined)";
        /// How long resolvers and browsers keep an answer: a change reaches each user at some time within it.
        ttl: Duration = "\"60s\"" from "Amazon Route 53 Developer Guide (60 s or less for failover records)";
        /// Share of users whose resolver or runtime keeps an answer for longer.
        stale: Ratio = "\"0%\"" from "assumed: all heed the time to live";
        /// How long those keep it.
        stale_ttl: Duration = "\"1h\"" from "assumed: until something is started anew", positive;
    }
}
spec! {
    /// Connections of users: set-up, slow start, lost packets. Each user has one at a time.
    table Connections {
        /// What is negotiated after the TCP handshake.
        tls: Tls = "\"1.3\"" from "RFC 8446; what browsers and balancers negotiate today";
        /// How long an idle connection stays open, as far as the device is concerned; the other end may
        /// close it earlier.
        keep_alive: Duration = "\"5min\"" from "Chromium net/socket/client_socket_pool.cc (g_used_idle_socket_timeout_s 300)", positive;
        /// Segments of 1,460 bytes that may be sent before the first is acknowledged; the number doubles
        /// with every round trip.
        window: u32 = "10" from "RFC 6928; Linux (initcwnd 10)", positive;
        /// Share of packets that are lost.
        loss: Ratio = "\"0%\"" from "assumed: a good line";
        /// What one connection can carry.
        bandwidth: Option<Bandwidth> = "no limit of its own" from "assumed: a fast line", positive;
    }
}
spec! {
    /// What is negotiated after the TCP handshake.
    choice Tls {
        /// Nothing: one round trip in all.
        None = "none";
        /// TLS 1.2: two round trips more.
        V12 = "1.2";
        /// TLS 1.3: one round trip more.
        V13 = "1.3";
    }
}
spec! {
    /// What a user's device does: how long it waits, whether it tries again, from where it comes.
    table Client {
        /// How long a user waits for an answer to one attempt before giving up.
        patience: Option<Dist> = "waits for ever"
            from "axios 1.21.1 lib/defaults/index.js (timeout 0); the Fetch standard knows none", positive;
        /// How late a request leaves after the moment at which it was meant to, as by the timers of a load
        /// generator. Its latency counts from that moment.
        lateness: Option<Dist> = "requests leave when they are meant to" from "assumed: exact timers";
        /// How many addresses the users come from; fewer than users means shared addresses (NAT).
        addresses: Option<u64> = "one for each user" from "assumed: no shared addresses", positive;
        /// Connections as TCP makes them.
        connection: Option<Connections> = "connections are there and cost nothing"
            from "assumed: contained in the access round trip";
        /// How users learn where a service is that has stood in for another: operations with `failover`.
        dns: FailoverDns = "{}" from "Amazon Route 53 Developer Guide";
        /// Whether a failed attempt is repeated.
        retry: Retry = "\"never\"" from "browser fetch";
        /// Whether each sending process turns requests away while few are accepted.
        throttle: Option<Throttle> = "every request is sent" from "browser fetch (no throttling)";
        /// From how many processes users' requests are sent: retry budgets and throttles are kept by
        /// process. One is a gateway that all requests go through.
        processes: Option<u64> = "one for each user" from "assumed: a device for each user", positive;
        /// Whether users load a page anew that does not come.
        reload: Option<Reload> = "nobody reloads" from "assumed: users wait or give up";
    }
}
