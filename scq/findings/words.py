"""Shell scripts as commands made of words: quotes, pipes, substitutions and here-documents are understood, roughly.

After the grammar of POSIX (IEEE Std 1003.1, Shell Command Language) with the additions of bash that scripts use. Nothing is
expanded, so a word that holds an expansion is only marked as computed.
"""

from __future__ import annotations

import re

from msgspec import Struct

DEPTH = 8
"""Substitutions inside of substitutions that are looked into."""
WORDS = 50_000
_OPERATORS = ("&>>", "<<<", "<<-", ";;&", "&&", "||", "|&", "&>", "<<", ">>", "<&", ">&", "<>", ">|", ";;", ";&", *"&|;<>()\n")
_PLAIN = re.compile(r"[^\s'\"\\$`&|;<>()#]+")
_VARIABLE = re.compile(r"\$(?:\w+|[@*#?$!-])")
_HEREDOC = re.compile(r"[^\n]*(?:\n|$)")


class ShellError(ValueError):
    """A script that cannot be read to its end: a quote that is not closed, or far too many words."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


class Word(Struct, frozen=True):
    """One word without its quotes. `computed` when part of it is only known at run time; `quoted` when part was in quotes."""

    text: str
    line: int
    computed: bool = False
    quoted: bool = False


class Command(Struct):
    """One simple command. `before` is the name of the command whose output it reads, if it stands in a pipe."""

    words: list[Word] = []
    targets: list[Word] = []
    """Files of redirections."""
    before: str = ""
    background: bool = False
    body: str = ""
    """Its here-documents."""
    body_line: int = 0


def commands(text: str, line: int = 1, depth: int = 0, budget: list[int] | None = None) -> list[Command]:
    """Every simple command of a script, those of its substitutions too, in the order in which they end.

    Raises ShellError for what cannot be read to its end; `readable` gives what stands before that.
    """
    return _Reader(text, line, depth, budget).read()


def readable(text: str, line: int = 1) -> tuple[list[Command], ShellError | None]:
    """(commands of a script as far as it can be read, why the rest cannot be; None when all could)."""
    reader = _Reader(text, line, 0)
    try:
        return reader.read(), None
    except ShellError as error:
        reader.end()
        return reader.found, error


def substitutions(text: str, line: int, depth: int = 0, budget: list[int] | None = None) -> list[Command]:
    """The commands of the substitutions in a text where quotes mean nothing, as in a here-document."""
    reader = _Reader(text, line, depth, budget)
    while reader.at < len(text):
        if not reader.expansion():
            reader.at += 2 if text[reader.at] == "\\" else 1
    return reader.found


class _Reader:
    """One pass over one script."""

    def __init__(self, text: str, line: int, depth: int, budget: list[int] | None = None) -> None:
        self.text = text
        self.counted = (0, line)
        self.depth = depth
        self.at = 0
        self.found: list[Command] = []
        self.budget = [WORDS] if budget is None else budget
        """Words and substitutions that may still come, counted together with those of the scripts around this one."""
        self.command = Command()
        self.redirection = ""
        self.bodies: list[tuple[Command, str, bool, bool]] = []
        """Here-documents that begin after this line: command, delimiter, tabs are stripped, delimiter was quoted."""
        self.pattern = False
        """Within the patterns of a `case`, which are no commands."""

    def read(self) -> list[Command]:
        while self.at < len(self.text):
            char = self.text[self.at]
            operator = next((word for word in _OPERATORS if self.text.startswith(word, self.at)), "")
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("((", self.at) and not self.command.words:
                self.arithmetic()
            elif operator in ("<", ">") and self.text.startswith("(", self.at + 1):
                self.take(self.word())
            elif operator:
                self.at += len(operator)
                self.operator(operator)
            elif char.isspace():
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            else:
                self.take(self.word())
        self.end()
        return self.found

    def line(self) -> int:
        start, line = self.counted
        self.counted = (self.at, line + self.text.count("\n", start, self.at))
        return self.counted[1]

    def take(self, word: Word) -> None:
        self.spend(word.line)
        if self.redirection in ("<<", "<<-"):
            self.bodies.append((self.command, word.text, self.redirection == "<<-", word.quoted))
        elif self.redirection == "<<<":
            self.command.body += word.text + "\n"
            self.command.body_line = word.line
        elif self.redirection:
            self.command.targets.append(word)
        elif self.pattern:
            self.pattern = word.text != "esac"
        else:
            self.command.words.append(word)
            if word.text == "in" and self.command.words[0].text == "case":
                self.end()
                self.pattern = True
        self.redirection = ""

    def spend(self, line: int) -> None:
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise ShellError(line, f"it has more than {WORDS} words")

    def operator(self, operator: str) -> None:
        if operator.startswith(("<", ">", "&>")):
            self.redirection = operator
            if self.command.words and self.command.words[-1].text.isdigit() and self.text[self.at - len(operator) - 1].isdigit():
                self.command.words.pop()
            return
        self.redirection = ""
        if self.pattern:
            self.pattern = operator != ")"
            self.read_bodies(operator)
            return
        ended = self.command
        if operator == "\n" and not ended.words and not ended.targets:
            # A pipe goes on in the next line.
            self.read_bodies(operator)
            return
        self.end(background=operator == "&")
        if operator in ("|", "|&") and ended.words:
            self.command.before = name_of(ended)
        self.pattern = operator in (";;", ";&", ";;&")
        self.read_bodies(operator)

    def end(self, background: bool = False) -> None:
        if self.command.words or self.command.targets:
            self.command.background = background
            self.found.append(self.command)
        self.command = Command()

    def read_bodies(self, operator: str) -> None:
        """The here-documents that were announced on the line that ends here."""
        if operator != "\n":
            return
        for command, delimiter, strip, quoted in self.bodies:
            line, lines = self.line(), []
            while self.at < len(self.text) and (match := _HEREDOC.match(self.text, self.at)) is not None:
                self.at = match.end()
                found = match.group().lstrip("\t") if strip else match.group()
                if found.rstrip("\n") == delimiter:
                    break
                lines.append(found)
            command.body, command.body_line = "".join(lines), line
            if not quoted and self.depth < DEPTH:
                self.found.extend(substitutions(command.body, line, self.depth + 1, self.budget))
        self.bodies = []

    def word(self) -> Word:
        line, start = self.line(), self.at
        parts: list[str] = []
        computed = quoted = False
        while self.at < len(self.text):
            char = self.text[self.at]
            if match := _PLAIN.match(self.text, self.at):
                parts.append(match.group())
                self.at = match.end()
            elif char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2].replace("\n", ""))
                quoted, self.at = True, self.at + 2
            elif char == "'" or self.text.startswith("$'", self.at):
                parts.append(self.single())
                quoted = True
            elif char == '"' or self.text.startswith('$"', self.at):
                inside, computed_inside = self.double()
                parts.append(inside)
                quoted, computed = True, computed or computed_inside
            elif char in "$`" or (char in "<>" and self.text.startswith("(", self.at + 1)):
                before = self.at
                computed = self.expansion() or computed
                self.at += self.at == before
                parts.append(self.text[before : self.at])
            elif char == "#" and self.at > start:
                parts.append(char)
                self.at += 1
            else:
                break
        return Word("".join(parts), line, computed, quoted)

    def single(self) -> str:
        """A text in single quotes; `$'…'` with its escapes undone as far as they hide letters."""
        escapes = self.text[self.at] == "$"
        start = self.at + 1 + escapes
        end = start
        while end < len(self.text) and self.text[end] != "'":
            end += 2 if escapes and self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise ShellError(self.line(), "a quote that is never closed")
        self.at = end + 1
        return _unescaped(self.text[start:end]) if escapes else self.text[start:end]

    def double(self) -> tuple[str, bool]:
        """(text in double quotes, whether part of it is computed)."""
        self.at += 1 + (self.text[self.at] == "$")
        parts: list[str] = []
        computed = False
        while self.at < len(self.text):
            char, before = self.text[self.at], self.at
            if char == '"':
                self.at += 1
                return "".join(parts), computed
            if char == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                parts.append(following.replace("\n", "") if following in ('"', "\\", "$", "`", "\n") else char + following)
                self.at += 2
            elif self.expansion():
                computed = True
                parts.append(self.text[before : self.at])
            else:
                parts.append(char)
                self.at += 1
        raise ShellError(self.line(), "a quote that is never closed")

    def expansion(self) -> bool:
        """Pass over an expansion that begins here, and read the commands in it. False when none does."""
        text, at = self.text, self.at
        if text[at] == "`":
            end = at + 1
            while end < len(text) and text[end] != "`":
                end += 2 if text[end] == "\\" else 1
            self.inner(at + 1, end)
            self.at = min(end + 1, len(text))
        elif text.startswith("$((", at):
            self.arithmetic()
        elif text.startswith(("$(", "<(", ">("), at):
            end = _closing(text, at + 1, "(", ")")
            self.inner(at + 2, end)
            self.at = min(end + 1, len(text))
        elif text.startswith("${", at):
            end = _closing(text, at + 1, "{", "}")
            self.inner(at + 2, end, plain=True)
            self.at = min(end + 1, len(text))
        elif match := _VARIABLE.match(text, at):
            self.at = match.end()
        else:
            return False
        return True

    def arithmetic(self) -> None:
        start = self.text.index("((", self.at)
        end = _closing(self.text, start, "(", ")")
        self.inner(start + 2, end - 1, plain=True)
        self.at = min(end + 1, len(self.text))

    def inner(self, start: int, end: int, plain: bool = False) -> None:
        """Commands between two places: a script, or in a `plain` text only its substitutions."""
        if self.depth >= DEPTH:
            raise ShellError(self.line(), f"more than {DEPTH} substitutions inside of each other")
        before, self.at = self.at, start
        line = self.line()
        self.at = before
        self.spend(line)
        self.found.extend((substitutions if plain else commands)(self.text[start:end], line, self.depth + 1, self.budget))


def name_of(command: Command) -> str:
    """The first word, without the folder it lies in."""
    return command.words[0].text.rpartition("/")[2] if command.words else ""


def _closing(text: str, start: int, opening: str, closing: str) -> int:
    """Where the bracket at `start` is closed, the end of the text if nowhere. What is in quotes does not count."""
    level, at = 0, start
    quote = ""
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == opening:
            level += 1
        elif char == closing:
            level -= 1
            if level == 0:
                return at
        at += 1
    return len(text)


def _unescaped(text: str) -> str:
    def letter(match: re.Match[str]) -> str:
        octal, hexadecimal, plain = match.groups()
        code = int(octal, 8) if octal else int(hexadecimal, 16) if hexadecimal else 0
        return chr(code) if 0 < code < 0x110000 else {"n": "\n", "t": "\t"}.get(plain or "", plain or "")

    return re.sub(r"\\(?:([0-7]{1,3})|[xuU]([0-9a-fA-F]{1,8})|(.))", letter, text, flags=re.DOTALL)
