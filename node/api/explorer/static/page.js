// On every page: the theme button, copy buttons, relative times, the search box, live parts.
import { startCopying } from "./copy.js";
import { startLive } from "./live.js";
import { startSearch } from "./search.js";
import { startTheme } from "./toggle.js";
import { startTimes } from "./times.js";

startTheme();
startCopying();
startTimes();
startSearch();
startLive();
