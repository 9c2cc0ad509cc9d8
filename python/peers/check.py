"""Holds the program against independent simulators: the same models, written again in SimPy and Ciw.

    python python/peers/check.py target/debug/loadbearing

Each figure of each model is compared by Welch's t between the replications of both. A right simulator
leaves the bound once in 10,000 figures; and the program must be seen to differ from the peer's model when
its work is a few per cent longer, or the check would be worth nothing.
"""

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from math import sqrt
from pathlib import Path
from random import Random
from statistics import NormalDist, mean, variance

import in_ciw
import in_simpy

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REPLICATIONS = 8
FALSE_ALARM = 1e-4
# By how much longer the work is in the model that must be rejected.
TEETH = 1.08

MODELS = {"SimPy": in_simpy.MODELS, "Ciw": in_ciw.MODELS}


def t_quantile(level: float, degrees: float) -> float:
    """Student's t by Hill's expansion (1970), good to three digits from five degrees of freedom on."""
    z = NormalDist().inv_cdf(level)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / degrees + g2 / degrees**2 + g3 / degrees**3 + g4 / degrees**4


def peer(task: tuple[str, str, float, int]) -> dict[str, float]:
    library, name, factor, replication = task
    model = next(it for it in MODELS[library] if it.__name__ == name)
    return model(Random(f"{name} {replication}"), factor)


def ours(program: str, name: str) -> dict:
    path = (HERE / f"{name}.toml").relative_to(ROOT)
    command = [program, "run", str(path), "--json", "--no-files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def at(result: dict, path: str) -> dict:
    for section in ("components.", "operations."):
        if path.startswith(section):
            rest = path.removeprefix(section)
            subject = next(it for it in result[section[:-1]] if rest.startswith(f"{it}."))
            return at(result[section[:-1]][subject], rest.removeprefix(f"{subject}."))
    for part in path.split("."):
        result = result[part]
    return result


def distance(estimate: dict, runs: int, others: list[float]) -> tuple[float, float]:
    """Welch's t, and what it must not exceed."""
    half = (estimate["high"] - estimate["low"]) / 2
    error = half / t_quantile(0.975, runs - 1)
    theirs = variance(others) / len(others)
    together = error**2 + theirs
    if together == 0:
        return 0.0, 1.0
    degrees = together**2 / (error**4 / (runs - 1) + theirs**2 / (len(others) - 1))
    return (estimate["estimate"] - mean(others)) / sqrt(together), t_quantile(1 - FALSE_ALARM / 2, degrees)


def main() -> int:
    program = str(Path(sys.argv[1]).resolve())
    tasks = [
        (library, model.__name__, factor, replication)
        for library, models in MODELS.items()
        for model in models
        for factor in (1.0, TEETH)
        for replication in range(REPLICATIONS)
    ]
    with ProcessPoolExecutor() as processes:
        said = dict(zip(tasks, processes.map(peer, tasks)))
    print(f"{'model':14}{'peer':7}{'figure':35}{'ours':>10}{'theirs':>10}{'t':>7}{'bound':>7}{'teeth':>8}")
    bad = 0
    for library, models in MODELS.items():
        for name in (model.__name__ for model in models):
            result = ours(program, name)
            runs = result["replications"]
            replications = range(REPLICATIONS)
            bites = []
            for figure in said[library, name, 1.0, 0]:
                estimate = at(result, figure)
                right = [said[library, name, 1.0, it][figure] for it in replications]
                wrong = [said[library, name, TEETH, it][figure] for it in replications]
                t, bound = distance(estimate, runs, right)
                off, limit = distance(estimate, runs, wrong)
                bites.append(abs(off) > limit)
                agrees = abs(t) <= bound
                bad += not agrees
                print(
                    f"{name:14}{library:7}{figure:35}{estimate['estimate']:10.5f}{mean(right):10.5f}"
                    f"{t:7.2f}{bound:7.1f}{off:8.1f}{'' if agrees else '  DISAGREES'}"
                )
            if not any(bites):
                bad += 1
                print(f"{name}: no figure would notice work that is {TEETH - 1:.0%} longer")
    models = sum(len(models) for models in MODELS.values())
    print(f"{models} models; {bad or 'no'} disagreement{'' if bad == 1 else 's'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
