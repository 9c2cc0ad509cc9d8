//! How many come: users, arrivals, clients; how a run is measured; what must hold.

use super::dist::Dist;
use super::retry::{Retry, Throttle};
use super::spec::spec;
use crate::units::{Bytes, Duration, Rate, Ratio};

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
        /// Whether pools have all their connections open.
        pools: Fill = "\"empty\""
            from "pg-pool 3.14.0 (opens connections on demand, `min` opens none)";
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
        /// Time between an answer and the next question of the same user.
        think: Dist, positive;
        /// Mean length of a visit; each visit begins with a login that makes a session.
        visit: Option<Duration> = "one visit without end" from "assumed: users stay", positive;
        /// Share of visits that come with a session that still lives.
        returning: Ratio = "\"0%\"" from "assumed: every visit logs in";
        /// The population over time: straight lines from stage to stage, as in k6.
        stages: Vec<UserStage> = "[]" from "assumed: a steady population";
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
        /// How many distinct users stand behind the stream.
        users: u64 = "100_000" from "assumed: many users, few requests each", positive;
        /// Mean length of a visit; each visit begins with a login that makes a session.
        visit: Option<Duration> = "one visit without end" from "assumed: users stay", positive;
        /// Share of visits that come with a session that still lives.
        returning: Ratio = "\"0%\"" from "assumed: every visit logs in";
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
    /// What a user's device does: how long it waits, whether it tries again, from where it comes.
    table Client {
        /// How long a user waits for an answer to one attempt before giving up.
        patience: Option<Dist> = "waits for ever"
            from "axios 1 and browser fetch (no timeout)", positive;
        /// How many addresses the users come from; fewer than users means shared addresses (NAT).
        addresses: Option<u64> = "one for each user" from "assumed: no shared addresses", positive;
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
