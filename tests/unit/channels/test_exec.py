"""Programs of the user: what they are given, what their end means, and that none of them can hold up or flood a call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from msgspec.structs import replace

from scq.channels import exec as module
from scq.channels import programs
from scq.channels.exec import ExecChannel
from scq.channels.place import Place
from scq.config_channels import ChannelSetting
from scq.errors import ChannelError
from scq.ports import Message

MESSAGE = Message(
    key="ab" * 32,
    event="job.failed",
    sender="o@x.org",
    recipient="ana@uni.example",
    subject="Job: s [scq 1]",
    text="It failed.\nGrüße\n",
    html="<p>It failed.</p>",
    at_iso="2026-03-02T10:30:00+00:00",
    level="error",
    job_id="01" * 16,
    words={"name": "s"},
    role="do",
)


def script(folder: Path, body: str, interpreter: str = "/bin/sh") -> str:
    path = folder / "tell"
    path.write_text(f"#!{interpreter}\n{dedent(body)}\n")
    path.chmod(0o755)
    return str(path)


def channel(*command: str, env: Mapping[str, str] | None = None) -> ExecChannel:
    return ExecChannel(ChannelSetting("own", "exec", command=command), Place(env or {"PATH": os.environ["PATH"]}))


def refusal(target: ExecChannel) -> ChannelError:
    with pytest.raises(ChannelError) as caught:
        target.send(MESSAGE)
    return caught.value


def test_a_program_gets_the_whole_message_as_one_document(tmp_path: Path) -> None:
    sent = channel(script(tmp_path, f"cat > {tmp_path}/got; echo; echo '  taken as 17  '; echo more")).send(MESSAGE)
    assert sent.text == "taken as 17"
    assert json.loads((tmp_path / "got").read_bytes()) == {
        "schema": 1,
        "event": "job.failed",
        "key": "ab" * 32,
        "level": "error",
        "title": "Job: s [scq 1]",
        "text": "It failed.\nGrüße\n",
        "html": "<p>It failed.</p>",
        "recipient": "ana@uni.example",
        "role": "do",
        "job": "01" * 16,
        "words": {"name": "s"},
        "ts": "2026-03-02T10:30:00+00:00",
    }


def test_a_program_sees_a_small_environment_and_nothing_secret(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "HOME": "/home/o", "SMTP_PASSWORD": "secret", "LD_PRELOAD": "x"}
    channel(script(tmp_path, f"env > {tmp_path}/got; pwd >> {tmp_path}/got"), env=env).send(
        replace(MESSAGE, subject="a\nB=c\x00")
    )
    lines = (tmp_path / "got").read_text().splitlines()
    assert {line for line in lines if line.split("=")[0] not in ("_", "SHLVL", "PWD", "OLDPWD")} == {
        "PATH=/usr/bin:/bin",
        "HOME=/home/o",
        "SCQ_EVENT=job.failed",
        f"SCQ_KEY={'ab' * 32}",
        "SCQ_LEVEL=error",
        "SCQ_TITLE=a�B=c�",
        "SCQ_RECIPIENT=ana@uni.example",
        "/",
    }


def test_words_of_a_command_are_never_read_by_a_shell(tmp_path: Path) -> None:
    channel(script(tmp_path, f'printf "%s\\n" "$@" > {tmp_path}/got'), "$(id)", "a b; touch /x", "*").send(MESSAGE)
    assert (tmp_path / "got").read_text().splitlines() == ["$(id)", "a b; touch /x", "*"]


def test_a_silent_program_is_named_in_the_receipt(tmp_path: Path) -> None:
    assert channel(script(tmp_path, "exit 0")).send(MESSAGE).text == "taken by tell"


def test_a_program_need_not_read_what_it_is_given(tmp_path: Path) -> None:
    target = channel(script(tmp_path, "exec 0<&-; echo well"))
    assert target.send(replace(MESSAGE, text="x" * 900_000)).text == "well"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(75, "transient"), (77, "auth"), (78, "config"), (64, "permanent"), (65, "permanent"), (1, "transient"), (127, "transient")],
)
def test_the_exit_status_says_what_became_of_a_message(tmp_path: Path, status: int, kind: str) -> None:
    error = refusal(channel(script(tmp_path, f"echo first >&2; printf 'last \\033[2J word\\n\\n' >&2; exit {status}")))
    assert error.kind == kind
    assert f"exit status {status}: last �[2J word" in str(error)
    assert "first" not in str(error)


def test_a_program_that_is_killed_may_work_later(tmp_path: Path) -> None:
    error = refusal(channel(script(tmp_path, "kill -9 $$")))
    assert (error.kind, "signal 9" in str(error)) == ("transient", True)


def test_a_program_that_hangs_is_killed_with_its_children_and_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 2.0)
    target = channel(script(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; trap '' TERM; wait"))
    error = refusal(target)
    assert error.kind == "ambiguous"
    assert "did not end within 2 s" in str(error)
    wait_until_gone(int((tmp_path / "child").read_text()))


def test_an_interrupted_call_leaves_no_program_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def interrupted(process: subprocess.Popen[bytes], timeout_s: float) -> None:
        started.append(process.pid)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(programs, "_follow", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            channel(script(tmp_path, "exec sleep 600")).send(MESSAGE)
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until_gone(started[0])


def wait_until_gone(pid: int) -> None:
    """Returns when the process has ended; a zombie that nobody collects has ended too. Fails after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} is still there")


