// A line chart on a canvas. Knows points and pixels, nothing of training.
// Hover reads a value, dragging zooms in on the steps, a double click shows everything again.

const PAD = { right: 10, top: 10, bottom: 24 }; // the left one is as wide as the labels need

/** Exponential moving average, corrected for its start, gaps (null) kept. `weight` 0 (none) to below 1. */
export function smooth(values, weight) {
  if (!weight) return values;
  let average = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    average = weight * average + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return average / total;
  });
}

/** Round axis positions inside [low, high]. */
export function ticks(low, high, wanted) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

/** A number for an axis or a tip: few digits, no noise. */
export function formatNumber(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e7) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

export class Chart {
  /** `host` gets a canvas and a tip. Call `show` with data, `redraw` when the theme or the size has changed. */
  constructor(host) {
    this.host = host;
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    host.replaceChildren(this.canvas, this.tip);
    this.series = [];
    this.options = { smoothing: 0, logScale: false };
    this.zoom = null;
    this.hover = null;
    this.drag = null;
    this.onzoom = () => {};
    this.#listen();
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(host);
  }

  close() {
    this.sizes.disconnect();
  }

  /**
   * `series`: [{name, x: [], y: [], color: "--css-variable", dots: bool}], x ascending. A series with dots is drawn as it is
   * (few points, dashed); the others get a bold smoothed line over a faint raw one.
   */
  show(series, options) {
    this.series = series;
    this.options = options;
    this.redraw();
  }

