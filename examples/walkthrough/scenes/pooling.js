// Max-pooling. Pick a pixel (x, gx): the windows that it lies in and those that it wins. Pick an output (y, gy): its
// window and its winner.
const { x, h } = data, H = x.length, LARGEST = 99;
let now = data.settings.find(each => each.size === 3 && each.stride === 2), adds = true, last = [];
const gradient = () => adds ? now.gx : now.overwritten;
const mostOf = numbers => Math.max(...numbers.flat());
const numbers = (name, of, pick, colour) => grid({ name, rows: of().length, columns: of().length, pick, size: 12, cell: (r, c) => (
  { colour: colour(of()[r][c], mostOf(of())), text: show(of()[r][c], 0) }) });
const warm = (v, most) => signed(0.75 * v / most);
const X = numbers(either("x, an eye", "x, con mắt"), () => x, pixel, v => grey(v / LARGEST)), GX = numbers("gx", gradient, pixel, warm);
const Y = numbers("y", () => now.y, output, v => grey(v / LARGEST)), GY = numbers("gy", () => now.gy, output, warm);
const said = readout(), lines = links(), step = nudge(h, 1);

const same = ([a, b], [c, d]) => a === c && b === d;
const windows = () => now.y.flatMap((line, p) => line.map((_, q) => [p, q]));
const windowOf = ([p, q]) => ({ at: [p * now.stride, q * now.stride], size: [now.size, now.size] });
const named = (name, [r, c]) => `${name}[${r}, ${c}]`;
const clear = () => [X, GX, Y, GY].forEach(each => each.frames([]));
const line = (...words) => make("p", {}, ...words);

function pixel(r, c) {
  last = [pixel, r, c];
  const inside = windows().filter(w => windowOf(w).at.every((from, i) => from <= [r, c][i] && [r, c][i] < from + now.size));
  const won = inside.filter(([p, q]) => same(now.winner[p][q], [r, c]));
  clear();
  X.at = GX.at = [r, c];
  X.frames([...inside.map(w => ({ ...windowOf(w), kind: "reached", dashed: !won.includes(w) })), { at: [r, c], kind: "picked" }]);
  GX.frames([{ at: [r, c], kind: "picked" }]);
  for (const each of [Y, GY]) each.frames(inside.map(w => ({ at: w, kind: "reached", dashed: !won.includes(w) })));
  lines.draw(won.map(([p]) => ({ from: [GY, p], to: [GX, r], kind: "reached" })));
  const count = (n, of) => `${n || "no"} ${of}${n === 1 ? "" : "s"}`;
  said.say(`x[${r}, ${c}] = ${x[r][c]} ` + either(
    `lies in ${count(inside.length, "window")}` + (inside.length ? ` and wins ${won.length || "none"}` : ""),
    inside.length ? `nằm trong ${inside.length} cửa sổ và ${won.length ? `thắng ${won.length}` : "không thắng cửa sổ nào"}` : "không nằm trong cửa sổ nào"));
  const shares = won.map(([p, q]) => now.gy[p][q]), sum = `gx[${r}, ${c}] = ${shares.join(" + ")}`;
  said.detail(line(!won.length ? either("Each of its windows has a larger pixel, or it has no window",
      "Cửa sổ nào chứa nó cũng có điểm ảnh lớn hơn, hoặc không cửa sổ nào chứa nó") + `: gx[${r}, ${c}] = 0.`
    : either("It won", "Nó thắng") + ` ${won.map(w => named("y", w)).join(", ")}. ` + (adds || won.length === 1 ? `${sum}${won.length > 1 ? ` = ${total(shares)}` : ""}.`
      : either(`Each share was written over the one before: of ${shares.join(" + ")} = ${total(shares)} only the last, ${shares.at(-1)}, is left.`,
        `Mỗi phần ghi đè lên phần trước: trong ${shares.join(" + ")} = ${total(shares)} chỉ còn lại phần cuối, ${shares.at(-1)}.`))));
  step.show({ name: `x[${r}, ${c}]`, value: x[r][c], loss: now.loss, below: now.below[r][c], above: now.above[r][c], gradient: gradient()[r][c] });
}

function output(p, q) {
  last = [output, p, q];
  const { at: [top, left], size: [size] } = windowOf([p, q]), winner = now.winner[p][q];
  clear();
  Y.at = GY.at = [p, q];
  for (const each of [Y, GY]) each.frames([{ at: [p, q], kind: "picked" }]);
  X.frames([{ ...windowOf([p, q]), kind: "reached" }, { at: winner, kind: "picked" }]);
  GX.frames([{ at: winner, kind: "reached" }]);
  lines.draw([{ from: [X, winner[0]], to: [Y, p], kind: "picked" }, { from: [GY, p], to: [GX, winner[0]], kind: "reached" }]);
  said.say(`y[${p}, ${q}] = ${now.y[p][q]}: ` + either("the winner is", "thắng cuộc là") + ` ${named("x", winner)}`);
  const rows = range(size).map(i => x[top + i].slice(left, left + size).join(" "));
  said.detail(line(either(`The window holds ${rows.join(" / ")}. The largest is ${now.y[p][q]}. All of gy[${p}, ${q}] = ${now.gy[p][q]} goes to it; `
    + "a little more of the others would change nothing.", `Cửa sổ chứa ${rows.join(" / ")}. Số lớn nhất là ${now.y[p][q]}. Toàn bộ gy[${p}, ${q}] = ${now.gy[p][q]} `
    + "được gửi về nó; các số khác có tăng thêm một chút cũng không đổi gì.")));
  step.show();
}

const size = choice(either("size", "cỡ"), [[3, "3"], [2, "2"], [4, "4"]], change), stride = choice(either("stride", "bước nhảy"), [[2, "2"], [1, "1"], [3, "3"]], change);
const mistake = button(either("the mistake: = for +=", "lỗi: = thay cho +="), () => { adds = !adds; switched(mistake, !adds); GX.redraw(); sums(); last[0](last[1], last[2]); });
const arrived = make("p", { class: "quiet" });
function sums() {
  const sent = total(now.gy.flat()), came = total(gradient().flat());
  arrived.textContent = either(`gy adds up to ${sent}, gx to ${came}`, `Tổng của gy là ${sent}, của gx là ${came}`)
    + (sent === came ? "." : either(`: ${sent - came} are lost.`, `: mất ${sent - came}.`));
}
function change() {
  now = data.settings.find(each => each.size === Number(size.select.value) && each.stride === Number(stride.select.value));
  for (const each of [Y, GY]) each.resize(now.y.length, now.y.length);
  GX.redraw();
  sums();
  pixel(...X.at);
}
switched(mistake, false);
stage.append(make("div", { class: "four" }, X.element, Y.element, GX.element, GY.element),
  make("div", { class: "row controls" }, size.element, stride.element, mistake), arrived, said.element, step.element);
change();
pixel(...data.first);
