"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const items = [...document.querySelectorAll(".item")];
const choices = [...document.querySelectorAll("[data-charge]")];
const themes = [...document.querySelectorAll("[data-theme]")];
const storageKey = `affectlib-sheet-${data.id}`;

// What a person said: one charge ("0" to "3" or "unsure") or null for each row, and its themes.
let state = { charges: items.map(() => null), themes: items.map(() => []), initials: "" };
let current = 0;
let keeps = true;
let unsaved = false;

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(storageKey));
    if (kept && kept.charges.length === items.length) Object.assign(state, kept);
    // Answers that another window has just kept may not be there yet, so nothing replaces them here.
    localStorage.setItem("affectlib-sheet", "");
  } catch {
    keeps = false;
  }
  byId("keeping").textContent = keeps ? data.words.saved : data.words.not_saved;
  byId("initials").value = state.initials;
}

function keep() {
  unsaved = true;
  if (!keeps) return;
  try {
    localStorage.setItem(storageKey, JSON.stringify(state));
  } catch {
    keeps = false;
    byId("keeping").textContent = data.words.not_saved;
  }
}

// Themes are asked of what is charged, in a sheet that has a column for them.
function isAbout(place) {
  return themes.length > 0 && data.gold[Number(state.charges[place] ?? 0)] === "emotional";
}

function show(index) {
  current = Math.min(Math.max(index, 0), items.length - 1);
  items.forEach((item, place) => { item.hidden = place !== current; });
  const answered = state.charges.filter((charge) => charge !== null).length;
  byId("answered").textContent = answered;
  byId("progress").value = answered;
  byId("previous").disabled = current === 0;
  byId("next").disabled = current === items.length - 1;
  byId("notice").textContent = answered === items.length ? data.words.done : "";
  for (const choice of choices) {
    choice.setAttribute("aria-pressed", state.charges[current] === choice.dataset.charge);
  }
  if (themes.length) byId("themes").hidden = !isAbout(current);
  for (const theme of themes) {
    theme.setAttribute("aria-pressed", state.themes[current].includes(theme.dataset.theme));
  }
  const judged = items[current].querySelector(".judged");
  if (judged) judged.scrollIntoView({ block: "center" });
  else window.scrollTo(0, 0);
}

function answer(charge) {
  state.charges[current] = charge;
  keep();
  if (isAbout(current)) {
    show(current);
    return;
  }
  // Go on to the next row without an answer, from the top again after the last.
  const later = state.charges.indexOf(null, current + 1);
  const open = later === -1 ? state.charges.indexOf(null) : later;
  show(open === -1 ? current : open);
}

function toggle(theme) {
  if (!isAbout(current)) return;
  const chosen = state.themes[current];
  const others = theme === "none" ? [] : chosen.filter((name) => name !== "none" && name !== theme);
  state.themes[current] = chosen.includes(theme) ? others : [...others, theme];
  keep();
  show(current);
}

function cell(value) {
  if (value === null) return "";
  let text = String(value);
  // As in the files of labels: no spreadsheet may take a cell for a formula.
  if (typeof value === "string" && /^'*[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const lines = data.rows.map((row, place) => {
    const charge = state.charges[place];
    const scored = charge !== null && charge !== "unsure";
    const gold = scored ? data.gold[Number(charge)] : charge;
    const answers = [gold, scored ? Number(charge) : null];
    if (themes.length) answers.push(isAbout(place) ? state.themes[place].join(",") : null);
    return [...row, ...answers, state.initials || null];
  });
  return [data.columns, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function download() {
  const link = document.createElement("a");
  const suffix = state.initials.replace(/[^\p{L}\p{N}]+/gu, "");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" }));
  link.download = suffix ? `filled-${suffix}.csv` : "filled.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  unsaved = false;
}

for (const choice of choices) {
  choice.addEventListener("click", () => answer(choice.dataset.charge));
}
for (const theme of themes) {
  theme.addEventListener("click", () => toggle(theme.dataset.theme));
}
byId("previous").addEventListener("click", () => show(current - 1));
byId("next").addEventListener("click", () => show(current + 1));
byId("download").addEventListener("click", download);
byId("initials").addEventListener("input", (event) => {
  state.initials = event.target.value.trim();
  keep();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  // The place of a digit key counts too: on French keyboards it types a digit with Shift only.
  const digit = /^(?:Digit|Numpad)([0-3])$/.exec(event.code);
  const key = digit ? digit[1] : event.key.toLowerCase();
  const codebook = byId("codebook");
  const theme = themes.find((button) => button.dataset.key === key);
  if (/^[0-3]$/.test(key)) answer(key);
  else if (key === "u") answer("unsure");
  else if (key === "arrowleft") show(current - 1);
  else if (key === "arrowright") show(current + 1);
  else if (key === "d") download();
  else if (theme) toggle(theme.dataset.theme);
  else if (key === "?") codebook.open = !codebook.open;
  else return;
  event.preventDefault();
});

window.addEventListener("beforeunload", (event) => {
  if (unsaved && !keeps) event.preventDefault();
});

restore();
if (window.matchMedia("(max-width: 60rem)").matches) byId("codebook").open = false;
show(Math.max(0, state.charges.indexOf(null)));
