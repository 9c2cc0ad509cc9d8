"""`python -m loadbearing_dask HOST:PORT PLAN --program loadbearing`, which `loadbearing sweep --engine` calls."""

from __future__ import annotations

import argparse
import sys

from distributed import Client

from . import run_plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="loadbearing_dask", description=__doc__)
    parser.add_argument("scheduler", help="address of the Dask scheduler, as host:8786")
    parser.add_argument("plan", help="folder of the plan, which every worker must see under this path")
    parser.add_argument("--program", default="loadbearing", help="the program, as every worker finds it")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    arguments = parser.parse_args()

    def told(done: int, of: int, seconds: float) -> None:
        left = seconds / done * (of - done)
        end = "\n" if done == of else "\r"
        print(f"{done} of {of} chunks, {left:.0f} s left   ", end=end, file=sys.stderr, flush=True)

    try:
        with Client(f"tcp://{arguments.scheduler}", timeout="30s", set_as_default=False) as client:
            run_plan(client, arguments.plan, arguments.program, told=None if arguments.quiet else told)
    except (OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
