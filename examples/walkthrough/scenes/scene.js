// What scenes share. A scene is a script of its own that reads `data` and fills `stage`.
const data = JSON.parse(document.getElementById("data").textContent), stage = document.getElementById("stage");

// -- words in two languages: where the page around is turned to the other one, the scene begins anew --
const around = (() => { try { return parent.document; } catch { return document; } })();  // of another origin: unseen
const vietnamese = () => Boolean(around.querySelector(".in-vietnamese")?.checked), language = vietnamese();
const either = (english, other) => language ? other : english;
if (language) document.documentElement.lang = "vi";
const gone = new AbortController();
addEventListener("pagehide", () => gone.abort());
around.addEventListener("change", () => vietnamese() !== language && location.reload(), { signal: gone.signal });

// -- elements --
function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(child => child !== undefined && child !== null));
  return element;
}
const make = (tag, attributes, ...children) => dress(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) =>
  dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const row = (...children) => make("div", { class: "row" }, ...children);

// A number with so many digits behind the point, a real minus, and no minus before zero.
function show(x, digits = 4) {
  const text = Math.abs(x).toFixed(digits);
  return (x < 0 && Number(text) !== 0 ? "−" : "") + text;
}
const total = numbers => numbers.reduce((sum, x) => sum + x, 0);
const range = n => [...Array(n).keys()];

// -- colours, and an ink that is read on each --
const mix = (from, to, share) => from.map((c, i) => Math.round(c + (to[i] - c) * Math.min(1, Math.max(0, share))));
const grey = share => mix([0, 0, 0], [255, 255, 255], share);
const signed = share => share < 0 ? mix([247, 247, 247], [94, 60, 153], -share) : mix([247, 247, 247], [230, 97, 1], share);
const blue = share => mix([255, 255, 255], [86, 180, 233], share);
const css = ([r, g, b]) => `rgb(${r}, ${g}, ${b})`;
const inkOn = ([r, g, b]) => 0.299 * r + 0.587 * g + 0.114 * b < 140 ? "#fff" : "#000";

