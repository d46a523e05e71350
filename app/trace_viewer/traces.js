// The signal of one page: ECG on millimetre paper, EEG in rows. Dragging measures.

const PX_PER_MM = 96 / 25.4, RIGHT = 10, HEAD = 34, SCORES = 34, AXIS = 20;

function layout(data, width, height) {
  const left = data.kind === "ecg" ? 50 : 64;
  const plot = { left, right: width - RIGHT, top: HEAD, bottom: height - SCORES - AXIS };
  const perSecond = (plot.right - plot.left) / (data.stop - data.start);
  const row = (plot.bottom - plot.top) / Math.max(1, data.traces.length);
  const mm = data.kind === "ecg" ? (plot.right - plot.left) / 250 : PX_PER_MM;
  const perUnit = (trace) =>
    data.kind === "ecg" ? data.gain * mm : trace.unit === "µV" ? mm / data.gain : row * 0.35;
  return {
    ...plot, perSecond, row, mm, perUnit,
    x: (t) => plot.left + (t - data.start) * perSecond,
    middle: (i) => plot.top + (i + 0.5) * row,
  };
}

function drawPaper(ctx, p, data, g) {
  const ecg = data.kind === "ecg";
  ctx.fillStyle = ecg ? (p.dark ? "#1b1517" : "#fffbfa") : p.background;
  ctx.fillRect(g.left, g.top, g.right - g.left, g.bottom - g.top);
  const lines = (step, colour, vertical) => {
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1;
    ctx.beginPath();
    const [a, b] = vertical ? [g.left, g.right] : [g.top, g.bottom];
    for (let v = a; v <= b + 0.01; v += step) {
      const at = Math.round(v) + 0.5;
      if (vertical) { ctx.moveTo(at, g.top); ctx.lineTo(at, g.bottom); }
      else { ctx.moveTo(g.left, at); ctx.lineTo(g.right, at); }
    }
    ctx.stroke();
  };
  if (ecg) {
    const [minor, major] = p.dark ? ["#2c2023", "#4a3035"] : ["#fae7e3", "#efc3bb"];
    for (const vertical of [true, false]) lines(g.mm, minor, vertical);
    for (const vertical of [true, false]) lines(5 * g.mm, major, vertical);
  } else {
    lines(g.perSecond / (data.stop - data.start > 20 ? 1 : 5), p.dark ? "#1d252e" : "#f3f5f7", true);
    lines(g.perSecond, p.faint, true);
  }
}

function drawSegments(ctx, p, data, g) {
  for (const m of data.marks) {
    if (m.stop < data.start || m.start > data.stop) continue;
    const [a, b] = [Math.max(g.x(m.start), g.left), Math.min(g.x(m.stop), g.right)];
    const colour = p.verdicts[m.verdict];
    ctx.fillStyle = colour;
    ctx.globalAlpha = m.current ? 0.16 : 0.07;
    ctx.fillRect(a, g.top, b - a, g.bottom - g.top);
    ctx.globalAlpha = m.current ? 1 : 0.7;
    ctx.fillRect(a, g.top - (m.current ? 3 : 2), b - a, m.current ? 3 : 2);
    ctx.strokeStyle = colour;
    ctx.lineWidth = m.current ? 1.5 : 1;
    ctx.setLineDash(m.current ? [] : [3, 3]);
    ctx.beginPath();
    for (const x of [a, b]) { ctx.moveTo(x, g.top); ctx.lineTo(x, g.bottom); }
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    ctx.font = `bold 11px ${p.font}`;
    ctx.textAlign = "left";
    const words = m.current ? `${m.mark} this segment` : m.mark;
    ctx.fillText(words, Math.min(a, g.right - ctx.measureText(words).width), g.top - 10);
  }
}

function drawAnnotations(ctx, p, data, g) {
  ctx.font = `11px ${p.font}`;
  ctx.textAlign = "left";
  let free = -Infinity;
  for (const [onset, stop, text, beat] of data.annotations) {
    const x = Math.max(g.x(onset), g.left);
    if (g.x(onset) > g.right) continue;
    ctx.fillStyle = p.muted;
    ctx.strokeStyle = p.muted;
    if (beat) {
      ctx.textAlign = "center";
      if (x - free > 8) { ctx.fillText(text, x, 9); free = x; }
      continue;
    }
    ctx.textAlign = "left";
    ctx.setLineDash([2, 4]);
    ctx.globalAlpha = 0.7;
    ctx.beginPath();
    ctx.moveTo(x, 14);
    ctx.lineTo(x, g.bottom);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    if (stop > onset) ctx.fillRect(x, 15, Math.min(g.x(stop), g.right) - x, 2);
    const words = text.length > 34 ? `${text.slice(0, 33)}…` : text;
    if (x > free) { ctx.fillText(words, x + 2, 9); free = x + ctx.measureText(words).width + 8; }
  }
}

