// What a table of jobs is made of: header, rows, chips, what is selected, pages.

const COLUMNS = [
  { field: "name", word: "Job" },
  { field: "status", word: "Status" },
  { field: "submitter", word: "From" },
  { field: "owner", word: "To" },
  { field: "submitted_at", word: "Submitted" },
];

/** The elements of a table that stay; only the rows, the chips and the texts change. */
function tableParts(title) {
  const parts = {};
  const refresh = button("Refresh", () => parts.reload(), "scq-small");
  const total = make("span", "scq-muted");
  total.setAttribute("role", "status");
  total.setAttribute("aria-live", "polite");
  const head = make("div", "scq-head", heading(title || "Jobs", 2), total, refresh);
  const search = textInput("scq-search");
  search.type = "search";
  search.placeholder = "Search name, people, tags, id, description";
  search.setAttribute("aria-label", "Search the jobs");
  const chips = make("div", "scq-chips");
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Show only one status");
  const header = make("thead");
  const body = make("tbody");
  const table = make("table", "scq-table", header, body);
  table.setAttribute("aria-label", title || "Jobs");
  const empty = make("p", "scq-nothing");
  return Object.assign(parts, {
    head, total, refresh, search, chips, header, body, table, empty,
    tools: make("div", "scq-tools", search, chips),
    scroll: make("div", "scq-tablebox", table, empty),
    message: makeMessage(),
    formSlot: make("div", "scq-slot"),
    selection: makeSelection(),
    pager: makePager(),
  });
}

function filterChip(word, number, pressed, act) {
  const made = button("", act, "scq-chip");
  made.append(word, " ", make("span", "scq-count", count(number)));
  made.setAttribute("aria-pressed", String(pressed));
  made.setAttribute("data-focus", `chip-${word}`);
  return made;
}

/** A column in which every job has the one who looks is left out: it would say the same in each row. */
function shownColumns(rows, me) {
  return COLUMNS.filter(({ field }) => (field !== "owner" && field !== "submitter") || rows.some((row) => row[field] !== me));
}

function headerRow(columns, now, pageChosen, sortBy) {
  const all = checkbox("Select every job of this page");
  all.setAttribute("data-focus", "page");
  all.addEventListener("change", () => pageChosen(all.checked));
  const made = make("tr", "", make("th", "scq-pick", all));
  for (const { field, word } of columns) {
    const active = now.field === field;
    const sort = button(word, () => sortBy(field), "scq-sort");
    const arrow = make("span", "scq-arrow", active ? (now.descending ? "▼" : "▲") : "");
    arrow.setAttribute("aria-hidden", "true");
    sort.append(arrow);
    sort.setAttribute("data-focus", `sort-${field}`);
    const cell = make("th", `scq-col-${field}`, sort);
    cell.scope = "col";
    cell.setAttribute("aria-sort", active ? (now.descending ? "descending" : "ascending") : "none");
    made.append(cell);
  }
  return made;
}

function tableRow(row, columns, { selected, open, me, choose, toggle }) {
  const box = checkbox(`Select ${row.name}`, selected);
  box.setAttribute("data-focus", `pick-${row.id}`);
  box.addEventListener("change", () => choose(row.id, box.checked));
  const made = make("tr", "scq-row", make("td", "scq-pick", box));
  made.scqId = row.id;
  made.classList.toggle("scq-opened", open);
  for (const { field, word } of columns) {
    const cell = make("td", `scq-col-${field}`, ...cellParts(field, row, { open, me, toggle }));
    cell.setAttribute("data-word", word);
    made.append(cell);
  }
  return made;
}

function cellParts(field, row, { open, me, toggle }) {
  if (field === "status") return [badge(row.status), readNote(row, me), resultNote(row)];
  if (field === "submitted_at") return [when(row.submitted_at)];
  if (field !== "name") return [bdi(row[field], "scq-person")];
  const opener = button("", () => toggle(row.id), "scq-open");
  opener.append(bdi(row.name));
  opener.setAttribute("aria-expanded", String(open));
  opener.setAttribute("data-open", row.id);
  opener.setAttribute("data-focus", `open-${row.id}`);
  const under = make("span", "scq-under", make("code", "", row.short_id));
  if (row.tags.length) under.append(" ", ...row.tags.slice(0, 4).map((tag) => make("span", "scq-tag", bdi(tag))));
  return [opener, under];
}

