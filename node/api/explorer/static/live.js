// Keeps the live part of the page up to date: told by the node's event stream, else by asking now and then.
import { morph } from "./morph.js";
import { notify, say } from "./notices.js";
import { speakNews } from "./speak.js";
import { listen } from "./stream.js";

const THROTTLE_MS = 1000; // between two refreshes of the part
const POLL_MS = 4000; // where there is no stream
const ANSWER_MS = 20000; // for an answer
// Blocks that enter or leave the best chain come with a tip.
const TOPICS = { tip: "tip", block_stored: "block", mempool_add: "mempool", mempool_remove: "mempool" };

const root = document.body.dataset.root;
const part = document.querySelector("[data-fragment]");
let tip = document.body.dataset.tip ?? null;
let stream = null;
let isOpen = false;
let pollTimer = 0;
let refreshTimer = 0;
let refreshedAt = 0;
let isRefreshing = false;
let isBehind = false; // there is news that no refresh has begun after
let lastPulse = null;

export function startLive() {
  if (tip === null) return; // a page without a node behind it yet
  document.addEventListener("visibilitychange", lookedAt);
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && wake());
  const everyMs = Number(part?.dataset.every ?? 0) * 1000;
  if (everyMs) setInterval(() => document.hidden || refresh(), everyMs);
  wake();
}

function wake() {
  stream ??= listen(heard);
}

function lookedAt() {
  if (document.hidden) return;
  poll();
  if (isBehind) schedule();
}

function rest() {
  stream?.close();
  stream = null;
  isOpen = false;
  clearTimeout(pollTimer);
}

function heard({ state, name, facts }) {
  if (name) return happened(TOPICS[name], facts);
  isOpen = state === "open";
  if (isOpen) say("live");
  if (state !== "closed") poll(); // what happened while nobody listened
}

function happened(topic, facts) {
  if (document.hidden) return; // the pulse tells when somebody looks again
  if (topic === "tip") moved(facts.hash, facts.height);
  if ((part?.dataset.on ?? "").split(" ").includes(topic)) schedule();
}

// Looks whether anything has changed, again and again while there is no stream.
async function poll() {
  clearTimeout(pollTimer);
  const before = tip;
  try {
    const reply = await ask(`${root}/pulse`);
    if (!reply.ok) throw new Error(reply.status);
    const pulse = await reply.json();
    if (!isOpen) say("polls");
    // What the stream has told meanwhile is newer.
    if (pulse.tip !== tip && tip === before) happened("tip", { hash: pulse.tip, height: pulse.height });
    if (lastPulse && pulse.mempool !== lastPulse.mempool) happened("mempool", {});
    if (lastPulse && pulse.blocks !== lastPulse.blocks) happened("block", {});
    if (!document.hidden) lastPulse = pulse;
  } catch {
    isOpen = false;
    say("lost");
  }
  clearTimeout(pollTimer);
  if (!isOpen && stream) pollTimer = setTimeout(() => (document.hidden ? null : poll()), POLL_MS);
}

function schedule(waitMs = THROTTLE_MS) {
  isBehind = true;
  if (refreshTimer || isRefreshing || !part) return;
  refreshTimer = setTimeout(refreshIfSeen, Math.max(0, refreshedAt + waitMs - Date.now()));
}

function refreshIfSeen() {
  refreshTimer = 0;
  if (!document.hidden) refresh(); // else as soon as somebody looks again
}

// A node that takes a request and says nothing shall not stop the page for good.
function ask(url) {
  return fetch(url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
}

async function refresh() {
  if (isRefreshing) return;
  clearTimeout(refreshTimer);
  refreshTimer = 0;
  refreshedAt = Date.now();
  isRefreshing = true;
  isBehind = false; // what happens from here on may be too late for this answer
  let waitMs = THROTTLE_MS;
  try {
    const reply = await ask(part.dataset.fragment);
    // What is no more (a payment that was replaced) has a page that says so.
    if (reply.status === 404) return location.reload();
    if (!reply.ok) throw new Error(reply.status);
    const wanted = part.cloneNode(false);
    wanted.append(...new DOMParser().parseFromString(await reply.text(), "text/html").body.childNodes);
    morph(part, wanted);
  } catch {
    isBehind = true;
    waitMs = POLL_MS;
    poll();
  }
  isRefreshing = false;
  if (isBehind) schedule(waitMs);
}

async function moved(hash, height) {
  const old = tip;
  if (old === hash) return;
  tip = hash;
  const words = `Height ${height.toLocaleString("en")}`;
  document.querySelector("[data-height]").textContent = words;
  speakNews(`New block. ${words}`);
  const reply = await fetch(`${root}/reorg?from=${old}&to=${hash}`).catch(() => null); // the node has just gone
  if (reply?.status === 200) notify(await reply.text());
}
