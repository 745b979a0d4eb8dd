"""Recompute the numbers of titles from history.jsonl alone: a second opinion that shares nothing with the harness.

The standard library only, and other ways than the checkers' where there are others: pairs by comparing each with
each, linearizability by carrying all possible states along. Meant for runs in which every operation was answered,
or those of `reports/split_brain.py`: an unanswered acquisition is taken as one that was not granted, any other
unanswered operation as one that was not done. Times in ns.
"""

import json
from bisect import bisect_left
from collections import defaultdict
from itertools import combinations, pairwise
from statistics import median_low

MS, S = 1_000_000, 1_000_000_000
OURS = ("resource_read", "resource_write")
GRANTS = ("try_acquire", "acquire_within")


class Operation:
    """An invocation with its completion; `end` is None without an answer."""

    def __init__(self, index, event):
        self.index, self.start = index, event["time"]
        self.process, self.f, self.key, self.argument = event["process"], event["f"], event.get("key"), event["value"]
        self.end_index = self.end = self.gave_up = self.result = self.node = None
        self.status = "info"

    def took(self, last):
        """How long a client waited for it, `last` being the end of the picture."""
        return (self.end or self.gave_up or last) - self.start


class Told:
    """A history as its lines tell it."""

    def __init__(self, path):
        self.nemesis, self.operations = [], []
        open_ = {}
        with open(path, encoding="utf-8") as lines:
            events = [event for event in map(json.loads, lines) if "process" in event]
        for event in events:
            if event["process"] == "nemesis":
                self.nemesis.append(event)
            elif event["type"] == "invoke":
                open_[event["process"]] = Operation(event["index"], event)
                self.operations.append(open_[event["process"]])
            else:
                done = open_.pop(event["process"])
                done.status = event["type"]
                if done.status == "info":
                    done.gave_up = event["time"]
                else:
                    done.end, done.end_index, done.result, done.node = event["time"], event["index"], event["value"], event.get("node")
        self.last = events[-1]["time"]
        self.by_key = defaultdict(list)
        for each in self.operations:
            self.by_key[each.key].append(each)

    def faults(self):
        """(begin, active, healing, name) of every fault."""
        found = {}
        for event in self.nemesis:
            if (
                isinstance(event["value"], dict)
                and event["value"].get("phase") in ("begin", "active", "healing")
                and "id" in event["value"]
            ):
                found.setdefault((event["f"], event["value"]["id"]), {})[event["value"]["phase"]] = event["time"]
        return [(each["begin"], each.get("active"), each.get("healing"), name) for (name, _), each in found.items()]

    def window(self):
        """What pictures show: from the steady state to the last event, rounded outwards."""
        (start,) = [each["time"] for each in self.nemesis if each["f"] == "trial" and each["value"]["phase"] == "steady"]
        unit = 1
        while unit * 1000 < self.last - start:
            unit *= 10
        return start // unit * unit, -(-self.last // unit) * unit

    def anomalies(self):
        """Every violation as (kind, key, time, until)."""
        found = []
        for key, operations in self.by_key.items():
            functions = {each.f for each in operations}
            if functions & {*GRANTS, "extend", "is_held"}:
                found += of_a_lock(key, operations) + late_acquisitions(key, operations, self.nemesis)
            elif functions & set(OURS):
                found += of_a_record(key, operations)
            elif "check_and_set" in functions:
                found += of_a_dedup_key(key, operations)
            elif functions & {"compare_and_swap", "get_versioned", "set", "delete"}:
                found += of_an_object(key, operations, versioned, (None, 0))
            elif "increment" in functions:
                found += of_an_object(key, operations, counting, None)
        return sorted(found, key=lambda each: each[2])


# Locks


