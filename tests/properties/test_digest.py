"""The digest of a submission changes if and only if what can influence its execution does."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scq.digest import Caps, copy, manifest
from scq.model import Content

CAPS = Caps()
NAMES = st.text(st.sampled_from("abcé .-_"), min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.tuples(st.binary(max_size=20), st.booleans()), max_size=6).map(
    lambda files: {path: file for path, file in files.items() if not any(is_below(path, other) for other in files)}
)
Files = dict[str, tuple[bytes, bool]]


def is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def written(folder: Path, files: Files, times: int, backwards: bool) -> Path:
    """A submission with these files, made in either order and dated as told."""
    base = folder / "job"
    base.mkdir(parents=True)
    whole = {**files, "run.sh": (b"echo\n", backwards)}
    for path, (content, executable) in sorted(whole.items(), reverse=backwards):
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if executable else 0o644)
        os.utime(target, (times, times))
    return folder


def digest(root: Path) -> str:
    found = manifest(str(root), Content(base="job"), CAPS)
    assert not found.invalid
    return found.digest


@settings(max_examples=150, derandomize=True, deadline=None)
@given(FILES, FILES, st.integers(0, 2**31), st.booleans())
def test_two_submissions_have_one_digest_exactly_when_they_are_the_same(
    one: Files, other: Files, times: int, backwards: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first = digest(written(Path(folder, "1"), one, 0, False))
        second = digest(written(Path(folder, "2"), other, times, backwards))
        again = digest(written(Path(folder, "3"), one, times, backwards))
    assert first == again
    assert (first == second) == (one == other)


@st.composite
def one_change(draw: st.DrawFn) -> tuple[Files, Files]:
    """A submission, and the same with one thing changed: a byte, an executable bit, a name, one file more or less."""
    files = draw(FILES.filter(bool))
    path = draw(st.sampled_from(sorted(files)))
    content, executable = files[path]
    rest = {name: file for name, file in files.items() if name != path}
    changed = {
        "content": {**rest, path: (content + b"\0", executable)},
        "bit": {**rest, path: (content, not executable)},
        "name": {**rest, f"{path}2": (content, executable)},
        "gone": rest,
        "more": {**files, "zz": (b"", False)},
    }
    return files, changed[draw(st.sampled_from(sorted(changed)))]


@settings(max_examples=150, derandomize=True, deadline=None)
@given(one_change())
def test_any_single_change_changes_the_digest(pair: tuple[Files, Files]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        before, after = (digest(written(Path(folder, str(number)), files, 0, False)) for number, files in enumerate(pair))
    assert before != after


@settings(max_examples=50, derandomize=True, deadline=None)
@given(FILES)
def test_the_private_copy_is_what_its_digest_says(files: Files) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = written(Path(folder, "box"), files, 0, False)
        target = Path(folder, "copy", "job")
        target.mkdir(parents=True)
        assert copy(str(root), Content(base="job"), CAPS, str(target)).digest == digest(root) == digest(target.parent)
