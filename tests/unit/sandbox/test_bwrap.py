"""The bubblewrap box: its command line, what can be seen inside, and what its self-test says when it does not hold."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from scq.errors import ConfigError, UsageError
from scq.model import Limits
from scq.ports import Mount, Plan
from scq.sandbox import shown
from scq.sandbox.bwrap import NAMES, OPTIONS, SECCOMP, STATUS, BwrapSandbox, find_bwrap
from scq.sandbox.scratch import remove_scratch
from tests.unit.executors.tasks import all_pids, command_line, wait_for
from tests.unit.sandbox.boxes import Box, made_device
from tests.unit.sandbox.conftest import needs_root

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class TestInside:
    def test_the_job_sees_its_folder_as_job_and_can_write_there(self, box: Box) -> None:
        assert box.says("pwd; echo made > file") == "/job\n"
        assert (box.work / "file").read_text() == "made\n"
        assert (box.work / "file").stat().st_uid != 0

    def test_files_put_there_before_belong_to_the_job(self, box: Box) -> None:
        if box.user is not None:
            pytest.skip("an ordinary user owns the copy already")
        (box.work / "code").mkdir()
        (box.work / "code/data").write_text("old")
        assert box.says("echo new > data; cat data", cwd="code") == "new\n"

    def test_the_environment_is_the_given_one_and_the_usual_three(self, box: Box) -> None:
        env = {"OUTPUT_DIR": f"{box.work}/out", "TOP": str(box.work), "OTHER": f"{box.work}-other", "EMPTY": "", "HOME": "/job"}
        said = dict(line.split("=", 1) for line in box.says("/usr/bin/env", env=env).splitlines())
        said.pop("PWD")
        assert said == {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": "/job",
            "OUTPUT_DIR": "/job/out",
            "TOP": "/job",
            "OTHER": f"{box.work}-other",
            "EMPTY": "",
        }

    def test_the_environment_of_the_caller_cannot_be_read_through_proc(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCQ_SECRET", "canary")
        assert "canary" not in box.says("cat /proc/*/environ")

    def test_temporary_folders_are_capped(self, box: Box) -> None:
        for folder in ("/tmp", "/dev/shm"):
            done = box.run(f"head -c 2000000 /dev/zero > {folder}/big; wc -c < {folder}/big")
            assert done.stdout.strip() == str(1 << 20)

    def test_nothing_else_can_be_written(self, box: Box) -> None:
        for place in ("/", "/usr", "/etc", "/proc/sys/kernel", "/dev", "/dev/pts", "/dev/mqueue"):
            assert box.run(f"echo x > {place}/scq-test").returncode != 0

    def test_private_folders_are_not_there(self, box: Box) -> None:
        for place in ("/root", "/home", "/etc/passwd", "/var", "/sys", str(box.directory)):
            assert box.run(f"ls {place}").returncode != 0

    def test_what_services_keep_among_the_programs_is_not_there(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shown, "SERVICES", ("/usr/share/doc", "/usr/gone"))
        said = box.run("ls -A /usr/share/doc; touch /usr/share/doc/x || echo refused; ls -d /usr/share/doc /usr/lib")
        assert said.stdout == "refused\n/usr/lib\n/usr/share/doc\n"

    def test_a_further_user_namespace_is_refused(self, box: Box) -> None:
        assert box.run("unshare -U true").returncode != 0

    def test_the_exit_code_comes_out(self, box: Box) -> None:
        assert box.run("exit 7").returncode == 7
        assert box.run("kill -KILL $$").returncode == 137

    def test_everything_inside_dies_with_the_box(self, box: Box) -> None:
        seconds = f"97.{secrets.randbelow(10**9)}"
        script = f'setsid sh -c "echo > ready; exec sleep {seconds}" & wait'
        with box.started(["/bin/sh", "-c", script]) as process:
            wait_for((box.work / "ready").exists, "the start of the daemon")
            process.kill()
            process.wait()
        wait_for(lambda: f"sleep\0{seconds}\0".encode() not in map(command_line, all_pids()), "the end of the daemon")

    def test_an_interpreter_outside_usr_can_be_shown(self, box: Box, open_directory: Path) -> None:
        tools = open_directory / "tools"
        tools.mkdir()
        (tools / "hello").write_text("#!/bin/sh\necho hello\n")
        (tools / "hello").chmod(0o755)
        box.sandbox.interpreter_paths = (str(tools),)
        assert box.says(f"{tools}/hello") == "hello\n"
        assert box.run(f"echo x > {tools}/hello").returncode != 0

    def test_an_interpreter_given_as_a_link_is_shown_under_both_names(self, box: Box, open_directory: Path) -> None:
        real, link = open_directory / "python-3.11", open_directory / "python"
        real.mkdir()
        (real / "version").write_text("3.11\n")
        link.symlink_to(real)
        box.sandbox.interpreter_paths = (str(link),)
        assert box.says(f"cat {link}/version {real}/version") == "3.11\n3.11\n"

    def test_paths_of_this_machine_are_not_in_the_argument_vector(self, box: Box) -> None:
        assert str(box.directory) not in box.says("cat /proc/*/cmdline", env={"X": f"{box.work}/x"})

    def test_no_descriptor_is_left_open(self, box: Box) -> None:
        assert box.says("ls /proc/self/fd").split() == ["0", "1", "2", "3"]  # 3 is the listing itself

    def test_the_box_reports_how_it_went(self, box: Box) -> None:
        reading, writing = os.pipe()
        with box.started(["/bin/sh", "-c", "exit 7"], report=writing) as process:
            process.wait()
            os.close(writing)
        with os.fdopen(reading) as file:
            said = [json.loads(line) for line in file.read().splitlines()]
        assert "child-pid" in said[0]
        assert said[-1] == {"exit-code": 7}

    def test_a_device_that_is_shown_can_be_used_and_nothing_else_becomes_possible(self, box: Box) -> None:
        with made_device() as path:
            mounts = (Mount(path, path, device=True),)
            before = set(box.says("ls /dev").split())
            assert box.says(f"head -c 3 {path} | wc -c; echo ignored > {path}", mounts=mounts) == "3\n"
            assert set(box.says("ls /dev", mounts=mounts).split()) - before == {os.path.basename(path)}
            assert box.run("head -c 1 /dev/kmsg", mounts=mounts).returncode != 0
            for script in ("echo x > /dev/file", f"rm {path}", "mknod /tmp/x c 1 5 && head -c 1 /tmp/x", f"chmod 777 {path}"):
                assert box.run(script, mounts=mounts).returncode != 0
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o666

    def test_a_device_shown_as_a_file_is_refused(self, box: Box) -> None:
        with pytest.raises(ConfigError, match="neither a file nor a folder"):
            box.says("true", mounts=(Mount("/dev/zero", "/data/zero"),))

    def test_a_variable_cannot_bring_options_of_its_own(self, box: Box) -> None:
        with pytest.raises(UsageError, match="NUL"):
            box.run("true", env={"JOB_NAME": "x\0--bind\0/\0/host"})

    def test_an_environment_larger_than_any_argument_vector_is_given_in_full(self, box: Box) -> None:
        env = {f"V{number}": "x" * 1000 for number in range(1000)}
        assert len(box.says("env | grep -c ^V", env=env)) > 1
        assert box.says("env | grep -c ^V", env=env) == "1000\n"


class TestNetwork:
    @pytest.fixture
    def port(self) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield server.getsockname()[1]

    def connect(self, port: int) -> str:
        return f"exec 3<>/dev/tcp/127.0.0.1/{port}"

    def test_there_is_none_by_default(self, box: Box, port: int) -> None:
        assert box.run(self.connect(port), command=["/bin/bash", "-c"]).returncode != 0
        assert box.run("cat /etc/resolv.conf").returncode != 0

    def test_without_one_only_the_job_itself_has_names(self, box: Box) -> None:
        assert box.says("getent hosts localhost; getent hosts job; hostname").split()[-1] == "job"
        assert box.says("cat /etc/hosts") == "127.0.0.1 localhost job\n::1 localhost\n"
        assert box.run("getent hosts example.org").returncode != 0
        assert box.run("echo 127.0.0.1 x >> /etc/hosts || rm /etc/hosts").returncode != 0

    def test_it_is_there_when_asked_for(self, box: Box, port: int) -> None:
        assert box.run(self.connect(port), command=["/bin/bash", "-c"], network=True).returncode == 0
        assert box.says("cat /etc/hosts", network=True) == Path("/etc/hosts").read_text()
        assert box.run("echo x >> /etc/hosts", network=True).returncode != 0


class TestData:
    @pytest.fixture
    def data(self, open_directory: Path) -> Path:
        folder = open_directory / "cohort"
        folder.mkdir()
        (folder / "table.csv").write_text("a,b\n")
        return folder

    def test_it_is_shown_where_it_is_wanted_and_cannot_be_written(self, box: Box, data: Path) -> None:
        mounts = (Mount(str(data), "/data/deep/cohort"), Mount(str(data / "table.csv"), "/table.csv"))
        assert box.says("cat /data/deep/cohort/table.csv /table.csv", mounts=mounts) == "a,b\na,b\n"
        for place in ("/data/deep/cohort/x", "/data/deep/cohort/table.csv", "/table.csv", "/data/x"):
            assert box.run(f"echo x > {place}", mounts=mounts).returncode != 0
        assert [entry.name for entry in data.iterdir()] == ["table.csv"]

    def test_a_folder_inside_another_is_shown_whatever_the_order(self, box: Box, data: Path, open_directory: Path) -> None:
        (open_directory / "inner").mkdir()
        (open_directory / "inner/file").write_text("inner\n")
        (data / "more").mkdir()
        mounts = (Mount(str(open_directory / "inner"), "/data/more"), Mount(str(data), "/data"))
        assert box.says("cat /data/more/file /data/table.csv", mounts=mounts) == "inner\na,b\n"

    def test_it_can_lie_in_the_temporary_folder(self, box: Box, data: Path) -> None:
        assert box.says("cat /tmp/in/table.csv; echo x > /tmp/y", mounts=[Mount(str(data), "/tmp/in")]) == "a,b\n"

    def test_what_is_given_writable_can_be_written(self, box: Box, data: Path) -> None:
        os.chmod(data, 0o777)
        box.says("echo x > /data/new", mounts=[Mount(str(data), "/data", writable=True)])
        assert (data / "new").read_text() == "x\n"

    def test_the_next_job_does_not_see_it(self, box: Box, data: Path) -> None:
        box.says("true", mounts=[Mount(str(data), "/data")])
        assert box.run("ls /data").returncode != 0


class TestPlan:
    @pytest.mark.parametrize("network", [False, True])
    def test_it_is_what_the_box_is_made_from(self, box: Box, open_directory: Path, network: bool) -> None:
        box.sandbox.interpreter_paths = (str(open_directory),)
        env = {"OUT": f"{box.work}/out", "HOME": "/job"}
        mounts = (Mount(str(open_directory), "/data"),)
        asked = {"work": str(box.work), "cwd": "code", "env": env, "mounts": mounts, "network": network}
        plan: Plan = box.sandbox.plan(["sh", "run.sh"], limits=Limits(memory=5), **asked)  # type: ignore[arg-type]
        words = box.sandbox.wrap(["sh", "run.sh"], **asked).feeds[OPTIONS].decode().split("\0")  # type: ignore[arg-type]
        bound = [(words[at + 1], words[at + 2], word == "--bind") for at, word in enumerate(words) if word.endswith("bind")]
        assert bound == [(mount.source, mount.target, mount.writable) for mount in plan.mounts]
        variables = {words[at + 1]: words[at + 2] for at, word in enumerate(words) if word == "--setenv"}
        assert variables == plan.environment
        assert plan.environment["OUT"] == "/job/out"
        assert words[words.index("--chdir") + 1] == plan.cwd == "/job/code"
        assert ("--share-net" in words) == plan.network == network
        assert plan.limits == Limits(memory=5)
        assert plan.command == ("sh", "run.sh")

    def test_what_it_shows_is_what_a_job_sees(self, box: Box, open_directory: Path) -> None:
        mounts = (Mount(str(open_directory), "/data"),)
        plan = box.sandbox.plan(["true"], work=str(box.work), cwd=".", env={"A": "1"}, mounts=mounts)
        seen = [line.split()[4] for line in box.says("cat /proc/self/mountinfo", mounts=mounts).splitlines()]
        made_by_bwrap = {"/", "/proc", "/tmp", "/dev", "/etc/hosts"}
        assert {one for one in seen if not one.startswith("/dev/")} - made_by_bwrap == {mount.target for mount in plan.mounts}

    def test_it_names_the_user_and_touches_nothing(self, box: Box, open_directory: Path) -> None:
        before = sorted((path, path.stat().st_uid, path.stat().st_mtime_ns) for path in box.directory.rglob("*"))
        plan = box.sandbox.plan(["true"], work=str(box.work), cwd=".", env={}, mounts=[Mount("/no/such", "/data")])
        assert plan.user == ("nobody" if os.geteuid() in (0, 65534) else plan.user)
        assert sorted((path, path.stat().st_uid, path.stat().st_mtime_ns) for path in box.directory.rglob("*")) == before

    def test_its_notes_say_whether_there_is_a_network(self) -> None:
        asked = {"work": "/w", "cwd": ".", "env": {}}
        assert BwrapSandbox().plan(["true"], **asked).notes[0].startswith("no network")  # type: ignore[arg-type]
        noted = BwrapSandbox().plan(["true"], network=True, **asked).notes  # type: ignore[arg-type]
        assert any("network of this machine" in note for note in noted)
        assert "/tmp and /dev/shm: 64 MiB each" in noted

    @needs_bwrap
    def test_the_words_for_descriptors_are_all_replaced(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            tmp_path.chmod(0o755)
        invocation = BwrapSandbox().wrap(["true"], work=str(tmp_path), cwd=".", env={})
        assert set(invocation.feeds) == {NAMES, OPTIONS, SECCOMP}
        assert {NAMES, OPTIONS, SECCOMP, STATUS} <= set(invocation.argv)
        assert invocation.report == STATUS
        assert dict(invocation.env) == {}


class TestDropping:
    def test_an_ordinary_user_keeps_the_run_directory_and_is_not_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.getuid", lambda: 1000)
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        sandbox = BwrapSandbox(user="no such user")
        assert sandbox.dropped() is None
        assert sandbox.scratch("/run") == "/run"

    def test_where_copies_are_kept_apart_an_ordinary_user_has_his_own_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(BwrapSandbox, "dropped", lambda _self: None)
        sandbox = BwrapSandbox(scratch_root=str(tmp_path / "shared"), apart=True)
        found = Path(sandbox.scratch(str(tmp_path)))
        assert found.parent == tmp_path / "shared"
        assert (found.stat().st_uid, found.stat().st_mode & 0o777) == (os.geteuid(), 0o700)
        assert sandbox.scratch(str(tmp_path)) == str(found)

    @needs_root
    @needs_bwrap
    def test_root_is_dropped_to_the_configured_user(self, open_directory: Path) -> None:
        box = Box(open_directory, None)
        assert box.sandbox.wrap(["true"], work=str(box.work), cwd=".", env={}).uid == 65534
        assert box.says("id -u") == "65534\n"
        remove_scratch(str(open_directory))

    @pytest.mark.parametrize(("user", "what"), [("no such user", "no user"), ("root", "cannot be boxed")])
    def test_a_user_that_cannot_be_boxed_is_a_configuration_error(
        self, user: str, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("os.getuid", lambda: 0)
        sandbox = BwrapSandbox(user=user)
        with pytest.raises(ConfigError, match=what):
            sandbox.scratch(str(tmp_path))
        if find_bwrap() is not None:
            (problem,) = sandbox.check()
            assert what in problem.what

    def test_without_bwrap_nothing_is_wrapped(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match="not installed") as caught:
            BwrapSandbox().wrap(["true"], work=str(tmp_path), cwd=".", env={})
        assert "apt-get install bubblewrap" in caught.value.advice
