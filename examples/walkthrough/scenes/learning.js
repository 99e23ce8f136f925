// A net that learns: of every place of the plane, which class it says, step by step. data is {points: [[x, y]], labels,
// side, reach, at: steps, maps: [one character a pixel for each of these steps], losses: of every step, right: shares}.
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const A_STEP = either("step", "bước");
const SIZE = 320, CURVE = [320, 150], LEFT = 34, BOTTOM = 26;
const colours = make("canvas", { width: data.side, height: data.side });  // a pixel for each place that the net was asked for
const plane = draw("image", { width: SIZE, height: SIZE });
const map = draw("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "map", role: "img",
  "aria-label": either("The plane: blue where the net says the spiral of circles, orange where that of squares",
    "Mặt phẳng: màu lam ở chỗ mạng trả lời hình tròn, màu cam ở chỗ mạng trả lời hình vuông") }, plane, ...data.points.map(([x, y], i) => {
  const [px, py] = [(x / data.reach + 1) * SIZE / 2, (1 - y / data.reach) * SIZE / 2];
  return data.labels[i] ? draw("rect", { x: px - 3.2, y: py - 3.2, width: 6.4, height: 6.4, class: "one" })
    : draw("circle", { cx: px, cy: py, r: 3.7, class: "zero" });
}));
const most = Math.max(...data.losses), across = step => LEFT + step / (data.losses.length - 1) * (CURVE[0] - LEFT - 8);
const up = loss => CURVE[1] - BOTTOM - loss / most * (CURVE[1] - BOTTOM - 12);
const marker = draw("circle", { r: 5, class: "marker" });
const curve = draw("svg", { viewBox: `0 0 ${CURVE[0]} ${CURVE[1]}`, class: "falling", role: "img",
  "aria-label": either(`The loss over ${data.losses.length - 1} steps, from`, `Mất mát qua ${data.losses.length - 1} bước, từ`) +
    ` ${show(data.losses[0], 3)} ${either("to", "đến")} ${show(data.losses.at(-1), 3)}` },
  draw("path", { d: `M ${LEFT} 8 V ${CURVE[1] - BOTTOM} H ${CURVE[0] - 8}`, class: "axis" }),
  ...[0, 1].map(loss => draw("text", { x: LEFT - 8, y: up(loss) + 4, "text-anchor": "end" }, String(loss))),
  draw("text", { x: LEFT + 8, y: 16 }, either("loss", "mất mát")), draw("text", { x: CURVE[0] - 8, y: CURVE[1] - 8, "text-anchor": "end" }, `${A_STEP} ${data.losses.length - 1}`),
  draw("path", { d: `M ${data.losses.map((loss, step) => `${across(step)} ${up(loss)}`).join(" L ")}`, class: "loss" }), marker);
const look = make("style", {}, `
  .map { display: block; width: min(${SIZE}px, 100%); height: auto; border: 1px solid var(--line); box-sizing: border-box } .side { flex: 1 1 260px; max-width: 340px }
  .zero { fill: #0b5a8a; stroke: #fff; stroke-width: 1px } .one { fill: #a83c00; stroke: #fff; stroke-width: 1px }
  .falling { display: block; width: 100%; height: auto } .falling text { font-size: 12px; fill: var(--quiet) } .falling path { fill: none }
  .axis { stroke: var(--line) } .loss { stroke: var(--reached); stroke-width: 2px } .marker { fill: var(--picked) }
  .through { flex: 1 1 150px } .through input { flex: 1; min-width: 0 }`);

const context = colours.getContext("2d"), { element: telling, say } = readout();
const slider = make("input", { type: "range", min: 0, max: data.at.length - 1, value: 0, step: 1, "aria-label": A_STEP, oninput: () => { stop(); redraw(); } });
let timer;
function redraw() {
  const i = Number(slider.value), step = data.at[i], image = context.createImageData(data.side, data.side);
  for (const [k, digit] of [...data.maps[i]].entries()) {
    const share = DIGITS.indexOf(digit) / 63 * 2 - 1;  // −1: surely class 0; 1: surely class 1
    image.data.set([...mix([250, 250, 250], share < 0 ? [120, 190, 235] : [245, 165, 95], Math.abs(share)), 255], 4 * k);
  }
  context.putImageData(image, 0, 0);
  plane.setAttribute("href", colours.toDataURL());
  marker.setAttribute("cx", across(step));
  marker.setAttribute("cy", up(data.losses[step]));
  slider.setAttribute("aria-valuetext", `${A_STEP} ${step}`);
  const [loss, right] = [show(data.losses[step], 3), show(100 * data.right[i], 0)];
  say(either(`Step ${step}: loss ${loss}, ${right} % right`, `Bước ${step}: mất mát ${loss}, ${right} % đúng`));
}
function stop() { clearInterval(timer); timer = undefined; play.textContent = "▶ Play"; }
function start() {
  if (Number(slider.value) === data.at.length - 1) slider.value = 0;
  play.textContent = "❚❚ Pause";
  timer = setInterval(() => { slider.value = Number(slider.value) + 1; redraw(); if (Number(slider.value) === data.at.length - 1) stop(); }, 120);
}
const play = button("▶ Play", () => timer === undefined ? (start(), redraw()) : stop());
stage.append(look, make("div", { class: "row controls" }, play, make("label", { class: "through" }, A_STEP, slider)),
  row(map, make("div", { class: "side" }, telling, curve)));
redraw();
