// Buttons with data-copy put that text into the clipboard.
import { speak } from "./speak.js";

const DONE_MS = 1500;

export function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    if (!(await put(button.dataset.copy))) return speak("Copying is not possible here");
    button.classList.add("done");
    speak("Copied");
    setTimeout(() => button.classList.remove("done"), DONE_MS);
  });
}

async function put(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return putByHand(text); // pages over plain HTTP have no clipboard
  }
}

function putByHand(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