// -- a grid of pixels or numbers --
// name: what it is called; rows, columns; cell(r, c): {colour: [r, g, b], text}; width: at most so many pixels;
// pick(r, c): called when a cell is picked, by mouse (also dragged), touch or keys. Without pick it cannot be.
// grid.frames([{at: [r, c], size: [height, width], kind: "picked" | "reached", dashed}]) draws frames on it;
// grid.redraw() asks cell() anew; grid.resize(rows, columns) makes another grid of it.
const CELL = 40;  // units of the drawing for a cell
function grid({ name, rows, columns, cell, width, pick, size = 11 }) {
  const cells = draw("g"), marks = draw("g");
  const picture = draw("svg", pick ? { tabindex: 0, role: "application", "aria-roledescription": "grid" } : { class: "fixed", role: "img" },
    cells, marks);
  picture.style.setProperty("--size", size);
  const caption = make("figcaption", {}, name);
  const element = make("figure", { class: "grid" }, caption, picture);
  if (width) element.style.width = `min(${width}px, 100%)`;
  const here = { element, picture, caption, rows, columns, at: [0, 0] };

  here.label = text => {
    caption.textContent = text;
    picture.setAttribute("aria-label", pick ? `${text}: ` + either(
      `${here.rows} rows, ${here.columns} columns; arrow keys move`, `${here.rows} hàng, ${here.columns} cột; di chuyển bằng phím mũi tên`) : text);
  };
  here.resize = (r, c) => {
    [here.rows, here.columns] = [r, c];
    here.at = [Math.min(here.at[0], r - 1), Math.min(here.at[1], c - 1)];
    picture.setAttribute("viewBox", `0 0 ${c * CELL} ${r * CELL}`);
    cells.replaceChildren(...range(r * c).map(i => {
      const [x, y] = [(i % c) * CELL, Math.floor(i / c) * CELL];
      return draw("g", {}, draw("rect", { x, y, width: CELL, height: CELL }), draw("text", { x: x + CELL / 2, y: y + CELL / 2 }));
    }));
    marks.replaceChildren();
    here.label(caption.textContent);
    here.redraw();
    scale();
  };
  here.redraw = () => range(here.rows * here.columns).forEach(i => {
    const { colour, text = "" } = cell(Math.floor(i / here.columns), i % here.columns);
    const [box, words] = cells.children[i].children;
    box.setAttribute("fill", css(colour));
    if (words.textContent !== text) words.textContent = text;
    words.setAttribute("fill", inkOn(colour));
  });
  here.frames = frames => marks.replaceChildren(...frames.flatMap(({ at: [r, c], size: [high, wide] = [1, 1], kind, dashed }) =>
    ["halo", `frame ${kind}${dashed ? " dashed" : ""}`].map(look => draw("rect", {
      x: c * CELL, y: r * CELL, width: wide * CELL, height: high * CELL, class: look }))));
  here.pick = (r, c) => {
    here.at = [Math.min(Math.max(r, 0), here.rows - 1), Math.min(Math.max(c, 0), here.columns - 1)];
    pick(...here.at);
  };
  // where the left or right edge of the grid is at a row, in pixels of the stage
  here.edge = (r, right) => {
    const box = picture.getBoundingClientRect(), from = stage.getBoundingClientRect();
    return [(right ? box.right : box.left) - from.left, box.top - from.top + (r + 0.5) * box.height / here.rows];
  };

  const scale = () => picture.style.setProperty("--unit", CELL * here.columns / Math.max(1, picture.getBoundingClientRect().width));
  new ResizeObserver(scale).observe(picture);
  if (pick) {
    const under = event => {
      const box = picture.getBoundingClientRect();
      here.pick(Math.floor((event.clientY - box.top) / box.height * here.rows), Math.floor((event.clientX - box.left) / box.width * here.columns));
    };
    picture.addEventListener("click", under);
    picture.addEventListener("pointermove", event => event.buttons === 1 && event.pointerType === "mouse" && under(event));
    picture.addEventListener("keydown", event => {
      const [r, c] = here.at, far = event.ctrlKey || event.metaKey;
      const to = { ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1],
                   Home: [far ? 0 : r, 0], End: [far ? here.rows - 1 : r, here.columns - 1] }[event.key];
      if (!to || event.altKey) return;
      event.preventDefault();
      here.pick(...to);
    });
  }
  here.label(name);
  here.resize(rows, columns);
  return here;
}

// -- what is said of the pick --
// readout.say(text) is read out, readout.detail(...elements) stands below it.
function readout() {
  const line = make("p", { class: "readout", "aria-live": "polite" }), more = make("div", { class: "detail" });
  return { element: make("div", {}, line, more), say: text => { line.textContent = text; }, detail: (...children) => more.replaceChildren(...children) };
}
const button = (text, press, attributes) => make("button", { type: "button", onclick: press, ...attributes }, text);
const switched = (element, on) => element.setAttribute("aria-pressed", on);
// options: [[value, text]]; the first is chosen
function choice(text, options, change) {
  const select = make("select", { "aria-label": text, onchange: () => change(select.value) }, ...options.map(([value, words]) => make("option", { value }, words)));
  return { element: make("label", {}, text, select), select };
}

