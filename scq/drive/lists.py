"""Searches on Drive, page by page to their end, and what of their answers could not be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from scq.drive import reading
from scq.drive.asking import Api, Asking
from scq.drive.items import File, Listing
from scq.model import Problem

PAGE = 1000
"""Items of an answer, the most that Drive gives."""
PAGES = 2000
"""Answers to one question before it is taken to have no end."""
PROBLEMS = 20
"""The most that are told."""
FIELDS = "id,name,mimeType,trashed,parents,createdTime,modifiedTime,size,md5Checksum,owners(emailAddress)"
Item = TypeVar("Item")
Request = Callable[[Api, str | None], Any]
"""The request for one page, from the API and the token of the page."""


class Lists:
    """Searches. What of an answer is not usable is left out; `problems` says so."""

    def __init__(self, asking: Asking) -> None:
        self.problems: list[Problem] = []
        self._asking = asking
        self._left_out = 0

    def ask(self, what: str, q: str) -> Listing:
        """Everything that a query finds. `complete` is False when Drive says so, or when something was left out."""
        before, found, complete = self._left_out, list[File](), True
        fields = f"nextPageToken,incompleteSearch,files({FIELDS})"

        def request(api: Api, token: str | None) -> Any:
            return api.files.list(q=q, fields=fields, pageSize=PAGE, spaces="drive", pageToken=token)

        for answer in self.pages(what, request):
            complete = complete and answer.get("incompleteSearch") in (None, False)
            found += self.read(what, answer, "files", reading.file_of)
        return Listing(tuple(found), complete and self._left_out == before)

    def pages(self, what: str, request: Request) -> Iterator[dict[str, Any]]:
        """Every page of an answer. One that has no end is told and broken off."""
        token: str | None = None
        seen: set[str] = set()
        for _ in range(PAGES):
            answer, following = self._asking.ask(what, _Page(request, token))
            yield answer
            if not following:
                return
            if following in seen:
                break
            seen.add(following)
            token = following
        self._tell(what, "the answer has no end")

    def read(self, what: str, answer: dict[str, Any], key: str, read: Callable[[object], Item]) -> list[Item]:
        """The items of one page, those that `read` understands."""
        found = []
        for row in reading.rows_of(answer, key):
            try:
                found.append(read(row))
            except ValueError as error:
                self._tell(what, f"a part of the answer was left out: {error}")
        return found

    def _tell(self, what: str, trouble: str) -> None:
        self._left_out += 1
        if len(self.problems) < PROBLEMS:
            self.problems.append(Problem("Google Drive", f"{what}: {trouble}", "It is looked at again later."))


def quoted(text: str) -> str:
    """A text inside a query (developers.google.com/workspace/drive/api/guides/search-files)."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def answered(request: Any) -> dict[str, Any]:
    """What a request of the library brings. Raises ValueError when it is no object."""
    answer = request.execute(num_retries=0)
    if not isinstance(answer, dict):
        raise ValueError("no object")
    return answer


def joined(listings: Sequence[Listing]) -> Listing:
    """Each file once, where it lies in several of the folders."""
    files = {file.id: file for listing in listings for file in listing.files}
    return Listing(tuple(files.values()), all(listing.complete for listing in listings))


class _Page:
    """Asks for one page: (what it says, the token of the next one)."""

    def __init__(self, request: Request, token: str | None) -> None:
        self._request = request
        self._token = token

    def __call__(self, api: Api) -> tuple[dict[str, Any], str]:
        answer = answered(self._request(api, self._token))
        for key in ("files", "permissions"):
            reading.rows_of(answer, key)
        return answer, reading.token_of(answer, "nextPageToken")
