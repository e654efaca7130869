"""The widget: a real one, whose page is played by the test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import anywidget
import comm
import pytest
from comm.base_comm import BaseComm

from scq.library.notebook import widgets
from scq.library.notebook.desk import Desk
from tests.people import World
from tests.unit.library.notebook.conftest import Page

WIRES: list[Wire] = []


class Wire(BaseComm):
    """A comm whose page is the test: keeps what the kernel says, and says what a page would."""

    def __init__(self, **opened: Any) -> None:
        self.said: list[tuple[str, Any]] = []
        WIRES.append(self)
        super().__init__(**opened)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any) -> None:
        self.said.append((msg_type, data))

    def ask(self, content: object) -> None:
        self.handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})

    @property
    def answers(self) -> list[Any]:
        return [data["content"] for kind, data in self.said if kind == "comm_msg" and data["method"] == "custom"]


@pytest.fixture(autouse=True)
def _wires(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(comm, "create_comm", Wire)
    WIRES.clear()
    yield
    for key in list(widgets._OPEN):
        widgets._OPEN.pop(key).close()


def shown(desk: Desk, **options: Any) -> tuple[widgets.JobsWidget, Wire]:
    found = widgets.JobsWidget(desk, **options)
    return found, WIRES[-1]


def test_a_page_asks_and_hears_the_answer(world: World, owner: Page) -> None:
    uid = world.submit()
    _, wire = shown(owner.desk)
    wire.ask({"id": 9, "ask": "rows"})
    wire.ask({"id": 10, "ask": "look", "job": uid})
    assert [(each["id"], each["ok"]) for each in wire.answers] == [(9, True), (10, True)]
    assert wire.answers[1]["data"]["status"] == "pending"


def test_what_is_synced_names_the_view_and_no_job(world: World, owner: Page) -> None:
    world.submit("a-name-to-look-for", "echo a-line-to-look-for\n")
    found, wire = shown(owner.desk, kind="jobs", title="Waiting for you")
    wire.ask({"id": 1, "ask": "rows"})
    synced = {name for name in found.get_state() if not name.startswith("_") and name not in anywidget.AnyWidget().get_state()}
    assert synced == {"kind", "word", "title", "page_size"}
    assert (found.kind, found.word, found.title, found.page_size) == ("jobs", "", "Waiting for you", 50)
    assert "to-look-for" not in repr(found.get_state())
    opened = next(data for kind, data in wire.said if kind == "comm_open")
    assert opened["state"]["_esm"] == widgets.browser_side()[0]
    assert all(data["method"] == "custom" for kind, data in wire.said if kind == "comm_msg")


def test_the_browser_side_is_one_module_of_files_in_the_order_of_their_names() -> None:
    script, style = widgets.browser_side()
    assert script.count("export default") == 1
    assert "://" not in style
    assert style


def test_several_widgets_of_one_job_and_a_thread_are_answered(world: World, owner: Page) -> None:
    uid = world.submit()
    wires = [shown(owner.desk, kind="job", word=uid)[1] for _ in range(2)]
    for wire in wires:
        thread = threading.Thread(target=wire.ask, args=({"id": 1, "ask": "job", "job": uid},))
        thread.start()
        thread.join()
    assert [[each["data"]["job"]["name"] for each in wire.answers] for wire in wires] == [["count"], ["count"]]


@pytest.mark.parametrize("content", [None, "x", 5, [], {}, {"id": 1, "ask": "nothing"}])
def test_a_hostile_message_is_answered_calmly(owner: Page, content: object) -> None:
    _, wire = shown(owner.desk)
    wire.ask(content)
    assert [each["error"]["kind"] for each in wire.answers] == ["usage"]


def test_a_bug_is_named_to_the_page_and_goes_on_to_the_log(owner: Page, caplog: pytest.LogCaptureFixture) -> None:
    def jobs() -> Any:
        raise KeyError("a-bug-to-find")

    _, wire = shown(Desk(owner.verbs, jobs))
    logger = logging.getLogger("traitlets")
    logger.addHandler(caplog.handler)
    try:
        wire.ask({"id": 7, "ask": "rows"})
    finally:
        logger.removeHandler(caplog.handler)
    error = wire.answers[0]["error"]
    assert (wire.answers[0]["id"], error["kind"], error["what"]) == (7, "bug", "a bug in scq: KeyError: 'a-bug-to-find'")
    assert "a-bug-to-find" in caplog.text
    assert "Traceback" in caplog.text
    wire.ask({"id": 8, "ask": "nothing"})
    assert wire.answers[1]["id"] == 8


def test_an_interrupt_is_named_to_the_page_and_goes_on_to_the_kernel(owner: Page) -> None:
    def jobs() -> Any:
        raise KeyboardInterrupt

    _, wire = shown(Desk(owner.verbs, jobs))
    with pytest.raises(KeyboardInterrupt):
        wire.ask({"id": 7, "ask": "rows"})
    assert (wire.answers[0]["id"], wire.answers[0]["error"]["what"]) == (7, "It was interrupted in the kernel.")


def test_what_a_page_writes_into_what_is_synced_changes_no_answer(world: World, owner: Page) -> None:
    mine = world.submit("mine")
    other = world.submit("other", by=world.second)
    theirs = Page(world.scientist)
    found, wire = shown(theirs.desk, kind="job", word=mine)
    wire.handle_msg({"content": {"data": {"method": "update", "state": {"word": other, "kind": "jobs"}}}, "buffers": []})
    assert found.word == other
    wire.ask({"id": 1, "ask": "job", "job": other})
    wire.ask({"id": 2, "ask": "rows"})
    assert "none of the jobs" in wire.answers[0]["error"]["what"]
    assert [each[0] for each in wire.answers[1]["data"]["rows"]] == [mine]


def test_what_is_displayed_again_is_the_same_widget(owner: Page) -> None:
    first = widgets.opened("a", owner.desk, title="one")
    assert widgets.opened("a", owner.desk, title="one") is first
    assert widgets.opened("b", owner.desk) is not first
    first.close()
    assert widgets.opened("a", owner.desk) is not first


def test_old_widgets_let_go_of_their_jobs_and_say_so_until_they_are_displayed_again(
    owner: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(widgets, "MOST_ACTING", 2)
    found = {key: widgets.opened(key, owner.desk) for key in "ab"}
    wire = found["a"].comm
    found["c"] = widgets.opened("c", owner.desk)
    assert [each.desk is None for each in found.values()] == [True, False, False]
    wire.ask({"id": 5, "ask": "rows"})
    assert (wire.answers[0]["id"], wire.answers[0]["error"]["kind"]) == (5, "busy")
    assert wire.answers[0]["error"]["advice"] == "Run its cell again."
    assert widgets.opened("a", owner.desk) is found["a"]
    wire.ask({"id": 6, "ask": "rows"})
    assert wire.answers[1]["ok"]
    assert found["b"].desk is None


def test_widgets_do_not_add_up_without_end(owner: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "MOST_OPEN", 3)
    found = [widgets.opened(number, owner.desk) for number in range(5)]
    assert len(widgets._OPEN) == 3
    assert [each.comm is None for each in found] == [True, True, False, False, False]
    assert len(WIRES) == 2 * 5, "each has a layout of its own"
    assert [[kind for kind, _ in wire.said][-1] for wire in WIRES] == ["comm_close"] * 4 + ["comm_open"] * 6


def test_a_widget_that_its_page_has_closed_is_made_anew(owner: Page) -> None:
    first = widgets.opened("a", owner.desk)
    wire = WIRES[-1]
    wire.handle_close({})
    assert not widgets._OPEN
    assert first.comm is None
    assert first.layout.comm is None
    second = widgets.opened("a", owner.desk)
    assert second is not first
    wire.handle_close({})
    assert widgets.opened("a", owner.desk) is second, "an old page closed the new one"


def test_an_answer_for_a_widget_that_was_closed_meanwhile_goes_nowhere(owner: Page) -> None:
    found, wire = shown(owner.desk)
    found.close()
    found._answer(found, {"id": 1, "ask": "rows"}, [])
    assert wire.answers == []
