// The page's way to the event stream: by the worker that all pages share, or on its own where there is none.
import { follow } from "./events.js";

export function listen(tell) {
  if (!("SharedWorker" in window)) return follow(tell);
  const { port } = new SharedWorker(new URL("./hub.js", import.meta.url), { name: "groat", type: "module" });
  port.onmessage = ({ data }) => tell(data);
  return {
    close() {
      port.postMessage("bye");
      port.close();
    },
  };
}
