// Opens reports in Chromium and holds them against what a reader needs.
//
//     node --experimental-websocket tests/browser/check.mjs FOLDER [PAGE...]
//
// FOLDER holds the run folders that `cargo run -p driftgauge-report --example pages -- FOLDER` wrote; a PAGE is any other report.
// Prints `skipped` and ends with 0 where there is no Chromium or no axe-core (`npm ci` in this folder).

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { spawnSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";

const program = process.env.CHROMIUM ?? "chromium";
const [folder, ...others] = process.argv.slice(2);
const skip = (why) => { console.log(`skipped: browser check (${why})`); process.exit(0); };
if (spawnSync(program, ["--version"]).status !== 0) skip(`no ${program}`);
let axe;
try {
  axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
} catch {
  skip("no axe-core");
}

const failures = [];
function hold(what, holds, detail = "") {
  console.log(`${holds ? "ok    " : "FAIL  "} ${what}${holds || !detail ? "" : `: ${detail}`}`);
  if (!holds) failures.push(what);
}
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const OPEN = "document.querySelectorAll('details').forEach((one) => { one.open = true; })";

const browser = await launch(program);

// A page, loaded and with its samples unpacked.
async function load(path, options = {}, hash = "") {
  const tab = await browser.page(options);
  await tab.goto(pathToFileURL(path).href + hash);
  return tab;
}

async function accessible(path) {
  for (const width of [400, 1200, 1920]) {
    for (const dark of [false, true]) {
      const tab = await load(path, { width, dark });
      await tab.value("document.getElementById('samples')?.scrollIntoView()");
      await wait(400);
      await tab.value(`${OPEN}, 0`);
      await tab.value(`${axe}; 0`);
      const found = await tab.value("axe.run(document, { resultTypes: ['violations'] }).then((result) => result.violations.map((one) => `${one.id} (${one.nodes.length}): ${one.nodes[0].target} ${one.nodes[0].failureSummary.replace(/\\s+/g, ' ').slice(0, 160)}`))");
      hold(`${name(path)}: axe at ${width}, ${dark ? "dark" : "light"}`, found.length === 0, found.join("\n        "));
      const wide = await tab.value("document.documentElement.scrollWidth");
      hold(`${name(path)}: nothing stands out of the page at ${width}`, wide <= width, `${wide} px`);
      await tab.close();
    }
  }
}

// Paper of a sweep has a row for each of its models in every table.
async function printed(path, most = 10) {
  // What is left of A4 between margins of 12 mm, in CSS pixels.
  const room = Math.floor((210 - 24) / 25.4 * 96);
  const tab = await load(path, { width: room, height: 1000, media: "print", dark: true });
  const cut = await tab.value(`[...document.querySelectorAll('th, td')].filter((cell) => cell.offsetParent && (cell.getBoundingClientRect().right > ${room} + 1 || cell.scrollWidth > cell.clientWidth + 1)).map((cell) => cell.textContent.trim().slice(0, 40))`);
  hold(`${name(path)}: print loses no column`, cut.length === 0, `${cut.length} cells, ${cut.slice(0, 5).join(" | ")}`);
  const ground = await tab.value("getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color");
  hold(`${name(path)}: print is dark on light, whatever the theme`, ground === "rgb(255, 255, 255)rgb(29, 32, 36)", ground);
  const pdf = await tab.print();
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) ?? []).length;
  hold(`${name(path)}: ${pages} pages printed, fewer than ${most}`, pages < most);
  await tab.close();
  return { pages, pdf };
}

async function quiet(path) {
  const tab = await load(path);
  await tab.value("document.getElementById('samples')?.scrollIntoView()");
  await wait(400);
  await tab.value(`${OPEN}, document.querySelectorAll('button').forEach((button) => button.click()), document.querySelectorAll('.cover').forEach((button) => button.click()), 0`);
  await wait(300);
  const asked = tab.requests.filter((url) => url !== pathToFileURL(path).href);
  hold(`${name(path)}: asks for nothing`, asked.length === 0, asked.slice(0, 3).join(" "));
  hold(`${name(path)}: runs nothing but its own script`, tab.messages.length === 0, tab.messages.slice(0, 3).join(" | "));
  const strange = await tab.value("document.querySelectorAll('main script, main iframe, main img, main object, main embed, main link, main form, main base, main meta, main video, main audio, [onload], [onerror], [onfocus], [onclick], a[href^=\"javascript:\" i], a[href^=\"data:\" i]').length");
  hold(`${name(path)}: no text became markup`, strange === 0, `${strange} elements`);
  await tab.close();
}

