"""The widget of the notebook when texts are hostile, the kernel is gone, the page is narrow or dark, or nothing can be seen."""

from __future__ import annotations

import json
import re

from tests.chromium import Browser
from tests.unit.web import notebook
from tests.unit.web.notebook import (
    JOB,
    RESULTS,
    asked,
    begin,
    card,
    choose,
    code,
    free,
    look,
    open_card,
    open_table,
    press,
    review,
    row,
    rows,
    says,
    search,
    stopped,
)
from tests.unit.web.samples import HOSTILE


def test_hostile_texts_are_only_ever_text(browser: Browser) -> None:
    jobs = [
        row(n, name=text, submitter=text, description=text, tags=[text], id=f"{n}{text}", status=text, read=text, revision=text)
        for n, text in enumerate(text for text in HOSTILE if "\udcff" not in text)
    ]
    first = jobs[0]
    files = [code(text + str(n), [[text, text], ["k", text]]) for n, text in enumerate(HOSTILE[:6])]
    found = [{"path": file["path"], "line": 1, "rule": HOSTILE[2], "what": HOSTILE[3], "denied": True} for file in files]
    told = card(first, free(logs=HOSTILE[0]), reason=HOSTILE[2], invalid=[HOSTILE[3]])
    open_table(
        browser,
        *jobs,
        job=told,
        look=look(first),
        review=review(first, *files, findings=found, limits=list(HOSTILE[:4])),
    )
    browser.run("all('.scq-open').find((one) => one.textContent === '<script>alert(1)</script>').click()")
    press(browser, "Review")
    browser.run("until(() => one('.scq-finding'))")
    browser.run(
        "all('.scq-finding').forEach((one) => one.click()); one('.scq-row .scq-check').click(); named('Approve…').click(); 1"
    )
    assert (
        browser.run(
            "all('.scq-root script, .scq-root img, .scq-root svg, .scq-root style, .scq-root iframe, .scq-root a').length"
        )
        == 0
    )
    attributes = browser.run("[...new Set(all('.scq-root *').flatMap((el) => el.getAttributeNames()))]")
    assert not [name for name in attributes if name.startswith("on") or name in ("href", "src", "srcdoc", "style", "action")]
    classes = browser.run("[...new Set(all('.scq-root *').flatMap((el) => [...el.classList]))]")
    assert [name for name in classes if not re.fullmatch(r"scq-[a-z0-9_-]+", name)] == []
    assert browser.run("document.title") == "notebook"


def test_when_the_kernel_restarts_nothing_acts_and_searching_goes_on(browser: Browser) -> None:
    jobs = [row(n) for n in range(30)]
    open_table(browser, *jobs, page_size=10, job=card(jobs[29]), look=look(jobs[29]))
    choose(browser, 0)
    press(browser, "job-0")
    press(browser, "Review")
    browser.run(
        "one('#cell').classList.add('jupyter-widgets-disconnected'); trigger('comm_live_update'); trigger('comm_live_update')"
    )
    lost = "The kernel was restarted. Run this cell again to act; searching still works."
    says(browser, ".scq-notice", lost)
    for label in ("Approve…", "Reject…", "Refresh", "Review", "Logs"):
        assert stopped(browser, label) == lost
    before = browser.run("asked.length")
    search(browser, "job-0001", "10 of 30 jobs")
    press(browser, "From")
    choose(browser, 3)
    browser.run("named('Approve…').click()")
    assert browser.run("asked.length") == before


def test_a_comm_that_refuses_to_send_counts_as_a_lost_kernel(browser: Browser) -> None:
    open_card(browser, JOB)
    browser.run("broken = true; 1")
    press(browser, "Refresh")
    says(browser, ".scq-notice", "The kernel was restarted.")
    assert "The kernel was restarted." in stopped(browser, "Approve…")


def test_an_approval_the_kernel_never_answered_is_not_claimed_to_be_undone(browser: Browser) -> None:
    open_card(browser, JOB)
    browser.run("silent.add('approve'); 1")
    press(browser, "Approve…")
    press(browser, "Approve this job")
    says(browser, ".scq-form", "Working…")
    says(browser, ".scq-notice", "busy for a while")
    browser.run("named('Ask again').click()")
    assert len(asked(browser, "approve")) == 1
    browser.run("trigger('comm:close')")
    says(browser, ".scq-message", "it is not known whether this was done")


def test_a_view_without_a_kernel_says_so_and_asks_nothing(browser: Browser) -> None:
    begin(browser, {}, classes="jupyter-widgets jupyter-widgets-disconnected")
    says(browser, ".scq-notice", "This view is not connected to a kernel.")
    assert browser.run("asked") == []


def test_errors_and_problems_are_told_with_their_advice(browser: Browser) -> None:
    broken = {"error": {"kind": "config", "what": "the state cannot be read", "advice": "See scq doctor."}}
    begin(browser, {"rows": broken})
    says(browser, ".scq-message", "the state cannot be read See scq doctor.")
    browser.run(f"answers.rows = {json.dumps(rows(JOB))}; 1")
    press(browser, "Refresh")
    browser.run("until(() => one('.scq-row'))")


def test_leaving_the_page_leaves_nothing_behind(browser: Browser) -> None:
    open_card(browser, JOB)
    browser.run("leave(); 1")
    before = browser.run("asked.length")
    assert browser.run("[listeners.length, all('.scq-root').length]") == [0, 0]
    browser.run("new Promise((done) => setTimeout(done, 12000))")
    assert browser.run("asked.length") == before


