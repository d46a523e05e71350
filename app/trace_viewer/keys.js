// Every key press is numbered and kept until the server says that it has dealt with it: presses
// made while the page is being redrawn are sent again with the next one, and none is lost.

function nameOf(event) {
  const key = event.key.toLowerCase();
  const named = key.length > 1 || (key >= "a" && key <= "z");
  return event.shiftKey && named ? `shift+${key}` : key;
}

function isTyping(event) {
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return false;
  if (target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) return true;
  if (target.isContentEditable || target.closest("[role=listbox], [role=combobox]")) return true;
  const arrows = event.key.startsWith("Arrow");
  const own = "[role=radiogroup], [role=slider], [role=grid], [data-testid=stDataFrame], [data-baseweb=tab-list]";
  return arrows && target.closest(own) !== null;
}

// Listens as long as the document lives: while the page is redrawn there may be no component for a
// moment, and what is pressed then is sent by the next one.
function startListening() {
  const log = { next: 1, pending: [], wanted: new Set(), path: location.pathname, send: () => {} };
  const press = (name) => {
    log.pending = [...log.pending, [log.next++, name]];
    log.send();
  };
  document.addEventListener("keydown", (event) => {
    if (location.pathname !== log.path || isTyping(event)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const name = nameOf(event);
    if (!log.wanted.has(name)) return;
    event.preventDefault();
    press(name);
  });
  // Back and Forward are presses too, in their place among the others, with the segment asked for.
  window.addEventListener("popstate", () => {
    if (location.pathname !== log.path) return;
    press(`go-to:${new URLSearchParams(location.search).get("segment") ?? ""}`);
  });
  setInterval(() => { if (log.pending.length) log.send(); }, 5000); // nobody has answered
  return log;
}

export default function ({ data, setStateValue }) {
  const log = (window.rarewaveKeys ??= startListening());
  log.pending = log.pending.filter(([number]) => number > data.handled);
  if (log.next <= data.handled) log.next = data.handled + 1;
  log.wanted = new Set(data.keys);
  log.path = location.pathname;
  log.send = () => setStateValue("pressed", [...log.pending]);
  document.documentElement.dataset.rarewaveKeys = String(data.handled);
}
