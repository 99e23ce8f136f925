// A convolution of one channel. Pick a pixel (x, gx): the gy and the weights that reach it. Pick an output (y, gy): the
// pixels and weights that make it. Pick a weight (w, gw): the pairs of gy and x that make its gradient.
const { x, w, h } = data, R = w.length, H = x.length;
let now = data.settings[0];
const largest = numbers => Math.max(...numbers.flat().map(Math.abs));
const pictured = (name, of, pick, scaled, digits) => {
  const rows = of().length;
  return grid({ name, rows, columns: rows, pick, size: 12, cell: (r, c) => (
    { colour: scaled(of()[r][c], largest(of())), text: digits === undefined ? "" : show(of()[r][c], digits) }) });
};
const tinted = (v, most) => signed(v / most);
const X = pictured(either("x, the picture", "x, ảnh"), () => x, pixel, v => grey(v)), GX = pictured("gx", () => now.gx, pixel, tinted);
const W = pictured(either("w, the kernel", "w, kernel"), () => w, weight, tinted, 1), GW = pictured("gw", () => now.gw, weight, tinted, 2);
const Y = pictured(either("y, the output", "y, đầu ra"), () => now.y, output, tinted), GY = pictured("gy", () => now.gy, output, tinted);
const said = readout(), step = nudge(h, 6);

const within = (i, n) => i >= 0 && i < n;
const product = (a, b, digits) => make("div", {}, `${show(a, digits)} × ${show(b, 1)}`, make("b", {}, show(a * b, digits + 1)));
const nothing = why => make("div", { class: "quiet" }, why, make("b", {}, "0"));
const table = cells => make("div", { class: "products" }, ...cells);
const clear = () => [X, GX, W, GW, Y, GY].forEach(each => each.frames([]));
const line = (...words) => make("p", {}, ...words);

function pixel(r, c) {
  const { stride, padding, gy } = now, P = gy.length, reached = [], cells = [];
  for (const [i, j] of range(9).map(n => [Math.floor(n / 3), n % 3])) {
    const [a, b] = [R - 1 - i, R - 1 - j];  // the weight that lies on this pixel, in the window that is i, j further
    const [down, right] = [r + padding - a, c + padding - b], [p, q] = [down / stride, right / stride];
    if (!Number.isInteger(p) || !Number.isInteger(q)) cells.push(nothing(either("a gap", "khoảng trống")));
    else if (!within(p, P) || !within(q, P)) cells.push(nothing(either("no window", "ngoài ảnh")));
    else { reached.push([p, q, a, b]); cells.push(product(gy[p][q], w[a][b], 3)); }
  }
  clear();
  X.at = GX.at = [r, c];
  X.frames([{ at: [r, c], kind: "picked" }]);
  GX.frames([{ at: [r, c], kind: "picked" }]);
  const [first, last] = [reached[0], reached.at(-1)];  // the windows that see a pixel are neighbours
  for (const each of reached.length ? [Y, GY] : [])
    each.frames([{ at: first, size: [last[0] - first[0] + 1, last[1] - first[1] + 1], kind: "reached", dashed: each === Y }]);
  for (const each of [W, GW]) each.frames(reached.map(([, , a, b]) => ({ at: [a, b], kind: "reached", dashed: each === GW })));
  const windows = either(`${reached.length} window${reached.length === 1 ? "" : "s"}`, `${reached.length} cửa sổ`);
  said.say(`gx[${r}, ${c}] = ${show(now.gx[r][c])} = Σ gy × w, ${windows}`);
  said.detail(table(cells), line(stride > 1
    ? either("gy around this place, with gaps × the kernel turned by 180°", "gy quanh chỗ này, có khoảng trống × kernel xoay 180°")
    : either("gy around this place × the kernel turned by 180°", "gy quanh chỗ này × kernel xoay 180°")));
  step.show({ name: `x[${r}, ${c}]`, value: x[r][c], loss: now.loss, below: now.below.x[r][c], above: now.above.x[r][c], gradient: now.gx[r][c] });
}

