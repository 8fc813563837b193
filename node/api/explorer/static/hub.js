// A worker that all pages of this node share: one event stream for all of them. A browser has no more than
// six connections to a host, so a stream for each page would leave none for the seventh.
import { follow } from "./events.js";

const ports = new Set();
let stream = null;
let state = "closed";

onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== "bye") return;
    ports.delete(port);
    if (ports.size) return;
    stream.close();
    stream = null;
  };
  port.postMessage({ state });
  stream ??= follow((message) => {
    state = message.state ?? state;
    for (const each of ports) each.postMessage(message);
  });
};
