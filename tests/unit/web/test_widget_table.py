"""Many jobs in the notebook: searched, sorted, selected and decided in a real browser, with a model that stands in for Python."""

from __future__ import annotations

from tests.chromium import Browser
from tests.unit.web import notebook
from tests.unit.web.notebook import (
    JOB,
    asked,
    card,
    choose,
    look,
    names,
    open_table,
    press,
    row,
    rows,
    says,
    search,
    stopped,
)


def test_ten_thousand_jobs_are_searched_sorted_and_paged_without_asking_python(browser: Browser) -> None:
    jobs = [row(n, status="pending" if n % 2 else "completed") for n in range(10_000)]
    open_table(browser, *jobs)
    assert browser.run("all('.scq-row').length") == 50
    assert browser.run("all('.scq-root *').length") < 2000
    search(browser, "JOB-00042", "1 of 10,000 jobs")
    assert names(browser) == ["job-00042"]
    search(browser, "scientist3 statistics", "477 of 10,000 jobs")
    assert browser.run("all('.scq-row').length") == 50
    search(browser, "nobody has this", "0 of 10,000 jobs")
    assert browser.run("shows('.scq-nothing')") == ["No job fits. Change the search or the status."]
    search(browser, "job", "10,000 jobs")
    press(browser, "Job")
    assert names(browser)[:2] == ["job-00000", "job-00001"]
    press(browser, "Next")
    assert names(browser)[0] == "job-00050"
    browser.run("one('.scq-pageno').value = '9999'; one('.scq-pageno').dispatchEvent(new Event('change'))")
    assert names(browser)[-1] == "job-09999"
    assert stopped(browser, "Next") == "This is the last page."
    press(browser, "pending")
    assert browser.run("shows('.scq-chip')") == ["All 10,000", "pending 5,000", "completed 5,000"]
    assert names(browser)[:2] == ["job-00001", "job-00003"]
    assert browser.run("asked.map((message) => message.ask)") == ["rows"]


def test_the_search_looks_at_name_people_tags_id_and_description(browser: Browser) -> None:
    jobs = (
        row(10, name="mean-by-region", description="Groups below 11 are left out"),
        row(11, name="second", tags=["oncology"], description=""),
        row(12, name="third", submitter="åsa@example.com", description=""),
    )
    open_table(browser, *jobs)
    fitting = {"mean": 1, "oncology": 2, "ÅSA": 3, "0000000a": 1, "groups LEFT out": 1, "mean oncology": 0}
    for text, number in fitting.items():
        search(browser, text, f"{1 if number else 0} of 3 jobs")
        wanted = [jobs[number - 1]["name"]] * bool(number)
        browser.run(f"until(() => shows('.scq-open').join() === '{wanted[0] if wanted else ''}')")
    search(browser, "example.com", "3 jobs")


def test_each_column_sorts_both_ways_and_says_so(browser: Browser) -> None:
    first = row(1, name="job 10", submitter="b@example.com", status="failed", submitted_at="2026-11-01T00:00:00Z")
    second = row(2, name="Job 9", submitter="c@example.com", status="pending", submitted_at=None)
    third = row(3, name="job 100", submitter="a@example.com", status="running", submitted_at="2026-11-03T00:00:00Z")
    open_table(browser, first, second, third)
    assert names(browser) == ["job 100", "job 10", "Job 9"]
    orders = {}
    for label in ("Job", "Status", "From", "Submitted"):
        press(browser, label)
        once = names(browser)
        assert browser.run("all('[aria-sort$=ending]').map((el) => el.textContent)") == [
            f"{label}{'▼' if label == 'Submitted' else '▲'}"
        ]
        press(browser, label)
        orders[label] = (once, names(browser))
        assert browser.run("all('[aria-sort$=ending]').map((el) => el.textContent)") == [
            f"{label}{'▲' if label == 'Submitted' else '▼'}"
        ]
    assert orders["Job"] == (["Job 9", "job 10", "job 100"], ["job 100", "job 10", "Job 9"])
    assert orders["Status"] == (["Job 9", "job 100", "job 10"], ["job 10", "job 100", "Job 9"])
    assert orders["From"] == (["job 100", "job 10", "Job 9"], ["Job 9", "job 10", "job 100"])
    assert orders["Submitted"] == (["job 100", "job 10", "Job 9"], ["job 10", "job 100", "Job 9"])


def test_what_is_selected_stays_selected_while_searching_and_paging(browser: Browser) -> None:
    open_table(browser, *(row(n) for n in range(25)), page_size=10)
    press(browser, "Job")
    choose(browser, 0, 1)
    press(browser, "Next")
    choose(browser, 0)
    assert browser.run("shows('.scq-selection .scq-strong')") == ["3 selected"]
    search(browser, "job-00001", "1 of 25 jobs")
    assert browser.run("shows('.scq-selection .scq-strong')") == ["3 selected (2 not in this list)"]
    assert browser.run("all('.scq-row .scq-check').map((box) => box.checked)") == [True]
    search(browser, "job-0000", "10 of 25 jobs")
    press(browser, "Select all 10 that fit")
    assert browser.run("shows('.scq-selection .scq-strong')") == ["11 selected (1 not in this list)"]
    press(browser, "Clear")
    assert browser.run("shows('.scq-selection')") == []
    browser.run("one('thead .scq-check').click()")
    assert browser.run("shows('.scq-selection .scq-strong')") == ["10 selected"]