async function sorted(path) {
  const tab = await load(path);
  const wrong = await tab.value(`(() => {
    const wrong = [];
    for (const table of document.querySelectorAll('table.sortable')) {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, column) => {
        for (const sign of [1, -1]) {
          head.querySelector('button').click();
          const numbers = [...table.tBodies[0].rows].map((row) => row.cells[column]?.dataset.v).filter((value) => value !== undefined).map(Number);
          if (numbers.some((value, place) => place && sign * (value - numbers[place - 1]) < 0)) wrong.push(head.textContent);
        }
      });
    }
    return wrong;
  })()`);
  hold(`${name(path)}: every column of numbers sorts by its numbers`, wrong.length === 0, wrong.join(", "));
  await tab.close();
}

async function keyboard(path) {
  const tab = await load(path);
  await tab.key("Tab");
  hold(`${name(path)}: the first stop of the keyboard skips to the results`, await tab.value("document.activeElement.className") === "skip");
  const stops = new Set();
  let stuck = false;
  for (let step = 0; step < 60 && !stuck; step += 1) {
    await tab.key("Tab");
    const seen = await tab.value("(() => { const at = document.activeElement; if (!at.dataset.stop) at.dataset.stop = String(Math.random()); const style = getComputedStyle(at); return [at.dataset.stop, style.outlineStyle !== 'none' || at === document.body, at.tagName]; })()");
    if (!seen[1]) { hold(`${name(path)}: focus is seen on ${seen[2]}`, false); break; }
    stuck = stops.has(seen[0]);
    stops.add(seen[0]);
  }
  hold(`${name(path)}: the keyboard passes through`, stops.size > 20 && !stuck, `${stops.size} stops`);
  await tab.close();
}

async function samples(path, evaluation) {
  const id = await (async () => {
    const tab = await load(path);
    const value = await tab.value(`JSON.parse(document.getElementById('sample-rows').textContent).sections.find((one) => one.evaluation === ${JSON.stringify(evaluation)}).rows.at(-1)[1]`);
    await tab.close();
    return value;
  })();
  const tab = await load(path, {}, `#s=${encodeURIComponent(evaluation)}/${encodeURIComponent(id)}`);
  await wait(300);
  hold(`${name(path)}: a link leads to its sample`, await tab.value("document.querySelector('tr.found code')?.textContent") === id, id);
  await tab.close();

  const other = await load(path, {}, `#s=${encodeURIComponent(evaluation)}/${encodeURIComponent(id)}`);
  await wait(300);
  const spent = await other.value(`(() => {
    const out = {};
    const pick = (label, value) => {
      const select = [...document.querySelectorAll('.filters label')].find((one) => one.textContent.startsWith(label)).querySelector('select, input');
      const begin = performance.now();
      select.value = value ?? select.options[select.options.length - 1].value;
      select.dispatchEvent(new Event(select.tagName === 'INPUT' ? 'input' : 'change'));
      document.body.getBoundingClientRect();
      out[label] = performance.now() - begin;
    };
    pick('Show', 'any');
    pick('Category');
    pick('Text', 'number 1');
    return out;
  })()`).catch((error) => ({ error: error.message }));
  const slowest = Math.max(...Object.values(spent).filter((value) => typeof value === "number"), 0);
  console.log(`       ${name(path)}: filters took ${JSON.stringify(spent)}`);
  hold(`${name(path)}: filters answer within 100 ms`, slowest < 100 && !spent.error, spent.error ?? `${slowest} ms`);
  await other.close();

  const plain = await load(path, { script: false });
  const rows = (await plain.send("DOM.getDocument", { depth: -1, pierce: false }));
  const text = JSON.stringify(rows);
  hold(`${name(path)}: without its script the samples are a table`, text.includes("sample-static") && !text.includes("\"sample-static\",\"hidden\""));
  await plain.close();
}

