// A graph that is stepped: first forwards, a value at a time, then backwards, a share of the gradient at a time. data is
// {nodes: [{name, at: [x, y]}], cases: [[words, what walked() of graph.py gives]], choose, height, wide}.
const BOX = [114, 44];
const num = (x, digits = 4) => String(Number(x.toPrecision(digits))).replace("-", "−"), short = x => num(x, 3);
const inBrackets = x => x < 0 ? `(${num(x)})` : num(x);
let at = 0, here = data.cases[0][1], kind = "added";

// -- the steps, the same for every case --
const leaves = data.nodes.length - new Set(here.edges.map(edge => edge[1])).size;
const names = data.nodes.map(node => node.name.split(" ")[0]);
const steps = [
  { say: () => either("Nothing is computed yet: these numbers are given.", "Chưa tính gì cả: đây là các số được cho.") },
  ...range(data.nodes.length - leaves).map(i => ({ made: leaves + i,
    say: () => either(`Forward: ${data.nodes[leaves + i].name} is`, `Xuôi: ${data.nodes[leaves + i].name} bằng`) + ` ${num(here.values[leaves + i])}.` })),
  { seed: true, say: () => either(`Backward begins: ${names.at(-1)} grows by 1 for each unit of ${names.at(-1)}, so its own gradient is 1.`,
    `Bắt đầu đi ngược: ${names.at(-1)} tăng 1 cho mỗi đơn vị của ${names.at(-1)}, nên gradient của chính nó là 1.`) },
  ...here.edges.map((_, e) => ({ edge: e, say: () => {
    const [from, to, slope] = here.edges[e], [share, sum] = here[kind][e], before = earlier(from, e);
    const product = `${inBrackets(earlier(to, e))} × ${inBrackets(slope)} = ${num(share)}`;
    const sent = either(`Backward: ${names[to]} changes by ${num(slope)} for each unit of ${names[from]}: ${product} goes to ${names[from]}.`,
      `Ngược: ${names[to]} thay đổi ${num(slope)} cho mỗi đơn vị của ${names[from]}: ${product} đến ${names[from]}.`);
    if (before === undefined) return sent;
    return sent + (kind === "added"
      ? either(" It is added to what was there:", " Nó được cộng vào những gì đã có:") + ` ${num(before)} + ${inBrackets(share)} = ${num(sum)}.`
      : either(` It takes the place of ${num(before)}, which is lost.`, ` Nó thế chỗ ${num(before)}, và số đó bị mất.`));
  } })),
];
// the gradient of a node before edge e is walked, undefined where nothing has reached it
const earlier = (node, e) => node === data.nodes.length - 1 ? 1 : range(Math.max(e, 0)).filter(i => here.edges[i][0] === node).map(i => here[kind][i][1]).at(-1);

// -- the drawing --
const edges = draw("g"), boxes = draw("g");
const picture = draw("svg", { viewBox: `0 0 ${data.wide} ${data.height}`, role: "img" }, edges, boxes);
const frame = make("div", { class: "graph", style: `width: min(${data.wide}px, 100%)` }, picture);
const look = make("style", {}, `
  .graph svg { display: block; width: 100%; height: auto } .graph text { text-anchor: middle; font-size: 12px; fill: var(--ink) }
  .graph rect { fill: var(--soft); stroke: var(--line); stroke-width: 1.5px } .graph .now rect { stroke: var(--picked); stroke-width: 3px }
  .graph .name { font-weight: 600 } .graph .value { text-anchor: start } .graph .gradient { text-anchor: end } .graph .gradient, .graph .slope { fill: var(--picked); font-weight: 600 }
  .graph path { fill: none; stroke: var(--line); stroke-width: 1.5px } .graph path.done { stroke: var(--reached); stroke-width: 2px }
  .graph path.now { stroke: var(--picked); stroke-width: 3.5px } .graph .slope { font-size: 12px; paint-order: stroke;
  stroke: var(--paper); stroke-width: 5px } .told { flex: 1 1 230px; min-height: 7.5em }`);