def test_narrow_pages_never_scroll_sideways(browser: Browser) -> None:
    browser.look(360)
    long = row(1, name="long " + "x" * 300, submitter="y" * 100 + "@example.com", tags=["z" * 200], description="w" * 190)
    file = code("path/" + "p" * 200 + ".py", [["", "v" * 2000]])
    found = [{"path": file["path"], "line": 1, "rule": "r" * 40, "what": "q" * 300, "denied": False}]
    open_table(browser, long, row(2), job=card(long), look=look(long), review=review(long, file, code("b", []), findings=found))
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert browser.run(fits)
    browser.run("one('thead .scq-check').click()")
    press(browser, "Approve…")
    press(browser, "long")
    press(browser, "Review")
    browser.run("until(() => one('.scq-line'))")
    assert browser.run(fits)
    browser.look(520)
    assert browser.run(fits)
    assert browser.run(
        "all('.scq-root button').every((el) => !el.getClientRects().length || el.getBoundingClientRect().right <= innerWidth)"
    )


CONTRAST = """(() => {
  const light = (channel) => (channel /= 255) <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const pixel = (...layers) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of layers) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const bright = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (el) => el ? [...behind(el.parentElement), getComputedStyle(el).backgroundColor] : [];
  const poor = [];
  for (const el of all('.scq-root *')) {
    const own = [...el.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !el.getClientRects().length) continue;
    const under = behind(el);
    const [a, b] = [bright(pixel(...under, getComputedStyle(el).color)), bright(pixel(...under))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push([el.className, el.textContent.slice(0, 20), (a + 0.05) / (b + 0.05)]);
  }
  return poor;
})()"""


def test_every_text_can_be_read_in_light_and_dark_whatever_the_system_likes(browser: Browser) -> None:
    words = ["k", "s1", "c1", "mi", "nf", "nb", "o", "nv", "err", "n"]
    file = code("run.sh", [[word, word + " "] for word in words], [["c1", "# pointed at"]])
    found = [{"path": "run.sh", "line": 2, "rule": "r", "what": "w", "denied": True}]
    statuses = ("pending", "approved", "running", "completed", "failed", "rejected")
    jobs = [row(n, status=status, read="changed") for n, status in enumerate(statuses)]
    told = card(jobs[0], free(diff="No."), invalid=["it"])
    open_table(browser, *jobs, job=told, look=look(jobs[0]), review=review(jobs[0], file, findings=found))
    browser.run("one('.scq-row .scq-check').click(); named('Reject…').click(); named('job-0').click()")
    press(browser, "Review")
    browser.run("until(() => one('.scq-linenote'))")
    seen = []
    for system in ("light", "dark"):
        browser.look(900, scheme=system)
        seen.append(dressed(browser, "", "", ""))
        seen.append(dressed(browser, "true", "#ffffff", "#212121"))
        seen.append(dressed(browser, "false", "#111111", "#ffffff"))
    assert [seen[1], seen[2]] == [seen[4], seen[5]]
    assert seen[0] != seen[3]


def dressed(browser: Browser, light: str, back: str, front: str) -> str:
    """The colour of code in a theme of JupyterLab, or in none; every text in it has enough contrast."""
    browser.run(
        f"document.body.dataset.jpThemeLight = '{light}'; document.body.style.background = '{back}';"
        f"document.body.style.setProperty('--jp-layout-color0', '{back}');"
        f"document.body.style.setProperty('--jp-ui-font-color0', '{front}'); 1"
    )
    browser.run("Promise.all(document.getAnimations().map((one) => one.finished)).then(() => 1)")
    assert browser.run(CONTRAST) == []
    colour: str = browser.run("getComputedStyle(one('.scq-t-k')).color")
    return colour


def test_everything_that_acts_has_a_name_and_every_id_is_there_once(browser: Browser) -> None:
    done = JOB | {"status": "completed"}
    open_table(browser, done, job=card(done), look=look(done), outputs=RESULTS)
    choose(browser, 0)
    press(browser, "mean-by-region")
    press(browser, "Results")
    press(browser, "Release…")
    tree = browser.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "textbox", "searchbox", "checkbox", "region", "table", "navigation"}
    acting = [node for node in tree if not node.get("ignored") and node["role"]["value"] in roles]
    assert len(acting) > 20
    assert [node for node in acting if not node.get("name", {}).get("value", "").strip()] == []
    ids = browser.run("all('.scq-root [id]').map((el) => el.id)")
    assert len(ids) == len(set(ids))


def test_the_browser_is_given_nothing_that_makes_markup_or_fetches() -> None:
    source = notebook.module()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "fetch(",
        "XMLHttpRequest",
        "http",
    ):
        assert word not in source, word
    assert not re.search(r"url\(|@import", notebook.css())
    named = set(
        re.findall(r"\.(-?[a-zA-Z_][\w-]*)", re.sub(r"\d*\.\d+", "", re.sub(r"/\*.*?\*/", "", notebook.css(), flags=re.S)))
    )
    assert {name for name in named if not name.startswith("scq-")} == {"vscode-light", "vscode-dark"}
    assert re.findall(r"^(?:import|export)\b.*", source, flags=re.M) == ["export default { render };"]
