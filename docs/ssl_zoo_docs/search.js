// The order of what the search finds: what is called exactly as was asked, or a key whose last part is, comes first, then
// pages for users, and last the engine's inside and reports of single suites.
const asked = (new URLSearchParams(window.location.search).get("q") || "").trim().toLowerCase();
const ranks = [[/^(start|questions|guide|evaluation|tutorials\/)/, 12], [/^(results\/suites\/|reference\/parts)/, -10]];
const named = (page, title) => title === asked || (page === "keys" && title.endsWith("." + asked));
var Scorer = {
  score: ([page, title, , , score]) =>
    score + (named(page, title.toLowerCase()) ? 30 : 0) + (ranks.find(([pages]) => pages.test(page))?.[1] ?? 0),
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
