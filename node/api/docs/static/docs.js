"use strict";
// The page reads as well without this: it filters, opens what a link points to, and names this server in examples.
const entries = [...document.querySelectorAll(".entry")];
const words = document.getElementById("words");
const found = document.getElementById("found");

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
  if (target && target.hidden) {
    words.value = "";
    filter();
  }
  if (target && target.tagName === "DETAILS") target.open = true;
  if (target) target.scrollIntoView();
}

for (const line of document.querySelectorAll(".curl")) {
  line.textContent = line.textContent.replaceAll("http://127.0.0.1:18443", location.origin);
}
const form = document.getElementById("filter");
form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
words.addEventListener("input", filter);
window.addEventListener("hashchange", open);
open();
