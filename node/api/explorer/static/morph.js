// Makes one piece of the page like another, changing only what differs: the focus, selections, opened
// details and the place that was scrolled to stay. Children are told apart by data-key or id.

export function morph(old, wanted) {
  syncAttributes(old, wanted);
  const before = new Map();
  for (const child of old.children) if (keyOf(child)) before.set(keyOf(child), child);
  let place = old.firstChild;
  for (const next of [...wanted.childNodes]) {
    const key = next.nodeType === Node.ELEMENT_NODE ? keyOf(next) : null;
    const found = key ? before.get(key) : like(place, next);
    if (!found) {
      old.insertBefore(next, place);
      if (key) next.classList.add("fresh");
      continue;
    }
    if (found === place) place = place.nextSibling;
    else old.insertBefore(found, place);
    if (found.nodeType === Node.ELEMENT_NODE) morph(found, next);
    else if (found.nodeValue !== next.nodeValue) found.nodeValue = next.nodeValue;
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
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
