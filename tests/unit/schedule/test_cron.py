"""cron: our lines in a crontab that belongs to somebody else too."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scq import schedule
from scq.errors import ConfigError, ScqError, UsageError
from scq.ports import Entry, Schedule
from scq.schedule import calls, cron
from scq.schedule.cron import Cron, words_of
from scq.schedule.crontab import MINUTES, Table, every_of, next_of, timing_of

HOME = "/home/ann/.syft-creds"
OTHER = b"MAILTO=ann@example.org\n# BEGIN backup\n0 3 * * *\tbackup \\% \xff\r\n\n* * * * * true\n"

# What the real program does with its table, in a file: `-l` fails without one, `-` takes no last line without an end.
CRONTAB = """#!/bin/sh
case "$1" in
  -l) [ ! -e "$TABLE" ] || exec cat "$TABLE"; echo "no crontab for ann" >&2; exit 1 ;;
  -r) exec rm "$TABLE" ;;
  -) cat >"$TABLE.new" ;;
  *) exit 2 ;;
esac
if [ -n "$(tail -c 1 "$TABLE.new")" ]; then
  echo "new crontab file is missing newline before EOF, can't install." >&2
  exit 1
fi
mv "$TABLE.new" "$TABLE"
printf w >>"$TABLE.writes"
"""


class Machine:
    """A table and the program that keeps it."""

    def __init__(self, folder: Path) -> None:
        self.table = folder / "table"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.program(CRONTAB)
        self.cron = Cron({"PATH": f"{self.bin}:/usr/bin:/bin", "TABLE": str(self.table)})

    def program(self, text: str) -> None:
        (self.bin / "crontab").write_text(text)
        (self.bin / "crontab").chmod(0o755)

    def writes(self) -> int:
        counted = Path(f"{self.table}.writes")
        return len(counted.read_text()) if counted.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def entry(every: float = 60, program: str = "/bin/true", name: str = "notify", home: str = HOME) -> Entry:
    return Entry(name, (program, "--home", home, "cycle"), every, "look and tell")


def plan(*entries: Entry, home: str = HOME) -> Schedule:
    return Schedule(home, entries or (entry(home=home),))


def test_it_is_found_by_its_name() -> None:
    made = schedule.get("cron", {})
    assert (made.name, made.overlaps) == ("cron", True)


def test_other_lines_stay_as_they_are_to_the_byte(machine: Machine) -> None:
    machine.table.write_bytes(OTHER)
    machine.cron.install(plan())
    table = machine.table.read_bytes()
    assert table.startswith(OTHER)
    ours = table.removeprefix(OTHER).decode()
    assert ours.startswith(f"# BEGIN scq {HOME}\n")
    assert ours.endswith(f"look and tell\n{LINE}\n# END scq {HOME}\n")
    assert machine.cron.remove(HOME) == ("removed our lines from the crontab",)
    assert machine.table.read_bytes() == OTHER
    assert machine.cron.remove(HOME) == ()


LINE = f"* * * * * /usr/bin/env PATH=/usr/local/bin:/usr/bin:/bin /bin/true --home {HOME} cycle"


def test_the_block_is_what_it_says_it_would_write(machine: Machine) -> None:
    (placed,) = machine.cron.files(plan())
    machine.cron.install(plan())
    assert machine.table.read_text() == placed.text
    assert placed.path.startswith("crontab of ")
    machine.cron.remove(HOME)
    assert not machine.table.exists()


def test_installing_twice_writes_once(machine: Machine) -> None:
    assert machine.cron.install(plan()) == ("notify: cron calls it every 1 min",)
    assert machine.cron.install(plan()) == ()
    assert machine.writes() == 1


def test_each_home_has_its_own_block(machine: Machine) -> None:
    machine.cron.install(plan())
    machine.cron.install(plan(home="/home/ann/second"))
    machine.cron.install(plan(entry(3600)))
    assert [found.every for found in machine.cron.installed(HOME)] == [3600]
    assert [found.every for found in machine.cron.installed("/home/ann/second")] == [60]
    machine.cron.remove(HOME)
    assert machine.cron.installed(HOME) == ()
    assert machine.table.read_text().count("# BEGIN scq") == 1


def test_a_table_whose_last_line_has_no_end_keeps_that_line() -> None:
    table = Table(b"* * * * * true")
    ours = f"# BEGIN scq {HOME}\n# END scq {HOME}\n"
    assert table.with_block(HOME, ours).content == ours.encode() + b"* * * * * true"
    assert table.with_block(HOME, ours).with_block(HOME, "") == table


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        (f"# BEGIN scq {HOME}\n", "line 2: this mark of scq has no end"),
        (f"# END scq {HOME}\n", "line 2: this mark of scq does not fit"),
        (f"# BEGIN scq {HOME}\n# BEGIN scq {HOME}\n# END scq {HOME}\n", "line 3: this mark"),
        (f"# BEGIN scq {HOME}\n# END scq /other\n", "line 3: this mark"),
        (f"# BEGIN scq {HOME}\r\n# END scq {HOME}\r\n", "line 2: looks like a mark"),
        (f"  # BEGIN scq {HOME}\n# END scq {HOME}\n", "line 2: looks like a mark"),
        ("#begin SCQ\n", "line 2: looks like a mark"),
        (f"# BEGIN scq {HOME}\n# END scq {HOME}\n" * 2, "line 4: a second block"),
    ],
)
def test_marks_that_do_not_fit_are_refused_and_nothing_is_written(machine: Machine, marks: str, words: str) -> None:
    before = f"1 * * * * true\n{marks}".encode()
    machine.table.write_bytes(before)
    with pytest.raises(ConfigError, match=words):
        machine.cron.install(plan())
    with pytest.raises(ConfigError, match=words):
        machine.cron.remove(HOME)
    assert machine.table.read_bytes() == before


def test_a_carriage_return_that_crontab_cannot_show_is_not_written_back_as_something_else(machine: Machine) -> None:
    machine.table.write_bytes(b"1 * * * * true\\r\n")
    with pytest.raises(ConfigError, match="line 1: ends in "):
        machine.cron.install(plan())
    assert machine.cron.remove(HOME) == ()
    assert machine.table.read_bytes() == b"1 * * * * true\\r\n"


def test_a_line_somebody_put_between_our_marks_is_not_lost(machine: Machine) -> None:
    machine.cron.install(plan())
    text = machine.table.read_text().replace("# END", "5 5 * * * mine\n# END")
    machine.table.write_text(text)
    with pytest.raises(ConfigError, match="5 5 . . . mine' stands between the marks"):
        machine.cron.remove(HOME)
    assert machine.table.read_text() == text


def test_an_edited_line_is_said_to_be_and_mended(machine: Machine) -> None:
    machine.cron.install(plan())
    machine.table.write_text(machine.table.read_text().replace("* * * * *", "*/7 * * * *"))
    (found,) = machine.cron.installed(HOME)
    assert found.state == "changed"
    assert [problem.where for problem in machine.cron.verify(plan())][:1] == ["notify"]
    assert machine.cron.install(plan())
    assert [found.state for found in machine.cron.installed(HOME)] == ["active"]


def test_a_stopped_call_rests_until_it_is_started(machine: Machine) -> None:
    machine.cron.install(plan(entry(), entry(name="approve")))
    machine.cron.stop(HOME, "approve")
    assert {found.name: found.state for found in machine.cron.installed(HOME)} == {"notify": "active", "approve": "stopped"}
    assert "#stopped * * * * *" in machine.table.read_text()
    assert "its line rests in the crontab" in {
        problem.what for problem in machine.cron.verify(plan(entry(), entry(name="approve")))
    }
    machine.cron.start(HOME, "approve")
    assert {found.state for found in machine.cron.installed(HOME)} == {"active"}
    with pytest.raises(UsageError, match="report is not in the crontab"):
        machine.cron.start(HOME, "report")


def test_the_call_at_work_is_seen_and_ended_by_stop(machine: Machine, tmp_path: Path) -> None:
    program = tmp_path / "scq"
    program.write_text("#!/bin/sh\nexec 3>&-\nread -r word\n")
    program.chmod(0o755)
    wanted = entry(program=str(program))
    machine.cron.install(plan(wanted))
    with subprocess.Popen(wanted.argv, stdin=subprocess.PIPE) as process:
        while not calls.at_work(wanted.argv):
            assert process.poll() is None
        (found,) = machine.cron.installed(HOME)
        assert (found.state, found.pid) == ("running", process.pid)
        assert "ended 1 call(s)" in machine.cron.stop(HOME, "notify")
        assert process.wait() == -15
    assert calls.at_work(wanted.argv) == []


def test_a_call_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "scq"
    program.write_text("#!/bin/sh\ntrap '' TERM\necho ready\nread -r word\n")
    program.chmod(0o755)
    with subprocess.Popen([program, "cycle"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert calls.end((str(program), "cycle"), grace=0.05) == 1
        assert process.wait() == -9


def test_no_other_process_is_taken_for_a_call(processes: Path) -> None:
    assert calls.at_work(entry().argv) == []  # its command line cannot be read


def test_words_that_are_no_call_fit_no_process() -> None:
    assert calls.at_work(()) == []
    assert calls.at_work(("/bin/sh",)) == []
    assert calls.at_work((sys.executable, "--home", "/nowhere", "cycle")) == []


@pytest.mark.parametrize(
    ("every", "pattern"),
    [
        (1, r"\* \* \* \* \*"),
        (60, r"\* \* \* \* \*"),
        (300, r"[0-4]-59/5 \* \* \* \*"),
        (3600, r"[0-9]+ \* \* \* \*"),
        (7200, r"[0-9]+ [01]-23/2 \* \* \*"),
        (86400, r"[0-9]+ [0-9]+ \* \* \*"),
    ],
)
def test_an_interval_becomes_five_fields(every: float, pattern: str) -> None:
    import re

    assert re.fullmatch(pattern, timing_of(every, HOME))
    assert timing_of(every, HOME) == timing_of(every, HOME)


@pytest.mark.parametrize(
    ("every", "nearest"), [(90, "60 s"), (420, "360 s"), (2700, "1800 s"), (18000, "14400 s"), (1e6, "86400 s")]
)
def test_an_interval_that_cron_cannot_keep_is_refused_with_the_nearest(machine: Machine, every: float, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        machine.cron.files(plan(entry(every)))
    assert f"can keep is {nearest}" in caught.value.advice


def test_below_a_minute_it_is_every_minute_and_said(machine: Machine) -> None:
    assert machine.cron.install(plan(entry(30))) == (
        "notify: cron calls it every minute, the most often it can (30 s were wanted)",
    )


@given(st.sampled_from(MINUTES), st.text(max_size=8))
def test_every_interval_reads_back_and_the_next_call_is_within_it(minutes: int, home: str) -> None:
    timing = timing_of(minutes * 60, home)
    assert every_of(timing) == minutes * 60
    now = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)
    coming = next_of(timing, now)
    assert coming is not None
    assert timedelta(0) < coming - now <= timedelta(minutes=minutes)
    after = next_of(timing, coming)
    assert after is not None
    assert after - coming == timedelta(minutes=minutes)


@pytest.mark.parametrize("timing", ["", "* * * * 1", "x * * * *", "1,2 * * * *", "99 * * * *", "0-30/5 * * * *"])
def test_another_timing_has_no_interval(timing: str) -> None:
    assert every_of(timing) is None


WORD = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\\"), min_size=1, max_size=6)


@given(st.lists(WORD, min_size=1, max_size=4))
def test_the_shell_gets_exactly_the_words_of_the_call(words: list[str]) -> None:
    command = cron._command(("/bin/echo", *words))
    assert words_of(command) == ("/bin/echo", *words)
    assert "%" not in command.replace("\\%", "")


def test_a_real_shell_reads_the_command_as_meant() -> None:
    home = '/tmp/it\'s 100% "mine" $HOME `id` ;&|<>(){}*?~#!é'
    # Vixie cron takes the backslash before a percent sign away before the shell sees it.
    command = cron._command(("/usr/bin/printf", "%s|", "--home", home, "cycle")).replace("\\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True, env={})
    assert done.stdout == f"--home|{home}|cycle|"


@pytest.mark.parametrize(
    ("home", "words"),
    [
        ("/a\nb", "cannot be written"),
        ("/a\udcff", "cannot be written"),
        ("/a\\b", "backslash"),
        ("/" + "a" * 990, "longer than 998"),
    ],
)
def test_what_cannot_stand_in_a_crontab_is_refused(machine: Machine, home: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        machine.cron.install(plan(home=home))
    assert not machine.table.exists()


def test_it_installs_for_nobody_else(machine: Machine) -> None:
    with pytest.raises(UsageError, match="not as somebody"):
        machine.cron.files(Schedule(HOME, (entry(),), user="somebody"))


def test_without_the_program_it_is_unusable(tmp_path: Path) -> None:
    none = Cron({"PATH": str(tmp_path)})
    assert "no program `crontab`" in none.unusable()
    assert [problem.where for problem in none.verify(plan())] == ["cron"]
    with pytest.raises(UsageError):
        none.installed(HOME)


def test_what_crontab_refuses_is_said(machine: Machine) -> None:
    machine.program("#!/bin/sh\necho 'You (ann) are not allowed to use this program (crontab)\033[1m' >&2\nexit 1\n")
    with pytest.raises(ScqError, match="crontab -l: You .ann. are not allowed") as caught:
        machine.cron.install(plan())
    assert "\033" not in str(caught.value)
    assert "cron.allow" in caught.value.advice
    assert [problem.where for problem in machine.cron.verify(plan())] == ["crontab"]


@pytest.mark.parametrize("said", ["libpam.so.0: cannot open shared object file: No such file or directory", "", "timed out"])
def test_a_table_that_cannot_be_read_is_never_written(machine: Machine, said: str) -> None:
    """Taken for an empty one, it would be replaced by ours."""
    machine.table.write_bytes(OTHER)
    machine.program(CRONTAB.replace("-l)", f"-l) echo '{said}' >&2; exit 1 ;;\n  -x)"))
    with pytest.raises(ScqError, match="crontab -l"):
        machine.cron.install(plan())
    assert (machine.table.read_bytes(), machine.writes()) == (OTHER, 0)


@pytest.mark.parametrize("said", ["no crontab for ann", "crontab: can't open 'ann': No such file or directory"])
def test_where_there_is_no_table_one_is_made(machine: Machine, said: str) -> None:
    machine.program(CRONTAB.replace("no crontab for ann", said))
    machine.cron.install(plan())
    assert machine.table.read_bytes().startswith(b"# BEGIN scq ")


def test_what_crontab_warns_of_is_not_taken_for_lines(machine: Machine) -> None:
    machine.table.write_bytes(OTHER)
    machine.program(CRONTAB.replace('case "$1"', "echo 'crontab: your password will expire' >&2\ncase \"$1\"", 1))
    machine.cron.install(plan())
    machine.cron.remove(HOME)
    assert machine.table.read_bytes() == OTHER


def test_a_table_that_crontab_does_not_take_is_said(machine: Machine) -> None:
    machine.table.write_bytes(b"1 * * * * true")
    with pytest.raises(ScqError, match="the crontab was not changed: new crontab file is missing newline"):
        machine.cron.install(plan())


def test_calls_for_several_homes_at_once_do_not_lose_each_others_lines(machine: Machine, tmp_path: Path) -> None:
    machine.cron = Cron({"PATH": f"{machine.bin}:/usr/bin:/bin", "TABLE": str(machine.table), "HOME": str(tmp_path)})
    homes = [f"/home/ann/{number}" for number in range(6)]
    with ThreadPoolExecutor() as pool:
        assert all(pool.map(lambda home: machine.cron.install(plan(home=home)), homes))
    assert [len(machine.cron.installed(home)) for home in homes] == [1] * 6


def test_a_table_that_is_not_what_was_written_is_noticed(machine: Machine) -> None:
    machine.program(CRONTAB + "echo '#' >>\"$TABLE\"\n")
    with pytest.raises(ScqError, match="not what was just written"):
        machine.cron.install(plan())


def test_a_program_that_cannot_be_started_is_named(machine: Machine, tmp_path: Path) -> None:
    machine.program("not a program")
    with pytest.raises(ScqError, match="cannot be started"):
        machine.cron.installed(HOME)


def test_a_program_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "ANSWER_S", 0.05)
    with pytest.raises(ScqError, match="has not answered"):
        calls.ran(["/bin/sleep", "60"], {})


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with one process in it, a cron daemon."""
    (tmp_path / "proc" / "12").mkdir(parents=True)
    (tmp_path / "proc" / "12" / "comm").write_text("cron\n")
    (tmp_path / "proc" / "uptime").write_text("1 1\n")
    monkeypatch.setattr(calls, "PROC", str(tmp_path / "proc"))
    return tmp_path / "proc"


