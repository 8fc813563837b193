// Keeps the live part of the page up to date: told by the node's event stream, else by asking now and then.
import { morph } from "./morph.js";
import { speak } from "./speak.js";

const STREAM = "/api/v1/events";
const THROTTLE_MS = 1000; // between two refreshes of the part
const POLL_MS = 4000; // where there is no stream
const STREAM_AGAIN_MS = 60000; // after it was refused
const NOTICE_MS = 60000; // that a reorganisation stays on the screen
const EVENTS = { tip: "tip", block: "block", mempool_add: "mempool", mempool_remove: "mempool" };
const WORDS = {
  live: ["live", "Updates as things happen"],
  polls: ["polling", "Asks the node every few seconds: its event stream has no place left"],
  lost: ["offline", "The node does not answer; trying again"],
};

const root = document.body.dataset.root;
let tip = document.body.dataset.tip ?? null;
let part = null;
let stream = null;
let pollTimer = 0;
let refreshTimer = 0;
let refreshedAt = 0;
let lastPulse = null;

export function startLive() {
  part = document.querySelector("[data-fragment]");
  if (tip === null) return;
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && wake());
  const everyMs = Number(part?.dataset.every ?? 0) * 1000;
  if (everyMs) setInterval(() => document.hidden || refresh(), everyMs);
  if (!document.hidden) listen();
}

// A hidden page listens to nothing: a browser has six connections for all pages of a node.
function rest() {
  stream?.close();
  stream = null;
  clearTimeout(pollTimer);
}

function wake() {
  rest();
  listen();
  poll(false);
}

function listen() {
  if (stream) return;
  stream = new EventSource(STREAM);
  stream.onopen = () => {
    clearTimeout(pollTimer);
    say("live");
    poll(false); // what happened before it was open
  };
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(() => document.hidden || listen(), STREAM_AGAIN_MS);
    }
    poll(true);
  };
  for (const name of Object.keys(EVENTS)) {
    stream.addEventListener(name, (event) => happened(EVENTS[name], JSON.parse(event.data)));
  }
}

function happened(topic, facts) {
  if (topic === "tip") moved(facts.hash, facts.height);
  const topics = (part?.dataset.on ?? "").split(" ");
  if (topics.includes(topic)) schedule();
}

async function poll(again) {
  clearTimeout(pollTimer);
  try {
    const reply = await fetch(`${root}/pulse`, { cache: "no-store" });
    if (!reply.ok) throw new Error(reply.status);
    const pulse = await reply.json();
    if (!stream || stream.readyState !== EventSource.OPEN) say("polls");
    if (pulse.tip !== tip) happened("tip", { hash: pulse.tip, height: pulse.height });
    if (lastPulse && pulse.mempool !== lastPulse.mempool) happened("mempool", {});
    if (lastPulse && pulse.blocks !== lastPulse.blocks) happened("block", {});
    lastPulse = pulse;
  } catch {
    say("lost");
    again = true;
  }
  if (again && !document.hidden && stream?.readyState !== EventSource.OPEN) {
    clearTimeout(pollTimer);
    pollTimer = setTimeout(() => poll(true), POLL_MS);
  }
}

function schedule() {
  if (refreshTimer || !part) return;
  const waitMs = Math.max(0, refreshedAt + THROTTLE_MS - Date.now());
  refreshTimer = setTimeout(refresh, waitMs);
}

async function refresh() {
  refreshedAt = Date.now();
  try {
    const reply = await fetch(part.dataset.fragment, { cache: "no-store" });
    refreshTimer = 0;
    if (!reply.ok && reply.status !== 404) throw new Error(reply.status);
    // A page that is no more (a transaction replaced, a block of another chain) says so itself.
    if (reply.status === 404) return location.reload();
    const wanted = document.createElement("div");
    const text = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const attribute of part.attributes) wanted.setAttribute(attribute.name, attribute.value);
    wanted.append(...text.body.childNodes);
    morph(part, wanted);
    part.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
  } catch {
    refreshTimer = 0;
    say("lost");
    poll(true);
  }
}

async function moved(hash, height) {
  const old = tip;
  if (old === hash) return;
  tip = hash;
  const words = `Height ${height.toLocaleString("en")}`;
  document.querySelector("[data-height]").textContent = words;
  speak(`New block. ${words}`);
  const reply = await fetch(`${root}/reorg?from=${old}&to=${hash}`);
  if (reply.status === 200) show(await reply.text());
}

function show(html) {
  const text = new DOMParser().parseFromString(html, "text/html");
  const notice = text.body.firstElementChild;
  const log = document.getElementById("reorgs");
  if (log) {
    log.prepend(notice.cloneNode(true));
    log.closest("[hidden]")?.removeAttribute("hidden");
  }
  document.getElementById("notices").append(notice);
  notice.querySelector(".close").addEventListener("click", () => notice.remove());
  setTimeout(() => notice.remove(), NOTICE_MS);
}

function say(state) {
  const shown = document.getElementById("state");
  if (shown.dataset.state === state) return;
  shown.dataset.state = state;
  shown.querySelector(".words").textContent = WORDS[state][0];
  shown.title = WORDS[state][1];
}
