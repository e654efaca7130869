"""The index and its secrets, the Pythons of the box, the store of wheels, and the box in which is fetched."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scq.errors import ConfigError, DependencyError, InvalidFileError
from scq.model import NO_LIMITS, Limits
from scq.ports import Invocation, Mount
from scq.sandbox.none import NoSandbox
from scq.wheelhouse import fetching
from scq.wheelhouse.fetching import Allowance, Fetcher, MissingError, UnreachableError, folder_size
from scq.wheelhouse.locked import installed
from scq.wheelhouse.sources import Index, Tools, bin_folders, find_tools, find_uv, index_of, pythons
from scq.wheelhouse.store import Package, Remembered, Store, key_of, parse_wheel_name
from tests.unit.executors.tasks import is_alive, wait_for

WHEEL = "six-1.17.0-py2.py3-none-any.whl"
RETRIED = "WARNING: Retrying (Retry(total=0, status=None)) after connection broken by NewConnectionError(x): /simple/six/"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def put_wheel(folder: Path, name: str = WHEEL, content: bytes = b"wheel") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


class TestIndex:
    def test_the_configured_index_comes_before_the_callers(self) -> None:
        env = {"PIP_INDEX_URL": "https://pip.example/simple"}
        assert index_of("https://own.example/simple", env).url == "https://own.example/simple"
        assert index_of("", env).url == "https://pip.example/simple"
        assert index_of("", {}).url == ""

    @pytest.mark.parametrize("where", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "HTTPS_PROXY", "http_proxy"])
    def test_credentials_are_left_out_and_that_is_said(self, where: str) -> None:
        found = index_of("", {where: "https://user:hunter2@host.example/simple"})
        assert "hunter2" not in f"{found}"
        assert "https://host.example/simple" in (found.url, *found.proxies.values())
        assert "left out" in found.notes[0]

    def test_a_proxy_without_a_scheme_loses_its_credentials_too(self) -> None:
        assert index_of("", {"HTTP_PROXY": "user:hunter2@host:3128"}).proxies == {"HTTP_PROXY": "host:3128"}

    @pytest.mark.parametrize("word", ["user:p@ss", "us@er:p@ss@", "user:p?s#s", "p\\ss:ss"])
    def test_nothing_of_a_password_with_odd_characters_stays(self, word: str) -> None:
        assert index_of(f"https://{word}@host/simple", {}).url == "https://host/simple"

    @pytest.mark.parametrize("url", ["https://user:pa/ss@host/simple", "https:/user:ss@host", "user:a/ss@host:3128"])
    def test_an_address_whose_password_cannot_be_told_is_refused_without_showing_it(self, url: str) -> None:
        with pytest.raises(ConfigError, match="the package index") as caught:
            index_of(url, {})
        assert "ss@" not in f"{caught.value}{caught.value.advice}"
        with pytest.raises(ConfigError, match="HTTPS_PROXY"):
            index_of("", {"HTTPS_PROXY": url})

    def test_certificates_are_used_if_they_are_there(self, tmp_path: Path) -> None:
        bundle = tmp_path / "ca.pem"
        bundle.write_text("x")
        assert index_of("", {"PIP_CERT": str(bundle)}).certificates == str(bundle)
        assert index_of("", {"PIP_CERT": str(tmp_path / "missing")}).certificates == ""


class TestPythons:
    def make(self, folder: Path, *names: str) -> Path:
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text("")
            (folder / name).chmod(0o755)
        return folder

    def test_pythons_of_interpreters_are_found_in_their_bin(self, tmp_path: Path) -> None:
        self.make(tmp_path / "opt" / "bin", "python3.13", "python3.13-config", "python2.7")
        (tmp_path / "opt" / "bin" / "python3").symlink_to("python3.13")
        assert pythons("/nowhere", [str(tmp_path / "opt")]) == {"3.13": str(tmp_path / "opt" / "bin" / "python3")}

    def test_a_python_that_lies_outside_of_what_the_box_shows_is_none(self, tmp_path: Path) -> None:
        self.make(tmp_path / "elsewhere", "python3.13")
        self.make(tmp_path / "opt" / "bin")
        (tmp_path / "opt" / "bin" / "python3.13").symlink_to(tmp_path / "elsewhere" / "python3.13")
        assert pythons("/nowhere", [str(tmp_path / "opt")]) == {}

    def test_what_python3_is_comes_first(self, tmp_path: Path) -> None:
        self.make(tmp_path / "opt" / "bin", "python3.12", "python3.13")
        (tmp_path / "opt" / "bin" / "python3").symlink_to("python3.13")
        assert list(pythons("/nowhere", [str(tmp_path / "opt")])) == ["3.13", "3.12"]

    def test_relative_folders_of_the_search_path_are_not_looked_at(self) -> None:
        assert bin_folders("/a:relative::/b", ["/c"]) == ["/a", "/b", "/c"]


class TestTools:
    def test_pip_is_found_beside_scq(self) -> None:
        assert (Path(find_tools("").pip) / "__main__.py").is_file()

    def test_a_script_called_uv_is_not_taken_for_uv(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uv", None)
        (tmp_path / "uv").write_text("#!/bin/sh\n")
        (tmp_path / "uv").chmod(0o755)
        assert find_uv(str(tmp_path)) == ""
        (tmp_path / "uv").write_bytes(b"\x7fELF...")
        assert find_uv(str(tmp_path)) == str(tmp_path / "uv")
        assert find_uv("/nowhere") == ""


class TestStore:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store(str(tmp_path / "wheels"))

    def test_a_wheel_is_kept_under_its_hash_and_cannot_be_written(self, store: Store, tmp_path: Path) -> None:
        (package,) = store.keep(str(put_wheel(tmp_path / "new")))
        sha256 = hashlib.sha256(b"wheel").hexdigest()
        assert package == Package("six", "1.17.0", sha256, WHEEL)
        kept = Path(store.folder, sha256[:2], sha256, WHEEL)
        assert kept.read_bytes() == b"wheel"
        assert kept.stat().st_mode & 0o777 == 0o444

    def test_keeping_the_same_wheel_again_changes_nothing(self, store: Store, tmp_path: Path) -> None:
        folder = str(put_wheel(tmp_path / "new"))
        assert store.keep(folder) == store.keep(folder)
        assert [name for name in os.listdir(store.folder) if name.startswith(".")] == []

    def test_a_link_is_not_followed(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / WHEEL).symlink_to(tmp_path / "secret")
        with pytest.raises(InvalidFileError):
            store.keep(str(tmp_path / "new"))
        (tmp_path / "link").symlink_to(put_wheel(tmp_path / "other"))
        assert store.keep(str(tmp_path / "link")) == ()

    @pytest.mark.parametrize(
        "name", ["docopt-0.6.2.tar.gz", "x.whl", "..whl", "six-1.0-py3-none-any.whl.txt", "six-1.0-py3-none-\udcff.whl"]
    )
    def test_what_is_not_a_wheel_is_refused(self, store: Store, tmp_path: Path, name: str) -> None:
        with pytest.raises(DependencyError, match="is not a wheel"):
            store.keep(str(put_wheel(tmp_path / "new", name)))

    def test_wheels_are_laid_out_readable_for_all_and_writable_for_nobody(self, store: Store, tmp_path: Path) -> None:
        packages = store.keep(str(put_wheel(tmp_path / "new")))
        store.lay_out(packages * 2, str(tmp_path / "laid"))
        laid = tmp_path / "laid" / WHEEL
        assert laid.read_bytes() == b"wheel"
        assert laid.stat().st_mode & 0o777 == 0o444
        assert (tmp_path / "laid").stat().st_mode & 0o777 == 0o755

    def test_wheels_are_copied_where_they_cannot_be_linked(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_args: object, **_more: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        packages = store.keep(str(put_wheel(tmp_path / "new")))
        monkeypatch.setattr(os, "link", refuse)
        store.lay_out(packages, str(tmp_path / "laid"))
        assert (tmp_path / "laid" / WHEEL).read_bytes() == b"wheel"

    def test_what_was_found_is_remembered_until_a_wheel_is_missing_or_damaged(self, store: Store, tmp_path: Path) -> None:
        packages = store.keep(str(put_wheel(tmp_path / "new")))
        store.remember("key", Remembered(NOW, packages))
        assert store.remembered("key") == Remembered(NOW, packages)
        assert store.remembered("other") is None
        kept = Path(store.folder, packages[0].sha256[:2], packages[0].sha256, WHEEL)
        kept.chmod(0o644)
        kept.write_bytes(b"other")
        assert store.remembered("key") is None
        kept.unlink()
        assert store.remembered("key") is None

    def test_a_damaged_note_counts_as_none(self, store: Store, tmp_path: Path) -> None:
        store.remember("key", Remembered(NOW, ()))
        Path(store.folder, "resolved", "key.json").write_text("{")
        assert store.remembered("key") is None

    def test_a_key_does_not_depend_on_order_and_tells_lists_apart(self) -> None:
        assert key_of(["a", "b"], ["c"]) == key_of(["b", "a", "a"], ["c"])
        assert key_of(["a", "b"], ["c"]) != key_of(["a"], ["b", "c"])

    def test_the_name_of_a_wheel_is_normalised(self) -> None:
        assert parse_wheel_name("Foo_Bar-1.0-py3-none-any.whl") == ("foo-bar", "1.0")


class TestLocked:
    def test_installed_packages_are_named_with_the_hash_of_the_file_that_was_taken(self, tmp_path: Path) -> None:
        lines = ["[[package]]", 'name = "two-tags"', 'version = "1.0"', "wheels = ["]
        for tag, letter in (("cp311-cp311-linux_x86_64", "a"), ("cp312-cp312-linux_x86_64", "b")):
            lines.append(f'{{ url = "https://h/two_tags-1.0-{tag}.whl", hash = "sha256:{letter * 64}" }},')
        (tmp_path / "uv.lock").write_text("\n".join([*lines, '{ url = "https://h/odd.whl" }, 3]', '[[package]]\nname = "x"\n']))
        place = tmp_path / ".venv/lib/python3.11/site-packages/two_tags-1.0.dist-info"
        place.mkdir(parents=True)
        (place / "WHEEL").write_text("Wheel-Version: 1.0\nTag: cp312-cp312-linux_x86_64\n")
        (place.parent / "x-2.dist-info").mkdir()
        assert installed(str(tmp_path)) == (
            Package("two-tags", "1.0", "b" * 64, "two_tags-1.0-cp312-cp312-linux_x86_64.whl"),
            Package("x", "2", "", ""),
        )

    def test_a_name_that_is_no_text_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / ".venv/lib/python3.11/site-packages/six\udcff-1.dist-info").mkdir(parents=True)
        with pytest.raises(DependencyError, match=r"six\\udcff-1"):
            installed(str(tmp_path))

    @pytest.mark.parametrize(
        "link", ["p", "p/.venv", "p/.venv/lib", "p/.venv/lib/python3.11", "p/.venv/lib/python3.11/site-packages"]
    )
    def test_nothing_is_read_through_a_link(self, tmp_path: Path, link: str) -> None:
        place = tmp_path / "p/.venv/lib/python3.11/site-packages/six-1.dist-info"
        place.mkdir(parents=True)
        assert installed(str(tmp_path / "p"))
        (tmp_path / link).rename(tmp_path / "moved")
        (tmp_path / link).symlink_to(tmp_path / "moved")
        assert installed(str(tmp_path / "p")) == ()

    def test_without_a_lock_only_names_are_known(self, tmp_path: Path) -> None:
        (tmp_path / ".venv/lib/python3.11/site-packages/six-1.dist-info").mkdir(parents=True)
        assert installed(str(tmp_path)) == (Package("six", "1", "", ""),)


class Pretending(NoSandbox):
    """A box that runs shell text in place of the command it is asked for, and remembers what it was given."""

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self.texts = list(texts)
        self.asked: list[tuple[tuple[str, ...], dict[str, str], tuple[Mount, ...], bool, list[str]]] = []

    def wrap(
        self,
        command: Sequence[str],
        *,
        work: str,
        cwd: str,
        env: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        network: bool = False,
        limits: Limits = NO_LIMITS,
    ) -> Invocation:
        self.asked.append((tuple(command), dict(env), tuple(mounts), network, sorted(os.listdir(work))))
        return Invocation(("/bin/sh", "-c", self.texts.pop(0)), {}, work)


class TestFetching:
    INDEX = Index("https://own.example/simple", "/etc/ca.pem", {"HTTPS_PROXY": "http://proxy:1"})

    def fetcher(self, tmp_path: Path, *texts: str, timeout_s: float = 60.0, size: int = 1 << 20, source: bool = False) -> Fetcher:
        self.box = Pretending(*texts)
        return Fetcher(self.box, str(tmp_path), self.INDEX, Tools("/lib/pip", "/bin/uv"), Allowance(timeout_s, size, source))

    def test_the_box_gets_requirements_tools_and_certificates_and_nothing_else(self, tmp_path: Path) -> None:
        folder = self.fetcher(tmp_path, "mkdir wheels; cp requirements.txt wheels").wheels(
            "3.11", "/usr/bin/python3", ["six"], []
        )
        assert Path(folder, "requirements.txt").read_text() == "six\n"
        ((command, env, mounts, network, files),) = self.box.asked
        assert command[:4] == ("/usr/bin/python3", "-S", "-m", "pip")
        assert "--only-binary=:all:" in command
        assert network
        assert {mount.source for mount in mounts} == {"/lib/pip", "/bin/uv", "/etc/ca.pem"}
        assert files == ["constraints.txt", "requirements.txt", "tmp"]
        allowed = {"HOME", "TMPDIR", "LANG", "PATH", "SSL_CERT_FILE", "PIP_CERT", "UV_DEFAULT_INDEX", "HTTPS_PROXY"}
        assert set(env) == allowed | {"PIP_CONFIG_FILE", "PYTHONPATH", "PIP_PROGRESS_BAR", "PIP_INDEX_URL"}

    def test_packages_are_built_only_where_that_is_allowed(self, tmp_path: Path) -> None:
        self.fetcher(tmp_path, "true", source=True).wheels("3.11", "/usr/bin/python3", ["six"], [])
        assert "wheel" in self.box.asked[0][0]
        assert "--only-binary=:all:" not in self.box.asked[0][0]

    def test_an_index_in_a_folder_is_shown_to_the_box(self, tmp_path: Path) -> None:
        box = Pretending("true")
        index = Index("file:///srv/simple")
        Fetcher(box, str(tmp_path), index, Tools("/lib/pip"), Allowance(60, 1 << 20)).wheels(
            "3.11", "/usr/bin/python3", ["six"], []
        )
        assert Mount("/srv/simple", "/srv/simple") in box.asked[0][2]

    def test_a_package_that_is_not_in_the_index_is_named(self, tmp_path: Path) -> None:
        fetcher = self.fetcher(tmp_path, "echo 'ERROR: No matching distribution found for nope==1' >&2; exit 1", "exit 1")
        with pytest.raises(MissingError, match="nope==1: there is no such package in https://own.example/simple"):
            fetcher.wheels("3.11", "/usr/bin/python3", ["nope==1"], [])

    def test_a_package_without_a_fitting_wheel_is_told_from_one_that_does_not_exist(self, tmp_path: Path) -> None:
        fetcher = self.fetcher(tmp_path, "echo 'ERROR: No matching distribution found for old'; exit 1", "exit 0")
        with pytest.raises(MissingError, match=r"no wheel of it that fits Python 3\.11"):
            fetcher.wheels("3.11", "/usr/bin/python3", ["old"], [])

    def test_packages_that_exclude_each_other_are_named(self, tmp_path: Path) -> None:
        said = "ERROR: Cannot install a==1 and a==2 because these package versions have conflicting dependencies."
        with pytest.raises(DependencyError, match="exclude each other: a==1 and a==2"):
            self.fetcher(tmp_path, f"echo '{said}'; exit 1").wheels("3.11", "/usr/bin/python3", ["a"], [])

    def test_an_index_that_does_not_answer_is_an_error_of_its_own(self, tmp_path: Path) -> None:
        text = f"echo {RETRIED!r}; echo 'ERROR: No matching distribution found for six'; exit 1"
        with pytest.raises(UnreachableError, match="cannot be reached"):
            self.fetcher(tmp_path, text).wheels("3.11", "/usr/bin/python3", ["six"], [])

    def test_any_other_failure_is_told_without_control_characters(self, tmp_path: Path) -> None:
        with pytest.raises(DependencyError, match="ERROR: odd") as caught:
            self.fetcher(tmp_path, r"printf 'x\nERROR: odd \033[2Jthing\n'; exit 1").wheels(
                "3.11", "/usr/bin/python3", ["six"], []
            )
        assert "\x1b" not in str(caught.value)

    def test_fetching_ends_with_its_time_and_nothing_stays_behind(self, tmp_path: Path) -> None:
        fetcher = self.fetcher(tmp_path, "sleep 600 & echo $! > pid; wait", timeout_s=0.5)
        with pytest.raises(DependencyError, match=r"prepare\.timeout"):
            fetcher.wheels("3.11", "/usr/bin/python3", ["six"], [])
        pid = (tmp_path / "python3.11" / "pid").read_text().strip()
        wait_for(lambda: not is_alive(int(pid)), "the end of what was started while fetching")

    def test_fetching_ends_when_it_takes_too_much_room(self, tmp_path: Path) -> None:
        with pytest.raises(DependencyError, match=r"prepare\.bytes"):
            self.fetcher(tmp_path, "yes > big", size=100_000).wheels("3.11", "/usr/bin/python3", ["six"], [])

    def test_what_was_written_at_the_very_end_counts_too(self, tmp_path: Path) -> None:
        with pytest.raises(DependencyError, match=r"prepare\.bytes"):
            self.fetcher(tmp_path, "head -c 200000 /dev/zero > big", size=100_000).wheels("3.11", "/usr/bin/python3", ["six"], [])

    def test_a_box_that_cannot_be_started_is_a_clear_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: object, **_more: object) -> None:
            raise OSError(11, "Resource temporarily unavailable")

        fetcher = self.fetcher(tmp_path, "true")
        monkeypatch.setattr(fetching.subprocess, "Popen", refuse)
        with pytest.raises(DependencyError, match="cannot be started"):
            fetcher.wheels("3.11", "/usr/bin/python3", ["six"], [])

    def test_projects_share_one_folder_of_what_was_fetched(self, tmp_path: Path) -> None:
        fetcher = self.fetcher(tmp_path, "mkdir cache", "true")
        one, cache = fetcher.project("/usr/bin/python3", {"pyproject.toml": "x"}, ("--frozen",), "cache")
        two, again = fetcher.project("/usr/bin/python3", {"pyproject.toml": "y"}, (), "cache")
        assert cache == again
        assert Path(one, "pyproject.toml").read_text() == "x"
        assert Path(two, "pyproject.toml").read_text() == "y"
        assert {"sync", "--no-build", "--no-install-project", "--frozen"} <= set(self.box.asked[0][0])

    @pytest.mark.parametrize(
        ("text", "kind"), [("error: no solution", DependencyError), ("error sending request for url", UnreachableError)]
    )
    def test_a_project_that_cannot_be_made_says_why(self, tmp_path: Path, text: str, kind: type[DependencyError]) -> None:
        with pytest.raises(kind):
            self.fetcher(tmp_path, f"echo '{text}'; exit 2").project("/usr/bin/python3", {}, (), "cache")

    def test_more_files_than_anybody_needs_count_as_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetching, "MOST_FILES", 3)
        for number in range(4):
            (tmp_path / str(number)).write_text("x")
        assert folder_size(str(tmp_path)) > 1 << 60

    def test_a_folder_that_cannot_be_read_counts_as_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "shut").mkdir()
        scandir = os.scandir

        def refuse(path: str) -> object:
            if str(path).endswith("shut"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        assert folder_size(str(tmp_path)) == 0
        monkeypatch.setattr(os, "scandir", refuse)
        assert folder_size(str(tmp_path)) > 1 << 60

    def test_very_many_folders_count_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fetching, "MOST_FILES", 3)
        for number in range(4):
            (tmp_path / str(number)).mkdir()
        assert folder_size(str(tmp_path)) > 1 << 60

    def test_a_package_called_like_a_fault_of_the_network_is_simply_missing(self, tmp_path: Path) -> None:
        name = "scq-none-ReadTimeout-NewConnectionError"
        fetcher = self.fetcher(tmp_path, f"echo 'ERROR: No matching distribution found for {name}'; exit 1", "exit 1")
        with pytest.raises(MissingError, match=name):
            fetcher.wheels("3.11", "/usr/bin/python3", [name], [])

    def test_a_conflict_is_told_even_after_a_fault_of_the_network(self, tmp_path: Path) -> None:
        said = "ERROR: Cannot install a==1 and a==2 because these package versions have conflicting dependencies."
        with pytest.raises(DependencyError, match="exclude each other"):
            self.fetcher(tmp_path, f"echo {RETRIED!r}; echo '{said}'; exit 1").wheels("3.11", "/usr/bin/python3", ["a"], [])

    def test_words_of_a_project_do_not_pass_for_a_fault_of_the_network(self, tmp_path: Path) -> None:
        text = "echo '  × No solution found'; echo '  ╰─▶ Because a{x == \"dns error\"} ReadTimeout'; exit 1"
        with pytest.raises(DependencyError, match="cannot make"):
            self.fetcher(tmp_path, text).project("/usr/bin/python3", {}, (), "cache")

    def test_a_process_that_fetches_has_limits_of_time_and_size(self, tmp_path: Path) -> None:
        self.fetcher(tmp_path, "ulimit -t > said; ulimit -f >> said", timeout_s=60.0, size=1 << 20).wheels(
            "3.11", "/x", ["six"], []
        )
        assert (tmp_path / "python3.11" / "said").read_text().split() == ["61", "2048"]

    def test_a_folder_for_a_project_cannot_be_taken_beforehand(self, tmp_path: Path) -> None:
        fetcher = self.fetcher(tmp_path, "mkdir ../3 ../4 2>/dev/null; mkdir 3 4", "true")
        fetcher.project("/x", {}, (), "cache")
        assert Path(fetcher.project("/x", {"pyproject.toml": "y"}, (), "cache")[0], "pyproject.toml").read_text() == "y"
