"""What a system says of its nodes is looked at before it is recorded."""

from __future__ import annotations

from typing import Any, cast

import pytest
from fakes import FakeSystem

from harness.driving.system import roles_of
from harness.errors import Misfit


def test_roles_that_are_texts_are_a_mistake_of_the_system() -> None:
    system = FakeSystem()
    system.role = cast(Any, {"n1": "primary"})
    with pytest.raises(Misfit, match=r"what roles of system fake gave 'n1' is 'primary', expected harness.driving.system.Role"):
        roles_of(system)
