// One job: what it is, what it waits for, and everything that can be done with it.

const LOOK_EVERY = 5000;
const LOOK_AT_FINISHED = 60000;
const FINISHED = new Set(["completed", "failed", "rejected"]);
const CHANGED = "The content changed since you read it. Review it again first.";
const READING = "Reading…";
const ACTIONS = new Map([
  ["review", "Review"],
  ["diff", "Compare"],
  ["approve", "Approve…"],
  ["reject", "Reject…"],
  ["cancel", "Cancel job…"],
  ["logs", "Logs"],
  ["outputs", "Results"],
  ["refresh", "Refresh"],
]);
const PANELS = {
  review: { title: "Code", draw: makeReview },
  diff: { title: "What changed", draw: makeDiff },
  logs: { title: "Logs", draw: makeLogs },
};

/** `rowsChanged({ rows, patch })` hears of new rows, and of facts about this job that became known. */
function makeCard({ line, id, title = "", rowsChanged }) {
  const facts = make("div", "scq-facts");
  const bar = make("div", "scq-bar");
  const reasons = make("div", "scq-reasons");
  const message = makeMessage();
  const formSlot = make("div", "scq-slot");
  const panelSlot = make("div", "scq-slot");
  const el = make("div", "scq-card", facts, bar, reasons, message.el, formSlot, panelSlot);
  const buttons = new Map([...ACTIONS].map(([name, label]) => [name, button(label, (from) => act(name, from))]));
  const now = { job: null, whyNot: {}, me: "", form: null, panel: null, loading: false };
  bar.append(...buttons.values());
  facts.append(make("p", "scq-muted", title || READING));

  function act(name, from) {
    if (name === "refresh") return refresh();
    if (name in VERBS) return openForm(name, from, () => makeDecision({ line, verb: name, rows: [now.job], done: decided, close: closeForm }));
    return now.panel?.name === name ? closePanel() : openPanel(name);
  }

  async function load() {
    if (now.loading) return;
    now.loading = true;
    try {
      const data = await line.ask("job", { job: id });
      Object.assign(now, { job: data.job, whyNot: data.why_not, me: data.me ?? now.me });
      facts.replaceChildren(...jobFacts(now.job, now.me), ...data.problems_told.map(problemLine));
    } catch (error) {
      if (error.kind !== "lost") message.show(trouble(error));
    } finally {
      now.loading = false;
      check();
    }
  }

  async function refresh() {
    message.clear();
    await load();
    if (now.panel) openPanel(now.panel.name);
  }

  function check() {
    const decides = !now.me || now.me === now.job?.owner;
    buttons.get("approve").hidden = !decides;
    buttons.get("reject").hidden = !decides;
    buttons.get("cancel").hidden = !now.me || now.me !== now.job?.submitter;
    stopAll(new Map([...buttons].map(([name, one]) => [one, reasonFor(name)])), reasons);
    now.form?.stopped(reasonFor(now.form.verb));
    now.panel?.check?.({ release: reasonFor("release"), withhold: reasonFor("withhold") });
  }

  function reasonFor(name) {
    if (line.state === "lost") return line.connectedOnce ? LOST : ABSENT;
    if (name === "refresh") return "";
    if (!now.job) return READING;
    return now.whyNot[name] || (name === "approve" && now.job.read === "changed" ? CHANGED : "");
  }

  function openForm(verb, from, draw) {
    if (now.form?.verb === verb) return now.form.focus();
    message.clear();
    now.form = Object.assign(draw(), { verb, from });
    formSlot.replaceChildren(now.form.el);
    check();
    now.form.focus();
  }

  function closeForm() {
    const from = now.form?.from;
    now.form = null;
    formSlot.replaceChildren();
    if (from?.isConnected) from.focus();
  }

  function decided(outcome, told, failed = false) {
    if (!failed) closeForm();
    message.show(told);
    rowsChanged({ rows: outcome.rows });
    load();
  }

  function answered(answer, told) {
    message.show(told);
    if (!answer) return;
    closeForm();
    message.focus();
    rowsChanged({ rows: answer.row ? [answer.row] : [] });
    load();
    if (now.panel?.name === "outputs") openPanel("outputs");
  }

  function closePanel() {
    if (now.panel) buttons.get(now.panel.name).setAttribute("aria-expanded", "false");
    now.panel = null;
    panelSlot.replaceChildren();
  }

  async function openPanel(name) {
    closePanel();
    const panel = { name };
    now.panel = panel;
    buttons.get(name).setAttribute("aria-expanded", "true");
    const body = make("div", "scq-panel", make("p", "scq-muted", READING));
    panelSlot.replaceChildren(body);
    try {
      const data = await line.ask(name, { job: id });
      if (now.panel === panel) show(panel, body, data);
    } catch (error) {
      if (now.panel === panel) body.replaceChildren(trouble(error));
    }
  }

  function show(panel, body, data) {
    body.replaceChildren(...data.problems_told.map(problemLine));
    if (panel.name === "outputs") return showResults(panel, body, data);
    const { title: word, draw } = PANELS[panel.name];
    body.append(panelHead(word), draw(data));
    if (panel.name === "review") nowRead(data);
  }

  function showResults(panel, body, data) {
    const whyNot = { release: reasonFor("release"), withhold: reasonFor("withhold") };
    const make_ = { release: makeRelease, withhold: makeWithhold };
    const open = (verb, from) => openForm(verb, from, () => make_[verb]({ line, id, data, done: answered, close: closeForm }));
    const results = makeResults(data, whyNot, open);
    panel.check = results.check;
    body.append(panelHead("Results"), results.el);
  }

  function panelHead(word) {
    const close = button("Close", () => {
      const from = now.panel && buttons.get(now.panel.name);
      closePanel();
      from?.focus();
    }, "scq-small");
    return make("div", "scq-panelhead", heading(word, 4), close);
  }

  /** The content on the screen is the content that counts as read; whether it may be approved is for Python to say. */
  function nowRead({ digest, revision }) {
    const read = { read: "read", digest, revision };
    Object.assign(now.job, read);
    rowsChanged({ patch: read });
    facts.replaceChildren(...jobFacts(now.job, now.me));
    looker.look();
  }

  function looked(data) {
    if (now.loading || !now.job) return;
    if (data.revision === now.job.revision && data.status === now.job.status) {
      now.whyNot = data.why_not;
      if (data.read !== now.job.read || data.place !== now.job.place) {
        Object.assign(now.job, { read: data.read, place: data.place });
        facts.replaceChildren(...jobFacts(now.job, now.me));
      }
      return check();
    }
    rowsChanged({ patch: { status: data.status, revision: data.revision, digest: data.digest, read: data.read } });
    closePanel(); // it may show code or results of before
    message.show(make("p", "", "This job changed meanwhile. It is shown as it is now."));
    load();
  }

  const looker = makeLooker({ line, el, id, looked, finished: () => FINISHED.has(now.job?.status) });
  const unlisten = line.listen(check);
  const close = () => {
    looker.close();
    unlisten();
  };
  check();
  return { el, start: load, close };
}

