"""The forms in which peers write values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scq import formats
from scq.errors import InvalidFileError
from tests.making import NOW


def test_a_json_mapping_is_read() -> None:
    assert formats.parse_json('{"a": 1, "b": null}', "m") == {"a": 1, "b": None}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": NaN}'])
def test_what_is_not_json_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidFileError, match=r"^job/metadata.json: is not JSON"):
        formats.parse_json(text, "job/metadata.json")


@pytest.mark.parametrize(("text", "kind"), [("[1]", "list"), ('"x"', "str"), ("null", "NoneType"), ("3", "int")])
def test_a_document_that_is_no_mapping_is_refused(text: str, kind: str) -> None:
    with pytest.raises(InvalidFileError, match=f"holds a {kind}"):
        formats.parse_json(text, "m")
    with pytest.raises(InvalidFileError, match=f"holds a {kind}"):
        formats.parse_yaml(text, "m")


def test_keys_that_are_no_strings_are_left_out() -> None:
    assert formats.parse_yaml("1: a\nb: c\n", "m") == {"b": "c"}


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\x00", "d: 2026-99-99", "a: !!python/object:os.system x"])
def test_what_is_not_plain_yaml_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidFileError, match=r"^config.yaml: is not YAML"):
        formats.parse_yaml(text, "config.yaml")


def test_a_long_text_that_is_not_yaml_is_refused_like_a_short_one() -> None:
    with pytest.raises(InvalidFileError, match="is not YAML"):
        formats.parse_yaml("a: [" + "x, " * 1_000, "m")


def test_deep_nesting_and_aliases_are_refused_before_anything_is_built() -> None:
    with pytest.raises(InvalidFileError, match="nested deeper"):
        formats.parse_yaml("a: " + "[" * 5_000, "m")
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
    with pytest.raises(InvalidFileError, match="aliases"):
        formats.parse_yaml(bomb, "m")


def test_long_plain_yaml_and_a_star_in_a_text_are_read() -> None:
    assert len(formats.parse_yaml("".join(f"key{n}: value\n" for n in range(500)), "m")) == 500
    assert formats.parse_yaml("a: 2 * 3\n", "m") == {"a": "2 * 3"}


def test_yaml_is_written_in_block_style_with_sorted_keys_and_ascii_only() -> None:
    assert formats.dump_yaml({"b": ["é"], "a": None}) == b'a: null\nb:\n- "\\xE9"\n'


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-21T12:00:00Z",
        "2026-11-21T12:00:00+00:00",
        "2026-11-21T14:00:00+02:00",
        NOW,
        NOW.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_every_time_form_is_read_as_utc(value: Any) -> None:
    found = formats.parse_time(value)
    assert found == NOW
    assert found.tzinfo is UTC


def test_a_naive_time_is_local() -> None:
    local = NOW.astimezone().replace(tzinfo=None)
    assert formats.parse_time(local.isoformat()) == NOW
    assert formats.parse_time(local) == NOW
    assert formats.naive_local_time(NOW) == local.isoformat()


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "soon",
        "2026-13-01",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_anything_else_is_no_time(value: object) -> None:
    assert formats.parse_time(value) is None


def test_times_are_written_with_z() -> None:
    assert formats.z_time(NOW) == "2026-11-21T12:00:00Z"
    assert formats.z_time(NOW + timedelta(microseconds=5)) == "2026-11-21T12:00:00.000005Z"


def test_text_is_cut_and_can_be_stored() -> None:
    assert formats.text("abc", 2) == "ab"
    assert formats.text("a\ud800b") == "a?b"
    assert formats.text(5) is None


def test_a_list_of_texts_keeps_the_strings_and_ends_at_the_limit() -> None:
    assert formats.texts(["a", 5, "b", None]) == ("a", "b")
    assert formats.texts(["a"] * 50, 10) == ("a",) * 10
    assert formats.texts("abc") == ()


@pytest.mark.parametrize(("value", "found"), [(5, 5), (-5, -5), (True, None), ("5", None), (1 << 70, None), (5.0, None)])
def test_an_integer_fits_63_bits_and_is_no_boolean(value: object, found: int | None) -> None:
    assert formats.integer(value) == found


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "a\udcff"])
def test_what_could_leave_its_folder_is_no_component(name: str) -> None:
    assert not formats.is_component(name)


@pytest.mark.parametrize("name", ["a", "...", "v1", "é", "a b", "-rf"])
def test_other_names_are_components(name: str) -> None:
    assert formats.is_component(name)


def test_addresses_are_compared_without_case() -> None:
    assert formats.same_address(" Me@Example.org", "me@example.ORG ")
    assert not formats.same_address("me@example.org", "you@example.org")
