"""A real JupyterLab on loopback and a headless Chromium in front of it, for tests of notebooks as people use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Dialog, Locator, Page, sync_playwright

from tests.chromium import PROGRAM

PATIENCE = 30.0
KERNEL = "python3"
NOT_INHERITED = ("JUPYTER", "SCQ_", "SYFT", "COVERAGE")
TOKEN = "a-token-of-the-tests"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio")
ENDS_WITH_US = 'exec 3<&0 </dev/null; { read -r -u 3; kill "$$"; } >/dev/null 2>&1 & exec "$@" 3<&-'
"""Starts a program that is ended as soon as our end of its standard input is closed, so also when the tests are killed."""

OPEN = """async path => {
  const panel = await jupyterapp.commands.execute("docmanager:open", {path, factory: "Notebook"});
  await panel.context.ready;
  return panel.id;
}"""
PANEL = "[...jupyterapp.shell.widgets('main')].find(panel => panel.id === id)"
SHOW = "id => jupyterapp.shell.activateById(id)"
IDLE = f"id => {PANEL}.sessionContext.session?.kernel?.status === 'idle'"
START = f"""([id, source]) => {{
  const panel = {PANEL};
  const shared = panel.content.model.sharedModel;
  const place = shared.cells.length;
  shared.insertCell(place, {{cell_type: "code", source, metadata: {{}}}});
  panel.content.activeCellIndex = place;
  window.lastRun = jupyterapp.commands.execute("notebook:run-cell");
  return place;
}}"""
HAS_RUN = "async () => void (await window.lastRun)"


def missing() -> str:
    """What keeps these tests from running on this machine; empty when nothing does."""
    if not PROGRAM:
        return "needs Chromium (apt-get install chromium)"
    absent = [name for name in ("jupyterlab", "ipykernel", "anywidget") if find_spec(name) is None]
    return f"needs {', '.join(absent)}" if absent else ""


class Lab:
    """A running JupyterLab whose kernels are this Python."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.work = folder / "notebooks"
        self._runtime = folder / "runtime"
        self._log = folder / "jupyter.log"
        for place in (self.work, self._runtime, self.home):
            place.mkdir(parents=True)
        _configure(folder / "config", self.work)
        _write(folder / "data" / "kernels" / KERNEL / "kernel.json", _kernel())
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", ENDS_WITH_US, "jupyter", sys.executable, "-m", "jupyterlab"],
                cwd=self.work,
                env=_environment(folder),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.url = self._wait_until_it_listens()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()

    def write(self, name: str) -> Path:
        """An empty notebook."""
        spec = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
        return _write(self.work / name, {"cells": [], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5})

    def _wait_until_it_listens(self) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            for place in self._runtime.glob("jpserver-*.json"):
                if url := _url(place):
                    return url
            time.sleep(0.05)
        raise AssertionError(f"JupyterLab did not start:\n{self._log.read_text()[-4000:]}")


class Desk:
    """A person's browser with JupyterLab in it. Whatever its page asks for, and complains about, is kept."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host = urlsplit(lab.url).netloc
        self.hosts: set[str] = set()
        self.dialogs: list[str] = []
        self.complaints: list[str] = []
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=PROGRAM, args=[*FLAGS], env={**os.environ, "HOME": str(lab.home)}
        )
        self.page = self._browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))
        self.page.on("dialog", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{lab.url}doc?token={TOKEN}")
        self.page.wait_for_function("window.jupyterapp?.restored.then(() => true)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Playwright keeps a loop running in this thread until it is stopped, and other tests want loops of their own.
        self._browser.close()
        self._playwright.stop()

    def open(self, name: str, environment: dict[str, str]) -> Notebook:
        """A new notebook, its kernel ready for somebody with these variables."""
        return Notebook(self.page, self.lab.write(name), environment)

    def _heard(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


class Notebook:
    """One notebook, open as one of the documents of the page."""

    def __init__(self, page: Page, path: Path, environment: dict[str, str]) -> None:
        self.page = page
        self.path = path
        self._id: str = page.evaluate(OPEN, path.name)
        page.wait_for_function(IDLE, arg=self._id)
        self._first = f"import os\nos.environ.update({environment!r})\nimport scq as q"
        self.run(self._first)

    def show(self) -> None:
        """Bring it to the front."""
        self.page.evaluate(SHOW, self._id)

    def start(self, source: str) -> Locator:
        """Put a cell at the end, begin to run it, and give its output."""
        self.show()
        place = self.page.evaluate(START, [self._id, source])
        return self.page.locator(f'#{self._id} .jp-Cell[data-windowed-list-index="{place}"] .jp-Cell-outputArea')

    def finish(self) -> None:
        """Wait until what was started is over."""
        self.page.evaluate(HAS_RUN)

    def run(self, source: str) -> Locator:
        """Put a cell at the end, run it, wait until it has run, and give its output."""
        output = self.start(source)
        self.finish()
        errors = output.locator('[data-mime-type$=".error"], [data-mime-type$=".stderr"]')
        assert errors.count() == 0, output.inner_text()
        return output

    def command(self, name: str) -> None:
        """What a person does through the menus."""
        self.show()
        self.page.evaluate("name => jupyterapp.commands.execute(name)", name)

    def saved(self) -> dict[str, Any]:
        """The notebook as it is on disk after it was saved."""
        self.command("docmanager:save")
        value: dict[str, Any] = json.loads(self.path.read_text())
        return value

    def restart_kernel(self) -> None:
        """What "Restart Kernel…" in the menu does, with its question answered."""
        self.show()
        self.page.evaluate("() => { window.lastRun = jupyterapp.commands.execute('kernelmenu:restart') }")
        self.page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        self.finish()
        self.page.wait_for_function(IDLE, arg=self._id)
        self.run(self._first)


def _configure(folder: Path, work: Path) -> None:
    """A server for nobody but us that fetches nothing: no news, no updates, no extensions."""
    others = dict.fromkeys(("jupyter_lsp", "jupyter_server_terminals", "notebook_shim"), False)
    server = {"ip": "127.0.0.1", "port": 0, "open_browser": False, "allow_root": True, "root_dir": str(work)}
    page = {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate", "expose_app_in_browser": True}
    settings = {
        "ServerApp": {**server, "jpserver_extensions": {"jupyterlab": True, **others}},
        "IdentityProvider": {"token": TOKEN},
        "LabApp": {**page, "extension_manager": "readonly"},
    }
    _write(folder / "jupyter_server_config.json", settings)
    unwanted = {"@jupyterlab/apputils-extension:announcements": True, "@jupyterlab/extensionmanager-extension": True}
    _write(folder / "labconfig" / "page_config.json", {"disabledExtensions": unwanted})
    # The notebooks are saved with all that widgets share with the page, which a person may choose too.
    manager = folder / "lab" / "user-settings" / "@jupyter-widgets" / "jupyterlab-manager"
    _write(manager / "plugin.jupyterlab-settings", {"saveState": True})


def _kernel() -> dict[str, Any]:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
    return {"argv": argv, "display_name": KERNEL, "language": "python"}


def _environment(folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return inherited | {
        "HOME": str(folder / "home"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }


def _url(place: Path) -> str:
    """The address in what the server writes about itself; empty while that is half written."""
    try:
        value: dict[str, Any] = json.loads(place.read_text())
    except ValueError:
        return ""
    return str(value["url"])


def _write(path: Path, value: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