def test_many_are_approved_with_one_reason_and_each_refusal_and_unread_one_is_told(browser: Browser) -> None:
    first, second, third = (row(n, name=f"job {n}", read="unread" if n == 3 else "read") for n in (1, 2, 3))
    open_table(browser, first, second, third)
    done = rows(row(1, name="job 1", status="approved"))["rows"]
    last = rows(row(3, name="job 3", status="approved"))["rows"]
    refused = [{"id": second["id"], "what": "it is no longer what was shown", "advice": "Review it again."}]
    browser.run(
        f"""answers.approve = (message) => message.unread
          ? {{ done: ['{third["id"]}'], refused: [], unread: [], rows: {last} }}
          : {{ done: ['{first["id"]}'], refused: {refused}, unread: ['{third["id"]}'], rows: {done} }}"""
    )
    press(browser, "Job")
    browser.run("one('thead .scq-check').click()")
    press(browser, "Approve…")
    browser.run("one('.scq-form .scq-input').focus()")
    browser.write("fits the protocol")
    press(browser, "Approve 3 jobs")
    says(browser, ".scq-question", "1 of 3 was never read here. Approve them unread?")
    press(browser, "Approve it unread")
    says(browser, ".scq-message", "Approved 2 jobs.")
    says(browser, ".scq-message", "job 2: it is no longer what was shown Review it again.")
    sent = asked(browser, "approve")
    assert [message["unread"] for message in sent] == [False, True]
    assert {message["reason"] for message in sent} == {"fits the protocol"}
    assert sent[0]["jobs"] == [{"id": job["id"], "revision": job["revision"]} for job in (first, second, third)]
    assert [job["id"] for job in sent[1]["jobs"]] == [third["id"]]
    assert browser.run("shows('.scq-row .scq-badge')") == ["approved", "pending", "approved"]
    assert browser.run("shows('.scq-selection .scq-strong')") == ["1 selected"]


def test_those_never_read_may_be_left_alone(browser: Browser) -> None:
    job = row(1, name="unread", read="unread")
    open_table(browser, job, approve={"done": [], "refused": [], "unread": [job["id"]], "rows": []})
    choose(browser, 0)
    press(browser, "Approve…")
    press(browser, "Approve this job")
    says(browser, ".scq-question", "This job was never read here. Approve it unread?")
    assert browser.run("document.activeElement.textContent") == "Leave it"
    browser.press("Escape")
    says(browser, ".scq-message", "Left as it is, never read here: 1 job.")
    assert len(asked(browser, "approve")) == 1


def test_rejecting_needs_a_reason_and_enter_sends_nothing(browser: Browser) -> None:
    open_table(browser, JOB, reject={"done": [JOB["id"]], "refused": [], "unread": [], "rows": []})
    choose(browser, 0)
    press(browser, "Reject…")
    assert stopped(browser, "Reject this job") == "Give a reason first."
    browser.run("named('Reject this job').click()")
    browser.write("too broad")
    browser.press("Enter", "\r")
    assert asked(browser, "reject") == []
    press(browser, "Reject this job")
    says(browser, ".scq-message", "Rejected 1 job.")
    assert asked(browser, "reject")[0]["reason"] == "too broad"


def test_somebody_who_is_not_the_owner_is_told_why_nothing_can_be_decided(browser: Browser) -> None:
    mine = row(1, owner="other@example.net", submitter=notebook.ME)
    open_table(browser, mine, cancel={"done": [mine["id"]], "refused": [], "unread": [], "rows": []})
    choose(browser, 0)
    assert stopped(browser, "Approve…") == stopped(browser, "Reject…") == "Only the owner of a job decides on it."
    assert "Only the owner of a job decides on it." in browser.run("shows('.scq-selection .scq-reasons').join()")
    assert browser.run("shows('thead th').join()") == ",Job,Status,To,Submitted▼"
    press(browser, "Cancel…")
    press(browser, "Cancel this job")
    says(browser, ".scq-message", "Cancelled 1 job.")


def test_a_job_can_be_approved_with_the_keyboard_alone(browser: Browser) -> None:
    done = {"done": [JOB["id"]], "refused": [], "unread": [], "rows": rows(row(1, status="approved"))["rows"]}
    open_table(browser, JOB, job=card(JOB), look=look(JOB), approve=done)

    def tab_to(label: str) -> None:
        for _ in range(40):
            browser.press("Tab")
            if browser.run(f"document.activeElement.textContent.startsWith('{label}')"):
                return
        raise AssertionError(f"the focus never comes to {label}")

    tab_to("mean-by-region")
    browser.press("Enter", "\r")
    browser.run("until(() => named('Approve…') && named('Approve…').getAttribute('aria-disabled') === 'false')")
    assert browser.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    tab_to("Approve…")
    browser.press("Enter", "\r")
    browser.write("read it")
    tab_to("Approve this job")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter", "\r")
    says(browser, ".scq-message", "Approved 1 job.")
    assert asked(browser, "approve")[0]["reason"] == "read it"
    assert browser.run("document.activeElement.textContent") == "Approve…"
