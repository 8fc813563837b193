// Says something to screen readers, without moving anything.
export function speak(words) {
  const spoken = document.getElementById("spoken");
  spoken.textContent = "";
  requestAnimationFrame(() => {
    spoken.textContent = words;
  });
}
