// What is told above the page: reorganisations, and whether it follows the node.
const NOTICE_MS = 60000; // that a reorganisation stays on the screen
const WORDS = {
  live: ["live", "Updates as things happen"],
  polls: ["polling", "Asks the node every few seconds: all of its event streams are taken"],
  lost: ["offline", "The node does not answer; trying again"],
};

export function say(state) {
  const shown = document.getElementById("state");
  if (shown.dataset.state === state) return;
  shown.dataset.state = state;
  shown.querySelector(".words").textContent = WORDS[state][0];
  shown.title = WORDS[state][1];
}

// A notice as the node wrote it.
export function notify(html) {
  const notice = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  document.getElementById("notices").append(notice);
  notice.querySelector(".close").addEventListener("click", () => notice.remove());
  setTimeout(() => notice.remove(), NOTICE_MS);
}
