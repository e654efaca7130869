"""From what a data scientist names to a submission in the form of each generation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from scq.digest import Caps
from scq.errors import UsageError
from scq.ports import Submission
from scq.submitting import Source, Wishes, build, read_source
from tests.making import ME, NOW, THEM

CAPS = Caps(files=5, bytes=1_000)
GENERATIONS = ["a3", "b0", "b1", "b2", "c0", "c1"]
BASH = "#!/bin/bash\necho hi\n"


def made(source: Source, generation: str, *requirements: str) -> Submission:
    return build(source, Wishes("count", "why", ("t",), requirements, 60), generation, ME, THEM, NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that brings its own run.sh."""
    code = tmp_path / "study"
    (code / "lib").mkdir(parents=True)
    (code / "run.sh").write_text(BASH)
    (code / "lib/tool").write_text("x")
    (code / "lib/tool").chmod(0o755)
    return code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Python folder without run.sh."""
    code = tmp_path / "my project"
    code.mkdir()
    (code / "main.py").write_text("print(1)\n")
    (code / "other.py").write_text("")
    return code


def read(path: Path, **options: str) -> Source:
    return read_source(str(path), CAPS, **options)


class TestReading:
    def test_a_folder_with_run_sh_is_taken_as_it_is(self, folder: Path) -> None:
        found = read(folder)
        assert (found.kind, found.entry, found.folder_name, found.path) == ("folder", "run.sh", "study", str(folder))
        assert found.files == {"run.sh": BASH.encode(), "lib/tool": b"x"}
        assert found.executable == {"lib/tool"}

    def test_what_never_travels_is_left_out(self, folder: Path) -> None:
        for name in (".git/config", "__pycache__/a.pyc", "lib/b.pyc", ".venv/x", "syft.pub.yaml", "half.tmp"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("x")
        assert read(folder).files.keys() == {"run.sh", "lib/tool"}

    def test_a_python_folder_starts_main_py_or_the_only_script(self, project: Path) -> None:
        found = read(project)
        assert (found.kind, found.entry) == ("project", "main.py")
        (project / "main.py").unlink()
        assert read(project).entry == "other.py"

    def test_an_entrypoint_may_be_named_also_beside_a_run_sh(self, project: Path) -> None:
        (project / "run.sh").write_text(BASH)
        assert read(project).kind == "folder"
        assert read(project, entrypoint="other.py").entry == "other.py"

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda code: (code / "more.py").touch() or (code / "main.py").unlink(), "neither run.sh nor main.py"),
            (lambda code: (code / "pyproject.toml").write_text("[["), "pyproject.toml: "),
            (lambda code: (code / "pyproject.toml").write_bytes(b"\xff"), "pyproject.toml: "),
            (lambda code: (code / "run.sh").write_bytes(b"\xff"), "run.sh: is not UTF-8"),
            (lambda code: (code / "link").symlink_to("main.py"), "link: only plain files"),
            (lambda code: os.mkfifo(code / "pipe"), "pipe: only plain files"),
            (lambda code: (code / "data").write_bytes(b"x" * 1_000), "more than 5 files or 1000 bytes"),
            (lambda code: [(code / f"f{n}").touch() for n in range(5)], "more than 5 files or 1000 bytes"),
        ],
    )
    def test_a_folder_that_cannot_be_sent_is_refused(self, project: Path, make: Callable[[Path], object], reason: str) -> None:
        make(project)
        with pytest.raises(UsageError, match=reason) as caught:
            read(project)
        assert caught.value.advice

    def test_a_project_with_a_valid_pyproject_is_read(self, project: Path) -> None:
        (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        assert "pyproject.toml" in read(project).files

    def test_an_entrypoint_that_is_not_there_is_refused(self, project: Path) -> None:
        with pytest.raises(UsageError, match=r"nothing.py: is not in"):
            read(project, entrypoint="nothing.py")

    @pytest.mark.parametrize(
        ("name", "text", "kind", "entry"),
        [
            ("count.py", "print(1)", "python", "count.py"),
            ("count", "#!/usr/bin/env python3\n", "python", "script.py"),
            ("count.sh", "echo", "bash", "script.sh"),
            ("count.bash", "echo", "bash", "script.sh"),
            ("count", "#!/bin/sh\n", "bash", "script.sh"),
            ("count", "#! /usr/bin/env bash\n", "bash", "script.sh"),
        ],
    )
    def test_the_kind_of_a_script_is_told_by_its_name_or_its_first_line(
        self, tmp_path: Path, name: str, text: str, kind: str, entry: str
    ) -> None:
        (tmp_path / name).write_text(text)
        found = read(tmp_path / name)
        assert (found.kind, found.entry) == (kind, entry)
        assert found.files == {entry: text.encode()}

    def test_a_link_to_a_script_named_by_the_submitter_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.py").write_text("print(1)")
        (tmp_path / "count.py").symlink_to("real.py")
        assert read(tmp_path / "count.py").entry == "count.py"

    def test_a_script_may_come_from_standard_input(self) -> None:
        assert read_source("-", CAPS, stdin=b"print(1)").kind == "python"
        assert read_source("-", CAPS, stdin=BASH.encode()).kind == "bash"

    @pytest.mark.parametrize("text", [None, b"", b" \n"])
    def test_an_empty_script_is_refused(self, text: bytes | None) -> None:
        with pytest.raises(UsageError, match="is empty"):
            read_source("-", CAPS, stdin=text)

    def test_a_script_that_is_no_text_missing_or_too_large_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no such file or folder"):
            read(tmp_path / "none.py")
        (tmp_path / "big.py").write_bytes(b"x" * 1_001)
        with pytest.raises(UsageError, match="larger than 1000 bytes"):
            read(tmp_path / "big.py")
        (tmp_path / "bad.sh").write_bytes(b"\xff")
        with pytest.raises(UsageError, match="is not UTF-8"):
            read(tmp_path / "bad.sh")

    def test_the_home_folder_may_be_written_as_tilde(self, no_real_home: Path) -> None:
        (no_real_home / "count.py").write_text("print(1)")
        assert read_source("~/count.py", CAPS).path == str(no_real_home / "count.py")


class TestBuilding:
    @pytest.mark.parametrize("generation", GENERATIONS)
    def test_what_was_wished_for_travels_with_every_generation(self, folder: Path, generation: str) -> None:
        found = made(read(folder), generation)
        assert (found.owner, found.submitter, found.name) == (ME, THEM, "count")
        assert (found.description, found.tags, found.timeout_s) == ("why", ("t",), 60)
        assert (found.kind, found.entrypoint, found.is_folder, found.source_path) == ("bash", None, True, "study")
        assert found.submitted_at_iso == "2026-11-21T12:00:00+00:00"

    @pytest.mark.parametrize("generation", GENERATIONS)
    def test_a_python_file_is_python_with_its_entrypoint(self, tmp_path: Path, generation: str) -> None:
        (tmp_path / "count.py").write_text("print(1)")
        found = made(read(tmp_path / "count.py"), generation, "numpy")
        assert (found.kind, found.entrypoint, found.is_folder, found.source_path) == ("python", "count.py", False, "count.py")
        assert found.files["count.py"] == b"print(1)"
        assert "count.py" in found.run_sh
        installed = found.files.get("requirements.txt", b"").decode() + found.run_sh
        assert "numpy" in installed

    @pytest.mark.parametrize("generation", GENERATIONS)
    def test_a_script_from_standard_input_has_no_path(self, generation: str) -> None:
        found = made(read_source("-", CAPS, stdin=BASH.encode()), generation)
        assert (found.kind, found.source_path) == ("bash", None)
        assert BASH.encode() in found.files.values() or found.run_sh == BASH

    def test_the_status_folder_keeps_run_sh_beside_the_code(self, folder: Path) -> None:
        found = made(read(folder), "a3", "numpy")
        assert found.run_sh == BASH
        assert dict(found.files) == {"lib/tool": b"x", "requirements.txt": b"numpy\n"}
        assert found.executable == {"lib/tool"}
        assert "requirements.txt" not in made(read(folder), "a3").files

    def test_the_status_folder_starts_a_bash_script_and_installs_for_a_project(self, project: Path) -> None:
        script = made(read_source("-", CAPS, stdin=BASH.encode()), "a3")
        assert (dict(script.files), script.executable) == ({"script.sh": BASH.encode()}, {"script.sh"})
        (project / "requirements.txt").write_text("pandas\n")
        found = made(read(project), "a3", "numpy", "pandas")
        assert found.files["requirements.txt"] == b"pandas\nnumpy\n"
        assert "pip install -r requirements.txt" in found.run_sh
        assert "pip install" in made(read(project), "a3").run_sh
        (project / "requirements.txt").unlink()
        assert "pip" not in made(read(project), "a3").run_sh

    @pytest.mark.parametrize("generation", ["b0", "b1", "b2"])
    def test_the_marker_form_keeps_a_project_in_its_own_folder(self, project: Path, generation: str) -> None:
        found = made(read(project), generation)
        assert found.files.keys() == {"my project/main.py", "my project/other.py"}
        assert "python 'my project/main.py'" in found.run_sh

    def test_the_marker_form_has_nothing_but_run_sh_for_a_script(self, folder: Path) -> None:
        found = made(read_source("-", CAPS, stdin=BASH.encode()), "b1")
        assert (dict(found.files), found.run_sh) == ({}, BASH)
        (folder / "run.sh").chmod(0o755)
        whole = made(read(folder), "b1")
        assert (whole.files.keys(), whole.run_sh, whole.executable) == ({"lib/tool"}, BASH, {"lib/tool"})

    @pytest.mark.parametrize("name", ["config.yaml", "approved", "logs/a", "returncode.txt"])
    def test_the_marker_form_refuses_names_the_owner_uses(self, folder: Path, name: str) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
        with pytest.raises(UsageError, match=f"^{name.split('/')[0]}: the owner's queue"):
            made(read(folder), "b1")
        assert name in made(read(folder), "c0").files

    @pytest.mark.parametrize("generation", ["c0", "c1"])
    def test_the_inbox_form_starts_the_folders_own_script(self, folder: Path, generation: str) -> None:
        found = made(read(folder), generation, "numpy")
        assert found.files["run.sh"] == BASH.encode()
        assert "run.sh" in found.executable
        assert found.files["requirements.txt"] == b"numpy\n"
        assert found.run_sh.endswith("exec bash ./run.sh\n")
        assert "requirements.txt" not in made(read(folder), generation).files

    def test_the_inbox_form_syncs_a_project_with_pyproject(self, project: Path) -> None:
        assert "uv sync" not in made(read(project), "c0").run_sh
        (project / "pyproject.toml").write_text("[project]\n")
        assert "uv sync" in made(read(project), "c0").run_sh

    def test_equal_wishes_give_equal_submissions(self, project: Path) -> None:
        assert made(read(project), "c0", "numpy") == made(read(project), "c0", "numpy")
