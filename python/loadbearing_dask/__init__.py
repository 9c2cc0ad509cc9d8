"""Runs the chunks of a `loadbearing sweep plan` on the workers of a Dask scheduler.

Every chunk is one task: a worker starts the program, which publishes the chunk to the folder of the plan and returns
nothing. What a worker had finished is on disk when it dies, and a chunk that is run twice has the same bytes, so tasks
may be run again as often as Dask likes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Callable

from distributed import Client, as_completed

__all__ = ["missing", "run_chunk", "run_plan", "status"]


def _call(program: str, *words: str) -> str:
    """What the program prints; its complaint becomes ours."""
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{program} {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def missing(program: str, plan: str) -> list[str]:
    """The names of the chunks that nobody has published yet."""
    return _call(program, "sweep", "status", plan, "--missing").split()


def status(program: str, plan: str) -> dict:
    """How far the plan has come: chunks, chunks_missing, runs, runs_missing, complete."""
    return json.loads(_call(program, "sweep", "status", plan, "--json"))


def run_chunk(program: str, plan: str, chunk: str) -> None:
    """Runs one chunk on the machine of a worker, with one thread for each thread of the worker."""
    _call(program, "sweep", "run", plan, "--chunk", chunk, "--threads", "1", "--quiet")


def run_plan(
    client: Client,
    plan: str,
    program: str,
    *,
    rounds: int = 3,
    told: Callable[[int, int, float], None] | None = None,
) -> None:
    """Has every missing chunk of a plan run, and returns when all are published.

    Tasks are not pure (`pure=False`): a chunk that was lost with a disk must be run again though its name is the same.
    A task that fails is left to the next round, of which there are `rounds`; what is then still missing is an error.
    """
    # A chunk whose worker died is no suspect: only workers that are shut down again and again say nothing about it.
    client.run_on_scheduler(_allow_failures, 100)
    for _ in range(rounds):
        chunks = missing(program, plan)
        if not chunks:
            return
        started, done = time.monotonic(), 0
        futures = [client.submit(run_chunk, program, plan, chunk, pure=False, retries=3) for chunk in chunks]
        for future in as_completed(futures, loop=client.loop):
            if future.exception() is not None:
                print(f"loadbearing_dask: {future.exception()}", file=sys.stderr)
            done += 1
            if told:
                told(done, len(chunks), time.monotonic() - started)
            future.release()
    left = missing(program, plan)
    if left:
        raise RuntimeError(f"{len(left)} chunks are still missing after {rounds} rounds, such as {left[0]}")


def _allow_failures(count: int, dask_scheduler=None) -> None:
    """A task is called broken only after so many workers died under it; three by default."""
    dask_scheduler.allowed_failures = max(dask_scheduler.allowed_failures, count)