function resultNote(row) {
  const words = { withheld: "results withheld", released: "results released" };
  return words[row.outputs] ? make("span", "scq-muted scq-resultnote", words[row.outputs]) : null;
}

function cardRow(card, columns) {
  const cell = make("td", "scq-cardcell", card);
  cell.colSpan = columns;
  return make("tr", "scq-cardrow", cell);
}

function emptyText(now) {
  return now.rows.length ? "No job fits. Change the search or the status." : "There are no jobs here.";
}

function totalText(now) {
  const { rows, fitting } = now;
  return fitting.length === rows.length ? jobs(rows.length) : `${count(fitting.length)} of ${jobs(rows.length)}`;
}

/** What is selected, and what can be done with all of it. `act`, `all` and `clear` are set by the table. */
function makeSelection() {
  const text = make("span", "scq-strong");
  text.setAttribute("role", "status");
  const why = make("div", "scq-reasons");
  const made = { act: null, all: null, clear: null };
  const verbs = new Map(["approve", "reject", "cancel"].map((verb) => [verb, button(`${VERBS[verb].word}…`, (from) => made.act(verb, from), verb === "approve" ? "scq-primary" : "")]));
  const all = button("", () => made.all(), "scq-small");
  const clear = button("Clear", () => made.clear(), "scq-small");
  made.el = make("div", "scq-selection", make("div", "scq-bar", text, all, clear, make("span", "scq-gap"), ...verbs.values()), why);
  made.draw = (number, hidden, fitting) => {
    made.el.classList.toggle("scq-empty", number === 0);
    text.textContent = number ? `${count(number)} selected${hidden ? ` (${count(hidden)} not in this list)` : ""}` : "";
    all.textContent = `Select all ${count(fitting)} that fit`;
    all.hidden = number - hidden >= fitting;
  };
  made.stop = (decide, cancel, submits) => {
    verbs.get("cancel").hidden = !submits;
    stopAll(new Map([[verbs.get("approve"), decide], [verbs.get("reject"), decide], [verbs.get("cancel"), cancel]]), why);
  };
  return made;
}

function makePager() {
  const made = { turn: null };
  let page = 0;
  let pages = 1;
  const before = button("Previous", () => made.turn(page - 1), "scq-small");
  const after = button("Next", () => made.turn(page + 1), "scq-small");
  const input = textInput("scq-pageno");
  const rest = make("span", "scq-muted");
  input.inputMode = "numeric";
  input.setAttribute("aria-label", "Page");
  input.addEventListener("change", () => made.turn((Number.parseInt(input.value, 10) || 1) - 1));
  made.el = make("div", "scq-pager", before, make("span", "scq-muted", "Page"), input, rest, after);
  made.el.setAttribute("role", "group");
  made.el.setAttribute("aria-label", "Pages");
  made.draw = (at, all) => {
    [page, pages] = [at, all];
    made.el.hidden = pages < 2;
    input.value = String(page + 1);
    rest.textContent = `of ${count(pages)}`;
    stop(before, page === 0 ? "This is the first page." : "");
    stop(after, page >= pages - 1 ? "This is the last page." : "");
  };
  return made;
}

/** Remembers where the focus is while rows are drawn anew; call what it returns to put it back. */
function keptFocus(box) {
  const had = document.activeElement;
  if (!had || !box.contains(had)) return () => {};
  const key = had.getAttribute("data-focus");
  return () => {
    if (document.activeElement === had) return;
    const again = had.isConnected ? had : key && box.querySelector(`[data-focus="${CSS.escape(key)}"]`);
    if (again) again.focus({ preventScroll: true });
  };
}