def test_what_goes_on_in_the_background_holds_up_nothing(tmp_path: Path) -> None:
    body = """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                print(os.getpid(), file=open(sys.argv[1] + ".part", "w"), flush=True)
                os.rename(sys.argv[1] + ".part", sys.argv[1])
                time.sleep(600)
            os._exit(0)
        while not os.path.exists(sys.argv[1]):
            pass
        print("begun", flush=True)
    """
    left = tmp_path / "left"
    assert channel(script(tmp_path, body, sys.executable), str(left)).send(MESSAGE).text == "begun"
    os.kill(int(left.read_text()), signal.SIGKILL)


def test_a_flood_of_output_is_read_and_forgotten(tmp_path: Path) -> None:
    body = """
        import sys
        print("first", flush=True)
        for _ in range(400):
            sys.stdout.write("o" * 65536)
            sys.stderr.write("e" * 65536)
        sys.stdout.flush()
        print("\\nlast", file=sys.stderr)
        sys.exit(int(sys.argv[1]))
    """
    tell = script(tmp_path, body, sys.executable)
    assert channel(tell, "0").send(MESSAGE).text == "first"
    assert str(refusal(channel(tell, "1"))).endswith("exit status 1: last")


def test_output_that_is_no_text_is_shown_as_one_clean_line(tmp_path: Path) -> None:
    text = channel(script(tmp_path, "printf '\\377\\000\\033]0;t\\007x%0500d\\n' 1")).send(MESSAGE).text
    assert text.isprintable()
    assert len(text) == 200


def test_a_program_may_close_its_outputs_and_go_on(tmp_path: Path) -> None:
    body = """
        import os, sys
        os.close(1), os.close(2)
        open(sys.argv[1], "w").close()
        os._exit(75)
    """
    assert refusal(channel(script(tmp_path, body, sys.executable), str(tmp_path / "ran"))).kind == "transient"
    assert (tmp_path / "ran").exists()


def test_a_command_that_cannot_be_trusted_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = script(tmp_path, f"touch {tmp_path}/ran")
    os.chmod(tell, 0o757)
    assert channel(tell).usable() == f"{tell}: other accounts could change it"
    assert refusal(channel(tell)).kind == "config"
    os.chmod(tell, 0o755)
    assert channel(tell).usable() == ""
    owner = os.stat(tell).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert ("other accounts" in channel(tell).usable()) == (owner != 0)
    assert not (tmp_path / "ran").exists()


def test_a_program_of_another_account_is_not_trusted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    tell = script(tmp_path, "exit 0")
    os.chown(tell, 12345, 12345)
    assert channel(tell).usable() == f"{tell}: other accounts could change it"


def test_a_command_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    assert channel(str(tmp_path / "text")).usable() == f"{tmp_path}/text: is not an executable file"
    assert channel(str(tmp_path)).usable() == f"{tmp_path}: is not an executable file"
    assert "No such file" in channel(str(tmp_path / "missing")).usable()
    assert channel().usable() == "command: cannot be run (No such file or directory)"
    assert refusal(channel(str(tmp_path / "missing"))).kind == "config"


def test_a_script_whose_interpreter_is_missing_may_work_later(tmp_path: Path) -> None:
    error = refusal(channel(script(tmp_path, "", "/no/such/interpreter")))
    assert (error.kind, "cannot be started (No such file or directory)" in str(error)) == ("transient", True)


def test_programs_are_found_on_the_path_of_the_call_or_on_the_usual_one(tmp_path: Path) -> None:
    tell = script(tmp_path, "exit 0")
    assert programs.find("tell", {"PATH": str(tmp_path)}) == tell
    assert programs.find("tell", {}) == ""
    assert programs.find("sh", {}).endswith("/sh")
    assert programs.environment({}) == {"PATH": programs.PATH}
    assert programs.environment({"PATH": "/b", "X": "1", "Y": ""}, "X", "Y", "Z") == {"PATH": "/b", "X": "1"}