// -- a nudge: a number is made larger and smaller by a step, and the loss is looked up --
// nudge(h).show({name, value, loss, below, above, gradient}), or .show() where nothing can be nudged. The drawing is the
// loss above the number: a curve through the three losses, and the line whose slope is the gradient.
function nudge(h, digits) {
  const WIDE = 150, HIGH = 80, words = make("p", { class: "detail", "aria-live": "polite" });
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "curve", role: "img" });
  const less = button(`− ${h}`, () => press(-1)), more = button(`+ ${h}`, () => press(1));
  const element = make("div", { class: "nudge" },
    make("div", { class: "row controls" }, make("span", {}, either("Nudge it:", "Dịch:")), less, more), picture, words);
  const lost = either("loss", "mất mát");
  let now, moved = 0;
  const press = way => { moved = moved === way ? 0 : way; redraw(); };
  function redraw() {
    const { name, value, loss, below, above, gradient } = now, after = { "-1": below, 0: loss, 1: above }[moved];
    switched(less, moved === -1);
    switched(more, moved === 1);
    words.replaceChildren(...(moved ? [
      `${name}: ${show(value, 2)} → ${show(value + moved * h, 2)}, ${lost}: ${show(loss, digits)} → ${show(after, digits)}`, make("br"),
      either("change of the loss / step", "mất mát đổi / bước") + ` = ${show((after - loss) / (moved * h), digits)}`, make("br"),
      either("the same, of both sides", "như trên, từ hai phía") + ` = ${show((above - below) / (2 * h), digits)}`, make("br"), `gradient = ${show(gradient, digits)}`,
    ] : [`${name} = ${show(value, 2)}, ${lost} = ${show(loss, digits)}`]));
    const most = Math.max(Math.abs(above - loss), Math.abs(below - loss), Math.abs(gradient * h), 1e-9);
    const x = share => WIDE / 2 + share * (WIDE / 2 - 14), y = change => HIGH / 2 - change / most * (HIGH / 2 - 16);
    const bend = (above + below - 2 * loss) / 2, tilt = (above - below) / 2;
    const curve = range(21).map(i => i / 10 - 1).map(t => `${x(t)},${y(below === above && !bend ? 0 : tilt * t + bend * t * t)}`);
    picture.setAttribute("aria-label", either(`The loss above ${name}, and a line with the slope of the gradient.`,
      `Mất mát theo ${name}, và đường thẳng có độ dốc bằng gradient.`));
    picture.replaceChildren(
      draw("text", { x: 4, y: 10 }, lost), draw("text", { x: WIDE - 2, y: HIGH - 2, "text-anchor": "end" }, name),
      draw("line", { x1: x(-1), y1: y(-gradient * h), x2: x(1), y2: y(gradient * h), class: "tangent" }),
      draw("polyline", { points: curve.join(" "), class: "loss" }),
      draw("circle", { cx: x(moved), cy: y(after - loss), r: 5, class: "dot" }));
  }
  return { element, show: picked => {
    element.hidden = !picked;
    if (!picked) return;
    [now, moved] = [picked, 0];
    redraw();
  } };
}

// -- lines from grid to grid, in the space between them --
// links().draw([{from: [grid, row], to: [grid, row], kind}]); drawn anew when the stage changes its size
function links() {
  const over = draw("svg", { class: "over", "aria-hidden": true });
  let last = [];
  const redraw = () => over.replaceChildren(...last.map(({ from: [a, r], to: [b, s], kind }) => {
    const right = b.edge(s, false)[0] > a.edge(r, false)[0];
    const [x1, y1] = a.edge(r, right), [x2, y2] = b.edge(s, !right);
    return draw("line", { x1, y1, x2, y2, class: kind });
  }));
  stage.append(over);
  new ResizeObserver(redraw).observe(stage);
  return { draw: list => { last = list; redraw(); } };
}

// -- the page around: its colours are ours, and our height is known to it --
try {
  const frame = window.frameElement;
  const theme = () => {
    const { documentElement: top, body } = around;
    const named = top.dataset.theme || body?.dataset.theme || [top, body].map(e => e && ["dark", "light"].find(n => e.classList.contains(n))).find(Boolean);
    if (named) document.documentElement.dataset.theme = named;
    else delete document.documentElement.dataset.theme;
  };
  if (frame) {
    theme();
    for (const element of [around.documentElement, around.body])
      if (element) new MutationObserver(theme).observe(element, { attributes: true, attributeFilter: ["class", "data-theme"] });
    new ResizeObserver(() => { frame.style.height = `${Math.ceil(stage.getBoundingClientRect().height)}px`; }).observe(stage);
  }
} catch { /* a page of another origin: the scene keeps the height that it was given, and the colours of the system */ }
