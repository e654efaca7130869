// Code and differences, read in the notebook: files at the side, lines with numbers, long files in slices.

const SLICE = 400;
const FILES_WITH_SEARCH = 15;
const MARKS = { "+": "added", "-": "removed", "@": "place", " ": "same" };

/** Files beside the one that is open. `show(file, line)` returns the element of one file. Returns the element and `open(path, line)`. */
function makeFiles(files, describe, show) {
  const pane = make("div", "scq-pane");
  const box = make("div", "scq-files");
  const buttons = new Map();
  let current = null;

  function open(path, line = 0) {
    const file = files.find((one) => one.path === path);
    if (!file) return;
    if (current !== null) buttons.get(current)?.removeAttribute("aria-current");
    current = path;
    buttons.get(path)?.setAttribute("aria-current", "true");
    pane.replaceChildren(show(file, line));
  }

  for (const file of files) {
    const entry = button("", () => open(file.path), "scq-file");
    entry.append(bdi(file.path, "scq-path"), make("span", "scq-muted", describe(file)));
    buttons.set(file.path, entry);
  }
  if (files.length > 1) box.append(fileList(buttons));
  box.append(pane);
  if (files.length) open(files[0].path);
  else pane.append(make("p", "scq-muted", "There are no files."));
  return { el: box, open };
}

function fileList(buttons) {
  const entries = [...buttons].map(([path, entry]) => ({ path: folded(path), item: make("li", "", entry) }));
  const items = list("scq-filelist", entries.map(({ item }) => item));
  const side = make("nav", "scq-side");
  side.setAttribute("aria-label", "Files");
  if (entries.length > FILES_WITH_SEARCH) {
    const search = textInput("scq-filesearch");
    search.type = "search";
    search.placeholder = `Search ${count(entries.length)} files`;
    search.setAttribute("aria-label", "Search the files");
    search.addEventListener("input", () => {
      for (const { path, item } of entries) item.hidden = !path.includes(folded(search.value));
    });
    side.append(search);
  }
  side.append(items);
  return side;
}

/** Rows in slices: some are in the page, and buttons bring the ones before and after. */
function makeSlices(rows, draw, label, wanted = 0) {
  const box = make("div", "scq-code");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", label);
  const lines = make("div", "scq-lines");
  let start = wanted > SLICE ? Math.max(0, wanted - 40) : 0;
  let end = Math.min(rows.length, start + SLICE);
  const earlier = button("", () => grow(Math.max(0, start - SLICE), end), "scq-more");
  const later = button("", () => grow(start, Math.min(rows.length, end + SLICE)), "scq-more");

  function grow(from, to) {
    lines.prepend(...drawn(from, start));
    lines.append(...drawn(end, to));
    [start, end] = [from, to];
    tellRest();
  }

  function drawn(from, to) {
    return rows.slice(from, to).map((row, at) => draw(row, from + at));
  }

  function tellRest() {
    earlier.hidden = start === 0;
    earlier.textContent = `Show ${count(Math.min(SLICE, start))} lines before (${count(start)} are not shown)`;
    later.hidden = end === rows.length;
    later.textContent = `Show ${count(Math.min(SLICE, rows.length - end))} more lines (${count(rows.length - end)} are not shown)`;
  }

  lines.append(...drawn(start, end));
  tellRest();
  box.append(earlier, lines, later);
  return box;
}

/** One file as colours gave it: per line the pieces with their class. */
function showCode(file, findings, line) {
  const facts = `${bytes(file.size)}${file.executable ? ", executable" : ""}, sha256 ${digest12(file.sha256)}`;
  const head = make("div", "scq-filehead", bdi(file.path, "scq-path"), make("span", "scq-muted", facts));
  const box = make("div", "scq-fileview", head);
  if (!file.lines) {
    box.append(make("p", "scq-muted", "This file is not text, or too large to show here. Its content is part of the digest all the same."));
    return box;
  }
  const pointed = Map.groupBy ? Map.groupBy(findings, (one) => one.line) : grouped(findings);
  const code = makeSlices(file.lines, (pieces, at) => codeLine(pieces, at + 1, pointed.get(at + 1) ?? []), `Content of ${file.path}`, line);
  box.append(code);
  if (!file.whole) box.append(make("p", "scq-muted", "Only the beginning of this file is shown here."));
  if (line) requestAnimationFrame(() => showLine(code, line));
  return box;
}

