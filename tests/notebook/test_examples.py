"""The example notebooks, executed as they stand by people of a temporary SyftBox: what their cells show is what they promise."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.people import OWNER, SCIENTIST, Person, World

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
AGES = (34, 38, 41, 57, 52, 33)

needs_a_box = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")


class Reader:
    """Somebody who runs an example notebook from top to bottom, in a kernel of their own."""

    def __init__(self, name: str, folder: Path, person: Person | None = None) -> None:
        self.notebook = nbformat.read(EXAMPLES / name, as_version=4)
        self.folder = folder
        self.env: dict[str, str] = {}
        if person is not None:
            self.env = {"SCQ_HOME": str(person.home), "SCQ_ROOT": str(person.root), "SCQ_EMAIL": person.email}

    async def run(self, meanwhile: dict[str, Any] | None = None) -> None:
        """Run all cells; before the cell of an id in `meanwhile` that coroutine function is awaited."""

        async def before(cell: Any, cell_index: int) -> None:
            if meanwhile and cell.id in meanwhile:
                await meanwhile[cell.id]()

        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.env.items():
                patch.setenv(name, value)
            client = NotebookClient(
                self.notebook,
                timeout=40,
                kernel_name="python3",
                on_cell_start=before,
                resources={"metadata": {"path": str(self.folder)}},
            )
            await client.async_execute()

    def shown(self, cell: str) -> str:
        """Everything a cell shows, as text."""
        (found,) = (one for one in self.notebook.cells if one.id == cell)
        parts = []
        for output in found.outputs:
            assert output.output_type in ("stream", "display_data", "execute_result"), output
            assert output.get("name") != "stderr", output
            parts.append(output.text if output.output_type == "stream" else output.data["text/plain"])
        return "\n".join(parts)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user can reach whom jobs run as where the tests are run by root."""
    with tempfile.TemporaryDirectory(prefix="scq-examples-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_for_any_kernel(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    nbformat.validate(document)
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert document["metadata"] == {"language_info": {"name": "python"}}
    assert [
        cell["id"] for cell in document["cells"] if cell["metadata"] or cell.get("outputs") or cell.get("execution_count")
    ] == []


@needs_a_box
def test_the_scientist_asks_and_the_owner_answers(place: Path) -> None:
    world = World(place)
    cohort = place / "cohort"
    cohort.mkdir()
    (cohort / "patients.csv").write_text("id,age\n" + "".join(f"{number},{age}\n" for number, age in enumerate(AGES, 1)))
    world.owner.configure(f"data:\n  - path: {cohort}\n    at: /data\n")
    scientist = Reader("DataScientist_Tutorial.ipynb", place, world.scientist)
    owner = Reader("DataOwner_Tutorial.ipynb", place, world.owner)

    asyncio.run(scientist.run(meanwhile={"wait": owner.run}))

    assert "3 patients in sample.csv" in scientist.shown("trial")
    assert scientist.shown("send").endswith("pending\n")
    assert f"from {SCIENTIST}" in owner.shown("waiting")
    assert "How many patients" in owner.shown("job")
    assert "python3 age_groups.py" in owner.shown("review")
    assert owner.shown("findings").endswith("files\n")
    assert "approved" in owner.shown("approve")
    assert owner.shown("run").endswith("completed\n")
    assert "30,3" in owner.shown("results")
    assert "6 patients in /data/patients.csv" in owner.shown("results")
    assert "rejected" in owner.shown("reject")
    assert "All rows" in owner.shown("reject")
    assert "'completed': 1" in owner.shown("end")
    assert "'rejected': 1" in owner.shown("end")

    assert "completed" in scientist.shown("wait")
    assert scientist.shown("results") == "from,patients\n30,3\n40,1\n50,2\n\n"
    assert "6 patients" in scientist.shown("logs")
    assert "rejected" in scientist.shown("refusal")
    assert "single rows never leave" in scientist.shown("refusal")
    assert "'total': 2" in scientist.shown("end")

    rows = [(row["what"], row["by"], row["detail"]) for row in world.owner.json("audit", "show")["rows"]]
    assert [what for what, _, _ in rows] == ["approve", "run", "end", "release", "reject"]
    assert {by for _, by, _ in rows} == {OWNER}
    assert not list(world.root.rglob("patients.csv"))


@needs_a_box
def test_the_overview_plays_both_and_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(place))
    reader = Reader("SyftCodeQueue_Tutorial.ipynb", place)

    asyncio.run(reader.run())

    assert reader.shown("submit") == "'pending'"
    assert "Mean age" in reader.shown("waiting")
    assert "awk" in reader.shown("review")
    assert "approved" in reader.shown("approve")
    assert reader.shown("run").startswith("approved → ")
    assert "completed\n\n0" in reader.shown("run")
    assert "scientist: None" in reader.shown("held")
    assert "owner: ['mean.txt']" in reader.shown("held")
    assert reader.shown("release") == "mean age: 42.5\n\n"
    assert "'pending': 5" in reader.shown("many")
    assert "1 job" in reader.shown("many")
    assert reader.shown("refused").count("Read it first") == 2
    assert reader.shown("approve-all").count("approved") == 2
    assert reader.shown("reject-all").count("rejected") == 3
    assert "Count in years: completed" in reader.shown("finish")
    assert "'completed': 3" in reader.shown("finish")
    assert reader.shown("rejected").count("please ask for a mean") == 3
    assert [path.name for path in place.iterdir() if path.name.startswith("scq-tutorial-")] == []