function drawTraces(ctx, p, data, g, values) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(g.left, g.top, g.right - g.left, g.bottom - g.top);
  ctx.clip();
  data.traces.forEach((trace, i) => {
    const v = values[i];
    let unit = g.perUnit(trace);
    if (data.kind === "eeg" && trace.unit === "mV") unit = fitted(v, g.row * 0.8);
    const dx = (trace.seconds * g.perSecond) / v.length;
    const y0 = g.middle(i);
    if (trace.unit === "µV") unit = -unit; // negative up, as EEG is read
    ctx.beginPath();
    let pen = false;
    for (let k = 0; k < v.length; k++) {
      if (Number.isNaN(v[k])) { pen = false; continue; }
      const [x, y] = [g.left + k * dx, y0 - v[k] * unit];
      if (pen) ctx.lineTo(x, y); else ctx.moveTo(x, y);
      pen = true;
    }
    ctx.strokeStyle = p.trace;
    ctx.lineWidth = data.kind === "ecg" ? 1.4 : 1;
    ctx.lineJoin = "round";
    ctx.stroke();
  });
  ctx.restore();
  ctx.textAlign = "left";
  data.traces.forEach((trace, i) => {
    ctx.font = `${trace.top ? "bold " : ""}12px ${p.font}`;
    ctx.fillStyle = trace.top ? p.verdicts.undecided : p.text;
    const words = trace.top ? `▸${trace.name}` : trace.name;
    ctx.fillText(words, 4, g.middle(i), g.left - 8);
  });
}

function fitted(v, room) {
  let [low, high] = [Infinity, -Infinity];
  for (const s of v) if (!Number.isNaN(s)) { low = Math.min(low, s); high = Math.max(high, s); }
  return high > low ? room / (high - low) : 1;
}

function drawScale(ctx, p, data, g) {
  const ecg = data.kind === "ecg";
  const amount = ecg ? 1 : [20, 50, 100, 200, 500, 1000].find((a) => a / data.gain * g.mm >= 24) || 2000;
  const size = ecg ? data.gain * g.mm : (amount / data.gain) * g.mm;
  const words = ecg ? "1 mV" : `${amount} µV`;
  const [x, y] = [g.right - 12, g.bottom - 8];
  ctx.font = `11px ${p.font}`;
  const w = ctx.measureText(words).width;
  ctx.fillStyle = p.background;
  ctx.globalAlpha = 0.85;
  ctx.fillRect(x - w - 12, y - size - 4, w + 20, size + 8);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = p.text;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  for (const dy of [0, size]) { ctx.moveTo(x - 3, y - dy); ctx.lineTo(x + 3, y - dy); }
  ctx.moveTo(x, y);
  ctx.lineTo(x, y - size);
  ctx.stroke();
  ctx.fillStyle = p.text;
  ctx.textAlign = "right";
  ctx.fillText(words, x - 7, y - size / 2);
}

function drawScoresLane(ctx, p, data, g) {
  const [y0, y1] = [g.bottom + 5, g.bottom + SCORES];
  const known = data.scores.map((s) => s[1]).filter((s) => s !== null);
  const top = Math.max(data.topScore, ...known, 1e-9);
  const low = Math.min(data.lowScore, ...known);
  const y = (s) => y1 - ((y1 - y0) * Math.max(s - low, 0)) / (top - low || 1);
  ctx.font = `11px ${p.font}`;
  ctx.fillStyle = p.muted;
  ctx.textAlign = "left";
  ctx.fillText("score", 4, (y0 + y1) / 2);
  const gap = data.scores.length > 1 ? g.x(data.scores[1][0]) - g.x(data.scores[0][0]) : 40;
  const half = Math.max(2, Math.min(Math.abs(gap) / 2 - 1, 6));
  for (const [center, score, flagged] of data.scores) {
    const x = g.x(center);
    if (x < g.left || x > g.right) continue;
    if (score === null) { hatch(ctx, x - half, y0, x + half, y1, p.muted); continue; }
    ctx.fillStyle = flagged ? p.verdicts.undecided : p.score;
    ctx.globalAlpha = flagged ? 1 : 0.55;
    ctx.fillRect(x - half, y(score), 2 * half, Math.max(1.5, y1 - y(score)));
    ctx.globalAlpha = 1;
  }
  if (data.threshold !== null) {
    ctx.setLineDash([4, 3]);
    ctx.strokeStyle = p.text;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(g.left, Math.round(y(data.threshold)) + 0.5);
    ctx.lineTo(g.right, Math.round(y(data.threshold)) + 0.5);
    ctx.stroke();
    ctx.setLineDash([]);
  }
}

function drawTimes(ctx, p, data, g, height) {
  ctx.font = `11px ${p.font}`;
  ctx.fillStyle = p.muted;
  ctx.textAlign = "center";
  const step = tickStep(data.stop - data.start, 12);
  for (let t = Math.ceil(data.start / step - 1e-9) * step; t <= data.stop + 1e-6; t += step) {
    ctx.fillText(clock(t, step < 1 ? 1 : 0), Math.min(Math.max(g.x(t), g.left + 12), g.right - 14), height - 9);
  }
}

