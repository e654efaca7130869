"""One job in the notebook: its buttons, code, differences, logs and results in a real browser."""

from __future__ import annotations

import json

from tests.chromium import Browser
from tests.unit.web.notebook import (
    JOB,
    RESULTS,
    asked,
    card,
    code,
    free,
    look,
    open_card,
    press,
    review,
    says,
    stopped,
)


def test_the_form_names_the_digest_and_escape_closes_it(browser: Browser) -> None:
    open_card(browser, JOB)
    press(browser, "Approve…")
    says(browser, ".scq-form", "Exactly the content 0123456789ab is approved.")
    browser.write("half written")
    browser.press("Escape")
    assert browser.run("shows('.scq-form')") == []
    assert browser.run("document.activeElement.textContent") == "Approve…"
    assert asked(browser, "approve") == []


def test_what_cannot_be_done_says_why_beside_the_buttons(browser: Browser) -> None:
    changed = JOB | {"read": "changed"}
    why = free(logs="It has not run.", outputs="It has not run.")
    open_card(browser, changed, job=card(changed, why), look=look(changed, why))
    assert stopped(browser, "Approve…") == "The content changed since you read it. Review it again first."
    browser.run("named('Approve…').click(); named('Logs').click()")
    told = browser.run("shows('.scq-card > .scq-reasons p')")
    assert told == ["Approve: The content changed since you read it. Review it again first.", "Logs, Results: It has not run."]
    assert asked(browser, "logs") == []
    assert browser.run("shows('.scq-form')") == []
    assert "changed since it was read" in browser.run("shows('.scq-cardhead').join()")


def test_a_change_made_elsewhere_is_told_and_stops_the_open_form(browser: Browser) -> None:
    open_card(browser, JOB)
    browser.run("answers.diff = { against: null, same: false, files: [] }; 1")
    press(browser, "Compare")
    says(browser, ".scq-panel", "Nothing like it was approved before")
    press(browser, "Approve…")
    now = JOB | {"status": "rejected", "revision": "f" * 12}
    why = free(approve="It is rejected already.")
    browser.run(f"answers.job = {json.dumps(card(now, why))}; answers.look = {json.dumps(look(now, why))}; 1")
    says(browser, ".scq-message", "This job changed meanwhile. It is shown as it is now.")
    assert browser.run("all('.scq-panel').length") == 0, "code of before is not shown beside a job that is another one"
    browser.run("until(() => shows('.scq-cardhead').join().includes('rejected'))")
    assert stopped(browser, "Approve this job") == "It is rejected already."


def test_an_open_card_looks_again_but_never_twice_at_once(browser: Browser) -> None:
    open_card(browser, JOB)
    browser.run("until(() => asked.filter((message) => message.ask === 'look').length >= 2)")
    browser.run("silent.add('look'); until(() => held.length)")
    before = len(asked(browser, "look"))
    says(browser, ".scq-notice", "Waiting for the kernel, which is busy.")
    says(browser, ".scq-notice", "The kernel has been busy for a while.")
    assert len(asked(browser, "look")) == before
    browser.run("named('Ask again').click()")
    again = asked(browser, "look")
    assert len(again) == before + 1
    assert again[-1]["id"] == again[-2]["id"]
    browser.run("silent.clear(); held.splice(0).forEach(reply); until(() => !shows('.scq-notice-text').join().trim())")


def test_a_button_pressed_again_and_again_asks_a_busy_kernel_once(browser: Browser) -> None:
    open_card(browser, JOB, review=review(JOB, code("run.sh", [["", "true"]])))
    browser.run("silent.add('review'); 1")
    for _ in range(6):
        press(browser, "Review")
    press(browser, "Refresh")
    press(browser, "Review")
    assert len(asked(browser, "review")) == 1
    browser.run("held.splice(0).forEach(reply); 1")
    browser.run("until(() => shows('.scq-text').join() === 'true')")


