// Logs and results, and letting results leave or keeping them.

/** What a job wrote to its logs. */
function makeLogs(data) {
  const box = make("div", "scq-panel-body");
  if (!data.logs.length) box.append(make("p", "scq-muted", "There are no logs."));
  for (const log of data.logs) {
    const head = make("div", "scq-filehead", bdi(log.name, "scq-path"));
    if (log.left_out) head.append(make("span", "scq-muted", `${bytes(log.left_out)} in the middle are left out`));
    const text = make("pre", "scq-log", log.text || "(empty)");
    text.tabIndex = 0;
    text.setAttribute("role", "region");
    text.setAttribute("aria-label", `Log ${log.name}`);
    box.append(make("div", "scq-fileview", head, text));
  }
  return box;
}

/** The result files with what was found in each; `open(verb)` opens the form to release or to withhold. */
function makeResults(data, whyNot, open) {
  const box = make("div", "scq-panel-body");
  box.append(make("p", "", resultWords(data)));
  if (data.answer) box.append(answerLine(data.answer));
  if (data.waits) box.append(make("p", "", "They did not leave by themselves: ", data.waits));
  if (data.folder) box.append(make("p", "scq-muted", "Folder: ", bdi(data.folder, "scq-path")));
  const release = button("Release…", () => open("release", release), "scq-primary");
  const withhold = button("Withhold…", () => open("withhold", withhold));
  const reasons = make("div", "scq-reasons");
  box.append(make("div", "scq-bar", release, withhold), reasons);
  if (data.files.length) box.append(make("div", "scq-outputs", ...data.files.map(resultFile)));
  const check = (now) => stopAll(new Map([[release, now.release], [withhold, now.withhold]]), reasons);
  check(whyNot);
  return { el: box, check };
}

function resultWords(data) {
  const files = data.files.length === 1 ? "1 result file" : `${count(data.files.length)} result files`;
  const words = { none: "there are none", withheld: "withheld", released: "released" };
  const { outputs = "none", logs = "none" } = data.results ?? {};
  return `${files}. Results: ${words[outputs] ?? outputs}. Logs: ${words[logs] ?? logs}.`;
}

function answerLine(answer) {
  const made = make("p", "", answer.verdict === "released" ? "Released " : "Withheld ", when(answer.at));
  if (answer.automatic) made.append(" by itself");
  else if (answer.by) made.append(" by ", bdi(answer.by));
  if (answer.reason) made.append(": ", bdi(answer.reason));
  return made;
}

function resultFile(file) {
  const head = make("div", "scq-filehead", bdi(file.path, "scq-path"), make("span", "scq-muted", outputFacts(file)));
  const box = make("div", "scq-output", head);
  if (file.summary) box.append(make("p", "scq-muted", file.summary));
  if (file.findings?.length) box.append(list("scq-list scq-warn", file.findings.map(outputFinding)));
  if (file.preview) box.append(make("details", "scq-details", make("summary", "", "Look inside"), make("pre", "scq-log", file.preview)));
  return box;
}

function outputFacts(file) {
  return [bytes(file.size), file.kind, file.released ? "released" : "not released"].filter(Boolean).join(" · ");
}

function outputFinding(one) {
  return `${one.line ? `Line ${count(one.line)}: ` : ""}${one.what} (${one.rule})`;
}

/** Which files leave, with a reason; only the ticked ones, by their exact names. */
function makeRelease({ line, id, data, done, close }) {
  const boxes = data.files.map((file) => [file, checkbox("")]);
  const reason = textInput();
  const logs = checkbox("");
  const all = button("Tick all", () => tickAll(true), "scq-small");
  const none = button("Tick none", () => tickAll(false), "scq-small");
  const nothing = data.files.length === 0;
  const outputs = checkbox("", nothing);
  const children = boxes.map(([file, box]) => tickLine(box, file));
  const first = nothing ? [tickRow(outputs, "That it ended without result files")] : [make("div", "scq-bar", all, none), make("div", "scq-ticks", ...children)];
  if (data.has_logs) first.push(tickRow(logs, "The logs too"));
  const form = makeForm({
    title: "Release results",
    word: "Release",
    children: [make("p", "", "What is ticked is copied to where the submitter can read it. It cannot be taken back."), ...first, labelled("Reason (kept in the audit log)", reason)],
    reason,
    needed: true,
    act: send,
    close,
  });
  form.el.addEventListener("change", check);

  function tickAll(ticked) {
    for (const [, box] of boxes) box.checked = ticked;
    check();
  }

  function chosen() {
    return boxes.filter(([, box]) => box.checked).map(([file]) => file.path);
  }

  function check() {
    const any = nothing ? outputs.checked : chosen().length > 0;
    form.stopped(any || logs.checked ? "" : "Tick what is to leave.", "choice");
  }

  async function send(text) {
    const only = chosen();
    const any = nothing ? outputs.checked : only.length > 0;
    const facts = { job: id, revision: data.revision, only: only.length ? only : null, outputs: any, logs: logs.checked, reason: text };
    form.stopped("Working…", "work");
    await ended(line.ask("release", facts), "Released.", done, form);
  }

  check();
  return form;
}

function tickLine(box, file) {
  const found = file.findings ?? [];
  const made = tickRow(box, "", bdi(file.path, "scq-path"), " ", make("span", "scq-muted", outputFacts(file)));
  if (found.length) made.append(list("scq-list scq-warn", found.map(outputFinding)));
  return made;
}

function tickRow(box, text, ...children) {
  box.id = newId();
  const label = make("label", "", text, ...children);
  label.htmlFor = box.id;
  return make("div", "scq-tick", box, label);
}

function makeWithhold({ line, id, data, done, close }) {
  const reason = textInput();
  const form = makeForm({
    title: "Withhold the results",
    word: "Withhold",
    danger: true,
    children: [make("p", "", "The submitter is told that the results stay here, and why."), labelled("Reason (the submitter reads it)", reason)],
    reason,
    needed: true,
    act: async (text) => {
      form.stopped("Working…", "work");
      await ended(line.ask("withhold", { job: id, revision: data.revision, reason: text }), "Withheld.", done, form);
    },
    close,
  });
  return form;
}

/** Wait for an answer and tell what it was. */
async function ended(asked, text, done, form) {
  try {
    const answer = await asked;
    done(answer, make("div", "", make("p", "scq-good", text), ...answer.problems_told.map(problemLine)));
  } catch (error) {
    form.stopped("", "work");
    done(null, trouble(error));
  }
}
