"use strict";
(() => {
  const form = document.getElementById("find");
  const table = document.getElementById("jobs-table");
  if (!form || !table) {
    return;
  }
  const fields = { q: form.elements.q, status: form.elements.status, from: form.elements.from };
  const count = document.getElementById("found");
  const rows = Array.from(table.tBodies[0].rows, (row) => ({
    row,
    text: row.textContent.normalize("NFKC").toLowerCase(),
    status: row.dataset.status,
    from: row.dataset.from,
  }));

  const filter = () => {
    const words = fields.q.value.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
    const status = fields.status.value;
    const from = fields.from ? fields.from.value : "";
    let found = 0;
    for (const one of rows) {
      const fits =
        (!status || one.status === status) && (!from || one.from === from) && words.every((word) => one.text.includes(word));
      one.row.hidden = !fits;
      found += fits ? 1 : 0;
    }
    const all = rows.length === 1 ? "1 row" : `${rows.length} rows`;
    count.textContent = found < rows.length ? `${found} of ${all}` : rows.length === 1 ? all : `All ${all}`;
    table.classList.toggle("empty", found === 0);
  };

  /* The filter stands in the address, so that a filtered view can be kept or passed on. */
  const remember = () => {
    const words = new URLSearchParams();
    for (const [name, field] of Object.entries(fields)) {
      if (field && field.value) {
        words.set(name, field.value);
      }
    }
    history.replaceState(null, "", words.size ? `#${words}` : location.pathname + location.search);
  };

  const recall = () => {
    if (!location.hash.includes("=")) {
      return false;
    }
    const words = new URLSearchParams(location.hash.slice(1));
    for (const [name, field] of Object.entries(fields)) {
      if (field) {
        field.value = words.get(name) ?? "";
        if (field.selectedIndex === -1) {
          field.selectedIndex = 0;
        }
      }
    }
    return true;
  };

  const change = () => {
    filter();
    remember();
  };

  form.hidden = false;
  form.addEventListener("input", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(change));
  addEventListener("hashchange", () => recall() && filter());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      fields.q.focus();
    } else if (event.key === "Escape" && event.target === fields.q && fields.q.value) {
      fields.q.value = "";
      change();
    }
  });
  const shared = recall();
  filter();
  if (shared) {
    document.getElementById("jobs").scrollIntoView();
  }
})();
