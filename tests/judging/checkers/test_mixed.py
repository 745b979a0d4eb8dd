"""No wrong word on histories of mixed kinds, with keys that are only read, with missing ends; `mixed.py` runs as many as one likes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed import mixed, wrong

from harness.judging.models import MODELS


@pytest.mark.parametrize("model", [None, *MODELS])
@settings(max_examples=300, deadline=None)
@given(random=st.integers(0, 2**48).map(Random))
def test_the_checks_agree_with_an_exact_judge(model: str | None, random: Random) -> None:
    assert wrong(mixed(random, model), model) is None
