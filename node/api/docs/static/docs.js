// The page reads as well without this: it filters, opens what a link points to, names this server in examples, and
// sends what somebody wants to try.
const entries = [...document.querySelectorAll(".entry")];
const words = document.getElementById("words");
const found = document.getElementById("found");
const TRIED_MAX = Number(document.body.dataset.triedMax);
const TRIED_MS = 60000; // for an answer

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const entry of entries) {
    const text = entry.textContent.toLowerCase();
    entry.hidden = !wanted.every((word) => text.includes(word));
    count += entry.hidden ? 0 : 1;
  }
  for (const section of document.querySelectorAll("main > section")) {
    const inside = [...section.querySelectorAll(".entry")];
    section.hidden = inside.length > 0 && inside.every((entry) => entry.hidden);
  }
  found.textContent = wanted.length ? `${count} of ${entries.length}` : "";
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const entry = target.closest(".entry");
  if (entry?.hidden) {
    words.value = "";
    filter();
  }
  if (entry?.tagName === "DETAILS") entry.open = true;
  (entry ?? target).scrollIntoView();
}

// The URL that a form asks: its path with what was typed in, what was left empty left out behind the question mark.
function address(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.dataset.in === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(input.name, input.value);
  }
  return path + (query.size ? `?${query}` : "");
}

function headers(form) {
  const login = form.querySelector(".login")?.value;
  return login ? { Authorization: `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(login)))}` } : {};
}

function shown(text, type) {
  let whole = text;
  try {
    if (type.startsWith("application/json")) whole = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // As it came, then.
  }
  return whole.length > TRIED_MAX ? `${whole.slice(0, TRIED_MAX)}\n… (${whole.length} characters)` : whole;
}

async function send(event) {
  event.preventDefault();
  const form = event.currentTarget;
  const sent = form.querySelector(".sent");
  const answer = form.querySelector(".answer");
  const since = performance.now();
  sent.textContent = "sent …";
  try {
    const reply = await fetch(address(form), {
      method: form.dataset.method,
      headers: headers(form),
      body: form.querySelector(".body")?.value,
      credentials: "omit",
      redirect: "manual",
      signal: AbortSignal.timeout(TRIED_MS),
    });
    const type = reply.headers.get("content-type") ?? "";
    const isText = !type.startsWith("application/octet-stream");
    const body = isText ? shown(await reply.text(), type) : `${(await reply.arrayBuffer()).byteLength} bytes`;
    const status = reply.type === "opaqueredirect" ? "leads elsewhere" : reply.status;
    sent.textContent = `${status} ${type} in ${Math.round(performance.now() - since)} ms`;
    answer.textContent = body;
    answer.hidden = !body;
  } catch (error) {
    sent.textContent = `no answer: ${error.message}`;
    answer.hidden = true;
  }
}

function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  button.hidden = false;
  button.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // Not remembered, then.
    }
  });
}

for (const line of document.querySelectorAll(".curl")) {
  line.textContent = line.textContent.replaceAll("http://127.0.0.1:18443", location.origin);
}
for (const form of document.querySelectorAll(".try")) {
  form.hidden = false;
  form.addEventListener("submit", send);
}
const node = document.getElementById("node");
node.textContent ||= location.host;
const form = document.getElementById("filter");
form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
words.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
  event.preventDefault();
  words.focus();
});
window.addEventListener("hashchange", open);
startTheme();
open();
