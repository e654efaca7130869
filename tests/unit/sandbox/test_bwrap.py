"""The bubblewrap box: its command line, what can be seen inside, and what its self-test says when it does not hold."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scq.errors import ConfigError
from scq.sandbox import selftest
from scq.sandbox.bwrap import BwrapSandbox, find_bwrap
from scq.sandbox.scratch import remove_scratch
from tests.unit.executors.tasks import all_pids, command_line, wait_for

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be dropped")


class Box:
    """Scripts run in a box as root (which drops) or as an ordinary user."""

    def __init__(self, directory: Path, user: int | None) -> None:
        self.sandbox = BwrapSandbox(temporary_bytes=1 << 20, scratch_root=str(directory / "root"))
        self.directory = directory
        self.user = user
        self.work = Path(self.sandbox.scratch(str(directory))) / "work"
        self.work.mkdir()
        if user is not None:
            os.chown(self.work, user, user)

    def run(self, script: str, *, cwd: str = ".", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        invocation = self.sandbox.wrap(["/bin/sh", "-c", script], work=str(self.work), cwd=cwd, env=env or {})
        user = invocation.uid if self.user is None else self.user
        return subprocess.run(
            invocation.argv,
            env=dict(invocation.env),
            cwd=invocation.cwd,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    def says(self, script: str, **settings: object) -> str:
        done = self.run(script, **settings)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A folder that another user can reach, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="scq-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(params=["caller", pytest.param("ordinary", marks=needs_root)])
def box(request: pytest.FixtureRequest, open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    if request.param == "ordinary":
        monkeypatch.setattr("os.getuid", lambda: 65534)
        monkeypatch.setattr("os.geteuid", lambda: 65534)
    yield Box(open_directory, 65534 if request.param == "ordinary" else None)
    monkeypatch.undo()
    remove_scratch(str(open_directory))


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

    def test_a_further_user_namespace_is_refused(self, box: Box) -> None:
        assert box.run("unshare -U true").returncode != 0

    def test_the_exit_code_comes_out(self, box: Box) -> None:
        assert box.run("exit 7").returncode == 7
        assert box.run("kill -KILL $$").returncode == 137

    def test_everything_inside_dies_with_the_box(self, box: Box) -> None:
        seconds = f"97.{secrets.randbelow(10**9)}"
        script = f'setsid sh -c "echo > ready; exec sleep {seconds}" & wait'
        invocation = box.sandbox.wrap(["/bin/sh", "-c", script], work=str(box.work), cwd=".", env={})
        user = invocation.uid if box.user is None else box.user
        process = subprocess.Popen(invocation.argv, env={}, user=user, group=user, extra_groups=None if user is None else [])
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


class TestDropping:
    def test_an_ordinary_user_keeps_the_run_directory_and_is_not_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.getuid", lambda: 1000)
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        sandbox = BwrapSandbox(user="no such user")
        assert sandbox.dropped() is None
        assert sandbox.scratch("/run") == "/run"

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


@pytest.fixture
def scratch_root(open_directory: Path) -> str:
    return str(open_directory / "root")


def fake_bwrap(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in the place of bwrap."""
    folder.chmod(0o755)
    (folder / "bwrap").write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'bubblewrap 0.9.1' && exit\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


# Runs the probe without any box, in the folder it would have.
LEAKY = """
while [ "$1" != -- ]; do
  [ "$1" = --setenv ] && export "$2=$3"
  [ "$1" = --bind ] && work=$2
  shift
done
shift; cd "$work" && exec "$@"
"""