function grouped(findings) {
  const groups = new Map();
  for (const one of findings) groups.set(one.line, [...(groups.get(one.line) ?? []), one]);
  return groups;
}

function codeLine(pieces, number, findings) {
  const made = make("div", "scq-line");
  made.setAttribute("data-number", String(number));
  const code = make("code", "scq-text", ...pieces.map(([word, text]) => piece(word, text)));
  made.append(code);
  for (const one of findings) {
    made.classList.add("scq-pointed");
    made.append(make("span", "scq-linenote", `${one.denied ? "Denied" : "Look"}: ${one.what} (${one.rule})`));
  }
  return made;
}

/** A piece of code; its class comes from outside and is used only where it looks like one of pygments' short names. */
function piece(word, text) {
  return /^[a-z][a-z0-9]{0,3}$/.test(word) ? make("span", `scq-t-${word}`, text) : document.createTextNode(text);
}

function showLine(code, number) {
  const found = code.querySelector(`[data-number="${Number(number)}"]`);
  if (!found) return;
  code.scrollTop = found.offsetTop - code.clientHeight / 3;
  found.classList.add("scq-jumped");
  code.focus({ preventScroll: true });
}

/** What the reader is told beside the code, then the code. */
function makeReview(review) {
  const box = make("div", "scq-panel-body");
  const files = makeFiles(
    review.files,
    (file) => fileNote(file, review.findings),
    (file, line) => showCode(file, review.findings.filter((one) => one.path === file.path), line),
  );
  if (review.invalid.length) box.append(make("p", "scq-trouble", make("strong", "", "It cannot be approved or run:")), list("scq-list", review.invalid));
  box.append(findingList(review.findings, files.open));
  if (review.limits.length) box.append(make("details", "scq-details", make("summary", "", "Limits"), list("scq-list", review.limits)));
  box.append(files.el);
  return box;
}

function fileNote(file, findings) {
  const found = findings.filter((one) => one.path === file.path).length;
  return found ? `${bytes(file.size)} · ${found} to look at` : bytes(file.size);
}

function findingList(findings, open) {
  if (!findings.length) return make("p", "scq-muted", "Nothing in the code was pointed out. That does not make it safe: read it.");
  const entries = findings.map((one) => {
    const place = one.line ? `${one.path}:${one.line}` : one.path;
    const entry = button("", () => open(one.path, one.line), "scq-finding");
    entry.append(bdi(place, "scq-path"), ` ${one.what} `, make("span", "scq-muted", one.rule));
    if (one.denied) entry.append(make("span", "scq-badge scq-is-failed", "denied"));
    return entry;
  });
  const title = `${count(findings.length)} ${findings.length === 1 ? "place" : "places"} to look at`;
  return make("div", "scq-findings", heading(title, 4), list("scq-findinglist", entries));
}

/** What changed since the content that was approved last. */
function makeDiff(diff) {
  const box = make("div", "scq-panel-body");
  if (!diff.against) box.append(make("p", "scq-muted", "Nothing like it was approved before; everything in it is new."));
  else if (diff.same) box.append(make("p", "scq-muted", "It is the same as what was approved last."));
  else box.append(make("p", "scq-muted", "Compared with the job that was approved last: ", make("code", "scq-digest", diff.against)));
  if (diff.files.length) box.append(makeFiles(diff.files, (file) => file.change, showDiff).el);
  return box;
}

function showDiff(file) {
  const head = make("div", "scq-filehead", bdi(file.path, "scq-path"), make("span", "scq-muted", file.change));
  const box = make("div", "scq-fileview", head);
  if (!file.lines.length) box.append(make("p", "scq-muted", "There are no lines to compare."));
  else box.append(makeSlices(file.lines, diffLine, `What changed in ${file.path}`));
  return box;
}

function diffLine([mark, text]) {
  const kind = MARKS[mark] ?? "same";
  const made = make("div", `scq-line scq-diff scq-${kind}`);
  made.setAttribute("data-mark", mark);
  made.append(make("code", "scq-text", text));
  if (kind === "added" || kind === "removed") made.prepend(make("span", "scq-unseen", kind));
  return made;
}
