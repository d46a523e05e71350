// The score over the whole recording. A click asks the server for that moment.

const LEFT = 44, RIGHT = 12, TOP = 22, BOTTOM = 20, LANE = 40;

function drawLane(ctx, p, lane, values, x, y0, y1, duration) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return;
  const sorted = [...known].sort((a, b) => a - b);
  const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  const [low, high] = [at(0.01), at(0.99)];
  const y = (v) => y1 - 3 - ((y1 - y0 - 6) * (Math.min(Math.max(v, low), high) - low)) / (high - low || 1);
  ctx.strokeStyle = p.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(LEFT + 0.5, y0 + 0.5, x(duration) - LEFT, y1 - y0);
  ctx.strokeStyle = p.trace;
  ctx.beginPath();
  let pen = false;
  values.forEach((v, i) => {
    if (!Number.isFinite(v)) { pen = false; return; }
    const at = x(((i + 0.5) * duration) / values.length);
    if (pen) ctx.lineTo(at, y(v)); else ctx.moveTo(at, y(v));
    pen = true;
  });
  ctx.stroke();
  ctx.fillStyle = p.muted;
  ctx.textAlign = "right";
  ctx.fillText(high.toFixed(lane.unit === "/min" ? 0 : 1), LEFT - 6, y0 + 6);
  ctx.fillText(low.toFixed(lane.unit === "/min" ? 0 : 1), LEFT - 6, y1 - 6);
  ctx.textAlign = "left";
  const words = `${lane.name}, ${lane.unit}`;
  const w = ctx.measureText(words).width;
  ctx.fillStyle = p.background;
  ctx.globalAlpha = 0.8;
  ctx.fillRect(LEFT + 3, y0 + 2, w + 6, 13);
  ctx.globalAlpha = 1;
  ctx.fillStyle = p.muted;
  ctx.fillText(words, LEFT + 6, y0 + 9);
}

function drawOverview(ctx, width, height, data, scores, lane, hoverX) {
  const p = paletteOf(ctx.canvas);
  const x = (t) => LEFT + ((width - LEFT - RIGHT) * t) / data.duration;
  const [y0, y1] = [TOP, height - BOTTOM - (data.lane ? LANE : 0)];
  const known = scores.filter(Number.isFinite);
  const top = Math.max(...known, data.threshold ?? -Infinity, 1e-9);
  const low = Math.min(...known, data.threshold ?? Infinity);
  const bottom = known.length ? low - 0.04 * (top - low) : 0;
  const y = (s) => y1 - ((y1 - y0) * (s - bottom)) / (top * 1.04 - bottom || 1);
  ctx.clearRect(0, 0, width, height);
  ctx.font = `11px ${p.font}`;
  ctx.textBaseline = "middle";

  for (const [a, b] of data.gaps) {
    ctx.fillStyle = p.faint;
    ctx.fillRect(x(a), y0, Math.max(1, x(b) - x(a)), y1 - y0);
  }
  for (const [a, b] of data.unscorable) hatch(ctx, x(a), y0, x(b), y1, p.line);
  for (const m of data.marks) {
    ctx.fillStyle = p.verdicts[m.verdict];
    ctx.globalAlpha = m.current ? 0.5 : 0.14;
    ctx.fillRect(x(m.start), y0, Math.max(1.5, x(m.stop) - x(m.start)), y1 - y0);
  }
  ctx.globalAlpha = 1;
  drawScores(ctx, p, scores, data, x, y, y1);
  drawAxes(ctx, p, data, x, y, y0, y1, width);
  drawMarks(ctx, p, data, x);
  if (data.lane) drawLane(ctx, p, data.lane, lane, x, height - LANE, height - 4, data.duration);
  const [pa, pb] = [x(data.page[0]), x(data.page[1])];
  const pw = Math.max(3, pb - pa);
  ctx.fillStyle = p.page;
  ctx.fillRect(pa, y0, pw, y1 - y0);
  ctx.strokeStyle = p.pageEdge;
  ctx.strokeRect(pa + 0.5, y0 + 0.5, pw, y1 - y0 - 1);
  if (hoverX !== null && hoverX >= LEFT && hoverX <= width - RIGHT) {
    drawHover(ctx, p, data, scores, hoverX, x, y0, y1, width);
  }
}

