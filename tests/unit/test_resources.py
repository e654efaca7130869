"""The shipped files are found in an installed package and in a checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scq import resources
from scq.errors import ConfigError


def test_the_templates_of_this_installation_are_there() -> None:
    assert os.path.isfile(os.path.join(resources.folder("templates"), "base.html"))


def test_an_installed_package_uses_its_own_copy_first(tmp_path: Path) -> None:
    installed = tmp_path / "scq" / "_data" / "templates"
    installed.mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    assert resources.folder("templates", str(tmp_path / "scq")) == str(installed)


def test_a_checkout_uses_the_folder_beside_the_package(tmp_path: Path) -> None:
    (tmp_path / "cron").mkdir()
    assert resources.folder("cron", str(tmp_path / "scq")) == str(tmp_path / "cron")


def test_a_broken_installation_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`systemd`.*missing") as caught:
        resources.folder("systemd", str(tmp_path / "scq"))
    assert caught.value.advice
