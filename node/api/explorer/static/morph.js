// Makes one piece of the page like another, changing only what differs: the focus, selections, opened
// details and the place that was scrolled to stay. Children are told apart by data-key or id.

const FOCUSABLE = "a[href], button, summary";

export function morph(old, wanted) {
  syncAttributes(old, wanted);
  const kept = new Set([...wanted.children].map(keyOf));
  const before = new Map();
  for (const child of [...old.children]) {
    const key = keyOf(child);
    // What goes, goes first: then what stays need not be moved, which would lose the focus.
    if (key && !kept.has(key)) remove(child);
    else if (key) before.set(key, child);
  }
  let place = old.firstChild;
  for (const next of [...wanted.childNodes]) {
    const isElement = next.nodeType === Node.ELEMENT_NODE;
    // Only texts are dropped for an element's sake: it would have to be moved past them.
    while (isElement && place?.nodeType === Node.TEXT_NODE) place = drop(place);
    const key = isElement ? keyOf(next) : null;
    const found = key ? before.get(key) : like(place, next);
    if (!found) {
      old.insertBefore(next, place);
      if (key) next.classList.add("fresh");
      continue;
    }
    if (found === place) place = place.nextSibling;
    else move(found, place);
    if (isElement) morph(found, next);
    else if (found.nodeValue !== next.nodeValue) found.nodeValue = next.nodeValue;
  }
  while (place) place = drop(place);
}

function drop(gone) {
  const next = gone.nextSibling;
  remove(gone);
  return next;
}

function move(element, place) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  element.parentNode.insertBefore(element, place);
  focused?.focus({ preventScroll: true });
}

// Who reads with the keyboard goes on beside what went, not at the top of the page again.
function remove(gone) {
  if (gone.contains(document.activeElement)) {
    const beside = gone.previousElementSibling ?? gone.nextElementSibling;
    const heir = beside?.querySelector(FOCUSABLE) ?? document.getElementById("main");
    heir.focus({ preventScroll: true });
  }
  gone.remove();
}

function keyOf(element) {
  return element.dataset?.key ?? (element.id || null);
}

function like(old, wanted) {
  if (!old || old.nodeType !== wanted.nodeType || old.nodeName !== wanted.nodeName) return null;
  return old.nodeType === Node.ELEMENT_NODE && keyOf(old) ? null : old;
}

function syncAttributes(old, wanted) {
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value && !(name === "class" && old.matches(".copy"))) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (wanted.hasAttribute(name) || (name === "open" && old.nodeName === "DETAILS")) continue;
    old.removeAttribute(name);
  }
}
