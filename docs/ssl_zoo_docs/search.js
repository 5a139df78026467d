// The order of what the search finds: what is called exactly as was asked comes first, reports of single suites last.
const asked = (new URLSearchParams(window.location.search).get("q") || "").trim().toLowerCase();
var Scorer = {
  score: ([page, title, , , score]) =>
    score + (title.toLowerCase() === asked ? 20 : 0) - (page.startsWith("results/suites/") ? 10 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};

// Arrow keys move among the results.
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const links = [...document.querySelectorAll("ul.search > li > a")];
  if (!step || !links.length) return;
  const next = links.indexOf(document.activeElement) + step;
  if (next < 0 || next >= links.length) return;
  links[next].focus();
  event.preventDefault();
});
