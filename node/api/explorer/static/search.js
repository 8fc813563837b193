// The search box: "/" goes there, and suggestions come while somebody types. Without this it is a plain form.
import { speak } from "./speak.js";

const TYPING_MS = 150; // without a key, before the node is asked
const ANSWER_MS = 5000; // for an answer

const box = document.getElementById("q");
const list = document.getElementById("suggestions");
let timer = 0;
let asked = 0; // questions so far: only the last one's answer counts
let chosen = -1;

export function startSearch() {
  box.setAttribute("aria-autocomplete", "list");
  box.setAttribute("aria-controls", list.id);
  document.addEventListener("keydown", shortcut);
  box.addEventListener("input", typed);
  box.addEventListener("keydown", key);
  box.addEventListener("blur", close);
  // Else the box would lose the focus, and with it the list, before the click.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => go(event.target.closest("[data-path]")));
  // What was typed while the page's scripts were still on their way counts too.
  if (document.activeElement === box && box.value !== box.defaultValue) typed();
}

function shortcut(event) {
  const isWriting = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isWriting) return;
  event.preventDefault();
  box.focus();
  box.select();
}

function typed() {
  clearTimeout(timer);
  if (!box.value.trim()) return close();
  timer = setTimeout(ask, TYPING_MS);
}

async function ask() {
  const mine = ++asked;
  let hits = [];
  try {
    const url = `${document.body.dataset.root}/suggest?q=${encodeURIComponent(box.value)}`;
    const reply = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (reply.ok) hits = await reply.json();
  } catch {
    // No suggestions, then; the search itself says what is wrong.
  }
  if (mine === asked && document.activeElement === box) show(hits);
}

function show(hits) {
  choose(-1);
  list.replaceChildren(...hits.map(option));
  list.hidden = !hits.length;
  if (hits.length) speak(`${hits.length} suggestion${hits.length === 1 ? "" : "s"}`);
}

function option({ words, name, path }, number) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  const hash = document.createElement("span");
  item.id = `suggestion-${number}`;
  item.role = "option";
  item.ariaSelected = "false";
  item.dataset.path = path;
  text.textContent = words;
  hash.textContent = name.length > 20 ? `${name.slice(0, 8)}…${name.slice(-8)}` : name;
  hash.className = "mono soft";
  item.append(text, " ", hash);
  return item;
}

function key(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    close();
  } else if (event.key === "Enter" && chosen >= 0) {
    event.preventDefault();
    go(list.children[chosen]);
  } else if (step && !list.hidden) {
    event.preventDefault();
    // One place more than there are suggestions: back in the box.
    const places = list.children.length + 1;
    choose(((chosen + 1 + step + places) % places) - 1);
  }
}

function choose(number) {
  list.children[chosen]?.setAttribute("aria-selected", "false");
  chosen = number;
  const item = list.children[chosen];
  if (!item) return box.removeAttribute("aria-activedescendant");
  item.setAttribute("aria-selected", "true");
  item.scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", item.id);
}

function close() {
  clearTimeout(timer);
  asked++;
  choose(-1);
  list.hidden = true;
}

function go(item) {
  if (item) location.assign(item.dataset.path);
}
