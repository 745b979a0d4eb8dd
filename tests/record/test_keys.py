"""Names of keys: in full or short, each key by one name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.interface import StateKey
from harness.record.keys import in_full, in_short, kind_of

PART = st.text(st.characters(exclude_characters=":\0"), max_size=4)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("t1-cas-0", "holdwater:run:state:t1-cas-0"),
        ("a:b:c", "holdwater:run:state:a:b:c"),
        ("n:t:k:id", "n:t:k:id"),
        ("n:t:k:id:h", "n:t:k:id:h"),
        ("holdwater:run:state:a:b:c:d", "holdwater:run:state:a:b:c:d"),
    ],
)
def test_a_name_with_three_colons_is_in_full_and_any_other_of_the_place_of_a_run(name: str, canonical: str) -> None:
    assert (in_full(name), in_short(canonical)) == (canonical, name)


@given(namespace=PART, tenant=PART, kind=PART, id_=st.text("a:", min_size=1))
def test_every_key_has_a_name_that_names_it(namespace: str, tenant: str, kind: str, id_: str) -> None:
    key = StateKey(namespace, tenant, kind, id_)
    assert in_full(in_short(key.canonical)) == key.canonical
    assert kind_of(key.canonical) == kind
