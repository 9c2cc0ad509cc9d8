"""The models as processes in SimPy. Each takes a generator and a factor by which the work that matters is
longer, and gives the figures of one replication: what the program calls them -> their values."""

from collections.abc import Generator
from random import Random

import simpy

from laws import exponential, hyperexponential, lognormal, quantile


class Watch:
    """Requests that are wanted after the warm-up, and how they end."""

    def __init__(self, environment: simpy.Environment, warmup: float):
        self.environment = environment
        self.warmup = warmup
        self.latencies: list[float] = []
        self.ended = 0
        self.failed = 0
        self.attempts = 0

    def end(self, began: float, ok: bool = True) -> None:
        """The program counts what ends within the measured time."""
        if self.environment.now < self.warmup:
            return
        self.ended += 1
        if ok:
            self.latencies.append(self.environment.now - began)
        else:
            self.failed += 1

    def figures(self, measured: float) -> dict[str, float]:
        return {
            "latency_s.mean": sum(self.latencies) / len(self.latencies),
            "latency_s.p95": quantile(self.latencies, 0.95),
            "failed_ratio": self.failed / self.ended,
            "throughput_per_s": len(self.latencies) / measured,
        }


def open_stream(random: Random, rate: float, warmup: float, measured: float, request) -> Watch:
    """Runs requests of a Poisson stream."""
    environment = simpy.Environment()
    watch = Watch(environment, warmup)
    serve = request(environment, watch)

    def arrivals() -> Generator:
        while True:
            yield environment.timeout(exponential(random, 1 / rate))
            environment.process(serve())

    environment.process(arrivals())
    environment.run(until=warmup + measured)
    return watch


def only(figures: dict[str, float], *names: str) -> dict[str, float]:
    return {name: figures[name] for name in names}


