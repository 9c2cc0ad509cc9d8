"""Holds our statistics against SciPy, statsmodels and SALib, on the same numbers.

    cargo build --example statistics
    python python/peers/hold_statistics.py target/debug/examples/statistics

Everything is computed anew from the numbers that the program prints beside its own results: by the
libraries where they have it, else from the definition in a few lines of NumPy. Agreement is to rounding,
but for the bootstrap, whose resamples differ.
"""

import json
import subprocess
import sys
from math import sqrt

import numpy as np
from SALib.analyze import morris as salib_morris
from SALib.analyze import sobol as salib_sobol
from scipy import special, stats
from scipy.stats import qmc
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.stattools import durbin_watson

checks = []


def agree(what: str, ours, theirs, relative: float = 1e-9, absolute: float = 1e-12) -> None:
    ours, theirs = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    good = ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=relative, atol=absolute))
    # A check that would pass a value a little off as well is none.
    off = ours * 1.001 + max(0.001, 3 * absolute)
    has_teeth = not np.allclose(off, theirs, rtol=relative, atol=absolute)
    checks.append((what, good and has_teeth, ours, theirs))


def student(estimate: float, error: float, degrees: float, confidence: float) -> list[float]:
    half = stats.t.ppf(0.5 + confidence / 2, degrees) * error
    return [estimate, estimate - half, estimate + half]


def laws(said: dict) -> None:
    for p, df, quantile, probability in said["t"]:
        agree(f"t quantile {p} {df}", quantile, stats.t.ppf(p, df), 1e-8)
        agree(f"t probability {p} {df}", probability, stats.t.cdf(quantile, df), 1e-8)
    for p, quantile, probability in said["normal"]:
        agree(f"normal quantile {p}", quantile, stats.norm.ppf(p), 1e-8)
        agree(f"normal probability {p}", probability, stats.norm.cdf(quantile), 1e-8)
    for a, b, x, value in said["beta"]:
        agree(f"incomplete beta {a} {b} {x}", value, special.betainc(a, b, x), 1e-9)
    for k, n, p, value in said["binomial"]:
        agree(f"binomial {k} {n} {p}", value, stats.binom.cdf(k, n, p), 1e-9)


def order_statistics(values: list[float], p: float, confidence: float) -> list[float]:
    """The ranks of the smallest interval of which each end misses by half at most."""
    n, miss = len(values), (1 - confidence) / 2
    ordered = np.sort(values)
    low = max(k for k in range(1, n + 1) if stats.binom.cdf(k - 1, n, p) <= miss)
    high = min((k for k in range(1, n + 1) if stats.binom.sf(k - 1, n, p) <= miss), default=None)
    if high is None:
        raise ValueError("too few")
    return [ordered[int(np.ceil(p * n * (1 - 1e-12))) - 1], ordered[low - 1], ordered[high - 1]]


def bootstrap_t(values: np.ndarray, confidence: float, seed: int) -> list[float]:
    """The mean's bootstrap-t, its pivot resampled by SciPy."""
    mean, error = values.mean(), stats.sem(values)

    def away(sample: np.ndarray, axis: int) -> np.ndarray:
        spread = stats.sem(sample, axis=axis)
        off = sample.mean(axis=axis) - mean
        return np.divide(off, spread, out=np.zeros_like(off), where=spread > 0)

    done = stats.bootstrap((values,), away, n_resamples=200_000, confidence_level=confidence,
                           method="percentile", rng=np.random.default_rng(seed), batch=20_000)
    low, high = done.confidence_interval
    return [mean, mean - high * error, mean - low * error]