async function quick(path) {
  const begin = performance.now();
  const tab = await load(path);
  const paint = await tab.value("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()");
  const size = statSync(path).size;
  console.log(`       ${name(path)}: ${(size / 1e6).toFixed(2)} MB, first view after ${Math.round(paint)} ms, loaded after ${Math.round(performance.now() - begin)} ms`);
  hold(`${name(path)}: below 10 MB`, size < 10e6, `${size}`);
  hold(`${name(path)}: first view within a second`, paint < 1000, `${paint} ms`);
  await tab.close();
}

// Addresses that are mistyped, or name a sample that is not on the page, break nothing and are told.
async function addresses(path, evaluation) {
  for (const hash of ["#%", "#s=%", "#s=nothing", "#f=a/b/c/d/base", `#s=${encodeURIComponent(evaluation)}/not-there`]) {
    const tab = await load(path, {}, hash);
    await tab.value("document.getElementById('samples')?.scrollIntoView()");
    await wait(400);
    const view = await tab.value("[document.getElementById('sample-view').hidden, document.querySelector('#sample-view [role=status]')?.textContent ?? '']");
    hold(`${name(path)}: ${hash} shows the samples`, view[0] === false && tab.messages.length === 0, `${view} ${tab.messages.join(" ")}`);
    if (hash.endsWith("not-there")) hold(`${name(path)}: a sample that is not on the page is named`, view[1].includes("not-there is not on this page"), view[1]);
    await tab.close();
  }
}

// Very many rows stay in a box of their own, so that what follows is not pages away.
async function boxed(path) {
  const tab = await load(path, { width: 1200 });
  const high = await tab.value("[...document.querySelectorAll('main table')].filter((one) => one.offsetParent && one.rows.length > 100).map((one) => one.closest('.scroll').getBoundingClientRect().height)");
  hold(`${name(path)}: long tables scroll in place`, high.every((height) => height <= 900), high.join(", "));
  const columns = await tab.value("Math.max(...[...document.querySelectorAll('main table')].map((one) => one.tHead.rows[0].cells.length))");
  hold(`${name(path)}: no table is too wide to read`, columns <= 14, `${columns} columns`);
  await tab.close();
}

const name = (path) => basename(dirname(path));

const hostile = join(folder, "hostile/report.html");
const many = ["many-1000", "many-10000", "many-100000"].map((run) => join(folder, run, "report.html"));
await quiet(hostile);
await accessible(hostile);
await sorted(hostile);
for (const path of many) {
  await quick(path);
  await samples(path, "harmfulness");
}
await addresses(many[0], "harmfulness");
for (const path of ["thousand", "evaluations"].map((run) => join(folder, run, "report.html"))) {
  await quick(path);
  await boxed(path);
}
const trend = join(folder, "trend/report.html");
await quiet(trend);
await accessible(trend);
await sorted(trend);
await printed(trend);
for (const path of [many[0], join(folder, "sweep/report.html"), ...others]) {
  await quiet(path);
  await accessible(path);
  await sorted(path);
  await keyboard(path);
  await printed(path, path.includes("sweep") ? 14 : 10);
}
// Pictures are artifacts of CI and not kept in the repository.
if (process.env.PICTURES) {
  mkdirSync(process.env.PICTURES, { recursive: true });
  for (const path of [many[0], trend, join(folder, "sweep/report.html"), ...others].filter((path) => existsSync(path))) {
    for (const [width, dark] of [[400, false], [400, true], [1200, false], [1200, true], [1920, false], [1920, true]]) {
      const tab = await load(path, { width, dark });
      writeFileSync(join(process.env.PICTURES, `${name(path)}-${width}-${dark ? "dark" : "light"}.png`), await tab.picture());
      await tab.close();
    }
  }
}
await browser.close();
console.log(failures.length ? `${failures.length} checks failed` : "all checks hold");
process.exit(failures.length ? 1 : 0);
