// The page at /admin: analytics as charts, tables and CSV; one user with limits, explain and reset; the audit log. Owns what
// an administrator sees. Must not know how the gateway counts: every figure is the API's.
//
// Order: formats, the API, elements, charts, tables and CSV, the three views, the start.
// The view stands in the fragment (`#overview`, `#user/ID`, `#audit`), so back, forward and bookmarks work; user ids in it are
// never sent with a page. All text from the API becomes text nodes. A call that a gateway does not have (404) is said so.

import { ENGLISH, session, themeButton } from "./dashboard.js";

const DAY_MS = 86_400_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Of a chart, in CSS pixels. */
const CHART = { height: 200, left: 52, right: 8, top: 10, bottom: 24, labelWidth: 64 };
/** A search begins when the reader has stopped typing for so long. */
const TYPING_PAUSE_MS = 200;
const DEPTH_MAX = 6;

// ---------------------------------------------------------------- formats

/** The page speaks English; its dates and numbers are written as the reader's English does. */
const LOCALE = navigator.languages.find((tag) => /^en\b/i.test(tag)) ?? "en";
const count = new Intl.NumberFormat(LOCALE);
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const dollars = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const millis = new Intl.NumberFormat(LOCALE, { style: "unit", unit: "millisecond", maximumFractionDigits: 0 });
const seconds = new Intl.NumberFormat(LOCALE, { style: "unit", unit: "second", unitDisplay: "narrow", notation: "compact", maximumSignificantDigits: 2 });
/** For the scale of a chart whose values are milliseconds: short enough to stand beside it. */
const inSeconds = { format: (ms) => seconds.format(ms / 1000) };
const dayShort = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", timeZone: "UTC" });
const dayLong = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const moment = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });

const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : 0);
/** A figure that may be missing (null): on a day without an answer there is no latency. */
const shown = (format, value) => (value === null ? "–" : format.format(number(value)));
/** A date that the API gave ("2026-11-24"), or its own text when it is none. */
const asDay = (format, text) => (/^\d{4}-\d{2}-\d{2}$/.test(text) ? format.format(Date.parse(text)) : String(text));

// ---------------------------------------------------------------- the API

let token = "";
/** Ends the calls of the view that is left. */
let leaving = new AbortController();

class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, query = {}, { method = "GET", body } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) if (value !== "" && value !== undefined) url.searchParams.set(name, value);
  const headers = { Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  // A change goes through to its end; only reading stops with the view.
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const signal = method === "GET" ? AbortSignal.any([leaving.signal, timeout]) : timeout;
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (leaving.signal.aborted && method === "GET") throw error;
    throw new ApiError(0, "The gateway cannot be reached.");
  }
  const content = await answer.json().catch(() => null);
  if (answer.ok && content !== null) return content;
  throw new ApiError(answer.status, String(content?.error?.message ?? `The gateway answered with status ${answer.status}.`));
}

// ---------------------------------------------------------------- elements

const $ = (selector) => document.querySelector(selector);
const place = (name) => $(`[data-place=${name}]`);
const say = (text) => {
  $(".said").textContent = text;
};

function make(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

function button(text, act, attributes = {}) {
  const element = make("button", { type: "button", text, ...attributes });
  element.addEventListener("click", act);
  return element;
}

const userLink = (id) => make("a", { href: `#user/${encodeURIComponent(id)}`, text: String(id) });
const card = (title, ...children) => make("section", { class: "card" }, make("div", { class: "card-head" }, make("h2", { text: title })), ...children);
const wide = (element) => {
  element.classList.add("full");
  return element;
};

/** What stands in a view's place when its call fails. */
function problem(error, what) {
  if (error.status === 401) {
    access.refuse();
    return make("p");
  }
  if (error.status === 404) return wide(card("Not available", make("p", { text: `This gateway does not offer ${what}.` })));
  if (error.status === 403) return wide(card("Not allowed", make("p", { text: `${error.message} Sign in with an administrator's token.` })));
  return wide(card("Could not be loaded", make("p", { text: error.message }), button("Try again", () => show())));
}

/** Fills `holder` with what `load` makes; says so while it waits and when it fails. Views that were left stay as they are. */
async function fill(holder, what, load) {
  const { signal } = leaving;
  holder.setAttribute("aria-busy", "true");
  if (!holder.firstChild) holder.append(make("p", { class: "muted full", text: "Loading…" }));
  let parts;
  try {
    parts = await load();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) console.error(error); // A fault of this page: for its developers, with the stack.
    parts = [problem(error, what)];
  }
  if (signal.aborted) return;
  holder.removeAttribute("aria-busy");
  holder.replaceChildren(...parts.filter(Boolean));
}

