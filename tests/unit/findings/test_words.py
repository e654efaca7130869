"""scq.findings.words: what a shell would read as one word, and which commands stand inside of words."""

from __future__ import annotations

import pytest

from scq.findings.words import Word, commands, readable


def names(script: str) -> list[str]:
    """The first words of all commands, those of substitutions too."""
    return [command.words[0].text for command in commands(script)]


def only_words(script: str) -> list[Word]:
    (command,) = commands(script)
    return command.words


@pytest.mark.parametrize(
    ("quoted", "text"),
    [
        (r'"a\"b"', 'a"b'),
        (r'"a\\b"', "a\\b"),
        (r'"a\$b"', "a$b"),
        (r'"a\`b"', "a`b"),
        ('"a\\\nb"', "ab"),
        (r'"a\nb"', r"a\nb"),
    ],
)
def test_a_backslash_in_double_quotes_means_something_only_before_some_characters(quoted: str, text: str) -> None:
    assert only_words(f"echo {quoted}")[1:] == [Word(text, 1, computed=False, quoted=True)]


def test_a_number_sign_begins_a_comment_only_at_the_beginning_of_a_word() -> None:
    assert [word.text for word in only_words("echo a#b c# #d; curl x")] == ["echo", "a#b", "c#"]
    assert names("echo a#; curl x") == ["echo", "curl"]


@pytest.mark.parametrize("hidden", ['")"', "')'", r"\)", '"(" ")"', r'"\")"', r"'\)' ')'", r"'\' ')'"])
def test_a_bracket_that_is_quoted_does_not_end_a_substitution(hidden: str) -> None:
    assert names(f"echo $(printf {hidden}; curl x) b") == ["printf", "curl", "echo"]


def test_brackets_inside_of_a_substitution_belong_to_it() -> None:
    assert names("echo $(a (b) c; curl x); d") == ["a", "b", "c", "curl", "echo", "d"]


def test_a_here_document_without_its_last_line_goes_to_the_end_of_the_script() -> None:
    found, problem = readable("cat <<END\na\n$(curl x)\nEN")
    assert problem is None
    assert [(command.words[0].text, command.words[0].line) for command in found] == [("cat", 1), ("curl", 3)]
    assert found[0].body == "a\n$(curl x)\nEN"


def test_the_lines_of_commands_after_substitutions_of_several_lines_are_right() -> None:
    script = 'a $(b\nc) "$(d\n\ne)"\nf `g\nh`\n(( 1 +\n$(i) ))\nj'
    found = {command.words[0].text: command.words[0].line for command in commands(script)}
    assert found == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 4, "f": 5, "g": 5, "h": 6, "i": 8, "j": 9}