/** Looks every five seconds while the card can be seen, seldom at what is over, and never before the last answer came. */
function makeLooker({ line, el, id, looked, finished }) {
  const enough = LOOK_AT_FINISHED / LOOK_EVERY;
  let visible = false;
  let asking = false;
  let passed = 0;
  const watcher = new IntersectionObserver((entries) => {
    visible = entries[entries.length - 1].isIntersecting;
  });
  watcher.observe(el);

  async function look() {
    if (asking || line.state !== "ready") return;
    asking = true;
    try {
      looked(await line.ask("look", { job: id }));
    } catch {
      // The next look, or what the person does next, tells what is the matter.
    } finally {
      asking = false;
    }
  }

  const timer = setInterval(() => {
    passed += 1;
    if (!visible || document.visibilityState !== "visible" || (finished() && passed < enough)) return;
    passed = 0;
    look();
  }, LOOK_EVERY);
  const close = () => {
    clearInterval(timer);
    watcher.disconnect();
  };
  return { look, close };
}

/** Stop the buttons that have a reason, and tell each reason once, with the buttons it is for. */
function stopAll(wanted, box) {
  const told = new Map();
  for (const [one, reason] of wanted) {
    stop(one, reason);
    if (reason && !one.hidden) told.set(reason, [...(told.get(reason) ?? []), one.textContent.replace("…", "")]);
  }
  const visible = [...wanted.keys()].filter((one) => !one.hidden).length;
  const lines = [...told].map(([reason, names]) =>
    names.length === visible && visible > 1 ? make("p", "", reason) : make("p", "", make("strong", "", `${names.join(", ")}: `), reason),
  );
  const same = box.textContent === lines.map((one) => one.textContent).join("");
  if (!same) box.replaceChildren(...lines);
}

