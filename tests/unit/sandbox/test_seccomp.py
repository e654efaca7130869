"""The system call filter, tried from inside the box by a program that makes the calls themselves."""

from __future__ import annotations

import ctypes.util
import errno
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from scq.errors import ConfigError
from scq.sandbox import seccomp
from scq.sandbox.bwrap import BwrapSandbox
from tests.unit.sandbox.boxes import Box

if ctypes.util.find_library("seccomp") is None:
    pytest.skip("libseccomp is not installed", allow_module_level=True)

import pyseccomp

PYTHON = "/usr/bin/python3"
needs_python = pytest.mark.skipif(not os.path.exists(PYTHON), reason="no Python in /usr")
only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")

CALLS = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
answers = []
for number, *arguments in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    given = [ctypes.c_char_p(one.encode()) if isinstance(one, str) else ctypes.c_long(one) for one in arguments]
    result = libc.syscall(ctypes.c_long(number), *given)
    answers.append(ctypes.get_errno() if result == -1 else 0)
print(json.dumps(answers))
"""


def number_of(name: str) -> int:
    found = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    return seccomp.NUMBERS[name] if found == -1 else found


def calls(box: Box, made: Sequence[tuple[str | int, ...]]) -> list[int]:
    """errno of each system call made inside, 0 where it worked."""
    numbered = [[number_of(name) if isinstance(name, str) else name, *arguments] for name, *arguments in made]
    done = box.run(json.dumps(numbered), command=[PYTHON, "-c", CALLS])
    assert done.returncode == 0, done.stderr
    answers: list[int] = json.loads(done.stdout)
    return answers


@needs_python
class TestInside:
    def test_what_no_job_needs_is_refused(self, box: Box) -> None:
        names = [name for name in seccomp.REFUSED if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0]
        assert len(names) > 45
        answers = calls(box, [(name, 0, 0, 0, 0, 0) for name in names])
        assert dict(zip(names, answers, strict=True)) == dict.fromkeys(names, errno.EPERM)

    def test_calls_that_no_filter_can_look_into_are_said_not_to_exist(self, box: Box) -> None:
        assert set(calls(box, [(name, 0, 0, 0, 0) for name in seccomp.UNSUPPORTED])) == {errno.ENOSYS}

    def test_typing_into_a_terminal_is_refused_however_it_is_written(self, box: Box) -> None:
        tried = (0x5412, 0x541C, 0x5412 | 1 << 40, 0x5413)
        asked = calls(box, [("ioctl", 0, request, "x") for request in tried])
        assert asked == [errno.EPERM, errno.EPERM, errno.EPERM, errno.ENOTTY]

    def test_new_namespaces_are_refused(self, box: Box) -> None:
        assert set(calls(box, [("clone", flag | 17, 0, 0, 0, 0) for flag in seccomp.NAMESPACE_FLAGS])) == {errno.EPERM}

    def test_sockets_are_those_that_a_network_namespace_holds(self, box: Box) -> None:
        vsock, algorithms, packets, upper = 40, 38, 17, 40 | 1 << 40
        assert set(calls(box, [("socket", family, 1, 0) for family in (vsock, algorithms, packets, upper)])) == {
            errno.EAFNOSUPPORT
        }
        assert calls(box, [("socket", 1, 1, 0), ("socket", 2, 1, 0), ("socket", 10, 2, 0), ("socket", 16, 3, 0)]) == [0, 0, 0, 0]

    def test_only_the_usual_personality_remains(self, box: Box) -> None:
        refused = [1 << bit for bit in range(32)] + [0xFFFFFFFF ^ (1 << bit) for bit in range(32)] + [0x80400000]
        assert set(calls(box, [("personality", value) for value in refused])) == {errno.EPERM}
        assert calls(box, [("personality", 0), ("personality", 0xFFFFFFFF)]) == [0, 0]

    def test_files_cannot_be_made_set_user_or_group_id(self, box: Box) -> None:
        (box.work / "old").touch()
        if box.user is not None:
            os.chown(box.work / "old", box.user, box.user)
        here, making = -100, os.O_CREAT | os.O_WRONLY
        for bit in (0o4000, 0o2000):
            mode = bit | 0o755
            tried: list[tuple[str | int, ...]] = [
                ("fchmodat", here, "/job/old", mode),
                ("fchmodat2", here, "/job/old", mode, 0),
                ("openat", here, "/job/new", making, mode),
                ("openat", here, "/job", os.O_TMPFILE | os.O_WRONLY, mode),
                ("mknodat", here, "/job/node", 0o100000 | mode, 0),
            ]
            if platform.machine() == "x86_64":
                tried += [("chmod", "/job/old", mode), ("open", "/job/new", making, mode), ("creat", "/job/new", mode)]
            assert set(calls(box, tried)) == {errno.EPERM}
        assert calls(box, [("fchmodat", here, "/job/old", 0o1755), ("openat", here, "/job/new", making, 0o755)]) == [0, 0]
        # Without O_CREAT the mode is no mode and holds whatever was there.
        assert calls(box, [("openat", here, "/job/old", os.O_RDONLY, 0o6755)]) == [0]
        assert [path for path in box.work.iterdir() if path.stat().st_mode & 0o6000] == []

    @only_x86
    @pytest.mark.parametrize("number", [0x40000000 | 39, 0x40000000 | 101])
    def test_calls_in_the_manner_of_x32_end_the_program(self, box: Box, number: int) -> None:
        done = box.run(json.dumps([[number]]), command=[PYTHON, "-c", CALLS])
        assert done.returncode == 128 + 31

    @only_x86
    def test_calls_in_the_manner_of_32_bits_end_the_program(self, box: Box) -> None:
        getpid_by_interrupt = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret
        script = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write({getpid_by_interrupt!r})
code = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
code()
print("still here")
"""
        done = box.run(script, command=[PYTHON, "-c"])
        assert done.returncode == 128 + 31, done

    def test_ordinary_programs_work(self, box: Box) -> None:
        script = """
import asyncio, concurrent.futures, multiprocessing, os, shutil, socket, subprocess, sqlite3, tempfile, threading
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    assert list(pool.map(abs, range(-9, 0))) == list(range(9, 0, -1))
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
with multiprocessing.get_context("spawn").Pool(1) as pool:
    assert pool.map(abs, [-1]) == [1]
async def child():
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()
assert asyncio.run(child()) == 0
assert subprocess.run(["sh", "-c", "echo $((6 * 7)) | cat"], capture_output=True).stdout == b"42\\n"
with sqlite3.connect("data.db") as base:
    base.execute("create table t (a)")
os.chmod("data.db", 0o1640)
os.mkfifo("pipe")
shutil.copytree("/job", "/tmp/copy", ignore=shutil.ignore_patterns("pipe"))
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    pass
with tempfile.TemporaryFile() as file:
    file.write(b"x")
print("all well")
"""
        (box.work / "main.py").write_text(f"if __name__ == '__main__':\n    exec({script!r})\n")
        assert box.says("main.py", command=[PYTHON]) == "all well\n"


