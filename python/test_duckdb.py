"""The query of docs/many-machines.md, as it stands there, over the chunks of a real sweep: DuckDB and `merge` agree.

Run by ./test: python/test_duckdb.py PROGRAM
"""

from __future__ import annotations

import csv
import pathlib
import re
import subprocess
import sys
import tempfile

import duckdb

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOPOLOGY = """
version = 1
[run]
warmup = "1s"
duration = "20s"
replications = 8
[arrivals]
rate = "100/s"
[service.web]
[operation.ask]
share = 1
flow = [{ cpu.exponential = "5ms" }, { reply = "2KB" }]
"""
# Two points are the same model: the query must not count its runs twice for one of them.
EXPERIMENT = """
version = 1
topology = "queue.toml"
[[axis]]
path = "arrivals.rate"
values = ["50/s", "100/s", "150/s", "100/s"]
"""


def main(program: str) -> None:
    program = str(pathlib.Path(program).resolve())
    text = (ROOT / "docs/many-machines.md").read_text()
    query = re.search(r"^    (SELECT .*?;)$", text, re.DOTALL | re.MULTILINE).group(1)
    with tempfile.TemporaryDirectory() as name:
        home = pathlib.Path(name)
        (home / "queue.toml").write_text(TOPOLOGY)
        (home / "it.toml").write_text(EXPERIMENT)

        def run(*words: str) -> None:
            subprocess.run([program, "sweep", *words], cwd=home, check=True, capture_output=True)

        run("plan", "it.toml", "--chunk-runs", "5", "--work", "it.work")
        run("run", "it.work", "--shard", "1/2")
        run("run", "it.work", "--shard", "0/2")
        run("merge", "it.work", "--output", "merged")
        found = duckdb.sql(query.replace("output/NAME.work", str(home / "it.work"))).fetchall()
        with open(home / "merged/summary.csv") as file:
            rows = [row for row in csv.DictReader(file) if row["output"] == "latency_p95_s"]
        assert len(found) == len(rows) == 4, (found, rows)
        for (point, runs, p95, error), row in zip(found, rows):
            assert (point, runs) == (int(row["point"]), 8), (point, runs, row)
            assert abs(p95 - float(row["estimate"])) < 1e-12, (p95, row)
            # Student's t at 97.5 % with seven degrees of freedom.
            half = (float(row["high"]) - float(row["low"])) / 2
            assert abs(2.364624251592784 * error - half) < 1e-9, (error, row)
    print("DuckDB over the chunks says what merge says, at 4 points of 8 runs")


if __name__ == "__main__":
    main(sys.argv[1])