const drawnNodes = data.nodes.map(({ name, at: [x, y] }) => {
  const value = draw("text", { x: x - BOX[0] / 2 + 5, y: y + 14, class: "value" });
  const grad = draw("text", { x: x + BOX[0] / 2 - 5, y: y + 14, class: "gradient" });
  const box = draw("g", {}, draw("rect", { x: x - BOX[0] / 2, y: y - BOX[1] / 2, width: BOX[0], height: BOX[1], rx: 7 }),
    draw("text", { x, y: y - 4, class: "name" }, name), value, grad);
  boxes.append(box);
  return { box, value, grad };
});
const drawnEdges = here.edges.map(([from, to]) => {
  const [x1, y1] = data.nodes[from].at, [x2, y2] = data.nodes[to].at, top = y1 + BOX[1] / 2, end = y2 - BOX[1] / 2;
  const line = draw("path", { d: `M ${x1} ${top} L ${x2} ${end}` });
  const slope = draw("text", { x: (x1 + x2) / 2, y: (top + end) / 2 + 4, class: "slope" });
  edges.append(line, slope);
  return { line, slope };
});

// -- what is shown at a step --
const { element: telling, say, detail } = readout();
telling.className = "told";
function redraw() {
  const step = steps[at], seed = steps.findIndex(s => s.seed), walked = at - seed;  // edges walked, if > 0
  drawnNodes.forEach(({ box, value, grad }, i) => {
    const known = i < leaves || at > i - leaves, g = at < seed ? undefined : earlier(i, walked);
    value.textContent = known ? short(here.values[i]) : "";
    grad.textContent = g === undefined ? "" : `∂ ${short(g)}`;
    box.setAttribute("class", step.made === i || (step.seed && i === data.nodes.length - 1) ||
      (step.edge !== undefined && here.edges[step.edge][0] === i) ? "now" : "");
  });
  drawnEdges.forEach(({ line, slope }, e) => {
    const now = step.edge === e || (step.made !== undefined && here.edges[e][1] === step.made);
    line.setAttribute("class", now ? "now" : e < walked ? "done" : "");
    slope.textContent = e < walked ? `×${short(here.edges[e][2])}` : "";
  });
  say(either(`Step ${at} of ${steps.length - 1}.`, `Bước ${at} trong ${steps.length - 1}.`) + ` ${step.say()}`);
  const sums = range(leaves).map(i => at < seed ? undefined : earlier(i, walked)).map((g, i) =>
    g === undefined ? "" : `∂${names.at(-1)}/∂${names[i]} = ${num(g)}`).filter(Boolean).join(", ");
  const lost = kind === "replaced" && at === steps.length - 1;
  detail(make("p", {}, sums),
    ...(lost ? [make("p", {}, either("With = in the place of += this is what you would get. With +=:",
      "Với = thay cho += ta được như thế. Với +=:") + ` ${range(leaves).map(i => `${names[i]} ${num(last(i, "added"))}`).join(", ")}.`)] : []));
  picture.setAttribute("aria-label", `${either("The graph:", "Đồ thị:")} ${data.nodes.map(({ name }, i) => `${name}, ${drawnNodes[i].value.textContent || either("not computed", "chưa tính")} ${drawnNodes[i].grad.textContent}`).join("; ")}`);
  [first, back].forEach(b => { b.disabled = at === 0; });
  [forward, end].forEach(b => { b.disabled = at === steps.length - 1; });
}
const last = (node, kind) => range(here.edges.length).filter(e => here.edges[e][0] === node).map(e => here[kind][e][1]).at(-1);
const go = to => { at = Math.min(Math.max(to, 0), steps.length - 1); redraw(); };
const first = button(either("First", "Đầu"), () => go(0));
const back = button(either("◀ Back", "◀ Lùi"), () => go(at - 1)), forward = button(either("Step ▶", "Bước ▶"), () => go(at + 1));
const end = button(either("Last", "Cuối"), () => go(steps.length - 1));
const swap = button("= for +=", () => {  // at the end, where one sees what it does
  kind = kind === "added" ? "replaced" : "added";
  switched(swap, kind === "replaced");
  go(steps.length - 1);
});
switched(swap, false);
const { element: choosing, select } = choice(data.choose, data.cases.map(([words], i) => [i, words]), i => { here = data.cases[i][1]; redraw(); });
select.value = data.chosen ?? 0;
here = data.cases[select.value][1];
stage.append(look, make("div", { class: "row controls" }, first, back, forward, end, choosing, swap), row(frame, telling),
  make("p", { class: "quiet" }, either("The arrow keys step, too. Plain numbers are values, orange ones with ∂ gradients, and × the slopes along the lines.",
    "Các phím mũi tên cũng đi từng bước. Số thường là giá trị, số màu cam có ∂ là gradient, và × là độ dốc dọc theo các đường.")));
document.addEventListener("keydown", event => {
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: steps.length - 1 }[event.key];
  if (to === undefined || event.target === select || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go(to);
});
redraw();
