"use strict";

// What the page does besides turning meshes: choosing a metric, sorting tables, filtering objects.

function all(selector, within = document) {
  return [...within.querySelectorAll(selector)];
}

function chooseMetric(select) {
  const show = () => all("[data-metric]").forEach((one) => {
    one.hidden = one.dataset.metric !== select.value;
  });
  select.addEventListener("change", show);
  show();
}

// Cells of figures begin with their number; those without one come last.
function sortBy(table, column, descending) {
  const isText = table.tHead.rows[0].cells[column].classList.contains("text");
  const value = (row) => {
    const text = row.cells[column].textContent;
    const number = isText ? Number.NaN : Number.parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  const order = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return descending ? b - a : a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return (descending ? -1 : 1) * String(a).localeCompare(String(b));
  };
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [value(row), row]);
  rows.sort(([a], [b]) => order(a, b)).forEach(([, row]) => body.append(row));
}

function makeSortable(table) {
  all("thead th", table).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") !== "descending";
      all("thead th", table).forEach((one) => one.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
    });
  });
}

function filterObjects(kind, category) {
  const show = () => {
    all("section.category").forEach((section) => {
      const wanted = category.value === "" || section.dataset.category === category.value;
      let shown = 0;
      all("article", section).forEach((article) => {
        article.hidden = kind.value !== "" && article.dataset.kind !== kind.value;
        shown += article.hidden ? 0 : 1;
      });
      section.hidden = !wanted || shown === 0;
    });
  };
  kind.addEventListener("change", show);
  category.addEventListener("change", show);
}

function enlarge(button) {
  button.addEventListener("click", () => {
    const large = button.closest("article").classList.toggle("large");
    button.setAttribute("aria-pressed", String(large));
  });
}

function startGallery() {
  const content = JSON.parse(document.getElementById("shapes").textContent);
  const pairs = all(".pair");
  let gallery;
  try {
    gallery = new Gallery(content, pairs);
  } catch (error) {
    const note = document.getElementById("no-viewer");
    note.hidden = false;
    note.append(` (${error.message})`);
    return;
  }
  const colored = document.getElementById("colored");
  const linked = document.getElementById("linked");
  const update = () => {
    gallery.colored = colored.checked;
    gallery.linked = linked.checked;
    gallery.askAll();
  };
  colored.addEventListener("change", update);
  linked.addEventListener("change", update);
  document.getElementById("reset").addEventListener("click", () => {
    gallery.pairs.forEach((pair) => pair.reset());
  });
  update();
}

all("select.metric").forEach(chooseMetric);
all("table.sortable").forEach(makeSortable);
all("button.enlarge").forEach(enlarge);
if (document.getElementById("kind")) {
  filterObjects(document.getElementById("kind"), document.getElementById("category"));
}
if (document.getElementById("shapes")) startGallery();
