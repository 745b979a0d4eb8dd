"""Several documented tables in one claims file: a claim finds its cell, and a word chooses rows, backends and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from harness.claims.claim import Word, choose, names_by_word
from harness.claims.file import BadClaims, parse
from harness.claims.judging import left_out
from harness.claims.results import Judgement, tables_of
from harness.claims.table import headline, place, table
from harness.errors import UsageError

TABLES = """\
format = 1

[[table]]
name = "Locks"
columns = ["Mutual exclusion", "Failover safety"]

[[table]]
name = "Key Operations"
row = "Operation"
about = ["Purpose", "Used By"]
columns = ["Memory", "PostgreSQL"]
backends = "columns"

[[row]]
table = "Locks"
name = "PostgreSQL"
mutual_exclusion = "ACID"

[[row]]
table = "Key Operations"
name = "check_and_set"
says = { Purpose = "Atomic set-if-not-exists", "Used By" = "Deduplication" }

[[row]]
table = "Key Operations"
name = "get / set"
says = { Purpose = "Key-value read/write" }

[experiment.quiet]
deployment = "postgres"
variant = "default"
workloads = ["lock", "dedup"]
timeline = { quiet_s = 1.0, fault_s = 0, after_s = 0 }
trials = { quick = 2 }

[experiment.memory]
like = "quiet"
deployment = "memory"

[[claim]]
id = "locks"
cell = ["PostgreSQL", "Mutual exclusion"]
quote = "ACID"
document = "promises"
sentence = "A lock has one owner."
conditions = "quiet"
experiments = ["quiet"]
anomalies = ["two-holders"]
expect = ["holds"]

[[claim]]
id = "once"
like = "locks"
cell = ["check_and_set", "PostgreSQL"]
quote = "Deduplication"
sentence = "A key is won once."
anomalies = ["dedup-two-winners"]