  resetZoom() {
    this.zoom = null;
    this.onzoom(null);
    this.redraw();
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#draw();
    });
  }

  #listen() {
    const canvas = this.canvas;
    const xOf = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.addEventListener("pointermove", (event) => {
      this.hover = xOf(event);
      if (this.drag) this.drag.to = this.hover;
      this.redraw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.hover = null;
      this.redraw();
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return; // a finger scrolls the page
      canvas.setPointerCapture(event.pointerId);
      this.drag = { from: xOf(event), to: xOf(event) };
    });
    canvas.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (!drag || Math.abs(drag.to - drag.from) < 6 || !this.scale) return this.redraw();
      const [low, high] = [drag.from, drag.to].sort((a, b) => a - b).map((px) => this.scale.stepAt(px));
      if (high - low >= 1) {
        this.zoom = [low, high];
        this.onzoom(this.zoom);
      }
      this.redraw();
    });
    canvas.addEventListener("dblclick", () => this.resetZoom());
  }

  #draw() {
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    if (!width || !height) return; // its tab is closed
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(this.host);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${style.fontFamily}`;

    const lines = this.series.map((series) => this.#prepare(series)).filter((line) => line.x.length);
    this.scale = this.#buildScale(pen, lines, width, height);
    if (!this.scale) {
      this.tip.style.display = "none";
      return;
    }
    this.#drawAxes(pen, style, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(this.scale.left - 4, 0, width - this.scale.left - PAD.right + 9, height - PAD.bottom + 1);
    pen.clip();
    for (const line of lines) this.#drawLine(pen, style, line);
    this.#drawSelection(pen, style, height);
    pen.restore();
    this.#drawHover(pen, style, lines, width, height);
  }

  /** The part of a series inside the zoom, one point beyond each edge, with its smoothed values. */
  #prepare(series) {
    const smoothed = series.dots ? series.y : smooth(series.y, this.options.smoothing);
    let [from, to] = [0, series.x.length];
    if (this.zoom) {
      from = Math.max(0, series.x.findIndex((x) => x >= this.zoom[0]) - 1);
      const after = series.x.findIndex((x) => x > this.zoom[1]);
      to = after < 0 ? series.x.length : after + 1;
    }
    return { ...series, x: series.x.slice(from, to), y: series.y.slice(from, to), bold: smoothed.slice(from, to) };
  }

  #buildScale(pen, lines, width, height) {
    let [xLow, xHigh, yLow, yHigh] = [Infinity, -Infinity, Infinity, -Infinity];
    const usable = (y) => y !== null && (!this.options.logScale || y > 0);
    for (const { x, y } of lines) {
      xLow = Math.min(xLow, x[0]);
      xHigh = Math.max(xHigh, x[x.length - 1]);
      for (let i = 0; i < y.length; i += 1) {
        if (!usable(y[i])) continue;
        if (y[i] < yLow) yLow = y[i];
        if (y[i] > yHigh) yHigh = y[i];
      }
    }
    if (yLow > yHigh) return null;
    if (this.zoom) [xLow, xHigh] = this.zoom;
    if (xLow === xHigh) [xLow, xHigh] = [xLow - 1, xHigh + 1];
    const toUnit = this.options.logScale ? Math.log10 : (v) => v;
    let [low, high] = [toUnit(yLow), toUnit(yHigh)];
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
    [low, high] = [low - margin, high + margin];
    if (!this.options.logScale && yLow >= 0 && low < 0) low = 0;
    const yTicks = this.options.logScale ? logTicks(low, high) : ticks(low, high, 4);
    const left = 12 + Math.max(...yTicks.map((value) => pen.measureText(formatNumber(value)).width));
    const [w, h] = [width - left - PAD.right, height - PAD.top - PAD.bottom];
    return {
      left,
      x: (step) => left + ((step - xLow) / (xHigh - xLow)) * w,
      y: (value) => (usable(value) ? PAD.top + (1 - (toUnit(value) - low) / (high - low)) * h : null),
      stepAt: (px) => xLow + ((px - left) / w) * (xHigh - xLow),
      xRange: [xLow, xHigh],
      yTicks,
    };
  }

  #drawAxes(pen, style, width, height) {
    const muted = style.getPropertyValue("--ts-mut");
    pen.lineWidth = 1;
    pen.strokeStyle = style.getPropertyValue("--ts-line");
    pen.fillStyle = muted;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of this.scale.yTicks) {
      const y = Math.round(this.scale.y(value)) + 0.5;
      pen.beginPath();
      pen.moveTo(this.scale.left, y);
      pen.lineTo(width - PAD.right, y);
      pen.stroke();
      pen.fillText(formatNumber(value), this.scale.left - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const step of ticks(...this.scale.xRange, Math.max(2, Math.floor(width / 70)))) {
      if (!Number.isInteger(step)) continue;
      const label = formatNumber(step);
      const half = pen.measureText(label).width / 2;
      pen.fillText(label, Math.min(Math.max(this.scale.x(step), this.scale.left), width - half - 2), height - PAD.bottom + 9);
    }
  }

  #drawLine(pen, style, line) {
    const color = style.getPropertyValue(line.color);
    pen.strokeStyle = color;
    pen.lineJoin = "round";
    if (line.dots) {
      pen.lineWidth = 1.6;
      pen.setLineDash([5, 4]);
      this.#trace(pen, line.x, line.y);
      pen.setLineDash([]);
      pen.fillStyle = color;
      line.x.forEach((step, i) => {
        const y = this.scale.y(line.y[i]);
        if (y !== null) circle(pen, this.scale.x(step), y, 3);
      });
      return;
    }
    if (this.options.smoothing) {
      pen.lineWidth = 1;
      pen.globalAlpha = 0.28;
      this.#trace(pen, line.x, line.y);
      pen.globalAlpha = 1;
    }
    pen.lineWidth = 1.8;
    this.#trace(pen, line.x, line.bold);
    if (line.x.length === 1) {
      pen.fillStyle = color;
      circle(pen, this.scale.x(line.x[0]), this.scale.y(line.y[0]) ?? -9, 3);
    }
  }

  /** One stroke through the points. Where many share a pixel column, its lowest and highest are enough. */
  #trace(pen, xs, ys) {
    pen.beginPath();
    let column = null;
    let [low, high] = [0, 0];
    let down = false;
    const flush = () => {
      if (column === null) return;
      if (down) pen.lineTo(column, low);
      else pen.moveTo(column, low);
      if (high !== low) pen.lineTo(column, high);
      down = true;
    };
    const dense = xs.length > 3000;
    for (let i = 0; i < xs.length; i += 1) {
      const y = this.scale.y(ys[i]);
      if (y === null) {
        flush();
        column = null;
        down = false;
        continue;
      }
      const x = dense ? Math.round(this.scale.x(xs[i])) : this.scale.x(xs[i]);
      if (x === column) {
        low = Math.min(low, y);
        high = Math.max(high, y);
        continue;
      }
      flush();
      [column, low, high] = [x, y, y];
    }
    flush();
    pen.stroke();
  }

  #drawSelection(pen, style, height) {
    if (!this.drag) return;
    pen.fillStyle = style.getPropertyValue("--ts-acc");
    pen.globalAlpha = 0.14;
    pen.fillRect(this.drag.from, PAD.top, this.drag.to - this.drag.from, height - PAD.top - PAD.bottom);
    pen.globalAlpha = 1;
  }

  #drawHover(pen, style, lines, width, height) {
    if (this.hover === null || this.drag) {
      this.tip.style.display = "none";
      return;
    }
    const main = lines.reduce((a, b) => (b.x.length > a.x.length ? b : a));
    const step = nearest(main.x, this.scale.stepAt(this.hover));
    const px = this.scale.x(step);
    pen.strokeStyle = style.getPropertyValue("--ts-mut");
    pen.globalAlpha = 0.5;
    pen.beginPath();
    pen.moveTo(Math.round(px) + 0.5, PAD.top);
    pen.lineTo(Math.round(px) + 0.5, height - PAD.bottom);
    pen.stroke();
    pen.globalAlpha = 1;
    const parts = [`${formatNumber(step)}`];
    for (const line of lines) {
      const at = line.x.indexOf(step);
      if (at < 0 || line.y[at] === null) continue;
      const y = this.scale.y(line.bold[at]);
      pen.fillStyle = style.getPropertyValue(line.color);
      if (y !== null) circle(pen, px, y, 3.5);
      parts.push(`${line.name} ${formatNumber(line.y[at])}`);
    }
    this.tip.textContent = parts.join(" · ");
    this.tip.style.display = "block";
    const left = Math.min(Math.max(px - this.tip.offsetWidth / 2, 0), width - this.tip.offsetWidth);
    this.tip.style.transform = `translateX(${left}px)`;
  }
}

function circle(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
    for (const m of high - low > 2 ? [1] : [1, 2, 5]) {
      const value = m * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found.length ? found : [10 ** low, 10 ** high];
}

function nearest(sorted, wanted) {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low > 0 && wanted - sorted[low - 1] < sorted[low] - wanted ? sorted[low - 1] : sorted[low];
}