def intervals(said: dict) -> None:
    values = np.array(said["values"])
    own = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    agree("Student's interval", said["mean"], [values.mean(), *own])
    before, after = np.array(said["before"]), np.array(said["after"])
    paired = stats.ttest_rel(after, before).confidence_interval(0.9)
    agree("paired difference", said["paired"], [(after - before).mean(), *paired])
    r = after.sum() / before.sum()
    error = np.std(after - r * before, ddof=1) / sqrt(len(after)) / before.mean()
    agree("ratio", said["ratio"], student(r, error, len(after) - 1, 0.95), 1e-8)
    for case in said["quantiles"]:
        name = f"quantile {case['p']} of {len(case['values'])}"
        try:
            theirs = order_statistics(case["values"], case["p"], 0.95)
        except ValueError:
            checks.append((name + ", too few", case["ends"] is None, case["ends"], None))
            continue
        agree(name, case["ends"], theirs)
        exact = stats.quantile_test(case["values"], q=0, p=case["p"]).confidence_interval(0.95)
        agree(name + " (scipy.stats.quantile_test)", case["ends"][1:], list(exact))
    for count, of, ends in said["counts"]:
        theirs = proportion_confint(count, of, alpha=0.05, method="beta")
        agree(f"Clopper-Pearson {count} of {of}", ends, [count / of, *theirs], 1e-8)
    for name, part, confidence in (("bootstrap", 60, 0.9), ("bootstrap_of_ten", 10, 0.95)):
        theirs = bootstrap_t(np.array(said["long"][:part]), confidence, 5)
        # 20,000 resamples of ours leave the ends uncertain by about a hundredth of the width.
        agree(name, said[name], theirs, 0, 0.03 * (theirs[2] - theirs[1]))