// ---------------------------------------------------------------- charts

/** The smallest "round" number that is not below `value`: the top of a scale. */
function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

/**
 * A chart over days. `series`: [{ name, values, format, line? }]; bars of one chart stand on each other. A line has a gap
 * where a value is null. Values show on hover, and by the arrow keys when the chart has the focus; the line above it is read out
 * then.
 */
function chart(title, days, series) {
  const readout = make("p", { class: "readout", role: "status" });
  const plot = make("div", { class: "plot", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": `${title}. Use the arrow keys to read values.` });
  let here = null;
  let graphic = null;
  const top = roundUp(Math.max(...days.map((_, index) => Math.max(
    series.filter((one) => !one.line).reduce((sum, one) => sum + one.values[index], 0),
    ...series.filter((one) => one.line).map((one) => one.values[index])))));
  const read = () => {
    const index = here ?? days.length - 1;
    readout.replaceChildren(make("strong", { text: asDay(dayLong, days[index]) }),
      ...series.map((one, at) => make("span", { class: `key series-${one.colour ?? at}`, text: `${one.name} ${shown(one.format, one.values[index])}` })));
    graphic?.mark(here);
  };
  const go = (index) => {
    const next = index === null ? null : Math.max(0, Math.min(days.length - 1, index));
    if (next === here) return;
    here = next;
    read();
  };
  plot.addEventListener("keydown", (event) => {
    const from = here ?? days.length - 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: days.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  plot.addEventListener("pointermove", (event) => go(graphic.dayAt(event.clientX)));
  plot.addEventListener("pointerdown", (event) => go(graphic.dayAt(event.clientX)));
  plot.addEventListener("pointerleave", () => go(null));
  plot.addEventListener("focus", () => go(here ?? days.length - 1));
  plot.addEventListener("blur", () => go(null));
  // Drawn in CSS pixels at the width it has, so that its text keeps its size on a phone.
  new ResizeObserver(() => {
    if (plot.clientWidth === 0 || plot.clientWidth === graphic?.width) return;
    graphic = draw(plot.clientWidth, top, days, series);
    plot.replaceChildren(graphic.root);
    read();
  }).observe(plot);
  read();
  return make("div", {}, readout, plot);
}

function draw(width, top, days, series) {
  const { height, left, right, bottom } = CHART;
  const inner = { width: width - left - right, height: height - CHART.top - bottom };
  const step = inner.width / days.length;
  const y = (value) => CHART.top + inner.height * (1 - value / top);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const axis = series[0].axis ?? short;
  for (const share of [0, 0.5, 1]) {
    // There is no half a message.
    if (axis === short && !Number.isInteger(top * share)) continue;
    root.append(svg("line", { class: share === 0 ? "base" : "grid", x1: left, x2: width - right, y1: y(top * share), y2: y(top * share) }));
    root.append(svg("text", { x: left - 8, y: y(top * share) + 4, "text-anchor": "end" }, axis.format(top * share)));
  }
  const here = svg("rect", { class: "here", y: CHART.top, width: step, height: inner.height, visibility: "hidden" });
  root.append(here);
  const every = Math.ceil(CHART.labelWidth / step);
  days.forEach((day, index) => {
    const x = left + index * step;
    let base = 0;
    series.forEach((one, at) => {
      if (one.line || one.values[index] <= 0) return;
      const bar = { class: `mark series-${one.colour ?? at}`, x: x + step * 0.14, width: Math.max(1, step * 0.72), y: y(base + one.values[index]), height: y(base) - y(base + one.values[index]) };
      root.append(svg("rect", bar));
      base += one.values[index];
    });
    // Counted from the newest day, which is the one people look for.
    if ((days.length - 1 - index) % every === 0) root.append(svg("text", { x: x + step / 2, y: height - 6, "text-anchor": days.length > 1 && index === days.length - 1 && step < CHART.labelWidth ? "end" : "middle" }, asDay(dayShort, day)));
  });
  series.forEach((one, at) => {
    if (!one.line) return;
    const colour = `series-${one.colour ?? at}`;
    const runs = [[]];
    one.values.forEach((value, index) => {
      if (value === null) runs.push([]);
      else runs.at(-1).push([left + (index + 0.5) * step, y(value)]);
    });
    for (const run of runs) if (run.length > 1) root.append(svg("polyline", { class: `line ${colour}`, points: run.map((point) => point.join(",")).join(" ") }));
    root.append(...runs.flat().map(([cx, cy]) => svg("circle", { class: `mark ${colour}`, cx, cy, r: days.length > 60 ? 1.5 : 3 })));
  });
  return {
    root, width,
    dayAt: (clientX) => Math.floor((clientX - root.getBoundingClientRect().left - left) / step),
    mark: (index) => {
      here.setAttribute("visibility", index === null ? "hidden" : "visible");
      if (index !== null) here.setAttribute("x", String(left + index * step));
    },
  };
}

/** A card with a chart, the same values as a table, and as CSV. A `note` says what stands for the whole range. */
function chartCard(title, days, series, { unit = "Day", note } = {}) {
  const columns = [{ name: unit, of: (row) => row.day }, ...series.map((one) => ({ name: one.name, of: (row) => one.values[row.index], format: one.format }))];
  const rows = days.map((day, index) => ({ day, index }));
  const picture = chart(title, days, series);
  const numbers = table(title, columns, rows);
  numbers.hidden = true;
  const toggle = button("Table", () => {
    numbers.hidden = !numbers.hidden;
    picture.hidden = !numbers.hidden;
    toggle.setAttribute("aria-pressed", String(!numbers.hidden));
  }, { "aria-pressed": "false", "aria-label": `Table: ${title}` });
  const element = card(title, picture, numbers, ...(note ? [make("p", { class: "muted note", text: note })] : []));
  element.firstChild.append(make("div", { class: "tools" }, toggle, csvButton(title, columns, rows)));
  return element;
}

// ---------------------------------------------------------------- tables and CSV

/** `columns`: [{ name, of(row), format?, cell?(row) }]; with a format the column holds numbers. */
function table(caption, columns, rows) {
  const head = columns.map((column) => make("th", { scope: "col", text: column.name, ...(column.format && { class: "number" }) }));
  const body = rows.map((row) => make("tr", {}, ...columns.map((column) => {
    if (column.cell) return make("td", {}, column.cell(row));
    const value = column.of(row);
    return column.format ? make("td", { class: "number", text: shown(column.format, value) }) : make("td", { text: String(value ?? "–") });
  })));
  const element = make("table", {}, make("caption", { text: caption }), make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
  // Wide tables scroll within their card; by keyboard too.
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}, table` }, element);
}

/** RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe: user ids are not ours to trust. */
function csvCell(value) {
  if (typeof value === "number") return String(value);
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvButton(title, columns, rows) {
  return button("CSV", () => {
    const lines = [columns.map((column) => column.name), ...rows.map((row) => columns.map((column) => column.of(row)))];
    const text = lines.map((line) => line.map(csvCell).join(",")).join("\r\n");
    const href = URL.createObjectURL(new Blob([`\ufeff${text}\r\n`], { type: "text/csv" }));
    make("a", { href, download: `tollgate-${title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.csv` }).click();
    // The download has its own hold on the blob once it has begun.
    setTimeout(() => URL.revokeObjectURL(href), REQUEST_TIMEOUT_MS);
  }, { "aria-label": `CSV: ${title}` });
}

function tableCard(title, columns, rows, none) {
  if (rows.length === 0) return card(title, make("p", { class: "muted", text: none }));
  const element = card(title, table(title, columns, rows));
  element.firstChild.append(make("div", { class: "tools" }, csvButton(title, columns, rows)));
  return element;
}

/** "resetsAt" → "resets at". */
const spaced = (name) => name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").replaceAll("_", " ").toLowerCase();

/** Objects of one kind as a table: a column for each name that any of them has. */
function listOf(items) {
  const names = [...new Set(items.flatMap(Object.keys))];
  return table("List", names.map((name) => ({ name: spaced(name), of: (row) => row[name], cell: (row) => facts(row[name], DEPTH_MAX - 1) })), items);
}

/** A moment as the API writes it. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Any JSON as facts: what the gateway explains may grow without this page. */
function facts(value, depth = 0) {
  if (value === null || value === undefined || value === "") return document.createTextNode("–");
  if (typeof value === "string" && INSTANT.test(value)) return make("time", { datetime: value, text: moment.format(Date.parse(value)) });
  if (typeof value !== "object") return document.createTextNode(typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? count.format(value) : value);
  if (depth >= DEPTH_MAX) return make("code", { text: JSON.stringify(value) });
  const entries = Array.isArray(value) ? value.map((item, index) => [String(index + 1), item]) : Object.entries(value);
  if (entries.length === 0) return document.createTextNode("–");
  if (entries.every(([, item]) => typeof item !== "object") && Array.isArray(value)) return document.createTextNode(value.map(String).join(", "));
  if (Array.isArray(value) && value.every((item) => item !== null && typeof item === "object" && !Array.isArray(item))) return listOf(value);
  const list = make("dl", { class: "facts" });
  for (const [name, item] of entries) {
    list.append(make("dt", { text: spaced(name) }), make("dd", {}, facts(item, depth + 1)));
  }
  return list;
}

// ---------------------------------------------------------------- overview

let range = "7";
/** Where the gateway's days begin; its answers say so. */
let zone = "UTC";

function chooseRange(next) {
  range = next;
  for (const one of document.querySelectorAll("[data-range]")) one.setAttribute("aria-pressed", String(one.dataset.range === range));
}

/** The day before the gateway's today, as the API writes it. */
function yesterday() {
  const part = new Intl.DateTimeFormat("en", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts();
  const of = (type) => part.find((one) => one.type === type).value;
  return new Date(Date.UTC(of("year"), of("month") - 1, of("day") - 1)).toISOString().slice(0, 10);
}

const rangeQuery = () => (range === "yesterday" ? { days: "1", until: yesterday() } : { days: range });

async function showOverview() {
  await fill(place("analytics"), "analytics", async () => {
    let body;
    try {
      body = await call("/api/analytics", rangeQuery());
    } catch (error) {
      if (error.status === 400 && range === "yesterday") {
        return [wide(card("Not available", make("p", { text: "This gateway cannot show a range that ends before today. Choose the last 7 days and read yesterday's bar." })))];
      }
      throw error;
    }
    return overviewParts(body);
  });
}

function overviewParts(body) {
  const days = Array.isArray(body.days) ? [...body.days].sort((a, b) => (String(a.date) < String(b.date) ? -1 : 1)) : [];
  const totals = body.totals ?? {};
  if (typeof body.timezone === "string") zone = body.timezone;
  rememberUsers((body.topUsers ?? []).map((row) => row.userId));
  if (days.length === 0) return [wide(card("No messages yet", make("p", { text: "Nothing has been counted in this range. Figures appear here with the first message." })))];
  const dates = days.map((day) => day.date);
  const of = (name) => days.map((day) => number(day[name]));
  const times = (name) => days.map((day) => (typeof day[name] === "number" ? day[name] : null));
  return [
    wide(tiles(totals, days)),
    ...whoParts(body),
    chartCard("Messages per day", dates, [
      { name: "Premium", colour: 1, values: of("premiumMessages"), format: count },
      { name: "Other", colour: 0, values: days.map((day) => Math.max(0, number(day.messages) - number(day.premiumMessages))), format: count }]),
    chartCard("Premium share per day", dates, [
      { name: "Premium share", colour: 1, line: true, axis: percent, format: percent, values: days.map((day) => (number(day.messages) > 0 ? number(day.premiumMessages) / day.messages : 0)) }]),
    chartCard("Active users per day", dates, [{ name: "Users", colour: 3, values: of("activeUsers"), format: count }]),
    Array.isArray(body.weeks) && chartCard("Active users per week", body.weeks.map((row) => row.week), [
      { name: "Users", colour: 3, values: body.weeks.map((row) => number(row.activeUsers)), format: count }], { unit: "Week of" }),
    Array.isArray(body.months) && chartCard("Active users per month", body.months.map((row) => row.month), [
      { name: "Users", colour: 3, values: body.months.map((row) => number(row.activeUsers)), format: count }], { unit: "Month" }),
    chartCard("Refusals per day", dates, [{ name: "Refused", colour: 2, values: of("refused"), format: count }]),
    chartCard("Tokens per day", dates, [
      { name: "Input", colour: 0, values: of("inputTokens"), format: count }, { name: "Output", colour: 3, values: of("outputTokens"), format: count }]),
    chartCard("Cost per day", dates, [{ name: "Cost", colour: 0, axis: dollars, values: of("costUsd"), format: dollars }]),
    chartCard("Errors per day", dates, [{ name: "Errors", colour: 2, values: of("errors"), format: count }], { note: errorNote(totals) }),
    latencyCard("Latency per day", dates, ["p50Ms", "p95Ms"].map(times), [totals.p50Ms, totals.p95Ms]),
    latencyCard("Time to first byte per day", dates, ["firstByteP50Ms", "firstByteP95Ms"].map(times), [totals.firstByteP50Ms, totals.firstByteP95Ms]),
    costCard("By plan", "Plan", "plan", body.byPlan),
    Array.isArray(body.byModel) && wide(costCard("By model", "Model", "model", body.byModel, [{ name: "Errors", of: (row) => row.errors, format: count }])),
    body.refusedByReason && tableCard("Refusals by reason", [{ name: "Reason", of: (row) => row.reason }, { name: "Refused", of: (row) => row.refused, format: count }], body.refusedByReason, "Nothing was refused in this range."),
    body.byOutcome && tableCard("Calls by outcome", [{ name: "Outcome", of: (row) => row.outcome }, { name: "Calls", of: (row) => row.calls, format: count }], body.byOutcome, "No calls in this range."),
  ];
}

/** What counts as an error, and how many of the range's calls were. */
function errorNote({ calls, errors }) {
  if (number(calls) === 0) return "No calls in this range.";
  return `${count.format(number(errors))} of ${count.format(calls)} calls (${percent.format(number(errors) / calls)}): upstream_error, truncated or crashed. What a client broke off is none.`;
}

/** Whole answers only: half of them came within p50, 95 % within p95. `whole` are the range's own. */
function latencyCard(title, dates, [p50, p95], whole) {
  const [half, most] = whole.map((value) => shown(millis, value ?? null));
  return chartCard(title, dates, [
    { name: "p50", colour: 0, line: true, axis: inSeconds, format: millis, values: p50 },
    { name: "p95", colour: 1, line: true, axis: inSeconds, format: millis, values: p95 }],
  { note: `Whole answers of the range: half within ${half}, 95 % within ${most}.` });
}

function tiles(totals, days) {
  const sum = (name) => days.reduce((total, day) => total + number(day[name]), 0);
  const total = (name) => (typeof totals[name] === "number" ? totals[name] : sum(name));
  const messages = total("messages");
  const list = [
    ["Messages", count.format(messages)],
    ["Premium share", percent.format(messages > 0 ? total("premiumMessages") / messages : 0)],
    // A user who comes on two days is one user: never the sum of the days.
    ["Active users", typeof totals.activeUsers === "number" ? count.format(totals.activeUsers) : days.length === 1 ? count.format(sum("activeUsers")) : "–"],
    ["Refused", count.format(total("refused"))],
    ["Errors", count.format(total("errors"))],
    ["Tokens", short.format(total("inputTokens") + total("outputTokens"))],
    ["Cost", dollars.format(total("costUsd"))],
  ];
  return make("dl", { class: "tiles" }, ...list.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", { text: value }))));
}

function whoParts(body) {
  const ranking = (title, key, rows, cell) => {
    if (!Array.isArray(rows)) return null;
    const top = Math.max(1, ...rows.map((row) => number(row.messages)));
    const named = (row) => {
      const share = make("span", { class: "share" });
      share.style.inlineSize = `${(number(row.messages) / top) * 100}%`;
      return make("div", {}, cell(row[key]), share);
    };
    return tableCard(title, [
      { name: title === "Top users" ? "User" : "Team", of: (row) => row[key], cell: named },
      { name: "Messages", of: (row) => row.messages, format: count }, { name: "Premium", of: (row) => row.premiumMessages, format: count }],
    rows, "Nobody has sent a message in this range.");
  };
  return [ranking("Top users", "userId", body.topUsers, userLink), ranking("Top teams", "teamId", body.topTeams?.map((row) => ({ ...row, teamId: row.teamId ?? row.team })), (id) => make("span", { text: String(id) }))];
}

function costCard(title, name, key, rows, more = []) {
  if (!Array.isArray(rows)) return null;
  return tableCard(title, [
    { name, of: (row) => row[key] }, { name: "Messages", of: (row) => row.messages, format: count },
    { name: "Input tokens", of: (row) => row.inputTokens, format: count }, { name: "Output tokens", of: (row) => row.outputTokens, format: count },
    { name: "Cost", of: (row) => row.costUsd, format: dollars }, ...more], rows, "No messages in this range.");
}

// ---------------------------------------------------------------- one user

const known = new Set();
function rememberUsers(ids) {
  for (const id of ids) if (id) known.add(String(id));
  $("#known-users").replaceChildren(...[...known].sort().map((value) => make("option", { value })));
}

let theme = "auto";

async function showUser(id) {
  const holder = place("user");
  $("#user-id").value = id;
  holder.replaceChildren();
  if (id === "") {
    await showUsers("");
    return;
  }
  rememberUsers([id]);
  const usage = make("usage-dashboard", { "user-id": id, theme, locale: LOCALE });
  usage.token = token;
  const log = make("div", { class: "full stack" });
  holder.append(wide(usage), explainCard(id, usage), manageCard(id), log);
  usage.addEventListener("usage-signed-out", () => access.refuse());
  await auditPages(log, "What was done to this user", { subject: id });
}

/** Users whose id begins with `prefix`, page by page. */
async function showUsers(prefix) {
  const seen = [];
  const page = async (cursor) => {
    const { items, next } = await call("/api/users", { prefix, cursor });
    seen.push(...items);
    rememberUsers(items.map((row) => row.userId));
    const list = tableCard("Users", [
      { name: "User", of: (row) => row.userId, cell: (row) => userLink(row.userId) },
      { name: "Last message", of: (row) => row.lastDay, cell: (row) => document.createTextNode(asDay(dayLong, row.lastDay)) }],
    seen, prefix === "" ? "Nobody has sent a message yet." : "No user id begins with this. A user who has sent no message yet is shown all the same.");
    const more = next && button("Show more", () => void fill(place("user"), "a list of users", () => page(next)));
    return [wide(list), more && make("div", { class: "full" }, more)];
  };
  await fill(place("user"), "a list of users", () => page());
}

function explainCard(id, usage) {
  const input = make("input", { id: "model", required: "", autocomplete: "off", autocapitalize: "none", spellcheck: "false", list: "known-models", placeholder: "claude-sonnet-4" });
  const models = make("datalist", { id: "known-models" });
  usage.addEventListener("usage-change", (event) => {
    models.replaceChildren(...(event.detail.usage.premiumModels ?? []).filter((model) => !String(model).includes("*")).map((value) => make("option", { value })));
  });
  const result = make("div", { "aria-live": "polite" });
  const form = make("form", { class: "bar" }, make("div", { class: "field" }, make("label", { for: "model", text: "Model" }), input), models, make("button", { type: "submit", text: "Explain" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void fill(result, "explanations", async () => {
      const body = await call("/api/explain", { userId: id, model: input.value.trim() });
      const { passes, verdict, ...rest } = body;
      const sentence = passes ? "The next message would pass." : "The next message would be refused.";
      const lead = typeof passes === "boolean" ? [make("p", { class: "verdict", text: sentence })] : [];
      if (!passes && verdict) lead.push(make("p", { text: String(verdict) }));
      return [...lead, facts(rest)];
    });
  });
  return wide(card("Would the next message pass?", make("div", { class: "stack" }, form, result)));
}

function manageCard(id) {
  const reset = button("Reset usage…", () => openReset(id), { class: "danger" });
  return wide(card("Reset", make("div", { class: "stack" }, make("p", { class: "muted", text: "Lets the counters of the running periods begin anew. The ledger keeps every message." }), make("div", {}, reset))));
}

function openReset(id) {
  const dialog = $("dialog");
  const [form, reason, failure] = [$("[data-form=reset]"), $("#reason"), $("dialog .problem")];
  place("reset-user").textContent = id;
  reason.value = failure.textContent = "";
  let running = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    if (running) return;
    running = true;
    try {
      await call("/api/usage", { userId: id }, { method: "DELETE", body: { reason: reason.value.trim() } });
      dialog.close();
      await show();
      say("Usage was reset.");
    } catch (error) {
      failure.textContent = error.message;
    } finally {
      running = false;
    }
  };
  dialog.showModal();
  reason.focus();
}

// ---------------------------------------------------------------- audit log

const subjectOf = (row) => row.subject ?? row.userId ?? "";
const atOf = (row) => Date.parse(row.at ?? row.createdAt ?? "") || number(row.atMs);

function auditTable(title, rows) {
  return wide(tableCard(title, [
    { name: "When", of: (row) => new Date(atOf(row)).toISOString(), cell: (row) => make("time", { datetime: new Date(atOf(row)).toISOString(), text: moment.format(atOf(row)) }) },
    { name: "Who", of: (row) => row.actor }, { name: "Action", of: (row) => row.action },
    { name: "Whom", of: subjectOf, cell: (row) => (subjectOf(row) === "" ? document.createTextNode("–") : userLink(subjectOf(row))) },
    { name: "Why", of: (row) => row.reason || "–" }], rows, "Nothing stands in the log for this."));
}

/** Fills `holder` with the newest page of the log; a button adds the next one. */
async function auditPages(holder, title, query) {
  const seen = [];
  const page = async (cursor) => {
    const { items, next } = await call("/api/audit", { ...query, cursor });
    seen.push(...items);
    const more = next && button("Show older", () => void fill(holder, "an audit log", () => page(next)));
    return [auditTable(title, seen), more && make("div", { class: "full" }, more)];
  };
  await fill(holder, "an audit log", () => page());
}

async function showAudit() {
  const since = $("#audit-since").value;
  const field = (name) => $(`#audit-${name}`).value.trim();
  const query = { actor: field("actor"), subject: field("subject"), action: field("action"), since: since && `${since}T00:00:00Z` };
  await auditPages(place("audit"), "Audit log", query);
}

// ---------------------------------------------------------------- the start

/** `#user/ID` → ["user", "ID"]; what is no view of ours is the overview. */
function view() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  if (!["overview", "user", "audit"].includes(name)) return ["overview", ""];
  try {
    return [name, decodeURIComponent(rest.join("/"))];
  } catch {
    return [name, rest.join("/")]; // A typed address with a lone "%": taken as it stands.
  }
}

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const [name, id] = view();
  const isIn = token !== "";
  $("nav").hidden = !isIn;
  for (const section of document.querySelectorAll("[data-view]")) section.hidden = !isIn || section.dataset.view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  if (!isIn) {
    for (const part of ["analytics", "user", "audit"]) place(part).replaceChildren();
    return;
  }
  $("h1").textContent = { overview: "Overview", user: id === "" ? "Users" : "User", audit: "Audit log" }[name];
  if (name === "overview") await showOverview();
  else if (name === "user") await showUser(id);
  else await showAudit();
}

chooseRange(range);
const access = session({
  form: $(".sign-in"),
  signOut: $("[data-action=sign-out]"),
  refused: ENGLISH.refused,
  onChange: (next) => {
    token = next;
    void show();
  },
});
themeButton($("[data-action=theme]"), ENGLISH.themes, (next) => {
  theme = next;
  for (const element of document.querySelectorAll("usage-dashboard")) element.theme = next;
});
window.addEventListener("hashchange", async () => {
  if (new URLSearchParams(location.hash.slice(1)).has("token")) return;
  await show();
  $("h1").focus();
});
for (const one of document.querySelectorAll("[data-range]")) {
  one.addEventListener("click", () => {
    chooseRange(one.dataset.range);
    void show();
  });
}
let typing;
$("#user-id").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const [name, id] = view();
    if (name !== "user" || id !== "") return;
    // The answer to an earlier beginning must not come after this one's.
    leaving.abort();
    leaving = new AbortController();
    void showUsers($("#user-id").value.trim());
  }, TYPING_PAUSE_MS);
});
$("[data-action=reload]").addEventListener("click", async () => {
  await show();
  say("Figures are up to date.");
});
$("[data-form=search]").addEventListener("submit", (event) => {
  event.preventDefault();
  const next = `#user/${encodeURIComponent($("#user-id").value.trim())}`;
  if (location.hash === next) void show();
  else location.hash = next;
});
$("[data-form=audit]").addEventListener("submit", (event) => {
  event.preventDefault();
  void show();
});
$("[data-action=cancel]").addEventListener("click", () => $("dialog").close());