class Lease:
    """A grant with its bounds: `least` and `most` by all of its uses, `held` by those before the first that came too late."""

    def __init__(self, grant, uses):
        self.uses = uses = sorted((use for use in uses if use.status == "ok" and use.end > grant.start), key=lambda use: use.start)
        self.index, self.start, self.acknowledged = grant.index, grant.start, grant.end
        self.ttl = grant.argument["ttl_ms"]
        self.known = min([grant.end] + [use.end for use in uses if done(use)])
        self.late, self.lost = self._late(grant), self._lost(grant)
        self.least = self._least(grant, uses)
        first = min((use.start for use in self.late), default=None)
        self.held = self._least(grant, [use for use in uses if first is None or use.start < first])
        self.promised = [(self.known, self.held), *(self._again(use) for use in self.late if use.f == "extend")]

    def _again(self, extend):
        """From when until when an extend that came too late promises the lease."""
        ends = [extend.start + extend.argument["duration_ms"] * MS - early(extend.argument["duration_ms"])]
        for use in (one for one in self.uses if one.start > extend.start):
            if use.f == "release" or not done(use):
                ends.append(use.start)
            elif use.f == "extend":
                ends.append(use.start + use.argument["duration_ms"] * MS - early(use.argument["duration_ms"]))
        return extend.end, min(ends)

    def _expiry(self, grant, uses):
        extends = [use for use in uses if use.f == "extend" and done(use)]
        span = extends[-1].argument["duration_ms"] if extends else self.ttl
        return (extends[-1].start if extends else grant.start) + span * MS - early(span)

    def _lost(self, grant):
        """(refusal, until when the lease should have lasted) of a refusal that came too early."""
        refused = [use for use in self.uses if not done(use) and use.start > self.known]
        if not refused:
            return None
        before = [use for use in self.uses if use.start <= refused[0].end]
        due = min([self._expiry(grant, before)] + [use.start for use in before if use.f == "release" and done(use)])
        return (refused[0], due) if refused[0].end < due else None

    def _least(self, grant, uses):
        ends = [self._expiry(grant, uses)] + [use.start for use in uses if use.f == "release" and done(use)]
        ends += [self.lost[0].start] if self.lost and self.lost[0] in uses else []
        return max([min(ends)] + [use.start for use in uses if done(use)])

    def _late(self, grant):
        over, end, late = None, self.known + self.ttl * MS + early(self.ttl), []
        self.most = end
        for use in self.uses:
            if done(use) and ((over is not None and over < use.start) or use.start >= end):
                late.append(use)
            if done(use) and use.f == "extend":
                span = use.argument["duration_ms"]
                end = min(use.end, end) + span * MS + early(span)
            if (done(use) and use.f == "release") or (not done(use) and use.start > self.known):
                over = use.end if over is None else over
        self.most = end if over is None else min(end, over + 1)
        return late


def early(span_ms):
    return 2 * MS + span_ms * 500


def done(use):
    return use.result[{"extend": "held", "is_held": "held", "release": "released"}[use.f]] is True


def leases_of(operations):
    """The granted leases of a lock by owner, the refused acquisitions, and successful uses of tokens that were not granted by then."""
    uses = defaultdict(list)
    for each in operations:
        if each.f not in GRANTS and each.status == "ok":
            uses[each.argument["owner"]].append(each)
    leases, refusals = [], []
    for each in (one for one in operations if one.f in GRANTS and one.status == "ok"):
        if each.result["granted"]:
            leases.append(Lease(each, uses[each.argument["owner"]]))
            uses[each.argument["owner"]] = [use for use in uses[each.argument["owner"]] if use.end < each.start]
        else:
            refusals.append(each)
    return leases, refusals, [use for own in uses.values() for use in own if done(use)]


def of_a_lock(key, operations):
    leases, refusals, strays = leases_of(operations)
    found = [("stranger", key, use.start, None) for use in strays]
    for lease in leases:
        found += [("lost-early", key, lease.lost[0].end, lease.lost[1])] if lease.lost else []
        found += [("alive-too-late", key, lease.late[0].start, None)] if lease.late else []
    for one, two in combinations(leases, 2):
        if one.least > two.known and two.least > one.known:
            found.append(("two-holders", key, *shared(one, two)))
    for refusal in refusals:
        if not any(lease.start <= refusal.end and lease.most > refusal.start for lease in leases):
            found.append(("spurious-refusal", key, refusal.start, None))
    return found + of_tokens(key, operations, leases)


def shared(one, two):
    """From when until when two were promised a lock, or when one was answered as its holder though only the other was."""
    times = [(max(a, c), min(b, d)) for a, b in one.promised for c, d in two.promised]
    if together := [(start, end) for start, end in times if start < end]:
        return min(together)
    alone = [use.end for lease, other in ((one, two), (two, one)) for use in lease.late if use.start > other.known]
    return min(alone, default=times[0][0]), None


def of_tokens(key, operations, leases):
    """A token given twice, or below one of a grant that was before: acknowledged before this one was asked for, or over before it."""
    held = {lease.index: lease for lease in leases}
    found, given = [], []
    for each in (one for one in operations if one.f in GRANTS and one.status == "ok" and one.result["granted"]):
        token = each.result["fencing_token"]
        twin = [time for other, _, time in given if other == token]
        before = [other for other, end, _ in given if end < each.index]
        if twin or max(before, default=0) > token:
            found.append(("fencing", key, max([each.end, *twin[:1]]), None))
        else:
            sooner = [one for one in operations if one.index in held and one is not each and only_before(held[one.index], held[each.index])]
            highest = max(sooner, key=lambda one: one.result["fencing_token"], default=None)
            if highest is not None and highest.result["fencing_token"] > token:
                found.append(("fencing", key, max(highest.end, each.end), None))
        given.append((token, each.end_index, each.end))
    return found


def only_before(one, other):
    """Whether a lease can have been before another, and not after it."""
    return other.held > one.acknowledged and one.held <= other.acknowledged


def late_acquisitions(key, operations, nemesis):
    found = []
    overslept = [(each["time"] - int(each["value"]["late_ms"] * MS), each["time"]) for each in nemesis if each["f"] == "lag"]
    for each in operations:
        if each.f == "acquire_within" and each.end is not None:
            machine = sum(max(0, min(end, each.end) - max(start, each.start)) for start, end in overslept)
            if each.end - each.start - machine > (each.argument["timeout_ms"] + 350) * MS:
                found.append(("acquire-late", key, each.end, None))
    return found


