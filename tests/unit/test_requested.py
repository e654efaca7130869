"""scq.requested: what a submission asks for, however it is written."""

from __future__ import annotations

import pytest

from scq.model import NO_LIMITS, Limits
from scq.requested import LIMIT, parse

BAD_VALUES = [
    "!!bool foo",
    "!!int foo",
    '!!int ""',
    "!!int '-'",
    "!!float foo",
    '!!float "_"',
    "!!timestamp foo",
    "!!timestamp 2026-99-99",
    '!!binary "\u00e4"',
    "!!python/name:os.system ''",
    "!unknown foo",
    "1" + ":0" * 300 + ":0.5",
]
"""Values that do not fit their tags; building them raises all kinds of errors."""
ODD_VALUES = [
    "!!bool [a]",
    "!!set {a}",
    "!!omap [a]",
    "!!pairs [a]",
    "!!null foo",
    "!!merge x",
    "!!value x",
    "!!python/object/apply:os.system [ls]",
]
"""Values that nobody writes, though they can be built."""


def problems(text: bytes) -> list[str]:
    return [f"{problem.where}: {problem.what}" for problem in parse(text)[1]]


def test_every_limit_is_read_in_its_units() -> None:
    text = b"""
limits:
  timeout: 1h
  cpu: 90
  memory: 8 GiB
  processes: 64
  open_files: 100
  file_size: 5 MB
  disk: 1 GiB
  output_files: 3
  output_bytes: 10 kB
"""
    asked = Limits(3600.0, 90.0, 8 << 30, 64, 100, 5_000_000, 1 << 30, 3, 10_000)
    assert parse(text) == (asked, ())


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"null\n", b"limits:\n", b"limits: {}\n"])
def test_a_file_that_asks_for_nothing_is_no_problem(text: bytes) -> None:
    assert parse(text) == (NO_LIMITS, ())


def test_one_bad_limit_does_not_hide_the_others() -> None:
    limits, (problem,) = parse(b"limits: {timeout: soon, processes: 4}")
    assert limits == Limits(processes=4)
    assert problem.where == "scq.yaml: limits.timeout"
    assert problem.what.startswith('"soon" is not allowed: a number of seconds above 0')


@pytest.mark.parametrize(
    ("value", "name"),
    [("true", "processes"), ("-1", "memory"), ("0", "timeout"), (".inf", "disk"), (".nan", "cpu"), ("[1]", "memory")],
)
def test_values_of_the_wrong_kind_are_named(value: str, name: str) -> None:
    limits, (problem,) = parse(f"limits: {{{name}: {value}}}".encode())
    assert limits == NO_LIMITS
    assert problem.where == f"scq.yaml: limits.{name}"


def test_unknown_keys_are_named_but_never_more_than_a_few() -> None:
    text = b"limits:\n" + b"".join(b"  key%d: 1\n" % number for number in range(500))
    found = problems(b"colour: red\n" + text)
    assert found[0] == "scq.yaml: colour is not a known key and is ignored"
    assert found[1] == "scq.yaml: limits: key0 is not a known key and is ignored"
    assert found[-1] == "scq.yaml: limits: 495 more keys are not known and are ignored"
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (LIMIT + 1), f"is larger than {LIMIT} bytes"),
        (b"- 1\n", "holds a list, expected settings"),
        (b"limits: [1, 2]", "[1,2] is not allowed: names of limits"),
        (b"limits: {memory: 1, memory: 2}", "memory stands here a second time"),
        (b"[" * 5000, "holds more than 20 levels"),
        (b"a: [", "is not YAML"),
        (b"!!python/object/apply:os.system [ls]", "holds a list"),
        (b"limits: " + b"9" * 6000, "is not YAML"),
        (b"a: &a [*a]", "holds an alias"),
    ],
)
def test_a_hostile_file_is_one_clear_problem(text: bytes, what: str) -> None:
    limits, found = parse(text)
    assert limits == NO_LIMITS
    assert [what in problem.what for problem in found] == [True]


def test_aliases_of_aliases_are_not_unfolded_even_as_keys() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 15)]
    assert problems("\n".join([*lines, "? [*a14, *a14]\n: 1\n"]).encode()) == ["scq.yaml: holds an alias (`*name`)"]


def test_what_a_problem_quotes_cannot_touch_the_terminal() -> None:
    (found,) = problems(b'"\\e[2J\\u202e": 1')
    assert "\x1b" not in found
    assert "\u202e" not in found


@pytest.mark.parametrize("value", [*BAD_VALUES, *ODD_VALUES])
@pytest.mark.parametrize("text", ["limits: {{timeout: {0}}}", "limits: {0}", "{0}", "{0}: 1", "limits: {{? {0} : 1}}"])
def test_whatever_tag_stands_before_a_value_it_is_a_problem_at_most(value: str, text: str) -> None:
    limits, found = parse(text.format(value).encode())
    assert limits == NO_LIMITS
    assert all(problem.where.startswith("scq.yaml") for problem in found)


@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_that_does_not_fit_its_tag_is_named_as_such(value: str) -> None:
    limits, (problem,) = parse(f"limits: {{timeout: {value}}}".encode())
    assert limits == NO_LIMITS
    assert (problem.where, problem.what[:11]) == ("scq.yaml", "is not YAML")
