// The jobs of a table, searched, filtered and sorted here, so that a keystroke asks Python nothing.

const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const TEXTS = ["name", "submitter", "owner", "id", "description"];

/** Objects out of the arrays Python sends, each with the text that is searched. */
function toRows(fields, arrays) {
  return arrays.map((array) => toRow(fields, array));
}

function toRow(fields, array) {
  const row = Object.fromEntries(fields.map((field, at) => [field, array[at]]));
  row.tags = row.tags ?? [];
  row.searched = folded([...TEXTS.map((field) => row[field] ?? ""), ...row.tags].join("\n"));
  return row;
}

function folded(text) {
  return String(text).normalize("NFC").toLowerCase();
}

/** Those that hold every word of the search, whatever their status. */
function searched(rows, search) {
  const words = folded(search).split(/\s+/).filter(Boolean);
  return words.length ? rows.filter((row) => words.every((word) => row.searched.includes(word))) : rows;
}

function counted(rows) {
  const counts = new Map();
  for (const row of rows) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
  return counts;
}

/** Sorted by one field; what has no value stands last in both directions. */
function sorted(rows, field, descending) {
  const sign = descending ? -1 : 1;
  const compare = field === "status" ? byStatus : field === "submitted_at" ? byTime : byText(field);
  return [...rows].sort((a, b) => {
    if (!a[field] || !b[field]) return Number(!a[field]) - Number(!b[field]);
    return sign * compare(a, b);
  });
}

function byText(field) {
  return (a, b) => COLLATOR.compare(a[field], b[field]);
}

function byStatus(a, b) {
  return STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status);
}

function byTime(a, b) {
  return Date.parse(a.submitted_at) - Date.parse(b.submitted_at);
}
