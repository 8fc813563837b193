// Keeps "3 minutes ago" true. The words are those of formatting.py.
const EVERY_MS = 1000;
const UNITS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [Infinity, 86400, "day"],
];

export function startTimes() {
  const aheadMs = Number(document.body.dataset.now ?? Date.now() / 1000) * 1000 - Date.now();
  const refresh = () => {
    if (document.hidden) return;
    const now = Date.now() + aheadMs;
    for (const time of document.querySelectorAll("time[datetime]")) {
      const words = ago((now - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== words) time.textContent = words;
    }
  };
  setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
}

export function ago(seconds) {
  if (seconds < 0) return seconds <= -2 ? `in ${ago(-seconds).replace(/ ago$/, "")}` : "just now";
  if (seconds < 2) return "just now";
  const [, unit, name] = UNITS.find(([limit]) => seconds < limit);
  const count = Math.floor(seconds / unit);
  return `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"} ago`;
}
