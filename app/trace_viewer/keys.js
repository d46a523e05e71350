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

export default function ({ data, setStateValue, parentElement }) {
  const log = (window.rarewaveKeys ??= { next: 1, pending: [] });
  log.pending = log.pending.filter(([number]) => number > data.handled);
  if (log.next <= data.handled) log.next = data.handled + 1;
  const wanted = new Set(data.keys);
  const send = () => setStateValue("pressed", [...log.pending]);
  const press = (name) => {
    log.pending = [...log.pending, [log.next++, name]];
    send();
  };
  const listen = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event)) return;
    const name = nameOf(event);
    if (!wanted.has(name)) return;
    event.preventDefault();
    press(name);
  };
  // Back and Forward are presses too: in their place among the others, with the segment they ask for.
  const path = location.pathname;
  const follow = () => {
    if (location.pathname !== path) return;
    press(`go-to:${new URLSearchParams(location.search).get("segment") ?? ""}`);
  };
  parentElement.rarewaveStop?.();
  document.addEventListener("keydown", listen);
  window.addEventListener("popstate", follow);
  const stop = () => {
    document.removeEventListener("keydown", listen);
    window.removeEventListener("popstate", follow);
  };
  parentElement.rarewaveStop = stop;
  document.documentElement.dataset.rarewaveKeys = String(data.handled);
  clearInterval(log.timer);
  log.timer = setInterval(() => { if (log.pending.length) send(); }, 5000); // nobody has answered
  return () => {
    stop();
    clearInterval(log.timer);
  };
}
