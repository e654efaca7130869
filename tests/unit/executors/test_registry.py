from __future__ import annotations

import pytest

from scq import executors
from scq.errors import ConfigError


@pytest.mark.parametrize("name", sorted(executors.EXECUTORS))
def test_every_named_executor_can_be_made_and_knows_its_name(name: str) -> None:
    assert executors.get(name).name == name


def test_an_unknown_executor_is_a_configuration_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'slrum'") as caught:
        executors.get("slrum")
    assert "local" in caught.value.advice
