// Says something to screen readers, without moving anything.
const NEWS_MS = 10000; // between two pieces of news: blocks that come faster would talk over what is being read

let resting = 0;
let latest = null;

export function speak(words) {
  const spoken = document.getElementById("spoken");
  spoken.textContent = "";
  requestAnimationFrame(() => {
    spoken.textContent = words;
  });
}

// News that came a moment after other news waits; the latest alone is said then.
export function speakNews(words) {
  latest = words;
  if (!resting) next();
}

function next() {
  resting = 0;
  if (latest === null) return;
  speak(latest);
  latest = null;
  resting = setTimeout(next, NEWS_MS);
}
