// What a kernel does to a wave. Pick a wave in the spectrum |W|: the wave, and what the kernel makes of it.
const { T, kernels } = data, HALF = T / 2, TURN = 2 * Math.PI / T;
let now = kernels[0], wave = [2, 3];
const largest = numbers => Math.max(...numbers.flat().map(Math.abs));
const spectral = share => mix([0, 34, 78], [254, 232, 56], share);
const size = () => Math.hypot(now.re[wave[0] + HALF][wave[1] + HALF], now.im[wave[0] + HALF][wave[1] + HALF]);
const after = (p, q) => {
  const at = TURN * (wave[0] * p + wave[1] * q), [i, j] = [wave[0] + HALF, wave[1] + HALF];
  return now.re[i][j] * Math.cos(at) + now.im[i][j] * Math.sin(at);  // the real part of conj(W) times the wave
};
const W = grid({ name: either("the kernel", "kernel"), rows: now.w.length, columns: now.w.length, width: 160, cell: (r, s) => ({ colour: signed(now.w[r][s] / largest(now.w)) }) });
const S = grid({ name: either("|W|: f down, g across", "|W|: f dọc, g ngang"), rows: T, columns: T, width: 160, pick: (r, c) => pick(r - HALF, c - HALF),
  cell: (r, c) => ({ colour: spectral(Math.hypot(now.re[r][c], now.im[r][c]) / largest(now.sizes)) }) });
const before = grid({ name: either("the wave", "sóng vào"), rows: T, columns: T, width: 160, cell: (p, q) => ({ colour: grey(0.5 + Math.cos(TURN * (wave[0] * p + wave[1] * q)) / 2) }) });
const behind = grid({ name: either("what comes out", "sóng ra"), rows: T, columns: T, width: 160, cell: (p, q) => ({ colour: grey(0.5 + after(p, q) / 2 / Math.max(1, size())) }) });
const OTHERS = { blur: "làm mờ", "vertical edges": "cạnh dọc", "random, 5 × 5": "ngẫu nhiên, 5 × 5" };
const said = readout(), which = choice("kernel", kernels.map(({ name }) => [name, either(name, OTHERS[name] ?? name)]), name => {
  now = kernels.find(each => each.name === name);
  W.resize(now.w.length, now.w.length);
  S.redraw();
  pick(...wave);
});

function pick(f, g) {
  wave = [f, g];
  S.at = [f + HALF, g + HALF];
  S.frames([{ at: S.at, kind: "picked" }]);
  for (const each of [before, behind]) each.redraw();
  const [re, im] = [now.re, now.im].map(part => part[f + HALF][g + HALF]), turned = Math.round(Math.atan2(-im, re) * 180 / Math.PI);
  said.say(`f = ${show(f, 0)}, g = ${show(g, 0)}: ` + (size() > 1e-9 ? either(
    `comes out ${show(size())} times as large, its phase changed by ${show(turned, 0)}°`, `đi ra lớn gấp ${show(size())} lần, pha đổi ${show(turned, 0)}°`) : either("nothing comes out", "không có gì đi ra")));
  said.detail(`W = ${show(re)} ${show(im)[0] === "−" ? "−" : "+"} ${show(Math.abs(im))} i`);
}
stage.append(make("div", { class: "row controls" }, which.element), row(W.element, S.element, before.element, behind.element), said.element);
pick(...wave);
