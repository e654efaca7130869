// Small parts of the page. Every text goes in as text, never as markup; attribute names are fixed.

const NUMBERS = new Intl.NumberFormat("en-GB");
const STATUSES = ["pending", "approved", "running", "completed", "failed", "rejected"];
/** Each widget of a page runs a copy of this file of its own; a label must never belong to a box of another widget. */
const ID_PREFIX = `scq-id-${Math.random().toString(36).slice(2)}`;
let lastId = 0;

/** A new element with its class and its children: elements, or texts. */
function make(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function newId() {
  lastId += 1;
  return `${ID_PREFIX}-${lastId}`;
}

/** Text of a stranger, kept apart so that its writing direction cannot reorder what stands beside it. */
function bdi(text, className = "") {
  return make("bdi", className, String(text ?? ""));
}

/** A button; one that is stopped stays where it is and can be read, it only does nothing. */
function button(label, act, className = "") {
  const made = make("button", `scq-button ${className}`.trim(), label);
  made.type = "button";
  made.addEventListener("click", () => {
    if (made.getAttribute("aria-disabled") !== "true") act(made);
  });
  return made;
}

/** Stop a button for a reason, or let it act again with an empty one. */
function stop(made, reason) {
  made.setAttribute("aria-disabled", reason ? "true" : "false");
  made.title = reason;
  if (reason) made.setAttribute("aria-description", reason);
  else made.removeAttribute("aria-description");
}

function heading(text, level, className = "") {
  const made = make("div", `scq-heading ${className}`.trim(), text);
  made.setAttribute("role", "heading");
  made.setAttribute("aria-level", String(level));
  made.id = newId();
  return made;
}

function labelled(text, input) {
  input.id = newId();
  const label = make("label", "scq-label", text);
  label.htmlFor = input.id;
  return make("div", "scq-field", label, input);
}

function textInput(className = "") {
  const input = make("input", `scq-input ${className}`.trim());
  input.type = "text";
  input.autocomplete = "off";
  input.spellcheck = false;
  return input;
}

function checkbox(label, checked = false) {
  const box = make("input", "scq-check");
  box.type = "checkbox";
  box.checked = checked;
  if (label) box.setAttribute("aria-label", label);
  return box;
}

function list(className, items) {
  return make("ul", className, ...items.map((item) => (item instanceof Element && item.tagName === "LI" ? item : make("li", "", item))));
}

function badge(status) {
  const known = STATUSES.includes(status) ? status : "other";
  return make("span", `scq-badge scq-is-${known}`, status);
}

/** Errors and refusals the way scq tells them everywhere: what is the matter, and what to do. */
function trouble(error) {
  const made = make("p", "scq-trouble", make("strong", "", "Not done: "), String(error?.what ?? error));
  if (error?.advice) made.append(" ", make("span", "scq-muted", error.advice));
  return made;
}

function count(number) {
  return NUMBERS.format(number);
}

function jobs(number) {
  return number === 1 ? "1 job" : `${count(number)} jobs`;
}

function bytes(size) {
  if (size < 1024) return `${size} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = size / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `sha256:0123…` as the twelve characters people compare. */
function digest12(digest) {
  return String(digest ?? "").replace(/^sha256:/, "").slice(0, 12);
}

/** How long ago, with the exact time in its title. */
function when(iso) {
  const time = iso ? new Date(iso) : null;
  if (!time || Number.isNaN(time.getTime())) return make("span", "scq-muted", "not known");
  const made = make("time", "", ago((Date.now() - time.getTime()) / 1000, time));
  made.dateTime = time.toISOString();
  made.title = `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  return made;
}

function ago(seconds, time) {
  if (seconds < -60 || seconds > 30 * 86400) return time.toISOString().slice(0, 10);
  if (seconds < 60) return "just now";
  const [size, word] = seconds < 3600 ? [60, "minute"] : seconds < 86400 ? [3600, "hour"] : [86400, "day"];
  const number = Math.floor(seconds / size);
  return `${number} ${word}${number === 1 ? "" : "s"} ago`;
}

function debounced(act, delay) {
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(act, delay);
  };
  later.forget = () => clearTimeout(timer);
  return later;
}

/** Let Escape close `box`, and give the focus back to where it came from. */
function closeOnEscape(box, close) {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
}
