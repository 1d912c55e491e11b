// The stream of events: opened again when it breaks, later each time, and said to be broken when it is merely silent.

const FIRST_WAIT_S = 1;
const LONGEST_WAIT_S = 15;
const SILENCE_S = 5;
const HIDDEN_S = 10;

/**
 * Watch the events of `address` for ever.
 *
 * @param {string} address Of the stream.
 * @param {{snapshot: (document: object) => void, state: (state: object) => void}} to What is told of it. A state is
 *   {kind: "live"}, {kind: "stopping"}, {kind: "paused"} or {kind: "lost", everOpen, retryAt}, times in milliseconds as of
 *   Date.now().
 * @returns {{retry: () => void}} To try at once.
 */
export function connect(address, to) {
  let source = null;
  let timer = 0;
  let silence = 0;
  let waitS = FIRST_WAIT_S;
  let everOpen = false;
  let kind = "";

  function tell(state) {
    kind = state.kind;
    to.state(state);
  }

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(lost, 1000 * SILENCE_S);
  }

  function open() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(address);
    heard();
    source.addEventListener("snapshot", (event) => {
      heard();
      everOpen = true;
      waitS = FIRST_WAIT_S;
      if (kind !== "live") tell({ kind: "live" });
      to.snapshot(JSON.parse(event.data));
    });
    source.addEventListener("stopping", () => tell({ kind: "stopping" }));
    source.onerror = lost;
  }

  function lost() {
    clearTimeout(silence);
    clearTimeout(timer);
    source.close();
    const afterS = waitS * (0.75 + 0.5 * Math.random()); // so that not all tabs come back in the same moment
    waitS = Math.min(2 * waitS, LONGEST_WAIT_S);
    timer = setTimeout(open, 1000 * afterS);
    tell({ kind: "lost", everOpen, retryAt: Date.now() + 1000 * afterS });
  }

  // A tab that nobody looks at costs the proxy nothing, and leaves its connection to others: a browser has six for a host.
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(pause, 1000 * HIDDEN_S);
    else if (kind === "paused") open();
  });

  function pause() {
    clearTimeout(silence);
    clearTimeout(timer);
    source.close();
    tell({ kind: "paused" });
  }

  open();
  return {
    retry() {
      waitS = FIRST_WAIT_S;
      open();
    },
  };
}
