// Runs before anything is drawn: the scheme that was chosen last, if it was; and what needs scripts is shown.
(() => {
  document.documentElement.dataset.scripts = "";
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // No storage here: then the system's scheme it is.
  }
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
