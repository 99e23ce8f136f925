// Local response normalisation, twelve channels of one pixel. Pick a channel in x or y: who is in its sum d. Pick it in
// gx or gy: its own term, and one cross term for each channel whose sum it is in.
const { x, gy } = data, N = x.length;
let now, last = [gradientOf, data.first];
const most = numbers => Math.max(...numbers.map(Math.abs), 1e-9);
const strip = (name, of, tell, digits) => grid({ name, rows: 1, columns: N, pick: (_, c) => tell(c), width: 620, size: 10.5,
  cell: (_, c) => ({ colour: signed(0.8 * of()[c] / most(of())), text: show(of()[c], digits) }) });
const options = name => [...new Set(data.settings.map(each => each[name]))].map(v => [v, String(v)]);
const controls = Object.fromEntries(["n", "alpha", "beta", "k"].map(name =>
  [name, choice({ alpha: "α", beta: "β" }[name] ?? name, options(name), change)]));
now = data.settings[0];
const X = strip("x", () => x, outputOf, 1), Y = strip("y = x / dᵝ", () => now.y, outputOf, 2);
const GY = strip("gy", () => gy, gradientOf, 1), GX = strip("gx", () => now.gx, gradientOf, 2);
const said = readout();
const line = (...words) => make("p", {}, ...words);

// rows: [words, number, kind]; bars from zero, all on one scale
function bars(rows, digits) {
  const low = Math.min(0, ...rows.map(r => r[1])), high = Math.max(1e-12, ...rows.map(r => r[1])), at = v => 100 * (v - low) / (high - low);
  return make("div", { class: "bars" }, ...rows.flatMap(([words, v, kind]) => [make("span", {}, words), make("span", { class: "number" }, show(v, digits)),
    make("div", { class: "track" }, make("i", { class: kind, style: `left: ${at(Math.min(0, v))}%; width: ${at(Math.abs(v) + low)}%` }),
      make("i", { class: "zero", style: `left: ${at(0)}%` }))]));
}
const near = c => range(N).filter(j => Math.abs(j - c) <= Math.floor(now.n / 2));
const all = [X, Y, GY, GX];
function frames(c, picked, reached) {
  const frame = { at: [0, near(c)[0]], size: [1, near(c).length], kind: "reached" };
  for (const each of all) {
    each.at = [0, c];
    each.frames([...(reached.includes(each) ? [frame] : []), ...(picked.includes(each) ? [{ at: [0, c], kind: "picked" }] : [])]);
  }
}

function outputOf(c) {
  last = [outputOf, c];
  frames(c, [X, Y], [X]);
  said.say(`y(${c}) = x(${c}) / dᵝ = ${show(x[c], 2)} / ${show(now.d[c])}^${now.beta} = ${show(now.y[c])}`);
  said.detail(line(either(`Channel ${c} is divided by a power of d(${c}): k, and α times the square of every channel in the frame:`,
    `Kênh ${c} được chia cho một luỹ thừa của d(${c}): k, cộng α nhân bình phương của mỗi kênh trong khung:`)),
    bars([["k", now.k, "own"], ...near(c).map(j => [`α · x(${j})²`, now.alpha * x[j] ** 2, "others"]), [`d(${c})`, now.d[c], "all"]], 4));
}

function gradientOf(c) {
  last = [gradientOf, c];
  frames(c, [GX, X], [GY, Y]);
  said.say(`gx(${c}) = ` + either("own term + cross terms", "số hạng riêng + số hạng chéo") + ` = ${show(now.own[c])} ${now.gx[c] < now.own[c] ? "−" : "+"} ${show(Math.abs(now.gx[c] - now.own[c]))} = ${show(now.gx[c])}`);
  said.detail(line(either(`x(${c}) is in the sums of the channels in the frame. What it costs each of them:`,
    `x(${c}) có mặt trong tổng của các kênh trong khung. Nó làm mỗi kênh ấy mất bao nhiêu:`)),
    bars([[either("own term", "số hạng riêng"), now.own[c], "own"], ...near(c).map(j => [either(`from channel ${j}`, `từ kênh ${j}`), now.cross[c][j], "others"]), [`gx(${c})`, now.gx[c], "all"]], 4));
}

function change() {
  now = data.settings.find(each => Object.entries(controls).every(([name, { select }]) => each[name] === Number(select.value)));
  for (const each of [Y, GX]) each.redraw();
  last[0](last[1]);
}
stage.append(make("div", { class: "row controls" }, ...Object.values(controls).map(each => each.element)),
  ...all.map(each => each.element), said.element);
change();