function makeMessage() {
  const el = make("div", "scq-message scq-empty");
  el.setAttribute("role", "status");
  el.setAttribute("aria-live", "polite");
  el.tabIndex = -1;
  const show = (...children) => {
    el.classList.remove("scq-empty");
    el.replaceChildren(...children);
  };
  const clear = () => {
    el.classList.add("scq-empty");
    el.replaceChildren();
  };
  return { el, show, clear, focus: () => el.focus({ preventScroll: true }) };
}

/** Everything there is to know about a job before its code is opened. */
function jobFacts(job, me) {
  const head = heading("", 3, "scq-name");
  head.append(bdi(job.name));
  const parts = [make("div", "scq-cardhead", head, badge(job.status), readNote(job, me))];
  parts.push(make("p", "scq-waits", waitsFor(job, me)));
  parts.push(definitions(job));
  if (job.description) parts.push(make("p", "scq-description", job.description));
  if (job.tags?.length) parts.push(tagList(job.tags));
  if (job.invalid?.length) parts.push(make("p", "scq-trouble", make("strong", "", "It cannot be approved or run:")), list("scq-list", job.invalid));
  for (const one of job.problems ?? []) parts.push(problemLine(one));
  return parts;
}

/** What was read is known only where the job is decided on. */
function readNote(job, me = job.owner) {
  const words = { unread: "not read yet", changed: "changed since it was read", read: "read" };
  if ((me && me !== job.owner) || !Object.hasOwn(words, job.read) || (job.read !== "changed" && job.status !== "pending")) return null;
  return make("span", `scq-read scq-read-${job.read}`, words[job.read]);
}

function waitsFor(job, me) {
  if (job.status === "pending") return me && me !== job.owner ? make("span", "", "Waits for a decision of ", bdi(job.owner), ".") : "Waits for your decision.";
  if (job.status === "approved") return "Approved. It waits to be run.";
  if (job.status === "running") return job.place ? make("span", "", "It ", bdi(job.place), ".") : "It is running.";
  if (job.status === "rejected") return "Rejected.";
  return job.results?.outputs === "withheld" ? "It has run. Its results wait to be released." : "It has run.";
}

function definitions(job) {
  const made = make("dl", "scq-dl");
  const add = (word, ...value) => made.append(make("div", "", make("dt", "", word), make("dd", "", ...value)));
  add("From", bdi(job.submitter || "not known"));
  add("To", bdi(job.owner));
  add("Submitted", when(job.submitted_at));
  add("Content", make("code", "scq-digest", digest12(job.digest) || "not known"));
  add("Id", make("code", "scq-digest", job.id));
  if (job.where === "drive") add("Where", "on Google Drive only");
  if (job.approval) add(job.approval.verdict === "reject" ? "Rejected" : "Approved", ...verdictWords(job.approval));
  if (job.run) add("Run", ...runWords(job.run));
  if (job.reason && job.reason !== job.approval?.reason) add("Reason", job.reason);
  return made;
}

function verdictWords(approval) {
  const words = [when(approval.at)];
  if (approval.by) words.push(" by ", bdi(approval.by));
  if (approval.reason) words.push(": ", bdi(approval.reason));
  return words;
}

function runWords(run) {
  const words = [when(run.started_at)];
  if (typeof run.duration_s === "number") words.push(`, took ${run.duration_s < 10 ? run.duration_s.toFixed(1) : count(Math.round(run.duration_s))} s`);
  if (run.node) words.push(" on ", bdi(run.node));
  if (run.exit_code !== null && run.exit_code !== undefined) words.push(`, exit code ${run.exit_code}`);
  if (run.cause && run.cause !== "exit") words.push(`, ended by: ${run.cause}`);
  return words;
}

function tagList(tags) {
  const made = list("scq-tags", tags.map((tag) => make("li", "scq-tag", bdi(tag))));
  made.setAttribute("aria-label", "Tags");
  return made;
}