def reneging(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        pool = simpy.Resource(environment, 5)

        def serve():
            began = environment.now
            claim = pool.request()
            yield claim | environment.timeout(0.04)
            if not claim.triggered:
                claim.cancel()
                watch.end(began, ok=False)
                return
            yield environment.timeout(hyperexponential(random, 0.02 * factor, 1.5))
            pool.release(claim)
            watch.end(began)

        return serve

    return only(open_stream(random, 260, 5, 60, request).figures(60), "latency_s.mean", "failed_ratio")


def retries(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        desk = simpy.Resource(environment, 3)

        def serve():
            began = environment.now
            for attempt in range(3):
                if attempt:
                    yield environment.timeout(0.03)
                if desk.count + len(desk.queue) < 5:
                    with desk.request() as claim:
                        yield claim
                        yield environment.timeout(exponential(random, 0.01 * factor))
                    watch.end(began)
                    return
            watch.end(began, ok=False)

        return serve

    return only(open_stream(random, 300, 5, 60, request).figures(60), "latency_s.mean", "failed_ratio")


def closed(random: Random, factor: float) -> dict[str, float]:
    environment = simpy.Environment()
    watch = Watch(environment, 20)
    pool = simpy.Resource(environment, 5)

    def user():
        while True:
            yield environment.timeout(lognormal(random, 1, 0.5))
            began = environment.now
            with pool.request() as claim:
                yield claim
                yield environment.timeout(lognormal(random, 0.09 * factor, 1.5))
            watch.end(began)

    for _ in range(60):
        environment.process(user())
    environment.run(until=140)
    return only(watch.figures(120), "latency_s.mean", "latency_s.p95", "throughput_per_s")


def fork_join(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        left, right = simpy.Resource(environment, 2), simpy.Resource(environment, 3)

        def statement(pool, mean):
            with pool.request() as claim:
                yield claim
                yield environment.timeout(exponential(random, mean))

        def serve():
            began = environment.now
            both = [statement(left, 0.015 * factor), statement(right, 0.022 * factor)]
            yield environment.all_of([environment.process(one) for one in both])
            watch.end(began)

        return serve

    return only(open_stream(random, 100, 5, 90, request).figures(90), "latency_s.mean", "latency_s.p95")


def cache(random: Random, factor: float) -> dict[str, float]:
    weights = [1 / rank for rank in range(1, 301)]
    total = sum(weights)
    sums = [sum(weights[: place + 1]) / total for place in range(300)]
    counts = {"hits": 0, "asked": 0}

    def request(environment, watch):
        pool = simpy.Resource(environment, 4)
        expires: dict[int, float] = {}
        loads: dict[int, simpy.Event] = {}

        def pick() -> int:
            at = random.random()
            return next(rank for rank, up_to in enumerate(sums) if at < up_to)

        def serve():
            began, key = environment.now, pick()
            hit = expires.get(key, 0) > environment.now
            if environment.now >= 10:
                counts["asked"] += 1
                counts["hits"] += hit
            if not hit and key in loads:
                yield loads[key]
            elif not hit:
                loads[key] = environment.event()
                with pool.request() as claim:
                    yield claim
                    yield environment.timeout(exponential(random, 0.04 * factor))
                expires[key] = environment.now + 2
                loads.pop(key).succeed()
            watch.end(began)

        return serve

    figures = open_stream(random, 300, 10, 60, request).figures(60)
    hits = counts["hits"] / counts["asked"]
    return only(figures, "latency_s.mean", "latency_s.p95") | {"components.cache.store.hit_ratio": hits}


def event_loop(random: Random, factor: float) -> dict[str, float]:
    by_class: dict[str, list[float]] = {"quick": [], "block": []}

    def request(environment, watch):
        loop = simpy.Resource(environment, 1)

        def compute(length):
            with loop.request() as claim:
                yield claim
                yield environment.timeout(length)

        def serve():
            began = environment.now
            quick = random.random() < 0.98
            if quick:
                yield from compute(0.001 * factor)
                yield environment.timeout(exponential(random, 0.01))
                yield from compute(0.0005 * factor)
            else:
                yield from compute(0.04 * factor)
            if environment.now >= watch.warmup:
                by_class["quick" if quick else "block"].append(environment.now - began)
            watch.end(began)

        return serve

    figures = open_stream(random, 200, 5, 90, request).figures(90)
    quick = by_class["quick"]
    return only(figures, "latency_s.p95") | {"operations.quick.latency_s.mean": sum(quick) / len(quick)}


def two_pools(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        outer, inner = simpy.Resource(environment, 8), simpy.Resource(environment, 3)

        def serve():
            began = environment.now
            with outer.request() as claim:
                yield claim
                yield environment.timeout(exponential(random, 0.02 * factor))
                with inner.request() as second:
                    yield second
                    yield environment.timeout(exponential(random, 0.025 * factor))
            watch.end(began)

        return serve

    return only(open_stream(random, 100, 5, 90, request).figures(90), "latency_s.mean", "latency_s.p95")


def balancer(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        instances = [simpy.Resource(environment, 2) for _ in range(4)]

        def load(instance):
            return instance.count + len(instance.queue)

        def serve():
            began = environment.now
            first, second = random.choice(instances), random.choice(instances)
            with (second if load(second) < load(first) else first).request() as claim:
                yield claim
                yield environment.timeout(exponential(random, 0.02 * factor))
            watch.end(began)

        return serve

    return only(open_stream(random, 340, 5, 60, request).figures(60), "latency_s.mean", "latency_s.p95")


def failures(random: Random, factor: float) -> dict[str, float]:
    """A free place is an idle connection, taken first, or room for one that its owner must open."""

    def request(environment, watch):
        pool = simpy.PriorityStore(environment)
        opened, room = (0, "open"), (1, "room")
        pool.items.extend([opened] * 5)

        def serve():
            began = environment.now
            place = yield pool.get()
            if place == room:
                yield environment.timeout(0.05)
            yield environment.timeout(exponential(random, 0.02 * factor))
            ok = random.random() >= 0.1
            yield pool.put(opened if ok else room)
            watch.end(began, ok)

        return serve

    return only(open_stream(random, 150, 5, 90, request).figures(90), "latency_s.mean", "failed_ratio")


def guard(random: Random, factor: float) -> dict[str, float]:
    def request(environment, watch):
        pool = simpy.Resource(environment, 5)

        def serve():
            began = environment.now
            for attempt in range(3):
                if attempt:
                    yield environment.timeout(random.random() * 0.05 * 2 ** (attempt - 1))
                if pool.count < 4:
                    with pool.request() as claim:
                        yield claim
                        yield environment.timeout(lognormal(random, 0.025 * factor, 1))
                    watch.end(began)
                    return
            watch.end(began, ok=False)

        return serve

    return only(open_stream(random, 180, 5, 90, request).figures(90), "latency_s.mean", "failed_ratio")


MODELS = [
    reneging, retries, closed, fork_join, cache, event_loop, two_pools, balancer, failures, guard,
]
