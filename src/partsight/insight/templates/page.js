"use strict";
// A click on a column's name sorts by it, a second one the other way round. Cells without a value stay at the end.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const key = (row) => { const cell = row.cells[head.cellIndex]; return cell.dataset.key ?? cell.textContent; };
    const number = head.classList.contains("number");
    const byText = (a, b) => a.localeCompare(b, undefined, { numeric: true });
    // "98.4 ± 0.2" goes by its number: as text 99.3 would stand before 99.16.
    const byNumber = (a, b) => { const d = parseFloat(a) - parseFloat(b); return Number.isNaN(d) || d === 0 ? byText(a, b) : d; };
    const compare = (a, b) => (number ? Number(a) - Number(b) : byNumber(a, b));
    const order = (a, b) => (a === "" || b === "" ? (a === "") - (b === "") : descending ? compare(b, a) : compare(a, b));
    body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
  });
}
for (const image of document.querySelectorAll(".picture img")) {
  image.addEventListener("click", () => image.classList.toggle("full"));
}
