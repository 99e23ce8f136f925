"use strict";
// Light or dark: as the machine has it until somebody chooses. A page from a disk may have no memory.
const root = document.documentElement;
const memory = new Proxy({}, {
  get(_, name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(_, name, value) { try { localStorage.setItem(name, value); } catch { /* then only for this page */ } return true; },
});
function dress() { // frames, too
  for (const frame of document.querySelectorAll("iframe")) {
    const inside = frame.contentDocument?.documentElement;
    if (inside && root.dataset.theme) inside.dataset.theme = root.dataset.theme;
  }
}
if (memory.theme) root.dataset.theme = memory.theme;
document.addEventListener("load", dress, true); // of every frame
dress();
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  memory.theme = root.dataset.theme = dark ? "light" : "dark";
  dress();
});
// In which of two languages, likewise.
for (const button of document.querySelectorAll("input[name=language]")) {
  if (memory.language === button.value) button.checked = true;
  button.addEventListener("change", () => { memory.language = button.value; });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    document.querySelector("input[type=search]").focus();
  }
});

// The states: every cell knows the widgets that it needs and, by their choices, which of the texts it shows.
function book(data) {
  const state = { ...data.first }, moved = [], note = document.getElementById("note");
  const section = (cell) => document.getElementById("cell-" + cell.place);
  const own = (name) => document.querySelector(`[data-widget="${CSS.escape(name)}"]`);
  const first = (name) => Number(own(name)?.dataset.first ?? data.first[name]);
  const key = (cell) => cell.needs.map((name) => state[name]).join(",");
  for (const cell of data.cells) {
    cell.first = section(cell).innerHTML;
    cell.text = -1;
  }

  function choose(name, i) { // a widget may stand at several places
    state[name] = i;
    for (const control of document.querySelectorAll(`[data-widget="${CSS.escape(name)}"]`)) set(control, i);
  }

  function set(control, i) {
    for (const input of control.querySelectorAll("input[type=range], select")) input.value = i;
    for (const input of control.querySelectorAll("input[type=checkbox]")) input.checked = Boolean(i);
    for (const input of control.querySelectorAll("input[type=radio]")) input.checked = Number(input.value) === i;
    for (const code of control.querySelectorAll("[data-choice]")) code.hidden = Number(code.dataset.choice) !== i;
    if (control.dataset.shown) {
      const words = JSON.parse(control.dataset.shown)[i];
      control.querySelector("output").textContent = words;
      control.querySelector("input").setAttribute("aria-valuetext", words);
    }
  }

  // A widget that stays as it is stays the very same, with the focus and what is being dragged.
  function show(cell, text) {
    const place = section(cell), active = document.activeElement?.id;
    const opened = [...place.querySelectorAll("details")].map((one) => one.open);
    const fresh = document.createElement("div");
    fresh.innerHTML = text < 0 ? cell.first : data.texts[text];
    for (const image of fresh.querySelectorAll("img[data-src]")) image.src = data.images[image.dataset.src];
    [...fresh.querySelectorAll("details")].forEach((one, i) => { one.open = one.open || Boolean(opened[i]); });
    const height = place.offsetHeight;
    place.style.minHeight = `${height}px`; // nothing below jumps while pictures are read
    place.replaceChildren(...fresh.childNodes);
    Promise.all([...place.querySelectorAll("img")].map((image) => image.decode().catch(() => {})))
      .then(() => { place.style.minHeight = ""; });
    for (const control of place.querySelectorAll("[data-widget]")) {
      const name = control.dataset.widget;
      if (!cell.own.includes(name)) choose(name, state[name]);
    }
    if (active && document.activeElement === document.body) document.getElementById(active)?.focus();
  }

  function settle(latest) {
    const back = new Set();
    for (let i = 0; i < data.cells.length; i++) {
      const cell = data.cells[i];
      if (!(key(cell) in cell.at)) { // more widgets are moved than this page has states for
        const away = cell.needs.filter((name) => name !== latest && state[name] !== first(name));
        const oldest = away.sort((a, b) => moved.indexOf(a) - moved.indexOf(b))[0];
        if (oldest === undefined) throw Error(`cell ${cell.place} has no state ${key(cell)}`);
        choose(oldest, first(oldest));
        back.add(oldest);
        i = -1;
        continue;
      }
      const text = cell.at[key(cell)];
      if (text === cell.text) continue;
      cell.text = text;
      show(cell, text);
      for (const name of cell.own) choose(name, first(name));
    }
    const names = [...back].map((name) => own(name)?.querySelector("label, legend")?.innerText.trim() ?? name);
    const vietnamese = document.querySelector(".in-vietnamese:checked"); // a label is in both, one of which is shown
    const [put, more] = vietnamese ? ["Đã đưa về chỗ ban đầu", "Muốn dịch nhiều thứ hơn cùng lúc"] :
      ["Put back to where it began", "More together"];
    note.textContent = names.length ? `${put}: ${names.join(", ")}. ${more}: python -m minicnn walkthrough.` : "";
    clearTimeout(note.timer);
    if (names.length) note.timer = setTimeout(() => { note.textContent = ""; }, 6000);
  }

  function heard(event) {
    const control = event.target.closest("[data-widget]");
    if (!control) return;
    const name = control.dataset.widget, input = event.target;
    const i = input.type === "checkbox" ? Number(input.checked) : Number(input.value);
    if (!(name in state) || state[name] === i) return choose(name, i);
    if (moved.includes(name)) moved.splice(moved.indexOf(name), 1);
    moved.push(name);
    choose(name, i);
    settle(name);
  }
  document.addEventListener("input", heard);
  document.addEventListener("change", heard);
  // what a browser has kept from an earlier visit is not what is shown
  for (const name of Object.keys(state)) choose(name, state[name]);
}

