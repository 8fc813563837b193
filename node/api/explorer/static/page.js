// What every page does: the scheme's button, copy buttons, times that go on, live parts.
import { startCopying } from "./copy.js";
import { startLive } from "./live.js";
import { startTheme } from "./toggle.js";
import { startTimes } from "./times.js";

startTheme();
startCopying();
startTimes();
startLive();
