"""scq.findings on shell scripts: words count, never letters that happen to stand somewhere."""

from __future__ import annotations

import pytest

from scq.findings import in_code, words
from scq.findings.words import commands, readable

ALLOWED = ("/data/cohort", "../output")


def rules(script: str) -> list[tuple[int, str]]:
    return [(item.line, item.rule) for item in in_code([("run.sh", script.encode())], run_sh="run.sh", allowed=ALLOWED)]


def sentences(script: str) -> list[str]:
    return [item.what for item in in_code([("run.sh", script.encode())], run_sh="run.sh", allowed=ALLOWED)]


@pytest.mark.parametrize(
    "script",
    [
        "# curl http://example.org",
        'echo "rm -rf /"',
        "echo 'curl | sh' sudo",
        "echo sync the synced tables",
        "printf '%s' /etc/passwd",
        'x="curl wget"\necho done',
        "python script.py --name curl",
        "cat <<END\ncurl http://x\nrm -rf y\nEND\n",
        "cat <<'END'\n$(curl http://x)\nEND\n",
        "set -euo pipefail",
        "export PYTHONPATH=.:${PYTHONPATH:-}",
        "source .venv/bin/activate",
        'mkdir -p "$OUTPUT_DIR/tables"',
        "wc -l < data/rows.csv > out.txt 2>/dev/null",
        "cat /data/cohort/x.csv > ../output/y.csv",
        "echo note >&2",
        "(( a & b ))",
        "echo $((1 & 2))",
        "case $x in\n  curl|wget) echo a;;\n  (rm) echo b;;\nesac",
        "sed '/foo/d' x | awk '/bar/ {print}' | grep /baz/",
        "/usr/bin/env python3 script.py > /tmp/log",
        "uv venv --python 3.12",
        "a=(1 2 3)",
        "bash other.sh",
        "git status",
        "chmod 755 x",
        "export A=1",
        "env A=1 python x.py",
        "git_curl=1",
        "cd code\npython x.py\ncd ..",
        "cat //tmp/x //data/cohort/x.csv",
        "bash\npython3",
    ],
)
def test_a_harmless_script_gives_nothing(script: str) -> None:
    assert rules(script) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("curl http://x", [(1, "network")]),
        ("/usr/bin/curl http://x", [(1, "network")]),
        ("c\\url x", [(1, "network")]),
        ("c'ur'\"l\" x", [(1, "network")]),
        ("$'\\x63\\165rl' x", [(1, "network")]),
        ("echo a\necho b && wget x", [(2, "network")]),
        ("x=$(curl y)", [(1, "network")]),
        ("x=`curl y`", [(1, "network")]),
        ('echo "a $(curl y) b"', [(1, "network")]),
        ("echo ${x:-$(curl y)}", [(1, "network")]),
        ("echo $(( $(curl y) + 1 ))", [(1, "network")]),
        ("cat <<END\n$(curl x)\nEND\n", [(2, "network")]),
        ("cat <<-END\n\ta\n\tEND\ncurl x", [(4, "network")]),
        ("diff <(curl a) b", [(1, "network")]),
        ("if ! curl x; then :; fi", [(1, "network")]),
        ("A=1 B=2 curl x", [(1, "network")]),
        ("timeout -k 5 10 curl x", [(1, "network")]),
        ("env -u A B=1 curl x", [(1, "network")]),
        ("echo x | xargs -n 1 curl", [(1, "network")]),
        ("exec 3<>/dev/tcp/192.0.2.1/80", [(1, "network")]),
        ("echo x > /dev/udp/192.0.2.1/80", [(1, "network")]),
        ("cat /dev/tcp/192.0.2.1/80", [(1, "network")]),
        ("printf 'exec 3<>/dev/tcp/192.0.2.1/80' > x.sh", [(1, "network")]),
        ("printf 'exec 3<>/dev/udp/192.0.2.1/80' > x.sh", [(1, "network")]),
        ("git clone x", [(1, "network")]),
        ("python3 -m http.server", [(1, "network")]),
        ('bash -c "wget x"', [(1, "network")]),
        ("bash -ec 'a\nwget x'", [(2, "network")]),
        ("sh <<END\nwget x\nEND", [(2, "network")]),
        ("sh <<< 'wget x'", [(1, "network")]),
        ("case $x in\n  *) curl b;;\nesac", [(2, "network")]),
        ("find . -name x -exec wget {} \\;", [(1, "network")]),
        ('"rm" -rf x', [(1, "delete")]),
        ("find . -delete", [(1, "delete")]),
        ("mkfs.ext4 x", [(1, "delete")]),
        ("sudo -u root curl x", [(1, "network"), (1, "privileges")]),
        ("chmod u+s x", [(1, "privileges")]),
        ("chmod 4755 x", [(1, "privileges")]),
        ("env", [(1, "environment")]),
        ("printenv HOME", [(1, "environment")]),
        ("set", [(1, "environment")]),
        ("export -p", [(1, "environment")]),
        ("eval $x", [(1, "eval")]),
        ("eval curl x", [(1, "eval"), (1, "network")]),
        ('source "$x"', [(1, "eval")]),
        ('bash -c "$x"', [(1, "eval")]),
        ("bash <(cat x)", [(1, "eval")]),
        ("curl x |\n  sh", [(1, "network"), (2, "eval")]),
        ("base64 -d x | sh", [(1, "encoded"), (1, "eval")]),
        ("$tool --now", [(1, "eval")]),
        ("perl -e 'x'", [(1, "unparsed")]),
        ("pip install x", [(1, "install")]),
        ("uv pip install x", [(1, "install")]),
        ("python -m pip install x", [(1, "install")]),
        ("sleep 9 &\nwait", [(1, "background")]),
        ("nohup sleep 9", [(1, "background")]),
        ("cat /etc/passwd", [(1, "outside-files")]),
        ("cat ~/.ssh/id_rsa", [(1, "outside-files")]),
        ("cp x ../../y", [(1, "outside-files")]),
        ("cat /data/other/x", [(1, "outside-files")]),
        ("cat /data/cohort/../other", [(1, "outside-files")]),
        ("cat /data/cohort2", [(1, "outside-files")]),
        ("cat //etc/passwd", [(1, "outside-files")]),
        ("cat //data/other/x", [(1, "outside-files")]),
        ("tool --file=/etc/passwd", [(1, "outside-files")]),
        ("echo x > /etc/motd", [(1, "outside-files")]),
        ("sed p /etc/passwd", [(1, "outside-files")]),
        ("echo 'never closed", [(1, "unparsed")]),
        ('curl x\necho "never closed', [(1, "network"), (2, "unparsed")]),
    ],
)
def test_a_rule_names_its_line(script: str, found: list[tuple[int, str]]) -> None:
    assert sorted(rules(script)) == found


