for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const key = (row, at) => row.cells[at].dataset.order ?? row.cells[at].textContent.trim();
  heads.forEach((head, at) => {
    const numeric = rows.map(row => key(row, at)).filter(Boolean).every(word => isFinite(word));
    const first = numeric ? "descending" : "ascending", second = numeric ? "ascending" : "descending";
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = {[first]: second, [second]: null}[head.getAttribute("aria-sort")];
      const now = next === undefined ? first : next;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      if (now) head.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [x, y] = [key(a, at), key(b, at)];
        if (!x || !y) return !x - !y;
        return sign * (numeric ? x - y : x.localeCompare(y));
      };
      body.append(...(now ? [...rows].sort(compare) : rows));
    });
  });
  table.closest("figure").querySelector(".hint").hidden = false;
}