// The search: all words have to be in a text; a heading is worth more than what stands below it.
function search(pages) {
  const box = document.querySelector("input[type=search]"), list = document.getElementById("found");
  const results = document.getElementById("results"), fold = (text) => text.toLowerCase().normalize("NFC");
  const texts = pages.flatMap(([file, title, said]) => said.map(([anchor, text]) => ({ file, title, anchor, text, low: fold(text) })));

  function find() {
    const words = fold(box.value).split(/\s+/).filter(Boolean);
    results.hidden = !words.length;
    const found = words.length ? texts.filter((one) => words.every((word) => one.low.includes(word))) : [];
    found.sort((a, b) => a.text.length - b.text.length);
    list.replaceChildren(...found.slice(0, 30).map((one) => {
      const item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("div");
      link.href = one.file + (one.anchor ? "#" + one.anchor : "");
      link.textContent = one.title;
      const at = Math.max(0, one.low.indexOf(words[0]) - 60), part = one.text.slice(at, at + 200), low = fold(part);
      let from = 0;
      for (;;) { // the words, marked
        const next = words.map((word) => [low.indexOf(word, from), word.length]).filter(([i]) => i >= 0).sort((a, b) => a[0] - b[0])[0];
        if (!next) break;
        const mark = document.createElement("mark");
        mark.textContent = part.slice(next[0], next[0] + next[1]);
        text.append(part.slice(from, next[0]), mark);
        from = next[0] + next[1];
      }
      text.append(part.slice(from));
      item.append(link, text);
      return item;
    }));
    if (words.length && !found.length) list.textContent = "Nothing has all of these words.";
  }
  box.addEventListener("input", find);
  box.form.addEventListener("submit", (event) => { event.preventDefault(); find(); });
  box.value = new URLSearchParams(location.search).get("q") ?? "";
  find();
}

const states = document.getElementById("states");
if (states) {
  const data = JSON.parse(states.textContent);
  if (data.search) search(data.search);
  else book(data);
}
