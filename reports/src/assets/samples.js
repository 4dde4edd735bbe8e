(function () {
  "use strict";
  var block = document.getElementById("sample-rows");
  var view = document.getElementById("sample-view");
  if (!block || !view) { return; }
  var PAGE = 50, WORDS = 400, BESIDE = 6;
  var VERDICTS = {s: "safe", u: "unsafe", "?": "unparsable", e: "error"};
  var sections = null, state = {}, found = [], controls = {}, table = null, status = null;

  function make(tag, text, name) {
    var element = document.createElement(tag);
    if (text !== undefined && text !== null) { element.textContent = text; }
    if (name) { element.className = name; }
    return element;
  }
  function plain(title) { return title.replace(/`/g, ""); }
  function load() {
    if (!sections) { sections = JSON.parse(block.textContent).sections; }
    return sections;
  }
  function section() { return sections[state.section]; }
  // Of many models the baseline and the first ones stand side by side, or the baseline and the one that is asked for.
  function columns() {
    var own = section(), all = own.models.map(function (_, model) { return model; });
    if (all.length <= BESIDE) { return all; }
    if (state.model >= 0) { return own.baseline === null || own.baseline === state.model ? [state.model] : [own.baseline, state.model]; }
    var first = all.filter(function (model) { return model !== own.baseline; }).slice(0, own.baseline === null ? BESIDE : BESIDE - 1);
    return own.baseline === null ? first : [own.baseline].concat(first);
  }
  function first(cell) { return cell && cell[1] && cell[1][0]; }
  function score(row, model, metric) {
    var cell = row[4] && row[4][model];
    var scores = cell && cell[0];
    var value = scores && scores[metric];
    return value === undefined ? null : value;
  }
  // Of many metrics those that stand for their plugin, and those by which the models differ here and that say another thing than it.
  function tells(row, own, model, metric) {
    if (own.metrics[metric][2]) { return true; }
    var family = own.metrics[metric][0].split(".")[0];
    var leads = own.metrics.findIndex(function (one) { return one[2] && one[0].split(".")[0] === family; });
    if (leads >= 0 && score(row, model, leads) === score(row, model, metric)) { return false; }
    var other = own.baseline === null ? null : score(row, own.baseline, metric);
    return own.models.some(function (_, one) { var its = score(row, one, metric); return its !== null && other !== null && its !== other; });
  }
  function verdict(row, model, judge) {
    var made = first(row[4] && row[4][model]);
    return (made && made[0] && made[0][judge]) || null;
  }
  // Everything of a row that is searched, in lower case; made once.
  function haystack(row, own) {
    if (row.text === undefined) {
      var parts = [row[1], own.categories[row[3]] || "", row[5] || ""].concat(row[6] || [], row[7] || "");
      (row[4] || []).forEach(function (cell) {
        ((cell && cell[1]) || []).forEach(function (made) { parts.push(made[9] || "", made[11] || "", (made[10] || []).join(" ")); });
      });
      row.text = parts.join("\n").toLowerCase();
    }
    return row.text;
  }
  function flipped(row, own, want) {
    var metrics = own.metrics.length, models = own.models.length;
    for (var metric = 0; metric < metrics; metric += 1) {
      if (state.metric >= 0 && metric !== state.metric) { continue; }
      for (var model = 0; model < models; model += 1) {
        if (own.baseline === null || model === own.baseline) { continue; }
        if (state.model >= 0 && model !== state.model) { continue; }
        var ours = score(row, own.baseline, metric), theirs = score(row, model, metric);
        if (ours === null || theirs === null || ours === theirs) { continue; }
        if (want === "any" || (want === "base") === (ours > theirs)) { return true; }
      }
    }
    return metrics === 0 && row[2] === 1;
  }
  function judgesDiffer(row, own) {
    for (var model = 0; model < own.models.length; model += 1) {
      var said = own.judges.map(function (_, judge) { return verdict(row, model, judge); }).filter(function (word) { return word === "s" || word === "u"; });
      if (said.some(function (word) { return word !== said[0]; })) { return true; }
    }
    return false;
  }
  function pair(row, own, model) {
    return (verdict(row, own.baseline, 0) || "-") + (verdict(row, model, 0) || "-");
  }
  function keeps(row, own) {
    if (state.condition >= 0 && row[0] !== state.condition) { return false; }
    if (state.category >= 0 && row[3] !== state.category) { return false; }
    if (state.flips !== "all" && !(state.flips === "judges" ? judgesDiffer(row, own) : flipped(row, own, state.flips))) { return false; }
    if (state.pair && own.baseline !== null) {
      var any = own.models.some(function (_, model) {
        return model !== own.baseline && (state.model < 0 || state.model === model) && pair(row, own, model) === state.pair;
      });
      if (!any) { return false; }
    }
    return !state.text || haystack(row, own).indexOf(state.text) >= 0;
  }
  function sortKey(row, own) {
    if (state.sort === "id") { return row[1]; }
    if (state.sort === "condition") { return row[0]; }
    if (state.sort === "category") { return own.categories[row[3]] || ""; }
    var value = score(row, state.sort, Math.max(state.metric, 0));
    if (value !== null) { return value; }
    var made = first(row[4] && row[4][state.sort]);
    return made ? made[2] : null;
  }
  function filter() {
    var own = section();
    found = own.rows.filter(function (row) { return keeps(row, own); });
    if (state.sort !== null) {
      var keyed = found.map(function (row) { return [sortKey(row, own), row]; });
      keyed.sort(function (a, b) {
        if (a[0] === null || b[0] === null) { return (a[0] === null) - (b[0] === null); }
        var order = typeof a[0] === "number" ? a[0] - b[0] : a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
        return state.down ? -order : order;
      });
      found = keyed.map(function (entry) { return entry[1]; });
    }
  }
  // The words of `text` that are not in the longest common run of words with `other`, marked.
  function compared(text, other) {
    var out = make("span", null, "text");
    var words = text.split(/(\s+)/), others = other === null ? [] : other.split(/(\s+)/);
    if (other === null || words.length > WORDS || others.length > WORDS) { out.textContent = text; return out; }
    var n = words.length, m = others.length, table = [];
    for (var i = n; i >= 0; i -= 1) {
      table[i] = new Uint16Array(m + 1);
      for (var j = m - 1; j >= 0 && i < n; j -= 1) {
        table[i][j] = words[i] === others[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
      }
    }
    for (var a = 0, b = 0; a < n;) {
      if (b < m && words[a] === others[b]) { out.append(words[a]); a += 1; b += 1; }
      else if (b < m && table[a][b + 1] >= table[a + 1][b]) { b += 1; }
      else { out.append(/\S/.test(words[a]) ? make("mark", words[a]) : words[a]); a += 1; }
    }
    return out;
  }
  function sureness(digits) {
    var strip = make("span", null, "sure");
    strip.setAttribute("role", "img");
    strip.setAttribute("aria-label", "probability of each token, darker where the model was less sure");
    digits.split("").forEach(function (digit) {
      var token = make("i");
      token.style.opacity = String((10 - Number(digit)) / 10);
      strip.append(token);
    });
    return strip;
  }
  function completion(made, own, reference) {
    var out = make("div"), words = [];
    (made[0] || []).forEach(function (letter, judge) {
      if (letter) { words.push((own.judges.length > 1 ? own.judges[judge] + " " : "") + VERDICTS[letter]); }
    });
    words.push(made[1] ? made[1] + " tokens" : made[2] + " characters", made[3]);
    words = words.concat(made[4] || []);
    if (made[6] !== undefined && made[6] !== null) { words.push("mean ln p " + String(made[6]).replace("-", "\u2212")); }
    if (made[7] !== undefined && made[7] !== null) { words.push("entropy " + made[7] + " nats"); }
    (made[12] || []).forEach(function (said, field) { if (said !== null) { words.push(own.fields[field] + " " + said.replace(/^-(?=\d)/, "\u2212")); } });
    out.append(make("span", words.join(", "), "small"));
    if (made[5]) { out.append(" ", make("code", made[5])); }
    if (made[11]) { out.append(make("br"), make("span", made[11], "worse")); }
    if (made[8]) { out.append(sureness(made[8])); }
    function text() { return compared(made[9], reference); }
    if (made[9] !== undefined && made[9] !== null) {
      if ((made[0] || []).indexOf("u") >= 0) {
        var cover = make("button", "show unsafe text", "cover");
        cover.type = "button";
        cover.addEventListener("click", function () { cover.replaceWith(text()); });
        out.append(make("br"), cover);
      } else {
        out.append(make("br"), text());
      }
    }
    if (made[10]) {
      var more = make("details");
      more.append(make("summary", "what the judges wrote"));
      made[10].forEach(function (said) { more.append(make("span", said, "text"), make("br")); });
      out.append(more);
    }
    return out;
  }
  function address(row, own) { return "#s=" + encodeURIComponent(own.evaluation) + "/" + encodeURIComponent(row[1]); }
  function draw() {
    var own = section(), body = table.tBodies[0], many = own.conditions.length > 1;
    var pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    body.textContent = "";
    found.slice(state.page * PAGE, state.page * PAGE + PAGE).forEach(function (row) {
      var line = body.insertRow(), head = make("th");
      head.scope = "row";
      var link = make("a");
      link.href = address(row, own);
      link.append(make("code", row[1]));
      head.append(link);
      if (many) { head.append(make("br"), make("span", own.conditions[row[0]], "small")); }
      if (own.categories[row[3]] !== undefined) { head.append(make("br"), make("span", own.categories[row[3]], "small")); }
      if (row[5]) { head.append(make("br"), make("span", row[5], "text")); }
      if (row[6]) { head.append(make("br"), make("span", "accepted: " + row[6].join(" | "), "small")); }
      if (row[7]) { head.append(make("br"), make("span", "false answer: " + row[7], "small")); }
      line.append(head);
      if (state.link === row[1]) { line.className = "found"; }
      var base = own.baseline === null ? null : first(row[4] && row[4][own.baseline]);
      columns().forEach(function (model) {
        var cell = line.insertCell(), content = row[4] && row[4][model];
        if (!content) { cell.textContent = "\u2013"; return; }
        (content[0] || []).forEach(function (value, metric) {
          if (value !== null && (state.metric < 0 ? tells(row, own, model, metric) : state.metric === metric)) {
            cell.append(make("span", plain(own.metrics[metric][1]) + ": ", "small"), make("span", value, "v"), make("br"));
          }
        });
        var reference = base && model !== own.baseline && base[9] !== undefined ? base[9] : null;
        (content[1] || []).forEach(function (made) { cell.append(completion(made, own, reference)); });
        if (content[2]) { cell.append(make("span", content[2] + " more completions in the table", "small")); }
      });
    });
    status.textContent = (state.missing ? "the sample " + state.missing + " is not on this page, but in " + own.file + "; " : "") + found.length + " of " + own.rows.length + " samples, page " + (state.page + 1) + " of " + pages;
    controls.before.disabled = state.page === 0;
    controls.after.disabled = state.page + 1 >= pages;
  }
  function header() {
    var own = section(), row = table.tHead.rows[0];
    row.textContent = "";
    [["Prompt", "id"]].concat(columns().map(function (model) { return [own.models[model], model]; })).forEach(function (column) {
      var head = make("th"), button = make("button", column[0]);
      head.scope = "col";
      button.type = "button";
      if (state.sort === column[1]) { head.setAttribute("aria-sort", state.down ? "descending" : "ascending"); }
      button.addEventListener("click", function () {
        state.down = state.sort === column[1] && !state.down;
        state.sort = column[1];
        header();
        update();
      });
      head.append(button);
      row.append(head);
    });
  }
  function update() { filter(); draw(); }
  function options(select, entries, chosen) {
    select.textContent = "";
    entries.forEach(function (entry) {
      var option = make("option", entry[1]);
      option.value = String(entry[0]);
      select.append(option);
    });
    select.value = String(chosen);
    select.parentElement.hidden = entries.length < 2;
  }
  function refill() {
    var own = section(), pairs = {};
    function numbered(names) { return names.map(function (name, place) { return [place, name]; }); }
    options(controls.section, sections.map(function (one, place) { return [place, one.evaluation]; }), state.section);
    options(controls.condition, [[-1, "all"]].concat(own.conditions.length > 1 ? numbered(own.conditions) : []), state.condition);
    options(controls.metric, [[-1, "any"]].concat(numbered(own.metrics.map(function (metric) { return plain(metric[1]); }))), state.metric);
    options(controls.category, [[-1, "all"]].concat(numbered(own.categories)), state.category);
    options(controls.model, [[-1, "any"]].concat(numbered(own.models).filter(function (entry) { return entry[0] !== own.baseline; })), state.model);
    if (own.baseline !== null && own.judges.length) {
      own.rows.forEach(function (row) {
        own.models.forEach(function (_, model) { if (model !== own.baseline) { pairs[pair(row, own, model)] = true; } });
      });
    }
    function word(letter) { return VERDICTS[letter] || "none"; }
    options(controls.pair, [["", "any"]].concat(Object.keys(pairs).sort().map(function (two) { return [two, word(two[0]) + " \u2192 " + word(two[1])]; })), state.pair);
    var flips = [["all", "all samples"]];
    if (own.baseline !== null) { flips.push(["any", "flips only"], ["base", "only the baseline scores"], ["model", "only the model scores"]); }
    if (own.judges.length > 1) { flips.push(["judges", "judges disagree"]); }
    options(controls.flips, flips, state.flips);
    controls.text.value = state.text;
    header();
    update();
  }
  function reset(place) {
    state = {section: place, condition: -1, metric: -1, category: -1, model: -1, pair: "", flips: "all", text: "", sort: null, down: false, page: 0, link: null, missing: null};
  }
  function control(label, name, element) {
    var outer = make("label", label);
    outer.append(element);
    controls[name] = element;
    element.addEventListener(name === "text" ? "input" : "change", function () {
      if (name === "section") { reset(Number(element.value)); refill(); return; }
      state[name] = name === "text" ? element.value.toLowerCase() : name === "flips" || name === "pair" ? element.value : Number(element.value);
      state.page = 0;
      state.missing = null;
      if (name === "model") { header(); }
      update();
    });
    return outer;
  }
  function build() {
    load();
    if (!sections.length) { return false; }
    var filters = make("div", null, "filters"), search = make("input");
    search.type = "search";
    [["Evaluation", "section"], ["Condition", "condition"], ["Metric", "metric"], ["Category", "category"], ["Model", "model"], ["Verdict, baseline \u2192 model", "pair"], ["Show", "flips"]].forEach(function (entry) {
      filters.append(control(entry[0], entry[1], make("select")));
    });
    filters.append(control("Text or id", "text", search));
    var scroll = make("div", null, "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "Samples");
    table = make("table");
    table.append(make("caption", "Samples, models side by side; words that the baseline did not say are marked.", "unseen"));
    table.createTHead().insertRow();
    table.createTBody();
    scroll.append(table);
    var pages = make("div", null, "pages");
    status = make("span");
    status.setAttribute("role", "status");
    [["before", "\u2190 before", -1], ["after", "next \u2192", 1]].forEach(function (entry) {
      var button = make("button", entry[1]);
      button.type = "button";
      button.addEventListener("click", function () { state.page += entry[2]; draw(); });
      controls[entry[0]] = button;
    });
    pages.append(controls.before, status, controls.after);
    view.append(filters, pages, scroll);
    view.hidden = false;
    document.getElementById("sample-static").hidden = true;
    reset(0);
    return true;
  }
  function place(names, name) { return names.indexOf(name); }
  // #s=evaluation/id leads to a sample, #f=evaluation/metric/condition/model/side to what flipped.
  function follow() {
    var match = /^#([sf])=(.*)$/.exec(location.hash);
    if (!match) { return; }
    var parts;
    try { parts = match[2].split("/").map(decodeURIComponent); } catch (error) { return; }
    var at = sections.findIndex(function (own) { return own.evaluation === parts[0]; });
    if (at < 0) { return; }
    reset(at);
    var own = section();
    if (match[1] === "s") {
      state.link = parts[1];
      filter();
      var row = found.findIndex(function (entry) { return entry[1] === parts[1]; });
      state.page = Math.max(0, Math.floor(row / PAGE));
      state.missing = row < 0 ? parts[1] : null;
    } else {
      state.metric = own.metrics.findIndex(function (metric) { return metric[0] === parts[1]; });
      state.condition = own.conditions.length > 1 ? place(own.conditions, parts[2]) : -1;
      state.model = place(own.models, parts[3] || "");
      state.flips = parts[4] === "base" ? "base" : "model";
    }
    refill();
    (table.querySelector(".found") || view).scrollIntoView();
  }
  function start() {
    if (!build()) { return; }
    refill();
    follow();
    addEventListener("hashchange", follow);
  }
  // The page is read first; the samples are unpacked when somebody comes near, or follows a link to one.
  if (/^#[sf]=/.test(location.hash) || !("IntersectionObserver" in window)) { start(); return; }
  var watcher = new IntersectionObserver(function (entries) {
    if (entries.some(function (entry) { return entry.isIntersecting; })) { watcher.disconnect(); start(); }
  }, {rootMargin: "600px"});
  watcher.observe(document.getElementById("samples"));
  addEventListener("hashchange", function late() {
    if (!sections && /^#[sf]=/.test(location.hash)) { removeEventListener("hashchange", late); watcher.disconnect(); start(); }
  });
})();