/** What was dragged over last: the place of an event to add, of bounds, or of a baseline. */
function drawSelection(ctx, p, data, g) {
  if (!data.selection) return;
  const [a, b] = data.selection.map((t) => Math.min(Math.max(g.x(t), g.left), g.right));
  if (b - a < 1) return;
  ctx.strokeStyle = p.pageEdge;
  ctx.lineWidth = 1.5;
  ctx.setLineDash([6, 3]);
  ctx.strokeRect(a, g.top + 1, b - a, g.bottom - g.top - 2);
  ctx.setLineDash([]);
}

function drawCaliper(ctx, p, data, g, caliper) {
  if (!caliper) return;
  const { x0, y0, x1, y1 } = caliper;
  ctx.fillStyle = p.page;
  ctx.fillRect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0));
  ctx.strokeStyle = p.pageEdge;
  ctx.lineWidth = 1;
  ctx.strokeRect(x0, y0, x1 - x0, y1 - y0);
  const seconds = Math.abs(x1 - x0) / g.perSecond;
  const i = Math.min(data.traces.length - 1, Math.max(0, Math.floor((y0 - g.top) / g.row)));
  const trace = data.traces[i];
  let words = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
  if (seconds > 0) words += data.kind === "ecg" ? `  ·  ${Math.round(60 / seconds)}/min` : `  ·  ${(1 / seconds).toFixed(1)} Hz`;
  if (!(data.kind === "eeg" && trace.unit === "mV")) {
    const size = Math.abs(y1 - y0) / g.perUnit(trace);
    words += trace.unit === "mV" ? `  ·  ${size.toFixed(2)} mV` : `  ·  ${size.toFixed(0)} µV`;
  }
  ctx.font = `bold 12px ${p.font}`;
  const w = ctx.measureText(words).width + 14;
  const left = Math.min(Math.max(Math.min(x0, x1), g.left), g.right - w);
  const top = Math.max(Math.min(y0, y1) - 24, 2);
  ctx.fillStyle = p.text;
  ctx.fillRect(left, top, w, 20);
  ctx.fillStyle = p.background;
  ctx.textAlign = "left";
  ctx.fillText(words, left + 7, top + 10);
}

/** After a table has opened a segment, give the keys back to the page: the table eats arrows. */
function leaveTable(canvas, segment) {
  const focused = document.activeElement;
  if (canvas.dataset.segment !== segment && focused && focused.closest('[data-testid="stDataFrame"]')) {
    focused.blur();
  }
  canvas.dataset.segment = segment;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const values = data.traces.map(decode);
  let caliper = null, from = null, geometry = null;
  const view = setUp(parentElement, data.height, (ctx, width, height) => {
    const p = paletteOf(ctx.canvas);
    const g = (geometry = layout(data, width, height));
    ctx.clearRect(0, 0, width, height);
    ctx.textBaseline = "middle";
    drawPaper(ctx, p, data, g);
    drawSegments(ctx, p, data, g);
    drawAnnotations(ctx, p, data, g);
    drawTraces(ctx, p, data, g, values);
    drawScale(ctx, p, data, g);
    drawSelection(ctx, p, data, g);
    drawScoresLane(ctx, p, data, g);
    drawTimes(ctx, p, data, g, height);
    drawCaliper(ctx, p, data, g, caliper);
  });
  const { canvas } = view;
  canvas.setAttribute("aria-label", data.aria);
  leaveTable(canvas, data.segment);
  canvas.style.cursor = "crosshair";
  canvas.onpointerdown = (event) => {
    from = { x0: event.offsetX, y0: event.offsetY };
    canvas.setPointerCapture(event.pointerId);
    caliper = null;
    view.paint();
  };
  canvas.onpointermove = (event) => {
    if (!from || !geometry) return;
    const within = (v, a, b) => Math.min(Math.max(v, a), b);
    caliper = {
      ...from,
      x1: within(event.offsetX, geometry.left, geometry.right),
      y1: within(event.offsetY, geometry.top, geometry.bottom),
    };
    view.paint();
  };
  canvas.onpointerup = () => {
    from = null;
    if (!caliper || !geometry || Math.abs(caliper.x1 - caliper.x0) < 4) return;
    const time = (x) => data.start + (Math.min(Math.max(x, geometry.left), geometry.right) - geometry.left) / geometry.perSecond;
    const [start, stop] = [time(caliper.x0), time(caliper.x1)].sort((a, b) => a - b);
    setTriggerValue("measured", { start, stop });
  };
  let wheeled = 0;
  canvas.onwheel = (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!sideways && !event.ctrlKey) return; // an upright wheel scrolls the page
    event.preventDefault();
    if (event.timeStamp - wheeled < 250) return;
    wheeled = event.timeStamp;
    const way = Math.sign(sideways && !event.ctrlKey ? event.deltaX || event.deltaY : event.deltaY);
    setTriggerValue("turned", event.ctrlKey ? { zoom: way } : { by: way / 4 });
  };
  return view.stop;
}
