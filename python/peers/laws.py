"""Laws of times, in seconds, from a generator of their own (the standard library's)."""

from math import log, sqrt
from random import Random


def lognormal(random: Random, mean: float, cv: float) -> float:
    variance = log(1 + cv * cv)
    return random.lognormvariate(log(mean) - variance / 2, sqrt(variance))


def exponential(random: Random, mean: float) -> float:
    return random.expovariate(1 / mean)


def hyperexponential(random: Random, mean: float, cv: float) -> float:
    """Two phases with balanced means (Whitt 1982)."""
    scv = cv * cv
    share = (1 + sqrt((scv - 1) / (scv + 1))) / 2
    if random.random() < share:
        return exponential(random, mean / (2 * share))
    return exponential(random, mean / (2 * (1 - share)))


def quantile(values: list[float], level: float) -> float:
    ordered = sorted(values)
    place = level * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