@pytest.fixture
def unmade() -> Iterator[None]:
    """The filter is made once per process: forget it before and after."""
    seccomp.program.cache_clear()
    yield
    seccomp.program.cache_clear()


class TestMaking:
    def test_it_is_made_of_whole_instructions_and_made_once(self) -> None:
        assert len(seccomp.program()) % 8 == 0
        assert 100 < len(seccomp.program()) // 8 < 4096
        assert seccomp.program() is seccomp.program()

    def test_a_missing_library_is_named_with_its_package(
        self, unmade: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delitem(sys.modules, "pyseccomp", raising=False)
        monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
        with pytest.raises(ConfigError, match="libseccomp.so.2") as caught:
            seccomp.program()
        assert "apt-get install libseccomp2" in caught.value.advice
        if shutil.which("bwrap") is not None:
            (problem,) = BwrapSandbox(scratch_root=str(tmp_path / "root")).check()
            assert "libseccomp" in problem.what

    def test_a_library_that_does_not_know_the_core_is_refused(self, unmade: None, monkeypatch: pytest.MonkeyPatch) -> None:
        real = pyseccomp.resolve_syscall
        monkeypatch.setattr(pyseccomp, "resolve_syscall", lambda arch, name: -1 if name == "io_uring_setup" else real(arch, name))
        with pytest.raises(ConfigError, match="too old, it does not know io_uring_setup"):
            seccomp.program()

    def test_a_call_unknown_to_the_library_is_left_out(self, unmade: None, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = len(seccomp.program())
        seccomp.program.cache_clear()
        real = pyseccomp.resolve_syscall
        monkeypatch.setattr(pyseccomp, "resolve_syscall", lambda arch, name: -1 if name == "lookup_dcookie" else real(arch, name))
        assert len(seccomp.program()) < whole

    def test_every_core_call_is_refused(self) -> None:
        assert set(seccomp.CORE) <= {*seccomp.REFUSED, *seccomp.UNSUPPORTED}
