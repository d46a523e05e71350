// Shared by both canvases: colours of the current theme, decoding, time labels, set-up.

const MISSING = -32768;
const VERDICT_COLOURS = {
  light: { undecided: "#b45309", accepted: "#0f766e", rejected: "#64748b", unsure: "#6d4fc4" },
  dark: { undecided: "#f0a44b", accepted: "#4fc3b0", rejected: "#94a3b8", unsure: "#b7a2f5" },
};

/** Read Streamlit's theme from its CSS variables and add what the canvases need. */
function paletteOf(element) {
  const style = getComputedStyle(element);
  const get = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const background = get("--st-background-color", "#ffffff");
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = background;
  const hex = probe.fillStyle;
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const dark = 0.299 * r + 0.587 * g + 0.114 * b < 128;
  return {
    dark,
    background,
    text: get("--st-text-color", "#1f2933"),
    muted: dark ? "#93a1b0" : "#64727f",
    faint: dark ? "#2b3642" : "#e3e8ed",
    line: dark ? "#3b4856" : "#cbd3db",
    trace: dark ? "#dbe4ec" : "#1d2a38",
    score: dark ? "#8fa6bd" : "#54687d",
    page: dark ? "rgba(110,168,220,.22)" : "rgba(38,92,142,.12)",
    pageEdge: dark ? "#7db4e4" : "#265c8e",
    verdicts: VERDICT_COLOURS[dark ? "dark" : "light"],
    font: get("--st-font", "sans-serif"),
  };
}

/** Turn {data, offset, scale} back into an array of numbers, NaN where nothing is known. */
function decode({ data, offset, scale }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const codes = new Int16Array(bytes.buffer);
  const values = new Float64Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    values[i] = codes[i] === MISSING ? NaN : offset + scale * codes[i];
  }
  return values;
}

function clock(seconds, decimals = 0) {
  const ticks = Math.floor(seconds * 10 ** decimals + 1e-6);
  const whole = Math.floor(ticks / 10 ** decimals);
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const text = h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
  return decimals ? `${text}.${String(ticks % 10 ** decimals).padStart(decimals, "0")}` : text;
}

/** A round step that gives about `wanted` ticks over `span` seconds. */
function tickStep(span, wanted) {
  const steps = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
  return steps.find((step) => span / step <= wanted) || 28800;
}

/** Diagonal lines: told by texture, not by colour, where nothing was scored. */
function hatch(ctx, x0, y0, x1, y1, colour) {
  if (x1 - x0 < 1) x1 = x0 + 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x0, y0, x1 - x0, y1 - y0);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.beginPath();
  const h = y1 - y0;
  for (let x = x0 - h - ((x0 - h) % 6); x < x1; x += 6) {
    ctx.moveTo(x, y1);
    ctx.lineTo(x + h, y0);
  }
  ctx.stroke();
  ctx.restore();
}

/** Keep the canvas as sharp as the screen and call `draw(ctx, width, height)` when it must. */
function setUp(parentElement, pixels, draw) {
  const canvas = parentElement.querySelector("canvas");
  const box = parentElement.querySelector(".rw-canvas");
  box.style.height = `${pixels}px`;
  const paint = () => {
    const { clientWidth: width, clientHeight: height } = box;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(ctx, width, height);
  };
  const observer = new ResizeObserver(paint);
  observer.observe(box);
  paint();
  return { canvas, paint, stop: () => observer.disconnect() };
}