def test_the_code_is_shown_with_numbers_colours_and_findings_run_sh_first(browser: Browser) -> None:
    files = (
        code("run.sh", [["c1", "# start"]], [["", "python3 main.py"]]),
        code("main.py", [["kn", "import"], ["", " "], ["nn", "os"]], [["n bad", "x"], ["k", "<b>not bold</b>"]]),
        code("data.bin", lines=None, whole=False, size=70_000),
    )
    found = [{"path": "main.py", "line": 2, "rule": "process", "what": "starts programs", "denied": True}]
    told = review(JOB | {"read": "read"}, *files, findings=found, limits=["Time: 10 minutes"], invalid=[])
    unread = JOB | {"read": "unread"}
    open_card(browser, unread, job=card(unread), look=look(JOB), review=told)
    press(browser, "Review")
    browser.run("until(() => one('.scq-code'))")
    assert browser.run("shows('.scq-file bdi')") == ["run.sh", "main.py", "data.bin"]
    assert browser.run("one('.scq-file[aria-current]').textContent") == "run.sh22 B"
    press(browser, "main.py:2 starts programs")
    assert browser.run("all('.scq-line').map((line) => line.dataset.number)") == ["1", "2"]
    assert browser.run("shows('.scq-text')") == ["import os", "x<b>not bold</b>"]
    assert browser.run("all('.scq-text span').map((span) => span.className)") == ["scq-t-kn", "scq-t-nn", "scq-t-k"]
    browser.run("until(() => one('.scq-jumped')?.dataset.number === '2')")
    assert browser.run("shows('.scq-linenote')") == ["Denied: starts programs (process)"]
    assert browser.run("all('.scq-text b').length") == 0
    press(browser, "data.bin")
    says(browser, ".scq-pane", "not text, or too large")
    says(browser, ".scq-cardhead", "read")
    assert "not read yet" not in browser.run("shows('.scq-cardhead').join()")


def test_a_long_file_is_shown_in_slices_and_a_finding_deep_in_it_is_found(browser: Browser) -> None:
    long = code("run.sh", *([["", f"line {n}"]] for n in range(1, 10_001)))
    found = [{"path": "run.sh", "line": 9000, "rule": "network", "what": "opens a connection", "denied": False}]
    open_card(browser, JOB, review=review(JOB, long, findings=found))
    press(browser, "Review")
    browser.run("until(() => one('.scq-code'))")
    assert browser.run("all('.scq-line').length") == 400
    press(browser, "Show 400 more lines (9,600 are not shown)")
    assert browser.run("all('.scq-line').length") == 800
    press(browser, "run.sh:9000")
    assert browser.run("all('.scq-line').length") == 400
    browser.run("until(() => one('.scq-jumped'))")
    box, line = (browser.run(f"one('{part}').getBoundingClientRect().toJSON()") for part in (".scq-code", ".scq-jumped"))
    assert box["top"] <= line["top"] < line["bottom"] <= box["bottom"]
    press(browser, "Show 400 lines before")
    assert browser.run("all('.scq-line')[0].dataset.number") == "8561"


def test_a_thousand_files_have_a_search_of_their_own(browser: Browser) -> None:
    files = [code(f"part/{n:04}.py", [["", str(n)]]) for n in range(1000)]
    open_card(browser, JOB, review=review(JOB, *files))
    press(browser, "Review")
    browser.run("until(() => one('.scq-filesearch'))")
    browser.run("one('.scq-filesearch').focus()")
    browser.write("part/0777")
    assert browser.run("shows('.scq-file bdi')") == ["part/0777.py"]
    press(browser, "part/0777.py")
    assert browser.run("shows('.scq-text')") == ["777"]
    assert browser.run("one('.scq-files').clientHeight") < 1000


def test_differences_carry_marks_and_words_not_colour_alone(browser: Browser) -> None:
    lines = [["@", "@@ -1 +1 @@"], ["-", "SMALLEST = 5"], ["+", "SMALLEST = 11"], [" ", "end"]]
    against = {"against": "abc", "same": False, "files": [{"path": "main.py", "change": "changed", "lines": lines}]}
    open_card(browser, JOB, diff=against)
    press(browser, "Compare")
    browser.run("until(() => one('.scq-diff'))")
    marks = browser.run("all('.scq-line').map((line) => getComputedStyle(line, '::before').content)")
    assert marks == ['"@"', '"-"', '"+"', '" "']
    assert browser.run("all('.scq-diff .scq-unseen').map((word) => word.textContent)") == ["removed", "added"]
    press(browser, "Compare")
    assert browser.run("shows('.scq-panel')") == []
    browser.run("answers.diff = { against: null, same: false, files: [] }; 1")
    press(browser, "Compare")
    says(browser, ".scq-panel", "Nothing like it was approved before")


