"""A real scheduler and three workers; one is killed while it works; nothing is lost, and the bytes are the local ones.

Run by ./test: python/test_dask.py PROGRAM
"""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent

TOPOLOGY = """
version = 1
[run]
warmup = "2s"
duration = "400s"
replications = 6
[arrivals]
rate = "100/s"
[service.web]
[operation.ask]
share = 1
flow = [{ cpu.exponential = "5ms" }, { reply = "2KB" }]
"""

EXPERIMENT = """
version = 1
title = "Rates"
topology = "queue.toml"
[[axis]]
path = "arrivals.rate"
range = { from = "50/s", to = "180/s", steps = 8 }
"""


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(it.relative_to(folder)): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()}


def published(folder: pathlib.Path) -> int:
    return len([it for it in (folder / "chunks").glob("*.csv")])


def main(program: str) -> None:
    environment = dict(os.environ, PYTHONPATH=str(HERE), LOADBEARING_PYTHON=sys.executable)
    with tempfile.TemporaryDirectory() as home_name:
        home = pathlib.Path(home_name)
        (home / "queue.toml").write_text(TOPOLOGY)
        (home / "rates.toml").write_text(EXPERIMENT)

        def call(*words: str) -> str:
            done = subprocess.run([program, *words], cwd=home, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
            return done.stdout

        call("sweep", "rates.toml", "--quiet", "--output", "local", "--work", "local.work")

        port = free_port()
        scheduler_log = open(home / "scheduler.log", "w")
        scheduler = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
             "--no-dashboard"],
            cwd=home, env=environment, stdout=scheduler_log, stderr=subprocess.STDOUT,
        )
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1",
                 "--no-nanny", "--no-dashboard", "--death-timeout", "60", "--name", f"worker-{number}"],
                cwd=home, env=environment, stdout=scheduler_log, stderr=subprocess.STDOUT,
            )
            for number in range(3)
        ]
        try:
            from distributed import Client

            with Client(f"tcp://127.0.0.1:{port}", timeout="60s", set_as_default=False) as client:
                client.wait_for_workers(3, timeout=120)
            # Small chunks, so that a worker dies with one in its hands: the plan is made first, and kept by the sweep.
            work = home / "dask.work"
            call("sweep", "plan", "rates.toml", "--work", str(work), "--chunk-runs", "2")
            before = sorted(call("sweep", "status", str(work), "--missing").split())
            assert len(before) == 24, before
            running = subprocess.Popen(
                [sys.executable, "-m", "loadbearing_dask", f"127.0.0.1:{port}", str(work), "--program", program,
                 "--quiet"],
                cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            waited = time.monotonic()
            while published(work) < 3 and time.monotonic() - waited < 120:
                time.sleep(0.01)
            assert running.poll() is None and 3 <= published(work) < 24, "it is in the middle of its work"
            os.kill(workers[1].pid, signal.SIGKILL)
            workers[1].wait()
            out, err = running.communicate(timeout=300)
            assert running.returncode == 0, (out, err)
            assert call("sweep", "status", str(work)).startswith("complete: 24 of 24"), "nothing is lost"
            call("sweep", "merge", str(work), "--quiet", "--output", "killed")
            # The whole way by one command, with two workers left.
            call("sweep", "rates.toml", "--quiet", "--output", "dask", "--work", "whole.work",
                 "--engine", f"dask://127.0.0.1:{port}")
        finally:
            # Workers first: they would look for a scheduler that is gone.
            for worker in workers:
                if worker.poll() is None:
                    worker.terminate()
            for worker in workers:
                try:
                    worker.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()
            scheduler.terminate()
            try:
                scheduler.wait(timeout=30)
            except subprocess.TimeoutExpired:
                scheduler.kill()
                scheduler.wait()
            scheduler_log.close()
        assert files(home / "local") == files(home / "killed") == files(home / "dask"), "the same bytes"
        print("dask: one of three workers killed, 24 of 24 chunks there, the bytes are those of the local run")


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()))
