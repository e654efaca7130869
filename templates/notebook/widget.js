// What the notebook calls: one view of one job, or of many.

const ROOT_ROLES = { job: "A job of the code queue", jobs: "Jobs of the code queue" };

function render({ model, el }) {
  const kind = model.get("kind") === "job" ? "job" : "jobs";
  const root = make("div", "scq-root");
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", ROOT_ROLES[kind]);
  keepKeys(root);
  el.append(root);
  const line = openLine(model, el);
  const shown = kind === "job" ? makeSingle(line, model) : makeTable(line, model);
  root.append(makeNotice(line), shown.el);
  shown.start();
  return () => {
    shown.close();
    line.close();
    root.remove();
  };
}

/** The notebook has its own keys (Enter edits a cell, d d deletes it); inside the widget keys belong to the widget. */
function keepKeys(root) {
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("keydown", (event) => event.stopPropagation());
}

/** One card that stands alone. */
function makeSingle(line, model) {
  const card = makeCard({ line, id: model.get("word"), title: model.get("title"), rowsChanged: () => {} });
  return { el: card.el, start: card.start, close: card.close };
}

export default { render };
