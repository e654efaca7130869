"""The self-test of the box: silent when it holds, clear when it does not."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path

import pytest

from scq.sandbox import selftest
from scq.sandbox.bwrap import BwrapSandbox
from tests.unit.sandbox.conftest import needs_root

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


@pytest.fixture
def scratch_root(open_directory: Path) -> str:
    return str(open_directory / "root")


def fake_bwrap(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in the place of bwrap."""
    folder.chmod(0o755)
    (folder / "bwrap").write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'bubblewrap 0.9.1' && exit\n{script}\n")
    (folder / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


# Runs the probe without any box, in the folder it would have; all its options are in the descriptor that --args names.
LEAKY = """
while [ "$1" != --args ]; do shift; done
tr '\\0' '\\n' < /proc/self/fd/$2 > "$0.options"
while read -r word; do
  case $word in
    --setenv) read -r name; read -r value; export "$name=$value";;
    --bind) read -r work;;
  esac
done < "$0.options"
export LEAKED=secret
while [ "$1" != -- ]; do shift; done
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
    @pytest.mark.parametrize("user", [None, pytest.param(65534, marks=needs_root)], ids=["caller", "ordinary"])
    def test_with_private_copies_on_a_shared_disk_it_leaves_nothing_there(self, open_directory: Path, user: int | None) -> None:
        """The ordinary user has a folder of his own there."""
        shared = open_directory / "shared"
        if user is not None:
            os.chown(open_directory, user, user)
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                if user is not None:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                code = 1 if BwrapSandbox(scratch_root=str(shared), apart=True).check() else 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert os.listdir(shared) == []
        assert shared.stat().st_uid == (os.geteuid() if user is None else user)

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
        open_directory.chmod(0o777)
        found = {problem.what for problem in BwrapSandbox(scratch_root=scratch_root).check()}
        assert "a job can read private files outside its folder" in found
        assert "a job can see the processes of this machine" in found
        assert "a job can write to the system" in found
        assert "a job can have or gain privileges" in found
        assert "the system calls of a job are not filtered" in found
        assert "a job can see variables of the caller" in found

    @needs_bwrap
    def test_a_box_with_network_is_found_out(self, scratch_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = Path("/proc/net/dev").read_text().splitlines()[2:]
        if [line.split(":")[0].strip() for line in lines] == ["lo"]:
            pytest.skip("this machine has no network interface but lo")
        monkeypatch.setattr("scq.sandbox.bwrap.ISOLATION", ("--unshare-user", "--unshare-pid", "--cap-drop", "ALL"))
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert "network interfaces" in problem.what

    @needs_bwrap
    def test_a_filter_that_lets_everything_through_is_found_out(self, scratch_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        allow = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # one instruction: return "allowed"
        monkeypatch.setattr("scq.sandbox.seccomp.program", lambda: allow)
        (problem,) = BwrapSandbox(scratch_root=scratch_root).check()
        assert problem.what == "a job can have or gain privileges"

    @pytest.mark.parametrize(
        ("changed", "what"),
        [
            (("Seccomp: 2", "Seccomp: 0"), "the system calls of a job are not filtered"),
            (("environ ", "environ HOME=/home/me"), "a job can see variables of the caller"),
            (("variable CANARY", "variable CANARY\nvariable TOKEN"), "a job can see variables of the caller"),
            (("cmdline bwrap", "cmdline bwrap--bind{folder}"), "a job can see where its folder lies on this machine"),
            (("Uid: 1000", "Uid: 0"), "a job runs as root"),
            (("work writable", "work writable\nkernel writable"), "a job can write to the system"),
            (("work writable", "work writable\nnamespaces possible"), "the system calls of a job are not filtered"),
            (("interface lo", "interface lo\ninterface eth0"), "a job can see network interfaces: lo, eth0"),
        ],
    )
    def test_each_answer_of_the_probe_counts(self, tmp_path: Path, changed: tuple[str, str], what: str) -> None:
        proof = tmp_path / "proof"
        proof.touch()
        if os.geteuid() == 0:
            os.chown(proof, 1000, 1000)
        good = (
            "interface lo\nnamespace other\nmount / ro\nmount /dev ro\nmount /usr ro\nCapEff: 0000000000000000\nNoNewPrivs: 1\n"
        )
        good += "Seccomp: 2\nUid: 1000\nvariable CANARY\nenviron \ncmdline bwrap\nwork writable\n"
        assert list(selftest._judge(good, str(proof))) == []
        assert list(selftest._judge(good.replace("interface lo", "interface lo\ninterface sit0"), str(proof))) == []
        bad = good.replace(changed[0], changed[1].format(folder=tmp_path))
        assert list(selftest._judge(bad, str(proof))) == [what]

    def test_a_job_folder_that_cannot_be_written_is_found_out(self, tmp_path: Path) -> None:
        mounts = "mount / ro\nmount /dev ro\nmount /usr ro,nosuid\n"
        status = "CapEff: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n"
        said = f"interface lo\nnamespace other\n{mounts}{status}variable CANARY\nenviron \ncmdline bwrap\n"
        assert list(selftest._judge(said, str(tmp_path / "proof"))) == ["a job cannot write to its own folder"]

    def test_silence_is_no_proof(self, tmp_path: Path) -> None:
        assert len(list(selftest._judge("", str(tmp_path / "proof")))) == 8

    @needs_root
    def test_a_job_that_runs_as_root_is_found_out(self, tmp_path: Path) -> None:
        (tmp_path / "proof").touch()
        assert "a job runs as root" in list(selftest._judge("work writable\n", str(tmp_path / "proof")))

    @needs_bwrap
    def test_a_missing_interpreter_folder_is_named(self, scratch_root: str) -> None:
        (problem,) = BwrapSandbox(scratch_root=scratch_root, interpreter_paths=("/no/such/folder",)).check()
        assert "/no/such/folder" in problem.what
        assert "sandbox.interpreters" in problem.advice

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