function drawScores(ctx, p, scores, data, x, y, y1) {
  const step = data.duration / scores.length;
  for (const above of [false, true]) {
    if (above && data.threshold === null) continue;
    ctx.save();
    ctx.beginPath();
    const cut = data.threshold === null ? 0 : y(data.threshold);
    if (above) ctx.rect(0, 0, ctx.canvas.width, cut);
    else if (data.threshold !== null) ctx.rect(0, cut, ctx.canvas.width, y1 - cut + 1);
    else ctx.rect(0, 0, ctx.canvas.width, y1 + 1);
    ctx.clip();
    ctx.beginPath();
    scores.forEach((s, i) => {
      if (!Number.isFinite(s)) return;
      ctx.moveTo(x((i + 0.5) * step), y1);
      ctx.lineTo(x((i + 0.5) * step), y(s));
    });
    ctx.strokeStyle = above ? p.verdicts.undecided : p.score;
    ctx.lineWidth = Math.max(1, x(step) - x(0));
    ctx.globalAlpha = above ? 0.95 : 0.55;
    ctx.stroke();
    ctx.restore();
  }
}

function drawAxes(ctx, p, data, x, y, y0, y1, width) {
  ctx.strokeStyle = p.line;
  ctx.lineWidth = 1;
  ctx.beginPath();
  ctx.moveTo(LEFT, y1 + 0.5);
  ctx.lineTo(width - RIGHT, y1 + 0.5);
  ctx.stroke();
  ctx.fillStyle = p.muted;
  ctx.textAlign = "center";
  const step = tickStep(data.duration, 14);
  for (let t = 0; t <= data.duration + 1e-6; t += step) {
    ctx.fillText(clock(t), Math.min(x(t), width - RIGHT - 12), y1 + 11);
  }
  ctx.textAlign = "right";
  ctx.fillText("score", LEFT - 6, y0 + 5);
  if (data.threshold !== null) {
    const ty = Math.round(y(data.threshold)) + 0.5;
    ctx.setLineDash([4, 3]);
    ctx.strokeStyle = p.text;
    ctx.beginPath();
    ctx.moveTo(LEFT, ty);
    ctx.lineTo(width - RIGHT, ty);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.fillStyle = p.text;
    ctx.fillText(data.threshold.toPrecision(3), LEFT - 6, ty);
  }
}

function drawMarks(ctx, p, data, x) {
  ctx.textAlign = "center";
  const last = {};
  for (const current of [false, true]) {
    for (const m of data.marks) {
      if (m.current !== current) continue;
      const middle = x((m.start + m.stop) / 2);
      if (!current && middle - (last[m.verdict] ?? -99) < 7) continue;
      last[m.verdict] = middle;
      ctx.fillStyle = p.verdicts[m.verdict];
      ctx.font = current ? `bold 14px ${p.font}` : `10px ${p.font}`;
      if (current) {
        ctx.beginPath();
        ctx.moveTo(middle - 6, 2);
        ctx.lineTo(middle + 6, 2);
        ctx.lineTo(middle, 17);
        ctx.fill();
      } else {
        ctx.fillText(m.mark, middle, 12);
      }
    }
  }
  ctx.font = `11px ${p.font}`;
}

function drawHover(ctx, p, data, scores, hoverX, x, y0, y1, width) {
  const t = ((hoverX - LEFT) / (width - LEFT - RIGHT)) * data.duration;
  const s = scores[Math.min(scores.length - 1, Math.floor((t / data.duration) * scores.length))];
  const bad = data.unscorable.find(([a, b]) => t >= a && t <= b);
  let words = clock(t);
  if (Number.isFinite(s)) words += `  ·  score ${s.toFixed(2)}`;
  else if (bad) words += `  ·  not scorable: ${bad[2]}`;
  ctx.strokeStyle = p.text;
  ctx.beginPath();
  ctx.moveTo(hoverX, y0);
  ctx.lineTo(hoverX, y1);
  ctx.stroke();
  const w = ctx.measureText(words).width + 14;
  const left = Math.min(Math.max(hoverX - w / 2, LEFT), width - RIGHT - w);
  ctx.fillStyle = p.text;
  ctx.fillRect(left, 1, w, 18);
  ctx.fillStyle = p.background;
  ctx.textAlign = "left";
  ctx.fillText(words, left + 7, 10);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const scores = Array.from(decode(data.scores));
  const lane = data.lane ? Array.from(decode(data.lane)) : [];
  let hoverX = null;
  const view = setUp(parentElement, data.height, (ctx, w, h) => drawOverview(ctx, w, h, data, scores, lane, hoverX));
  const { canvas } = view;
  canvas.setAttribute("aria-label", data.aria);
  canvas.style.cursor = "pointer";
  canvas.onpointermove = (event) => { hoverX = event.offsetX; view.paint(); };
  canvas.onpointerleave = () => { hoverX = null; view.paint(); };
  canvas.onclick = (event) => {
    const perPixel = data.duration / Math.max(1, canvas.clientWidth - LEFT - RIGHT);
    const time = Math.min(Math.max((event.offsetX - LEFT) * perPixel, 0), data.duration);
    setTriggerValue("clicked", { time, tolerance: 5 * perPixel });
  };
  return view.stop;
}