def test_only_what_is_ticked_is_released_and_only_with_a_reason(browser: Browser) -> None:
    done = JOB | {"status": "completed", "outputs": "withheld"}
    open_card(browser, done, outputs=RESULTS, release={"row": None})
    press(browser, "Results")
    press(browser, "Release…")
    assert browser.run("all('.scq-ticks .scq-check').map((box) => box.checked)") == [False, False]
    says(browser, ".scq-tick", "Line 1: looks like an identifier (identifier)")
    inside = "[...one('.scq-form').querySelectorAll('button')].find((one) => one.textContent === 'Release')"
    assert browser.run(f"{inside}.title") == "Tick what is to leave."
    press(browser, "Tick all")
    assert browser.run(f"{inside}.title") == "Give a reason first."
    press(browser, "Tick none")
    assert browser.run(f"{inside}.title") == "Tick what is to leave."
    choose_tick = "all('.scq-form .scq-check')"
    browser.run(f"{choose_tick}[1].click(); {choose_tick}[2].click(); one('.scq-form .scq-input').focus()")
    browser.write("checked by hand")
    browser.run(f"{inside}.click()")
    says(browser, ".scq-message", "Released.")
    [sent] = asked(browser, "release")
    del sent["id"]
    assert sent == {
        "ask": "release",
        "job": done["id"],
        "revision": "00000000beef",
        "only": ["visits.csv"],
        "outputs": True,
        "logs": True,
        "reason": "checked by hand",
    }


def test_results_are_withheld_with_a_reason_and_a_refusal_keeps_the_form(browser: Browser) -> None:
    done = JOB | {"status": "completed", "outputs": "withheld"}
    refused = {"error": {"kind": "busy", "what": "the job is no longer what was shown", "advice": "Look again."}}
    open_card(browser, done, outputs=RESULTS, withhold=refused)
    press(browser, "Results")
    press(browser, "Withhold…")
    browser.write("too small a group")
    browser.run("[...one('.scq-form').querySelectorAll('button')][0].click()")
    says(browser, ".scq-message", "the job is no longer what was shown Look again.")
    assert browser.run("one('.scq-form .scq-input').value") == "too small a group"
    assert asked(browser, "withhold")[0]["reason"] == "too small a group"


def test_logs_are_plain_text_and_say_what_was_left_out(browser: Browser) -> None:
    logs = [
        {"name": "stdout.txt", "text": "<i>one</i>\n  two", "left_out": 0},
        {"name": "stderr.txt", "text": "", "left_out": 4096},
    ]
    open_card(browser, JOB, logs={"logs": logs})
    press(browser, "Logs")
    browser.run("until(() => one('.scq-log'))")
    assert browser.run("shows('.scq-log')") == ["<i>one</i>\n  two", "(empty)"]
    says(browser, ".scq-filehead", "4.0 KiB in the middle are left out")


def test_a_job_on_a_cluster_says_where_it_is_and_that_moves_with_it(browser: Browser) -> None:
    run = {
        "attempt": 1,
        "started_at": None,
        "finished_at": None,
        "duration_s": None,
        "exit_code": None,
        "cause": None,
        "node": "",
    }
    waits = JOB | {"status": "running", "run": run, "place": "waits on the cluster: job 412"}
    open_card(browser, waits, job=card(waits), look=look(waits) | {"place": waits["place"]})
    says(browser, ".scq-waits", "It waits on the cluster: job 412.")
    browser.run(f"answers.look = {json.dumps(look(waits) | {'place': 'runs on <b>n1'})}; 1")
    says(browser, ".scq-waits", "It runs on <b>n1.")