def test_commands_that_run_commands_are_followed_a_long_way_and_the_end_of_it_is_told() -> None:
    assert rules("env " * 8 + "curl x") == [(1, "network")]
    assert rules("env " * 20 + "curl x") == [(1, "unparsed")]


def test_a_shell_that_is_fed_through_a_pipe_runs_what_it_is_given_whatever_its_options() -> None:
    assert (1, "eval") in rules("cat x | sh -m")
    assert rules("cat x | python -m json.tool") == []


def test_python_in_a_script_is_read_as_python() -> None:
    script = "python3 - <<END\n\nimport socket\nEND\npython -c 'import ctypes'\nuv run --with x python -c 'import pty'\n"
    assert rules(script) == [(3, "network"), (5, "privileges"), (6, "process")]


def test_a_sentence_names_the_word_found_without_control_characters() -> None:
    assert sentences("sudo ls") == ["sudo asks for other rights"]
    hostile = "$x\x1b[2J\u202e a\ncat /etc/\x1b[2J\nsource $'\\e[2J'$x"
    assert sentences(hostile)
    assert all(sentence.isprintable() for sentence in sentences(hostile))


def test_code_in_code_in_code_is_not_followed_for_ever() -> None:
    assert (1, "unparsed") in rules("eval eval eval eval curl x")


@pytest.mark.parametrize(
    "script",
    ["$(" * 500, "`" * 501, "${" * 500, '"' * 501, "(" * 5000, "<<A " * 200, "$((" * 500, "\\", "<", "| | |", "'", "case in in)"],
)
def test_broken_scripts_are_read_as_far_as_possible(script: str) -> None:
    found, _ = readable(f"curl x\n{script}")
    assert found[0].words[0].text == "curl"


def test_a_script_of_far_too_many_words_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert words.WORDS <= 50_000, "as many are read in a few seconds"
    monkeypatch.setattr(words, "WORDS", 500)
    assert not in_code([("run.sh", b"a " * 500)], run_sh="run.sh")
    found = in_code([("run.sh", b"a " * 501)], run_sh="run.sh")
    assert any("has more than 500 words" in item.what for item in found)


def test_only_so_many_pieces_of_code_in_code_are_looked_into() -> None:
    found = in_code([("run.sh", b"eval 'rm a'\n" * 600)], run_sh="run.sh")
    assert any(item.rule == "unparsed" and "pieces of code" in item.what for item in found)


def test_words_keep_their_lines_and_what_they_are_made_of() -> None:
    first, second, third = commands("a 'b c' \"d $e\" \\\n  f\ng <h 2>&1 | i")
    assert [(word.text, word.computed, word.quoted) for word in first.words] == [
        ("a", False, False),
        ("b c", False, True),
        ("d $e", True, True),
        ("f", False, False),
    ]
    assert first.words[-1].line == 2
    assert ([word.text for word in second.words], second.words[0].line) == (["g"], 3)
    assert [word.text for word in second.targets] == ["h", "1"]
    assert (third.words[0].text, third.before) == ("i", "g")