def series(said: dict) -> None:
    steady = np.array(said["steady"])
    n = len(steady)
    for length, estimate, error, degrees in said["overlapping"]:
        windows = np.lib.stride_tricks.sliding_window_view(steady, length).mean(axis=1)
        squares = ((windows - steady.mean()) ** 2).sum()
        variance = length * squares / ((n - length + 1) * (n - length))
        theirs = [steady.mean(), sqrt(variance), 1.5 * (n / length - 1)]
        agree(f"overlapping batch means of {length}", [estimate, error, degrees], theirs)
    weights = np.array(said["weights"])
    ratio = (weights * steady).sum() / weights.sum()
    rests = weights * (steady - ratio) / weights.mean()
    for length, estimate, error, degrees in said["weighed"]:
        windows = np.lib.stride_tricks.sliding_window_view(rests, length).mean(axis=1)
        variance = length * (windows**2).sum() / ((n - length + 1) * (n - length))
        theirs = [ratio, sqrt(variance), 1.5 * (n / length - 1)]
        agree(f"overlapping batch ratio of {length}", [estimate, error, degrees], theirs)
    for count, chance in said["independence"]:
        means = rests.reshape(count, -1).mean(axis=1)
        score = (1 - durbin_watson(means - means.mean()) / 2) / sqrt((count - 2) / (count**2 - 1))
        agree(f"independence of {count} batches", chance, stats.norm.sf(score), 1e-7)
    batches = steady.reshape(20, -1).mean(axis=1)
    own = stats.t.interval(0.95, 19, batches.mean(), stats.sem(batches))
    agree("batch means", said["batches"], [batches.mean(), *own])
    settling = np.array(said["settling"])
    means = settling[: len(settling) // 5 * 5].reshape(-1, 5).mean(axis=1)
    last = len(means) - 5
    statistic = [means[cut:].var() / (len(means) - cut) for cut in range(last + 1)]
    best = int(np.argmin(statistic))
    agree("MSER-5", [said["mser5"]["index"], said["mser5"]["statistic"]], [5 * best, statistic[best]])
    growing = said["growing"]
    agree("slope", said["slope_per_s"], stats.linregress(2.0 * np.arange(len(growing)), growing).slope)


def sensitivity(said: dict) -> None:
    problem = {"num_vars": 3, "names": ["x", "y", "z"], "bounds": [[0, 1]] * 3}
    base, outputs = said["sobol"]["base"], np.array(said["sobol"]["outputs"])
    # Ours in the order A, B, AB; SALib's row by row as A, AB1, AB2, AB3, B.
    parts = outputs.reshape(5, base)
    interleaved = parts[[0, 2, 3, 4, 1]].T.reshape(-1)
    theirs = salib_sobol.analyze(problem, interleaved, calc_second_order=False, num_resamples=2, seed=1)
    ours = np.array(said["sobol"]["indices"])
    # SALib centres the outputs by the mean of all of them, we by that of the independent ones.
    agree("Sobol first", ours[:, 0], theirs["S1"], 0, 0.002)
    agree("Sobol total", ours[:, 1], theirs["ST"], 1e-9)
    # The exact ones of Ishigami's function with a = 7, b = 0.1.
    a, b, pi = 7.0, 0.1, np.pi
    parts = [0.5 * (1 + b * pi**4 / 5) ** 2, a**2 / 8, b**2 * pi**8 * (1 / 18 - 1 / 50)]
    variance = sum(parts)
    agree("Sobol first, exactly", ours[:, 0], [parts[0] / variance, parts[1] / variance, 0], 0, 0.1)
    total = [(parts[0] + parts[2]) / variance, parts[1] / variance, parts[2] / variance]
    agree("Sobol total, exactly", ours[:, 1], total, 0, 0.05)
    walks = said["morris"]
    points, values = np.array(walks["points"]), np.array(walks["outputs"])
    theirs = salib_morris.analyze(problem, points, values, num_levels=4, num_resamples=2, seed=1)
    ours = np.array(walks["effects"])
    # SALib takes the size of a step from the levels, with its sign, as ours are.
    agree("Morris mu", ours[:, 0], theirs["mu"], 1e-7)
    agree("Morris mu*", ours[:, 1], theirs["mu_star"], 1e-7)
    agree("Morris sigma", ours[:, 2], theirs["sigma"], 1e-7)


def designs(said: dict) -> None:
    rejected = multipletests(said["p_values"], alpha=0.05, method="holm")[0]
    checks.append(("Holm", said["holm"] == rejected.tolist(), said["holm"], rejected))
    checks.append(("Holm, some and not all", 0 < sum(said["holm"]) < len(said["holm"]), None, None))
    values = np.array(said["designs"])
    rivals = len(values) - 1

    def may_be_best(mine: int) -> bool:
        others = (other for other in range(len(values)) if other != mine)
        tests = (stats.ttest_rel(values[mine], values[other], alternative="greater") for other in others)
        return all(test.pvalue >= 0.05 / rivals for test in tests)

    best = [may_be_best(index) for index in range(len(values))]
    checks.append(("subset selection", said["possibly_smallest"] == best, said["possibly_smallest"], best))
    sequence = np.array(said["sequence"])
    theirs = qmc.Sobol(sequence.shape[1], scramble=False).random(len(sequence))
    agree("Sobol's sequence", sequence, theirs)
    cube = np.array(said["hypercube"])
    cells = np.sort(np.floor(cube * len(cube)).astype(int), axis=0)
    one_each = bool((cells == np.arange(len(cube))[:, None]).all())
    checks.append(("Latin hypercube: one in each slice", one_each, None, None))
    random = qmc.discrepancy(np.random.default_rng(1).random(cube.shape))
    checks.append(("Latin hypercube: more even than chance", qmc.discrepancy(cube) < random, None, None))


def main() -> int:
    done = subprocess.run([sys.argv[1]], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    laws(said["laws"])
    intervals(said["intervals"])
    series(said["series"])
    sensitivity(said["designs"])
    designs(said["designs"])
    bad = [check for check in checks if not check[1]]
    for what, _, ours, theirs in bad:
        print(f"{what}: ours {ours}, theirs {theirs}")
    print(f"{len(checks)} figures of our statistics against SciPy, statsmodels and SALib; "
          f"{len(bad) or 'no'} disagreement{'' if len(bad) == 1 else 's'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
