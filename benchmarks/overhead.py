"""Harness overhead per operation: the same requests at the same rate on the same threads, bare and through the harness.

    python benchmarks/overhead.py [--rate 60] [--threads 8] [--seconds 4] [--rounds 3]

Bare: each thread sends one script to Redis over redis-py's connection on a Poisson schedule, and keeps
nothing. Harness: workload `counter` through generator, journal, client and outcome. The rounds
alternate, so that both meet the same noise. What is compared is the CPU time of this process for each
operation (wall time is the server's); the harness' includes its watcher. Prints JSON with machine and
commit, also written to benchmarks/results/overhead.json.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from backends.redis.admin import wire
from backends.redis.session import scripts
from backends.redis.single import REDIS, RedisSingle
from harness.driving.backend import Deployment
from harness.driving.plan import Episode, Plan
from harness.driving.run import HISTORY, Catalogue, run
from harness.driving.system import System
from harness.record import store
from harness.record.format import load
from workloads.counter import COUNTER

TARGET_US = 40.0


class Running:
    """The Redis backend over a server that already runs: a run's CPU time is then the harness' own."""

    name, variants, mutants, functions = REDIS.name, REDIS.variants, REDIS.mutants, REDIS.functions

    def __init__(self, system: System) -> None:
        self._system = system

    @contextmanager
    def open(self, deployment: Deployment) -> Iterator[System]:
        yield self._system


def bare(port: int, options: argparse.Namespace, seed: int) -> tuple[float, int]:
    """Give CPU seconds and operations of the bare driver."""
    script, done = scripts()["increment"], [0] * options.threads
    end = time.monotonic() + options.seconds

    def work(slot: int) -> None:
        draw, connection = random.Random(f"{seed}/{slot}"), wire("127.0.0.1", port, 5.0)
        at = time.monotonic() + draw.expovariate(options.rate)
        while at < end:
            time.sleep(max(0.0, at - time.monotonic()))
            connection.send_command("EVAL", script, 1, f"hw:state:bare-{slot % 2}", "1", "")
            connection.read_response()
            done[slot] += 1
            at += draw.expovariate(options.rate)
        connection.disconnect()

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(options.threads)]
    start = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.process_time() - start, sum(done)


def harness(system: System, options: argparse.Namespace, seed: int) -> tuple[float, int]:
    """Give CPU seconds and operations of the same through the harness."""
    plan = Plan(
        "redis",
        "no-save",
        ("counter",),
        (Episode(quiet_s=options.seconds, after_s=0),),
        seed,
        concurrency=options.threads,
        rate=options.rate,
        deadline_s=5.0,
    )
    with tempfile.TemporaryDirectory() as directory:
        start = time.process_time()
        run(plan, Catalogue(Running(system), {"counter": COUNTER}, {}), Path(directory))
        spent = time.process_time() - start
        return spent, len(load(Path(directory) / HISTORY).operations())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=60.0, help="operations a second and thread")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as directory, REDIS.open(Deployment("no-save", Path(directory))) as system:
        assert isinstance(system, RedisSingle)
        for n in range(options.rounds):
            cpu = {"bare": bare(system.port_of("clients-a", "redis-1"), options, n), "harness": harness(system, options, n)}
            rounds.append({name: {"operations": count, "cpu_us": round(spent / count * 1e6, 1)} for name, (spent, count) in cpu.items()})
    bare_us = median(each["bare"]["cpu_us"] for each in rounds)
    harness_us = median(each["harness"]["cpu_us"] for each in rounds)
    result = {
        "what": "CPU of the harness' process for each operation",
        "rate": options.rate,
        "threads": options.threads,
        "rounds": rounds,
        "bare_us": bare_us,
        "harness_us": harness_us,
        "ratio": round(harness_us / bare_us, 2),
        "overhead_us": round(harness_us - bare_us, 1),
        "target_us": TARGET_US,
        **store.environment(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "overhead.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
