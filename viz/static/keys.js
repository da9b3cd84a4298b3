/* The viewer's keys. They work while it has focus; sliders, lists and buttons keep their own. */

function onKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !viewer.data) return;
  const { tagName } = event.target, arrow = event.key.startsWith("Arrow");
  if (arrow && ["INPUT", "SELECT"].includes(tagName)) return;
  if (tagName === "SELECT" && event.key.length === 1) return;
  if ([" ", "Enter"].includes(event.key) && ["BUTTON", "SUMMARY"].includes(tagName)) return;
  const act = actions(viewer, event)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function actions(viewer, { shiftKey }) {
  const { view, data, clock } = viewer;
  const along = (step) => (shiftKey ? clock.seek(clock.time + step) : viewer.goTo(view.slice + step));
  const layer = (step) => viewer.set({ layer: Math.max(0, Math.min(view.layer + step, data.layers - 1)) });
  return {
    ArrowLeft: () => along(-1), ArrowRight: () => along(1), ArrowUp: () => layer(1), ArrowDown: () => layer(-1),
    " ": () => viewer.togglePlay(),
    o: () => viewer.set({ mode: nextMode(viewer) }),
    h: () => viewer.set({ head: nextHead(view.head, data.scene.heads) }),
    d: () => viewer.set({ spatial: !view.spatial }),
    n: () => viewer.pinNext(1), p: () => viewer.pinNext(-1),
    Escape: () => viewer.clearPicks(),
    "?": () => { viewer.parts.keys.open = !viewer.parts.keys.open; },
  };
}

function nextMode({ view, other }) {
  const names = MODES.map(([name]) => name).filter((name) => name !== "difference" || other?.comparable);
  return names[(names.indexOf(view.mode) + 1) % names.length];
}

/** null (the mean), 0, 1, ... and around. */
function nextHead(head, heads) {
  const next = head === null ? 0 : head + 1;
  return next < heads ? next : null;
}
