"""The models as networks in Ciw. Each takes a generator and a factor by which service is longer, and gives
the figures of one replication: what the program calls them -> their values."""

from math import log, sqrt
from random import Random

import ciw

from laws import quantile


def lognormal(mean: float, cv: float) -> ciw.dists.Distribution:
    variance = log(1 + cv * cv)
    return ciw.dists.Lognormal(log(mean) - variance / 2, sqrt(variance))


def simulate(random: Random, network, until: float, **more) -> ciw.Simulation:
    ciw.seed(random.getrandbits(32))
    simulation = ciw.Simulation(network, **more)
    simulation.simulate_until_max_time(until)
    return simulation


def latencies(records, warmup: float, node: int | None = None) -> list[float]:
    served = [it for it in records if it.record_type == "service" and it.exit_date >= warmup]
    return [it.exit_date - it.arrival_date for it in served if node in (None, it.node)]


def finite_queue(random: Random, factor: float) -> dict[str, float]:
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(450)],
        service_distributions=[lognormal(0.01 * factor, 1.5)],
        number_of_servers=[4],
        queue_capacities=[6],
    )
    records = simulate(random, network, 65).get_all_records()
    served = latencies(records, 5)
    lost = sum(it.record_type == "rejection" and it.arrival_date >= 5 for it in records)
    return {
        "latency_s.mean": sum(served) / len(served),
        "failed_ratio": lost / (lost + len(served)),
    }


def sharing(random: Random, factor: float) -> dict[str, float]:
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(160)],
        service_distributions=[lognormal(0.01 * factor, 1.5)],
        number_of_servers=[8],
        ps_thresholds=[2],
    )
    records = simulate(random, network, 65, node_class=ciw.PSNode).get_all_records()
    served = latencies(records, 5)
    return {"latency_s.mean": sum(served) / len(served), "latency_s.p95": quantile(served, 0.95)}


def priorities(random: Random, factor: float) -> dict[str, float]:
    network = ciw.create_network(
        arrival_distributions={
            "urgent": [ciw.dists.Exponential(42.5)],
            "later": [ciw.dists.Exponential(42.5)],
        },
        service_distributions={
            name: [ciw.dists.Exponential(1 / (0.02 * factor))] for name in ("urgent", "later")
        },
        priority_classes={"urgent": 0, "later": 1},
        number_of_servers=[2],
    )
    records = simulate(random, network, 130).get_all_records()
    mean = {}
    for name in ("urgent", "later"):
        served = latencies([it for it in records if it.customer_class == name], 10)
        mean[f"operations.{name}.latency_s.mean"] = sum(served) / len(served)
    return mean


def tandem(random: Random, factor: float) -> dict[str, float]:
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(120), None],
        service_distributions=[lognormal(0.014 * factor, 1.2), lognormal(0.028 * factor, 0.7)],
        number_of_servers=[2, 4],
        routing=[[0.0, 1.0], [0.0, 0.0]],
    )
    records = simulate(random, network, 95).get_all_records()
    began = {it.id_number: it.arrival_date for it in records if it.node == 1}
    ended = [it for it in records if it.node == 2 and it.exit_date >= 5]
    whole = [it.exit_date - began[it.id_number] for it in ended]
    return {"latency_s.mean": sum(whole) / len(whole), "latency_s.p95": quantile(whole, 0.95)}


MODELS = [finite_queue, sharing, priorities, tandem]