class TestSelfTest:
    @needs_bwrap
    def test_the_box_holds_on_this_machine(self, scratch_root: str) -> None:
        assert list(BwrapSandbox(scratch_root=scratch_root).check()) == []

    @needs_bwrap
    @needs_root
    def test_it_leaves_nothing_behind(self, tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        root = open_directory / "scratch"
        assert list(BwrapSandbox(scratch_root=str(root)).check()) == []
        assert os.listdir(root) == []
        assert os.listdir(tmp_path) == []

    @needs_bwrap
    @needs_root
    def test_the_box_holds_for_an_ordinary_user(self, scratch_root: str) -> None:
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                code = 1 if BwrapSandbox(scratch_root=scratch_root).check() else 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def test_a_missing_program_is_named_with_the_package_to_install(
        self, scratch_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert problem.advice == "Install it: apt-get install bubblewrap."

    def test_an_old_program_is_named_with_both_versions(
        self, scratch_root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho bubblewrap 0.6.1\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert "0.6.1" in problem.what
        assert "0.8" in problem.what

    def test_a_program_that_is_no_bwrap_is_too_old(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "bwrap").symlink_to("/bin/true")
        assert selftest.installed_version(str(tmp_path / "bwrap")) == (0,)

    def test_a_box_that_cannot_be_made_says_why(
        self, scratch_root: str, monkeypatch: pytest.MonkeyPatch, open_directory: Path
    ) -> None:
        fake_bwrap(open_directory, "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1", monkeypatch)
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert "setting up uid map: Permission denied" in problem.what

    def test_a_box_that_does_not_hold_is_found_out(
        self, scratch_root: str, monkeypatch: pytest.MonkeyPatch, open_directory: Path
    ) -> None:
        fake_bwrap(open_directory, LEAKY, monkeypatch)
        found = {problem.what for problem in BwrapSandbox(scratch_root=scratch_root).check()}
        assert "a job can read private files outside its folder" in found
        assert "a job can see the processes of this machine" in found
        assert "a job can write to the system" in found
        assert "a job can have or gain privileges" in found

    @needs_bwrap
    def test_a_box_with_network_is_found_out(self, scratch_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = Path("/proc/net/dev").read_text().splitlines()[2:]
        if [line.split(":")[0].strip() for line in lines] == ["lo"]:
            pytest.skip("this machine has no network interface but lo")
        monkeypatch.setattr("scq.sandbox.bwrap.ISOLATION", ("--unshare-user", "--unshare-pid", "--cap-drop", "ALL"))
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert "network interfaces" in problem.what

    def test_a_job_folder_that_cannot_be_written_is_found_out(self, tmp_path: Path) -> None:
        mounts = "mount / ro\nmount /dev ro\nmount /usr ro,nosuid\n"
        said = f"interface lo\nnamespace other\n{mounts}CapEff: 0000000000000000\nNoNewPrivs: 1\n"
        assert list(selftest._judge(said, str(tmp_path / "proof"))) == ["a job cannot write to its own folder"]

    def test_silence_is_no_proof(self, tmp_path: Path) -> None:
        assert len(list(selftest._judge("", str(tmp_path / "proof")))) == 5

    @needs_root
    def test_a_job_that_runs_as_root_is_found_out(self, tmp_path: Path) -> None:
        (tmp_path / "proof").touch()
        assert "a job runs as root" in list(selftest._judge("work writable\n", str(tmp_path / "proof")))

    @needs_bwrap
    def test_a_missing_interpreter_folder_is_named(self, scratch_root: str) -> None:
        (problem,) = BwrapSandbox(scratch_root=scratch_root, interpreter_paths=("/no/such/folder",)).check()
        assert "sandbox.interpreter_paths: /no/such/folder" in problem.advice

    def test_a_program_that_hangs_is_a_problem(
        self, scratch_root: str, monkeypatch: pytest.MonkeyPatch, open_directory: Path
    ) -> None:
        monkeypatch.setattr(selftest, "TIMEOUT_S", 0.2)
        fake_bwrap(open_directory, "exec sleep 60", monkeypatch)
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert "timed out" in problem.what

    @pytest.mark.parametrize(
        ("path", "value", "command"),
        [
            ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
            ("user/max_user_namespaces", "0", "user.max_user_namespaces="),
            ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
        ],
    )
    def test_the_kernel_setting_to_change_is_named(self, tmp_path: Path, path: str, value: str, command: str) -> None:
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(f"{value}\n")
        advice = selftest.sysctl_advice(str(tmp_path))
        assert advice is not None
        assert command in advice

    def test_settings_that_allow_everything_need_no_advice(self, tmp_path: Path) -> None:
        (tmp_path / "user").mkdir()
        (tmp_path / "user/max_user_namespaces").write_text("15000\n")
        assert selftest.sysctl_advice(str(tmp_path)) is None