[[claim]]
id = "once-memory"
like = "once"
cell = ["check_and_set", "Memory"]
quote = "Atomic set-if-not-exists"
experiments = ["memory"]
"""
CLAIMS = parse(TABLES)
LOCKS, ONCE, MEMORY = CLAIMS.claims


def judged(*words: Word) -> list[Judgement]:
    found = [left_out(claim, "", None, asked=False) for claim in CLAIMS.claims]
    return [
        msgspec.structs.replace(each, verdict=word, absent=False, said="seen in 2 of 2") for each, word in zip(found, words, strict=False)
    ]


def chosen(*rows: str, tables: Sequence[str] = ()) -> list[str]:
    return [claim.id for claim in choose(CLAIMS, rows, tables)]


# Reading


def test_a_claim_is_in_the_table_that_its_row_is_in() -> None:
    assert [claim.table for claim in CLAIMS.claims] == ["Locks", "Key Operations", "Key Operations"]


def test_a_row_without_a_table_is_in_the_one_without_a_name() -> None:
    claims = parse(TABLES.replace('table = "Locks"\n', "").replace('name = "Locks"\ncol', 'name = "Others"\ncol') + OTHER)
    assert [claim.table for claim in claims.claims][:2] == [None, "Key Operations"]
    assert claims.table(None).columns == ("Mutual exclusion", "Failover safety", "Recommendation")


OTHER = """
[[row]]
table = "Others"
name = "Third"
says = { "Failover safety" = "None" }
"""


def test_a_row_that_is_in_two_tables_is_told_by_the_table_of_the_claim() -> None:
    twice = TABLES + '\n[[row]]\ntable = "Locks"\nname = "check_and_set"\n'
    with pytest.raises(
        BadClaims, match=r"claim once: row 'check_and_set' is in 2 tables, expected a field table, 'Key Operations' or 'Locks'"
    ):
        parse(twice)
    claims = parse(twice.replace('id = "once"\n', 'id = "once"\ntable = "Key Operations"\n'))
    assert claims.claims[1] == ONCE


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            '"check_and_set", "PostgreSQL"',
            '"check_and_sett", "PostgreSQL"',
            54,
            ["claim once", "unknown row 'check_and_sett'", "'check_and_set'"],
        ),
        ('"check_and_set", "PostgreSQL"', '"check_and_set", "Postgres"', 54, ["unknown column 'Postgres'", "did you mean 'PostgreSQL'"]),
        ('"check_and_set", "PostgreSQL"', '"check_and_set", "Purpose"', 54, ["unknown column 'Purpose'", "there are: Memory, PostgreSQL"]),
        ('quote = "Deduplication"', 'quote = "ACID"', 55, ["quote 'ACID'", "'Atomic set-if-not-exists' or 'Deduplication'"]),
        ('id = "once"\n', 'id = "once"\ntable = "Lock"\n', 53, ["unknown table 'Lock'", "did you mean 'Locks'"]),
        ('id = "once"\n', 'id = "once"\ntable = "Locks"\n', 55, ["unknown row 'check_and_set' of table Locks"]),
        ('table = "Key Operations"\nname = "get', 'table = "Keys"\nname = "get', 25, ["row get / set", "unknown table 'Keys'"]),
        ('name = "get / set"', 'name = "check_and_set"', 24, ["row check_and_set stands twice"]),
        ('says = { Purpose = "Key', 'says = { Purpos = "Key', 27, ["row get / set", "unknown column 'Purpos'", "did you mean 'Purpose'"]),
        ('name = "get / set"', 'name = "get / set"\nmutual_exclusion = "x"', 27, ["row get / set: unknown column 'Mutual exclusion'"]),
        ('mutual_exclusion = "ACID"', 'mutual_exclusion = "ACID"\nsays = { "Mutual exclusion" = "no" }', 17, ["stands in says too"]),
        ('columns = ["Memory", "P', 'columns = ["Purpose", "P', 11, ["table Key Operations", "column Purpose stands twice"]),
        ('columns = ["Memory", "PostgreSQL"]\n', "", 7, ["table Key Operations", "field 'columns' is missing"]),
        ('backends = "columns"', 'backends = "column"', 12, ["unknown word 'column' of backends", "did you mean 'columns'"]),
        ('name = "Locks"', 'name = "Locks"\nrows = "x"', 5, ["unknown field 'rows'", "did you mean 'row'"]),
        ('table = "Locks"\n', "", 4, ["table Locks: no row of it"]),
    ],
)
def test_a_mistake_in_a_table_is_one_line_with_place_value_and_what_was_meant(old: str, new: str, line: int, words: list[str]) -> None:
    assert TABLES.count(old) >= 1
    with pytest.raises(BadClaims) as caught:
        parse(TABLES.replace(old, new, 1), "mine.toml")
    message = str(caught.value)
    assert message.startswith(f"mine.toml:{line}: "), message
    assert all(word in message for word in words), message


# Choosing


def test_a_backend_chooses_its_row_of_one_table_and_its_column_of_the_other() -> None:
    assert chosen("postgresql") == ["locks", "once"]
    assert chosen("Memory") == ["once-memory"]


def test_a_deployment_names_the_backend_that_is_judged_on_it() -> None:
    assert names_by_word(CLAIMS)["postgres"] == ["PostgreSQL"]
    assert chosen("postgres") == ["locks", "once"]


def test_an_operation_chooses_its_row() -> None:
    assert chosen("check_and_set") == ["once", "once-memory"]


def test_a_table_chooses_its_claims_and_a_row_in_it_both() -> None:
    assert chosen(tables=["Key Operations"]) == chosen(tables=["key-operations"]) == ["once", "once-memory"]
    assert chosen("postgres", tables=["locks"]) == ["locks"]


def test_an_unknown_table_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown table 'lock', did you mean 'locks'"):
        chosen(tables=["lock"])


# The tables


def test_each_table_has_its_own_columns_and_a_row_the_documents_words_on_it() -> None:
    locks, once, get = table(CLAIMS, [])
    assert [cell.column for cell in locks.cells] == ["Mutual exclusion", "Failover safety"]
    assert [cell.column for cell in once.cells] == ["Memory", "PostgreSQL"]
    assert once.says == {"Purpose": "Atomic set-if-not-exists", "Used By": "Deduplication"}
    assert (get.table, get.says) == ("Key Operations", {"Purpose": "Key-value read/write"})


def test_the_quote_of_a_claim_is_no_words_of_a_cell_that_has_none() -> None:
    assert [cell.quote for row in table(CLAIMS, judged(Word.HOLDS, Word.HOLDS)) for cell in row.cells] == ["ACID", *[None] * 5]


def test_a_cell_has_the_claims_of_its_own_table() -> None:
    same = TABLES + '\n[[row]]\ntable = "Locks"\nname = "check_and_set"\n'
    claims = parse(same.replace('id = "once"\n', 'id = "once"\ntable = "Key Operations"\n'))
    found = {(row.table, row.name): [cell.verdict for cell in row.cells] for row in table(claims, judged(Word.HOLDS, Word.HOLDS))}
    assert found["Locks", "check_and_set"] == ["not judged", "not judged"]
    assert found["Key Operations", "check_and_set"] == ["not judged", "holds"]


def test_a_cell_is_named_as_its_table_reads() -> None:
    tables = tables_of(CLAIMS)
    assert place(LOCKS.cell, LOCKS.table, tables) == "PostgreSQL, mutual exclusion"
    assert place(ONCE.cell, ONCE.table, tables) == "check_and_set on PostgreSQL"


def test_the_headline_counts_the_cells_of_all_tables() -> None:
    found = judged(Word.HOLDS, Word.VIOLATED, Word.HOLDS)
    told = headline(table(CLAIMS, found), {each.id: each for each in found}, tables_of(CLAIMS))
    assert told.startswith(
        "One of three judged cells does not hold water: check_and_set on PostgreSQL (“Deduplication”): “A key is won once” is"
    )


def test_a_headline_of_many_contradictions_names_their_cells_only() -> None:
    more = [
        msgspec.structs.replace(MEMORY, id=f"get-{column}", cell=("get / set", column), quote=None) for column in ("Memory", "PostgreSQL")
    ]
    claims = replace(CLAIMS, claims=(*CLAIMS.claims, *more))
    found = [
        msgspec.structs.replace(left_out(claim, "", None, asked=False), verdict=Word.VIOLATED, absent=False) for claim in claims.claims
    ]
    told = headline(table(claims, found), {each.id: each for each in found}, tables_of(claims))
    assert told == (
        "Five of five judged cells do not hold water: PostgreSQL, mutual exclusion; check_and_set on Memory; "
        "check_and_set on PostgreSQL; get / set on Memory; get / set on PostgreSQL."
    )
