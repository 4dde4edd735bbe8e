(function () {
  "use strict";
  var root = document.documentElement;
  var toggle = document.getElementById("theme");
  if (toggle) {
    toggle.hidden = false;
    toggle.addEventListener("click", function () {
      var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
    });
  }
  // A cell with a number carries it; text is compared as text, and what is undefined comes last.
  function key(cell) {
    if (!cell) { return null; }
    if (cell.dataset.v !== undefined) { return Number(cell.dataset.v); }
    return cell.classList.contains("n") ? null : cell.textContent.trim();
  }
  function compare(a, b, down) {
    if (a === null || b === null) { return (a === null) - (b === null); }
    var order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, {numeric: true});
    return down ? -order : order;
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("thead th").forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var down = head.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        var body = table.tBodies[0];
        Array.from(body.rows).map(function (row) { return [key(row.cells[column]), row]; }).sort(function (a, b) {
          return compare(a[0], b[0], down);
        }).forEach(function (pair) { body.appendChild(pair[1]); });
      });
    });
  });
  // A link to something inside a closed part opens it.
  function reveal() {
    var name = location.hash.slice(1);
    // An address that somebody mistyped names nothing.
    try { name = decodeURIComponent(name); } catch (error) { return; }
    var target = name && document.getElementById(name);
    for (var at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") { at.open = true; }
    }
    if (target) { target.scrollIntoView(); }
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
