"use strict";
// Without this script the page shows all examples; it adds the search, and marks for a sheet.
(() => {
  const STEP = 8;
  const find = document.getElementById("find");
  const list = document.getElementById("list");
  const said = document.getElementById("found");
  const more = document.getElementById("more");
  const bar = document.getElementById("marks");
  const articles = [...list.querySelectorAll("article")];
  const marks = new Map();
  let shown = STEP, saved = true;

  const number = (article, name) => {
    const value = parseFloat(article.dataset[name]);
    return Number.isNaN(value) ? null : value;
  };
  const sorts = {
    listed: () => 0,
    doubtful: (a, b) => order(number(b, "relevance"), number(a, "relevance")),
    sure: (a, b) => order(number(a, "relevance"), number(b, "relevance")),
    margin: (a, b) => order(number(a, "margin"), number(b, "margin")),
    rank: (a, b) => order(number(a, "rank"), number(b, "rank")),
  };
  // What is unknown comes last in either direction.
  function order(a, b) {
    return (a === null) - (b === null) || a - b;
  }

  function fits(article, words) {
    const { reason, source, doubt } = find.elements;
    const relevance = number(article, "relevance");
    const doubts = {
      "": true, high: relevance > 0, low: relevance !== null && relevance <= 0,
      unknown: relevance === null,
    };
    return (!reason.value || article.dataset.reason === reason.value)
      && (!source.value || JSON.parse(article.dataset.sources).includes(source.value))
      && doubts[doubt.value]
      && words.every((word) => article.text.includes(word));
  }

  function show() {
    const words = find.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = articles.filter((article) => fits(article, words));
    found.sort(sorts[find.elements.sort.value]);
    found.forEach((article) => list.append(article));
    const there = new Set(found.slice(0, shown));
    articles.forEach((article) => { article.hidden = !there.has(article); });
    const count = Math.min(shown, found.length);
    said.textContent = `${count} of ${found.length} examples shown`;
    more.hidden = count === found.length;
  }

  function mark(article, button) {
    const before = marks.get(article);
    const verdict = button.value;
    if (before === verdict) marks.delete(article); else marks.set(article, verdict);
    for (const one of article.querySelectorAll(".mark button")) {
      one.setAttribute("aria-pressed", String(marks.get(article) === one.value));
    }
    saved = !marks.size;
    bar.querySelector("[role=status]").textContent
      = `${marks.size} ${marks.size === 1 ? "mark" : "marks"}`;
    bar.hidden = !marks.size;
  }

  function save() {
    const rows = articles.filter((article) => marks.has(article))
      .map((article) => `${JSON.parse(article.dataset.row)},${marks.get(article)},"person"\n`);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([bar.dataset.header, "\n", ...rows], { type: "text/csv" }));
    link.download = bar.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    saved = true;
  }

  for (const article of articles) {
    article.text = article.textContent.toLowerCase();
    article.querySelector(".mark").hidden = false;
  }
  list.classList.remove("plain");
  find.hidden = false;
  find.addEventListener("submit", (event) => event.preventDefault());
  find.addEventListener("input", () => { shown = STEP; show(); });
  more.addEventListener("click", () => {
    const before = shown;
    shown += STEP;
    show();
    list.querySelectorAll("article:not([hidden])")[before]?.focus();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".mark button");
    if (button) mark(button.closest("article"), button);
  });
  bar.querySelector("button").addEventListener("click", save);
  addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
  show();
})();