def test_a_good_schedule_has_no_problems(machine: Machine, processes: Path) -> None:
    assert machine.cron.verify(plan()) == []
    machine.cron.install(plan())
    assert machine.cron.verify(plan()) == []


def test_a_missing_daemon_is_a_problem(machine: Machine, processes: Path) -> None:
    (processes / "12" / "comm").write_text("crony\n")
    (problem,) = machine.cron.verify(plan())
    assert problem.what == "no cron daemon can be seen at work on this machine"


def test_where_nobody_can_see_processes_nothing_is_said_about_the_daemon(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PROC", str(tmp_path / "none"))
    assert machine.cron.verify(plan()) == []
    assert calls.at_work(entry().argv) == []


def test_verify_compares_what_is_there_with_what_is_wanted(machine: Machine, processes: Path) -> None:
    machine.cron.install(plan(entry(), entry(name="approve")))
    problems = {problem.where: problem.what for problem in machine.cron.verify(plan(entry(600), entry(name="report")))}
    assert problems == {
        "notify": "its line in the crontab is not the one that belongs there",
        "report": "is not in the crontab",
        "approve": "is in the crontab and no longer wanted",
    }


@pytest.mark.parametrize("program", ["scq", "/nowhere/scq", "/etc/passwd", "/bin"])
def test_a_call_that_cannot_be_made_is_a_problem(machine: Machine, processes: Path, program: str) -> None:
    (problem,) = machine.cron.verify(plan(entry(program=program)))
    assert (problem.where, problem.what) == (program, "is not a program that can be started")


def test_a_shim_is_a_problem(machine: Machine, processes: Path, tmp_path: Path) -> None:
    shim = tmp_path / "shims" / "scq"
    shim.parent.mkdir()
    shim.symlink_to("/bin/true")
    (problem,) = machine.cron.verify(plan(entry(program=str(shim))))
    assert "shim" in problem.what


def test_another_line_that_calls_scq_is_pointed_out(machine: Machine, processes: Path) -> None:
    machine.table.write_bytes(b'# * scq cycle\n* * * * * "$HOME/.local/bin/scq" cycle\n')
    machine.cron.install(plan())
    (problem,) = machine.cron.verify(plan())
    assert problem.what.startswith("line 2 also calls scq")


def test_the_shipped_file_is_what_is_installed(machine: Machine) -> None:
    shipped = (Path(__file__).parents[3] / "cron" / "scq.cron").read_text().splitlines()
    installed = machine.cron.files(plan())[0].text.splitlines()
    assert installed[1 : len(shipped)] == shipped[:-1]
    prefix, _, rest = shipped[-1].partition('"$HOME/.local/bin/scq"')
    assert installed[-2] == f"{prefix}/bin/true --home {HOME}{rest}"


def test_the_account_is_named_also_where_it_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    assert cron._account() == str(os.getuid())
