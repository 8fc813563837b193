// The node's event stream, opened again when it ends: { state } with open, lost or refused; { name, facts }.
const STREAM = "/api/v1/events?topics=";
const NAMES = ["tip", "block_stored", "mempool_add", "mempool_remove"];
const AGAIN_MS = 60000; // after the node refused it

export function follow(tell) {
  let source = null;
  let timer = 0;
  const open = () => {
    source = new EventSource(STREAM + NAMES);
    source.onopen = () => tell({ state: "open" });
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED;
      if (refused) timer = setTimeout(open, AGAIN_MS);
      tell({ state: refused ? "refused" : "lost" });
    };
    for (const name of NAMES) {
      source.addEventListener(name, (event) => tell({ name, facts: JSON.parse(event.data) }));
    }
  };
  open();
  return {
    close() {
      clearTimeout(timer);
      source.close();
    },
  };
}
