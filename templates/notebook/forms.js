// Deciding: one form for one job or many. Nothing is sent before its button is pressed; Enter in a field does nothing.

const NAMED = 8;
const VERBS = {
  approve: { word: "Approve", past: "Approved", reason: "Reason (optional, the submitter reads it)", needed: false },
  reject: { word: "Reject", past: "Rejected", reason: "Reason (the submitter reads it)", needed: true },
  cancel: { word: "Cancel", past: "Cancelled", reason: "Reason (optional)", needed: false },
};
const NEEDS_REASON = "Give a reason first.";

/**
 * A box with a heading, fields, and the buttons that end it. `stopped(reason, by)` keeps it from acting while somebody has a
 * reason: "work" while it is being done, "card" for what the job allows, "choice" for what is ticked.
 */
function makeForm({ title, word, danger = false, children, reason, needed, act, close }) {
  const head = heading(title, 4);
  const box = make("div", "scq-form");
  const why = make("p", "scq-why");
  const send = button(word, () => act(reason.value.trim()), danger ? "scq-danger" : "scq-primary");
  const leave = button("Close", close);
  const reasons = { work: "", card: "", choice: "" };
  const check = () => {
    const text = reasons.work || reasons.card || reasons.choice || (needed && !reason.value.trim() ? NEEDS_REASON : "");
    stop(send, text);
    why.textContent = text;
  };
  box.setAttribute("role", "group");
  box.setAttribute("aria-labelledby", head.id);
  reason.addEventListener("input", check);
  closeOnEscape(box, close);
  box.append(head, ...children, make("div", "scq-bar", send, leave), why);
  check();
  const stopped = (text, by = "card") => {
    reasons[by] = text;
    check();
  };
  return { el: box, stopped, focus: () => reason.focus() };
}

/**
 * Approve, reject or cancel `rows`. `done(outcome, summary)` is called once it is over, `close()` when it is left.
 * The revision of every job is the one shown when the form was opened, so what changed meanwhile is refused by Python.
 */
function makeDecision({ line, verb, rows, done, close }) {
  const { word, reason: label, needed } = VERBS[verb];
  const wanted = rows.map(({ id, revision }) => ({ id, revision }));
  const named = new Map(rows.map((row) => [row.id, row]));
  const reason = textInput();
  const box = make("div", "scq-decision");
  const title = rows.length === 1 ? `${word} this job` : `${word} ${jobs(rows.length)}`;
  const form = makeForm({
    title,
    word: title,
    danger: verb !== "approve",
    children: [whatIsDecided(verb, rows), labelled(label, reason)],
    reason,
    needed,
    act: (text) => send(text, wanted, false, emptyOutcome()),
    close,
  });
  box.append(form.el);

  async function send(text, chosen, unread, before) {
    form.stopped("Working…", "work");
    let outcome;
    try {
      outcome = joined(before, await line.ask(verb, verb === "approve" ? { jobs: chosen, reason: text, unread } : { jobs: chosen, reason: text }));
    } catch (error) {
      form.stopped("", "work");
      return fail(before, error);
    }
    if (outcome.unread.length && !unread) return question(text, outcome);
    return done(outcome, summary(verb, outcome, named));
  }

  /** What was done before the call that failed is told all the same. */
  function fail(before, error) {
    box.replaceChildren(form.el);
    const told = before.done.length || before.refused.length ? [summary(verb, before, named), trouble(error)] : [trouble(error)];
    return done(before, make("div", "", ...told), true);
  }

  function question(text, outcome) {
    const number = outcome.unread.length;
    const asked = make("p", "", unreadText(number, rows.length));
    const chosen = wanted.filter((one) => outcome.unread.includes(one.id));
    const yes = button(number === 1 ? "Approve it unread" : `Approve ${count(number)} unread`, () => {
      stop(yes, "Working…");
      send(text, chosen, true, { ...outcome, unread: [] });
    }, "scq-danger");
    const no = button(number === 1 ? "Leave it" : "Leave them", () => done(outcome, summary(verb, outcome, named)));
    const group = make("div", "scq-form scq-question", asked, nameList(chosen.map((one) => named.get(one.id))), make("div", "scq-bar", yes, no));
    group.setAttribute("role", "group");
    asked.id = newId();
    group.setAttribute("aria-labelledby", asked.id);
    closeOnEscape(group, () => done(outcome, summary(verb, outcome, named)));
    box.replaceChildren(group);
    no.focus();
  }

  return { el: box, stopped: form.stopped, focus: form.focus };
}

function unreadText(number, all) {
  if (all === 1) return "This job was never read here. Approve it unread?";
  return `${count(number)} of ${count(all)} ${number === 1 ? "was" : "were"} never read here. Approve them unread?`;
}

function whatIsDecided(verb, rows) {
  if (rows.length > 1) return nameList(rows);
  const [row] = rows;
  const named = make("p", "scq-named", bdi(row.name, "scq-strong"), " from ", bdi(row.submitter));
  if (verb !== "approve") return named;
  const digest = digest12(row.digest);
  const told = digest
    ? make("p", "", "Exactly the content ", make("code", "scq-digest", digest), " is approved. Anything else needs to be approved anew.")
    : make("p", "", "The digest of its content is not known yet.");
  return make("div", "", named, told);
}

function nameList(rows) {
  const items = rows.slice(0, NAMED).map((row) => make("li", "", bdi(row.name), " ", row.status === "pending" ? readNote(row) : badge(row.status)));
  if (rows.length > NAMED) items.push(make("li", "scq-muted", `and ${count(rows.length - NAMED)} more`));
  return list("scq-names", items);
}

function emptyOutcome() {
  return { done: [], refused: [], unread: [], rows: [], problems_told: [] };
}

function joined(before, after) {
  const both = (field) => [...before[field], ...(after[field] ?? [])];
  return { done: both("done"), refused: both("refused"), unread: after.unread ?? [], rows: both("rows"), problems_told: both("problems_told") };
}

/** What happened, in words: done, refused with each reason, left unread. */
function summary(verb, outcome, named) {
  const box = make("div", "scq-summary");
  const { past } = VERBS[verb];
  if (outcome.done.length) box.append(make("p", "scq-good", `${past} ${jobs(outcome.done.length)}.`));
  if (outcome.refused.length) {
    box.append(make("p", "scq-trouble", make("strong", "", `Refused: ${jobs(outcome.refused.length)}.`)));
    box.append(list("scq-list", outcome.refused.map((one) => refusal(one, named))));
  }
  if (outcome.unread.length) box.append(make("p", "", `Left as ${outcome.unread.length === 1 ? "it is" : "they are"}, never read here: ${jobs(outcome.unread.length)}.`));
  if (!box.childElementCount) box.append(make("p", "", "Nothing was done."));
  for (const one of outcome.problems_told) box.append(problemLine(one));
  return box;
}

function refusal(one, named) {
  const made = make("li", "", bdi(named.get(one.id)?.name ?? one.id, "scq-strong"), `: ${one.what}`);
  if (one.advice) made.append(" ", make("span", "scq-muted", one.advice));
  return made;
}

function problemLine(one) {
  const made = make("p", "scq-problem", bdi(one.where), one.where ? ": " : "", one.what);
  if (one.advice) made.append(" ", make("span", "scq-muted", one.advice));
  return made;
}
