"""What a box shows, and where given folders may be shown."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from scq.errors import ConfigError
from scq.ports import Mount
from scq.sandbox import shown

TAKEN = (Mount("/usr", "/usr"), Mount("/etc/ssl/certs", "/etc/ssl/certs"), Mount("/opt/python", "/opt/python"))


def placed(*given: Mount) -> list[str]:
    return [mount.target for mount in shown.ordered(given, TAKEN, "/job")]


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/usr", "/usr/share/data", "/lib/x", "/proc", "/proc/1", "/dev/shm/x", "/tmp", "/job", "/job/data"),
        *("/etc", "/etc/ssl/certs/x", "/opt", "/opt/python/lib"),
    ],
)
def test_a_place_the_box_needs_itself_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=r"is there already") as caught:
        placed(Mount("/srv/cohort", target))
    assert "/srv/cohort" in str(caught.value)
    assert "/data/name" in caught.value.advice


@pytest.mark.parametrize("target", ["data", "", "/data/../usr", "/data/", "//data", "/data/./x", "/da\0ta"])
def test_a_place_that_is_no_clean_absolute_path_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="no place in the box"):
        placed(Mount("/srv/cohort", target))


@pytest.mark.parametrize("target", ["/data", "/data/a/b", "/etc/tool", "/opt/other", "/tmp/x", "/usrlocal", "/jobs", "/home/me"])
def test_other_places_are_free(target: str) -> None:
    assert placed(Mount("/srv/cohort", target)) == [target]


def test_two_things_at_one_place_are_refused() -> None:
    with pytest.raises(ConfigError, match="/data is there already"):
        placed(Mount("/a", "/data"), Mount("/b", "/data"))


def test_outer_folders_come_before_inner_ones(tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    inner = tmp_path / "inner"
    inner.mkdir()
    given = (Mount(str(inner), "/a/b/c"), Mount(str(inner), "/a.x"), Mount(str(tmp_path), "/a"), Mount(str(inner), "/a/b"))
    (inner / "c").mkdir()
    assert placed(*given) == ["/a", "/a/b", "/a/b/c", "/a.x"]


def test_a_place_that_the_outer_folder_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in ("/data/missing", "/data/file"):
        with pytest.raises(ConfigError, match="has no such place"):
            placed(Mount(str(tmp_path), "/data"), Mount(str(tmp_path), target))


def test_an_interpreter_is_shown_at_its_own_place_and_where_it_leads(tmp_path: Path) -> None:
    real, link = tmp_path / "python-3.11", tmp_path / "python"
    real.mkdir()
    link.symlink_to(real)
    assert list(shown.interpreters([str(real)])) == [Mount(str(real), str(real))]
    assert list(shown.interpreters([str(link)])) == [Mount(str(real), str(link)), Mount(str(real), str(real))]


def test_what_a_network_needs_is_shown_only_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").write_text("nameserver 127.0.0.53\n")
    (tmp_path / "resolv.conf").symlink_to(tmp_path / "run")
    monkeypatch.setattr(shown, "NETWORK_FILES", (str(tmp_path / "resolv.conf"), "/no/such/file"))
    resolver = Mount(str(tmp_path / "run"), str(tmp_path / "resolv.conf"))
    assert set(shown.system(network=True)) - set(shown.system(network=False)) == {resolver}


def test_the_system_is_shown_as_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, link = tmp_path / "lib", tmp_path / "bin"
    folder.mkdir()
    link.symlink_to("usr/bin")
    monkeypatch.setattr(shown, "SYSTEM_LINKS", (str(folder), str(link), str(tmp_path / "lib64")))
    assert Mount(str(folder), str(folder)) in list(shown.system(network=False))
    assert list(shown.links()) == [("usr/bin", str(link))]
    assert not any(mount.writable for mount in shown.system(network=True))
    assert all(os.path.exists(mount.source) for mount in shown.system(network=True))


class TestDevices:
    def test_a_device_stands_where_the_machine_has_it(self) -> None:
        given = (Mount("/dev/nvidia0", "/dev/nvidia0", device=True), Mount("/srv/a", "/data"))
        assert placed(*given) == ["/data", "/dev/nvidia0"]

    @pytest.mark.parametrize(
        ("source", "target"),
        [
            *(("/dev/a", "/dev/b"), ("/dev/a", "/data"), ("/data", "/data"), ("/dev/dri/card0", "/dev/dri/card0")),
            *((path, path) for path in ("/dev", "/dev/", "/dev/.", "/dev/..", "/dev/../etc/x", "//dev/a", "/dev/a\0b", "dev/a")),
            *((f"/dev/{name}", f"/dev/{name}") for name in ("null", "shm", "pts", "ptmx", "stdin", "fd", "tty")),
        ],
    )
    def test_elsewhere_or_in_place_of_what_a_box_has_it_is_refused(self, source: str, target: str) -> None:
        with pytest.raises(ConfigError, match="cannot be shown as a device"):
            placed(Mount(source, target, device=True))

    def test_twice_it_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="cannot be shown as a device"):
            placed(*[Mount("/dev/nvidia0", "/dev/nvidia0", device=True)] * 2)

    def test_nothing_else_is_shown_there(self) -> None:
        with pytest.raises(ConfigError, match="/dev is there already"):
            placed(Mount("/dev/nvidia0", "/dev/nvidia0"))

    def test_patterns_stand_for_the_character_devices_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("nvidia0", "nvidia1", "nvidiactl", "null", "sda", "nvidia-gone"):
            (tmp_path / name).touch()
        (tmp_path / "nvidia-caps").mkdir()
        (tmp_path / "nvidia-link").symlink_to("nvidia0")
        kinds = {"nvidia0": 0o020666, "nvidia1": 0o020666, "nvidiactl": 0o020666, "null": 0o020666, "sda": 0o060600}
        real = os.lstat

        def lstat(path: str) -> object:
            name = os.path.basename(path)
            if name == "nvidia-gone":
                raise FileNotFoundError
            return SimpleNamespace(st_mode=kinds[name]) if name in kinds else real(path)

        monkeypatch.setattr(os, "lstat", lstat)
        found = shown.devices(("/dev/nvidia*", "/dev/nvidia0", "/dev/s?a", "/dev/null"), str(tmp_path))
        places = [f"{tmp_path}/{name}" for name in ("nvidia0", "nvidia1", "nvidiactl")]
        assert found == tuple(Mount(place, place, device=True) for place in places)
        assert shown.devices(()) == ()

    @pytest.mark.parametrize("pattern", ["nvidia*", "/dev/", "/dev", "/dev/dri/*", "/dev/../etc/*", "/etc/passwd", "/dev/..", ""])
    def test_patterns_of_other_places_are_refused(self, pattern: str) -> None:
        with pytest.raises(ConfigError, match="is no device that can be shown") as caught:
            shown.devices(("/dev/nvidia*", pattern))
        assert "/dev/nvidia*" in caught.value.advice