function output(p, q) {
  const { stride, padding } = now, [top, left] = [p * stride - padding, q * stride - padding], cells = [];
  for (const [a, b] of range(9).map(n => [Math.floor(n / 3), n % 3])) {
    const [r, c] = [top + a, left + b];
    if (within(r, H) && within(c, H)) cells.push(product(x[r][c], w[a][b], 2));
    else cells.push(nothing(either("border", "viền")));
  }
  clear();
  Y.at = GY.at = [p, q];
  for (const each of [Y, GY]) each.frames([{ at: [p, q], kind: "picked" }]);
  for (const each of [X, GX]) each.frames([{ at: [top, left], size: [R, R], kind: "reached", dashed: each === GX }]);
  W.frames([{ at: [0, 0], size: [R, R], kind: "reached" }]);
  said.say(`y[${p}, ${q}] = ${show(now.y[p][q])} = Σ x × w` + either(" over the window", " trên cửa sổ"));
  said.detail(table(cells), line(either(`Wanted is ${show(now.target[p][q])}: gy[${p}, ${q}] = y − wanted`,
    `Mong muốn ${show(now.target[p][q])}: gy[${p}, ${q}] = y − mong muốn`) + ` = ${show(now.gy[p][q])}.`));
  step.show();
}

function weight(a, b) {
  const { stride, padding, gy } = now, P = gy.length, pairs = [];
  for (const [p, q] of range(P * P).map(n => [Math.floor(n / P), n % P])) {
    const [r, c] = [p * stride + a - padding, q * stride + b - padding];
    if (within(r, H) && within(c, H)) pairs.push([p, q, gy[p][q], x[r][c]]);
  }
  clear();
  W.at = GW.at = [a, b];
  for (const each of [W, GW]) each.frames([{ at: [a, b], kind: "picked" }]);
  const [first, last] = [pairs[0], pairs.at(-1)], from = ([p, q]) => [p * stride + a - padding, q * stride + b - padding];
  const size = [0, 1].map(i => from(last)[i] - from(first)[i] + 1);
  X.frames([{ at: from(first), size, kind: "reached" }]);
  GY.frames([{ at: first.slice(0, 2), size: [0, 1].map(i => last[i] - first[i] + 1), kind: "reached" }]);
  const written = ([, , g, v]) => `${show(g, 3)} × ${show(v, 2)}`;
  said.say(`gw[${a}, ${b}] = ${show(now.gw[a][b])} = Σ gy × x, ${pairs.length} ` + either("places", "vị trí"));
  said.detail(line(`${pairs.slice(0, 4).map(written).join(" + ")} + … + ${written(last)}`),
    line(either(
      `This weight lay on ${stride > 1 ? "every second pixel" : "every pixel"} inside the frame on x, each time for another number of gy.`,
      `Trọng số này nằm trên ${stride > 1 ? "cứ hai điểm ảnh một điểm" : "mọi điểm ảnh"} trong khung ở x, mỗi lần ứng với một số khác của gy.`)));
  step.show({ name: `w[${a}, ${b}]`, value: w[a][b], loss: now.loss, below: now.below.w[a][b], above: now.above.w[a][b], gradient: now.gw[a][b] });
}

const stride = choice(either("stride", "bước nhảy"), [[1, "1"], [2, "2"]], change), padding = choice(either("padding", "đệm viền"), [[0, "0"], [1, "1"]], change);
function change() {
  now = data.settings.find(each => each.stride === Number(stride.select.value) && each.padding === Number(padding.select.value));
  for (const each of [Y, GY]) each.resize(now.y.length, now.y.length);
  for (const each of [GX, GW]) each.redraw();
  pixel(...X.at);
}
stage.append(make("div", { class: "six" }, X.element, W.element, Y.element, GX.element, GW.element, GY.element,
  make("div", { class: "row controls" }, stride.element, padding.element)), said.element, step.element);
pixel(...data.first);
