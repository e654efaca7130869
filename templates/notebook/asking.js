// Asks Python one thing at a time and knows whether Python is there. Python never speaks unasked.

const BUSY_AFTER = 2000;
const LONG_AFTER = 30000;
const BUSY = "Waiting for the kernel, which is busy.";
const LONG = "The kernel has been busy for a while. It answers as soon as it is free.";
const LOST = "The kernel was restarted. Run this cell again to act; searching still works.";
const ABSENT = "This view is not connected to a kernel. Run this cell again to see the jobs.";
const UNKNOWN = "The kernel was restarted before it answered, so it is not known whether this was done.";
const ACTING = new Set(["approve", "reject", "cancel", "release", "withhold"]);

/** One line to Python for one view. `state` is "ready", "busy", "long" or "lost"; `listen` is told when it changes. */
function openLine(model, el) {
  const waiting = new Map();
  const listeners = new Set();
  // Every view of a model hears all replies, so two views must never use the same number.
  const first = Math.floor(Math.random() * 2 ** 40) * 1024;
  const line = { state: "ready", connectedOnce: !disconnected(el), ask, again, listen, close };
  let count = 0;
  let timers = [];

  function tell(state) {
    if (state === line.state) return;
    line.state = state;
    for (const listener of listeners) listener(state);
  }

  function heard() {
    timers.forEach(clearTimeout);
    timers = [];
    if (line.state === "lost") return;
    tell("ready");
    if (!waiting.size) return;
    timers = [setTimeout(() => tell("busy"), BUSY_AFTER), setTimeout(() => tell("long"), LONG_AFTER)];
  }

  function lose() {
    timers.forEach(clearTimeout);
    const left = [...waiting.values()];
    waiting.clear();
    tell("lost");
    for (const one of left) one.reject(lostError(ACTING.has(one.message.ask)));
  }

  function answered(reply) {
    const one = reply && waiting.get(reply.id);
    if (!one) return;
    waiting.delete(reply.id);
    heard();
    if (reply.ok) one.resolve({ ...reply.data, problems_told: reply.problems ?? [] });
    else one.reject(reply.error ?? { kind: "bug", what: "Python gave no answer that can be read.", advice: "" });
  }

  /** The event does not say which way it went. Not every notebook marks its views, but none sends where no kernel is. */
  function liveChanged() {
    setTimeout(() => {
      if (disconnected(el)) return lose();
      if (!post({ id: first, ask: "alive" })) return;
      line.connectedOnce = true;
      if (line.state === "lost") tell("ready");
    });
  }

  function post(message) {
    try {
      model.send(message);
      return true;
    } catch {
      // A comm that was thrown away with its kernel refuses to send.
      lose();
      return false;
    }
  }

  function ask(what, facts = {}) {
    if (line.state === "lost") return Promise.reject(lostError(false));
    const same = unanswered(what, facts);
    if (same) return same.answer;
    const message = { ...facts, id: first + ++count, ask: what };
    const one = { message, facts: JSON.stringify(facts) };
    one.answer = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
    const quiet = waiting.size === 0;
    waiting.set(message.id, one);
    if (post(message) && quiet) heard();
    return one.answer;
  }

  /** What only reads is asked once, however often somebody presses its button before there is an answer. */
  function unanswered(what, facts) {
    if (ACTING.has(what)) return undefined;
    const wanted = JSON.stringify(facts);
    return [...waiting.values()].find((one) => one.message.ask === what && one.facts === wanted);
  }

  /** Ask once more what only reads, under the same number: the first answer counts, the other is not waited for. */
  function again() {
    for (const { message } of [...waiting.values()]) {
      if (!ACTING.has(message.ask) && !post(message)) return;
    }
    heard();
  }

  function listen(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  function close() {
    model.off("msg:custom", answered);
    model.off("comm_live_update", liveChanged);
    model.off("comm:close", lose);
    timers.forEach(clearTimeout);
    listeners.clear();
    waiting.clear();
  }

  model.on("msg:custom", answered);
  model.on("comm_live_update", liveChanged);
  model.on("comm:close", lose);
  if (disconnected(el)) line.state = "lost";
  return line;
}

/** The notebook marks the views of a widget whose kernel is gone; the model given to us does not tell. */
function disconnected(el) {
  return el.closest(".jupyter-widgets-disconnected") !== null;
}

function lostError(acted) {
  return { kind: "lost", what: acted ? UNKNOWN : LOST, advice: acted ? "Run this cell again and look." : "" };
}

/** The line above everything that says whether Python answers. */
function makeNotice(line) {
  const text = make("span", "scq-notice-text");
  const retry = button("Ask again", () => line.again(), "scq-small");
  const notice = make("div", "scq-notice", text, retry);
  notice.setAttribute("role", "status");
  notice.setAttribute("aria-live", "polite");
  const show = (state) => {
    const texts = { ready: "", busy: BUSY, long: LONG, lost: line.connectedOnce ? LOST : ABSENT };
    text.textContent = texts[state];
    notice.classList.toggle("scq-empty", state === "ready");
    retry.hidden = state !== "long";
  };
  show(line.state);
  line.listen(show);
  return notice;
}
