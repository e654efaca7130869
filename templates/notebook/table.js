// Many jobs: searched, filtered, sorted and paged here; decided together; each opens its card.

const SEARCH_DELAY = 120;
const NOT_OWNER = "Only the owner of a job decides on it.";

function makeTable(line, model) {
  const pageSize = Math.max(1, Math.min(500, Number(model.get("page_size")) || 50));
  const now = {
    rows: [], fields: [], me: "", search: "", status: "", field: "submitted_at", descending: true, page: 0,
    fitting: [], selected: new Set(), opened: null, form: null, loading: false, loaded: false,
  };
  const parts = tableParts(model.get("title"));
  const el = make("div", "scq-jobs", parts.head, parts.tools, parts.selection.el, parts.message.el, parts.formSlot, parts.scroll, parts.pager.el);

  async function load() {
    if (now.loading) return;
    now.loading = true;
    check();
    try {
      const data = await line.ask("rows");
      Object.assign(now, { rows: toRows(data.fields, data.rows), fields: data.fields, me: data.me, loaded: true });
      const known = new Set(now.rows.map((row) => row.id));
      for (const id of now.selected) if (!known.has(id)) now.selected.delete(id);
      if (now.opened && !known.has(now.opened.id)) closeCard();
      if (data.problems_told.length) parts.message.show(...data.problems_told.map(problemLine));
    } catch (error) {
      if (error.kind !== "lost") parts.message.show(trouble(error));
    } finally {
      now.loading = false;
      draw();
    }
  }

  /** Search, filter and sort anew, then draw. `page` is where to be afterwards. */
  function draw(page = now.page) {
    const found = searched(now.rows, now.search);
    drawChips(found);
    now.fitting = sorted(now.status ? found.filter((row) => row.status === now.status) : found, now.field, now.descending);
    now.page = Math.max(0, Math.min(page, Math.ceil(now.fitting.length / pageSize) - 1));
    drawRows();
  }

  function pageRows() {
    return now.fitting.slice(now.page * pageSize, (now.page + 1) * pageSize);
  }

  function drawRows() {
    const focus = keptFocus(el);
    const columns = shownColumns(now.rows, now.me);
    parts.header.replaceChildren(headerRow(columns, now, pageChosen, sortBy));
    parts.body.replaceChildren(...pageRows().flatMap((row) => rowAndCard(row, columns)));
    parts.empty.textContent = now.loaded ? emptyText(now) : line.state === "lost" ? "" : READING;
    parts.empty.hidden = now.fitting.length > 0;
    parts.table.hidden = now.fitting.length === 0;
    parts.total.textContent = now.loaded ? totalText(now) : "";
    parts.pager.draw(now.page, Math.ceil(now.fitting.length / pageSize));
    drawSelection();
    focus();
  }

  function rowAndCard(row, columns) {
    const open = now.opened?.id === row.id;
    const made = tableRow(row, columns, { selected: now.selected.has(row.id), open, me: now.me, choose, toggle });
    return open ? [made, cardRow(now.opened.card.el, columns.length + 1)] : [made];
  }

  function drawChips(found) {
    const focus = keptFocus(parts.chips);
    const counts = counted(found);
    const shown = STATUSES.filter((status) => counts.has(status) || status === now.status);
    const chip = (status, word, number) => filterChip(word, number, now.status === status, () => {
      now.status = status;
      draw(0);
    });
    parts.chips.replaceChildren(chip("", "All", found.length), ...shown.map((status) => chip(status, status, counts.get(status) ?? 0)));
    focus();
  }

  function sortBy(field) {
    now.descending = now.field === field ? !now.descending : field === "submitted_at";
    now.field = field;
    draw(0);
  }

  function choose(id, chosen) {
    if (chosen) now.selected.add(id);
    else now.selected.delete(id);
    drawSelection();
  }

  function pageChosen(chosen) {
    for (const row of pageRows()) {
      if (chosen) now.selected.add(row.id);
      else now.selected.delete(row.id);
    }
    drawRows();
  }

  function drawSelection() {
    const shown = pageRows();
    const here = shown.filter((row) => now.selected.has(row.id)).length;
    const box = parts.header.querySelector(".scq-check");
    if (box) {
      box.checked = here > 0 && here === shown.length;
      box.indeterminate = here > 0 && here < shown.length;
    }
    for (const made of parts.body.querySelectorAll(".scq-row")) made.classList.toggle("scq-selected", now.selected.has(made.scqId));
    const hidden = now.selected.size - now.fitting.filter((row) => now.selected.has(row.id)).length;
    parts.selection.draw(now.selected.size, hidden, now.fitting.length);
    check();
  }

  function check() {
    const lost = line.state === "lost" ? (line.connectedOnce ? LOST : ABSENT) : "";
    stop(parts.refresh, lost || (now.loading ? READING : ""));
    const owner = now.rows.some((row) => row.owner === now.me);
    const why = lost || (owner ? "" : NOT_OWNER);
    parts.selection.stop(why, lost, now.rows.some((row) => row.submitter === now.me));
    now.form?.stopped(now.form.verb === "cancel" ? lost : why);
  }

  function openForm(verb, from) {
    const rows = now.rows.filter((row) => now.selected.has(row.id));
    parts.message.clear();
    now.form = Object.assign(makeDecision({ line, verb, rows, done: decided, close: closeForm }), { verb, from });
    parts.formSlot.replaceChildren(now.form.el);
    check();
    now.form.focus();
  }

  function closeForm() {
    const from = now.form?.from;
    now.form = null;
    parts.formSlot.replaceChildren();
    if (from?.isConnected && from.offsetParent) from.focus();
  }

  function decided(outcome, told, failed = false) {
    if (!failed) closeForm();
    for (const id of outcome.done) now.selected.delete(id);
    rowsChanged(null, { rows: outcome.rows });
    parts.message.show(told);
    parts.message.focus();
    if (outcome.done.includes(now.opened?.id)) now.opened.card.start();
  }

  function rowsChanged(id, { rows = [], patch = null }) {
    const news = new Map(toRows(now.fields, rows).map((row) => [row.id, row]));
    now.rows = now.rows.map((row) => news.get(row.id) ?? (patch && row.id === id ? { ...row, ...patch } : row));
    draw();
  }

  function toggle(id) {
    const same = now.opened?.id === id;
    closeCard();
    if (!same) {
      const card = makeCard({ line, id, rowsChanged: (news) => rowsChanged(id, news) });
      now.opened = { id, card };
      closeOnEscape(card.el, () => toggle(id));
      card.start();
    }
    drawRows();
    if (same) parts.body.querySelector(`[data-open="${CSS.escape(id)}"]`)?.focus();
  }

  function closeCard() {
    now.opened?.card.close();
    now.opened = null;
  }

  const search = debounced(() => {
    now.search = parts.search.value;
    draw(0);
  }, SEARCH_DELAY);
  parts.search.addEventListener("input", search);
  parts.reload = load;
  parts.pager.turn = (page) => draw(page);
  parts.selection.act = openForm;
  parts.selection.all = () => {
    for (const row of now.fitting) now.selected.add(row.id);
    drawRows();
  };
  parts.selection.clear = () => {
    now.selected.clear();
    drawRows();
    parts.search.focus();
  };
  const unlisten = line.listen(check);
  draw();
  return {
    el,
    start: load,
    close: () => {
      search.forget();
      closeCard();
      unlisten();
    },
  };
}
