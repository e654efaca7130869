from __future__ import annotations

import pytest

from scq import sandbox
from scq.errors import ConfigError


@pytest.mark.parametrize("name", sorted(sandbox.SANDBOXES))
def test_every_named_sandbox_can_be_made_and_knows_its_name(name: str) -> None:
    assert sandbox.get(name).name == name


def test_an_unknown_sandbox_is_a_configuration_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'chroot'") as caught:
        sandbox.get("chroot")
    assert "bwrap, none" in caught.value.advice


def test_an_unknown_setting_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="colour"):
        sandbox.get("bwrap", colour="red")