# What is no lock


def of_a_record(key, operations):
    taken = [each for each in operations if each.f == "resource_write" and each.status == "ok" and each.result["written"]]
    found, first = [], {}
    for each in taken:
        earlier = first.setdefault(each.argument["value"], each)
        if earlier is not each:
            found.append(("lost-update", key, max(each.end, earlier.end), None))
    for each in taken:
        shown = [one for one in operations if one.end_index is not None and one.end_index < each.index]
        tokens = [one.argument.get("fencing_token") or 0 for one in shown] + [one.result.get("token") or 0 for one in shown]
        if max(tokens, default=0) > each.argument["fencing_token"]:
            found.append(("stale-write", key, each.end, None))
    return found


def of_a_dedup_key(key, operations):
    won = sorted(each.end for each in operations if each.f == "check_and_set" and each.status == "ok" and each.result["set"])
    pairs = [("dedup-two-winners", key, later, None) for _, later in combinations(won, 2)]
    winners = [each for each in operations if each.f == "check_and_set" and each.status == "ok" and each.result["set"]]
    known = min((each.end_index for each in winners), default=None)
    missed = [each for each in operations if known is not None and each.index > known and missing(each)]
    lost = [("dedup-lost", key, missed[0].end, None)] if missed else []
    values = {each.argument["value"] for each in winners}
    read = [each for each in operations if each.f == "get" and each.status == "ok" and each.result["value"] is not None]
    wrong = [each.end for each in read if winners and each.result["value"] not in values]
    return pairs + lost + ([("dedup-wrong-value", key, min(wrong), None)] if wrong else [])


def missing(each):
    return each.status == "ok" and (each.result["set"] if each.f == "check_and_set" else each.result["value"] is None)


def versioned(state, operation):
    """The state after an operation of a versioned register, and whether the answer fits."""
    value, version = state
    given, answer = operation.argument, operation.result
    if operation.f == "get_versioned":
        return state, (answer["value"], answer["version"]) == (value, version)
    if operation.f == "get":
        return state, answer["value"] == value
    if operation.f == "set":
        return (given["value"], version + 1), True
    if operation.f == "delete":
        return (None, 0), answer["deleted"] == (value is not None)
    if given["expected"] != version:
        return state, not answer["swapped"] and (answer["value"], answer["version"]) == (value, version)
    return (given["value"], version + 1), answer["swapped"] and answer["version"] == version + 1


def counting(state, operation):
    if operation.f == "get":
        return state, operation.result["value"] == (None if state is None else str(state))
    after = (state or 0) + operation.argument["delta"]
    return after, operation.result["value"] == after


def of_an_object(key, operations, step, begin):
    """Carry all possible states along, each with what is done already of what is not answered yet; none left: not linearizable."""
    events = sorted([(each.index, 0, each) for each in operations] + [(each.end_index, 1, each) for each in operations if each.end_index])
    states, pending = {(begin, frozenset())}, set()
    for _, ends, operation in events:
        if not ends:
            pending.add(operation)
            continue
        reached, todo = set(), list(states)
        while todo:
            state, taken = todo.pop()
            if (state, taken) in reached:
                continue
            reached.add((state, taken))
            for each in pending - taken:
                after, fits = step(state, each)
                todo += [(after, taken | {each})] if fits else []
        states = {(state, taken - {operation}) for state, taken in reached if operation in taken}
        pending.discard(operation)
        if not states:
            return [("not-linearizable", key, operation.end, None)]
    return []


# Rates and latencies


def served(told):
    """The answered operations of servers; what a lock protects is ours."""
    return [each for each in told.operations if each.f not in OURS and each.status == "ok"]


def median_took(operations):
    return median_low(each.took(0) for each in operations)


def silences(told):
    """Every time without an answer in which a client waited for one, as (length, begin)."""
    start, end = told.window()
    answers = [start, *sorted(each.end for each in served(told)), end]
    found = []
    for a, b in pairwise(answers):
        waited = [
            max(a, each.start) for each in told.operations if each.f not in OURS and each.start <= b and a < each.start + each.took(end)
        ]
        found += [(b - min(waited), min(waited))] if waited else []
    return found


def both_answered(told, one, two):
    """For how long two servers both answered, over half seconds in a row with both, and how often each did then."""
    start, _ = told.window()
    times = {name: sorted(each.end for each in served(told) if each.node == name) for name in (one, two)}
    bins = {name: {(time - start) // (S // 2) for time in each} for name, each in times.items()}
    shared, spans = sorted(bins[one] & bins[two]), []
    for number in shared:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    length, answers = 0, {one: 0, two: 0}
    for first, last in spans:
        low, high = start + first * (S // 2), start + (last + 1) * (S // 2)
        inside = {name: [time for time in each if low <= time <= high] for name, each in times.items()}
        begin, end = max(each[0] for each in inside.values()), min(each[-1] for each in inside.values())
        if begin < end:
            length += end - begin
            for name, each in inside.items():
                answers[name] += bisect_left(each, end + 1) - bisect_left(each, begin)
    return length, answers
