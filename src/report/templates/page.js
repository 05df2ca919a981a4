"use strict";
const tip = document.getElementById("tip");

function show(element, x, y) {
  tip.textContent = element.dataset.tip;
  tip.hidden = false;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (y + 20 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 20) + "px";
}

// Whatever the pointer is on is marked wherever else it stands.
function mark(element, on) {
  for (const other of document.querySelectorAll(`[data-unit="${element.dataset.unit}"]`)) other.classList.toggle("hot", on);
}

document.addEventListener("mousemove", (event) => {
  const bar = event.target.closest("[data-tip]");
  if (bar) show(bar, event.clientX, event.clientY); else tip.hidden = true;
});
for (const element of document.querySelectorAll("[data-unit]")) {
  element.addEventListener("mouseenter", () => mark(element, true));
  element.addEventListener("mouseleave", () => mark(element, false));
}
for (const bar of document.querySelectorAll("[data-tip]")) {
  bar.addEventListener("focus", () => { const box = bar.getBoundingClientRect(); show(bar, box.left, box.bottom - 16); });
  bar.addEventListener("blur", () => { tip.hidden = true; });
}

const lanes = document.querySelector(".lanes");
let zoom = 1;
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    zoom = Math.max(1, Math.min(64, zoom * Number(button.dataset.zoom)));
    lanes.style.setProperty("--zoom", zoom);
  });
}

const body = document.querySelector("tbody");
const heads = [...body.parentElement.querySelectorAll("thead th")];
function compare(one, other) {
  if (one.dataset.order !== undefined) return Number(one.dataset.order) - Number(other.dataset.order);
  return one.textContent.localeCompare(other.textContent);
}
heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
  // Numbers are wanted the largest first.
  const first = column < 2 ? "ascending" : "descending";
  const second = column < 2 ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? second : first;
  for (const other of heads) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  body.append(...[...body.rows].sort((one, other) => sign * compare(one.cells[column], other.cells[column])));
}));

const search = document.querySelector("input[type=search]");
search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  for (const row of body.rows) {
    row.hidden = !(row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase().includes(wanted);
  }
});
