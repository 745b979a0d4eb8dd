"""Count split brains again, from a history alone: python tests/recount.py HISTORY

A second opinion that shares nothing with the harness: the standard library only, another notion of two
owners (narrower: grants that nobody extended, released or saw lost before both were acknowledged), and
the interval by bisection instead of the beta distribution. It must find what the checkers find.
"""

import json
import math
import sys


def trials(path):
    """Give the client events of each trial that is not void, in order."""
    found, current, void = [], None, False
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            if event.get("process") == "nemesis":
                if event["f"] == "trial" and event["value"]["phase"] == "begin":
                    if current is not None and not void:
                        found.append(current)
                    current, void = [], False
                void |= event["f"] == "trial" and event["value"]["phase"] == "void"
            elif current is not None and "process" in event:
                current.append(event)
    if current is not None and not void:
        found.append(current)
    return found


def two_owners(events):
    """Give the pairs of owners of one lock at one instant, as (key, first owner, second owner)."""
    open_, grants, touched = {}, [], {}
    for event in events:
        if event["type"] == "invoke":
            open_[event["process"]] = event
            if event["f"] in ("extend", "release", "is_held"):
                touched.setdefault((event["key"], event["value"]["owner"]), event["time"])
        else:
            asked = open_.pop(event["process"], None)
            if asked and asked["f"] == "try_acquire" and event["type"] == "ok" and event["value"]["granted"]:
                ttl_ns = asked["value"]["ttl_ms"] * 1_000_000
                early_ns = 2_000_000 + ttl_ns // 2000
                grants.append((event["key"], asked["value"]["owner"], event["time"], asked["time"] + ttl_ns - early_ns))
    found = []
    for n, (key, owner, start, end) in enumerate(grants):
        end = min(end, touched.get((key, owner), end))
        for other_key, other, other_start, other_end in grants[n + 1 :]:
            other_end = min(other_end, touched.get((other_key, other), other_end))
            if key == other_key and max(start, other_start) < min(end, other_end):
                found.append((key, owner, other))
    return found


def interval(k, n):
    """Give the 95 % Clopper-Pearson interval of k of n."""

    def at_least(p):
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))

    def at_most(p):
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))

    def solve(rising):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if rising(middle) < 0 else (low, middle)
        return low

    lower = 0.0 if k == 0 else solve(lambda p: at_least(p) - 0.025)
    upper = 1.0 if k == n else solve(lambda p: 0.025 - at_most(p))
    return lower, upper


def main():
    """Print one line a trial and the rate."""
    pairs = [two_owners(events) for events in trials(sys.argv[1])]
    for n, found in enumerate(pairs, 1):
        print(f"trial {n}: {len(found)} pairs of owners on {len({key for key, *_ in found})} locks")
    k, n = sum(bool(found) for found in pairs), len(pairs)
    low, high = interval(k, n)
    print(f"{k} of {n} trials had two owners, 95 % interval {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
