/* What the server cannot do: keep a page fresh, say when it is not, and serve the keyboard. No build step. */
"use strict";
(() => {
  if (window.openqueueOther) window.htmx = window.openqueueOther;
  const root = document.getElementById("oq");
  if (!root) return;
  const say = root.dataset;
  const at = (id) => document.getElementById(id);
  const fresh = at("oq-fresh"), trouble = at("oq-trouble"), every = at("oq-every"), pause = at("oq-pause");
  const dialog = at("oq-dialog"), page = at("oq-page");
  const kept = (name, otherwise) => { try { return localStorage.getItem(name) ?? otherwise; } catch { return otherwise; } };
  const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window */ } };
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  /* Freshness */
  let paused = false, over = false, updated = fresh.dataset.now, wait = 0, again = 0;
  const asked = new Map();
  const isTyping = () => {
    const one = document.activeElement;
    return one?.closest("#oq-page") && one.matches("input:not([type=checkbox]), textarea, select") && one.value !== (one.defaultValue ?? one.dataset.was ?? one.value);
  };
  const isHeld = () => paused || over || document.hidden || !navigator.onLine || document.querySelector("#oq dialog[open]") ||
    root.querySelector("[data-row] input:checked") || isTyping();
  const seconds = (pace) => {
    const chosen = Number(every.value);
    if (!chosen) return Infinity;
    return { fast: 2, steady: Math.max(15, chosen), slow: Math.max(30, 6 * chosen) }[pace] ?? chosen;
  };
  const ask = (part) => { asked.set(part.id, Date.now()); part.dispatchEvent(new Event("oq:tick")); };
  const tick = (now) => {
    if (!now && isHeld()) return;
    if (!now && wait && Date.now() < again) return;
    for (const part of root.querySelectorAll("[data-every]")) {
      if (!asked.has(part.id)) asked.set(part.id, Date.now());
      if (now || Date.now() - asked.get(part.id) >= 1000 * (wait ? 0 : seconds(part.dataset.every))) {
        ask(part);
        if (wait && !now) { again = Date.now() + 1000 * wait; break; } /* one is enough to know */
      }
    }
  };
  setInterval(tick, 500);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) tick(true); });
  const show = () => { fresh.textContent = paused ? say.paused : fill(say.updated, { time: updated }); };
  const well = (ctx) => { wait = 0; updated = ctx.response.headers.get("OpenQueue-Time") ?? updated; trouble.hidden = true; trouble.textContent = ""; show(); };
  const ill = (why) => {
    wait = wait ? Math.min(60, wait * 2) : 5;
    again = Date.now() + 1000 * wait;
    trouble.textContent = fill(say.stale, { time: updated, why, seconds: wait });
    trouble.hidden = false;
  };
  const end = (text) => { over = true; trouble.textContent = text; trouble.hidden = false; };
  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail, { status } = ctx.response;
    if (status < 400 || [400, 409, 422, 501].includes(status)) return well(ctx);
    if (status === 401) {
      end(say.session + " ");
      const link = document.createElement("a");
      link.href = location.href; link.textContent = say.login;
      trouble.append(link);
    } else if (status === 403) end(say.forbidden);
    else if (status === 404) end(say.gone);
    else ill(fill(say.answered, { status }));
  });
  document.addEventListener("htmx:error", (event) => { if (event.detail.ctx) ill(navigator.onLine ? say.silent : say.offline); });
  every.value = kept("openqueue.every", "5");
  every.addEventListener("change", () => keep("openqueue.every", every.value));
  pause.addEventListener("click", () => {
    paused = !paused; pause.setAttribute("aria-pressed", paused); show();
    if (!paused) tick(true);
  });

  /* Questions in a dialog */
  let opener = null;
  document.addEventListener("submit", (event) => { opener = document.activeElement; }, true);
  const isFor = (event, element) => [element, `#${element.id}`].includes(event.detail.ctx?.target);
  document.addEventListener("htmx:after:swap", (event) => {
    if (isFor(event, dialog)) {
      if (!dialog.open) dialog.showModal();
      (dialog.querySelector("input:not([type=hidden]), textarea, select") || dialog.querySelector("[data-close]"))?.focus();
    } else if (isFor(event, page) && dialog.open) dialog.close();
    count();
  });
  const closed = () => { dialog.replaceChildren(); if (opener?.isConnected) opener.focus(); };
  dialog.addEventListener("close", closed);
  at("oq-help-open").addEventListener("click", () => at("oq-help").showModal());
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-close], [data-copy], [data-all]");
    if (target?.matches("[data-close]")) target.closest("dialog").close();
    if (target?.matches("[data-copy]")) {
      navigator.clipboard?.writeText(target.dataset.copy).then(() => { target.dataset.done = say.copied; setTimeout(() => delete target.dataset.done, 1500); });
    }
  });

  /* Selection */
  const boxes = () => [...root.querySelectorAll("[data-row] input[type=checkbox]")];
  const count = () => {
    const bar = at("oq-selection");
    if (!bar) return;
    const chosen = boxes().filter((box) => box.checked);
    bar.hidden = !chosen.length;
    bar.querySelector("[data-count]").textContent = fill(say.selected, { count: chosen.length });
    const all = root.querySelector("[data-all]");
    if (all) { all.checked = chosen.length > 0 && chosen.length === boxes().length; all.indeterminate = chosen.length > 0 && !all.checked; }
  };
  root.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) boxes().forEach((box) => { box.checked = event.target.checked; });
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
    count();
  });
  for (const select of root.querySelectorAll("select")) select.dataset.was = select.value;
  count();

  /* Logs stay at their end while the reader is there. */
  let atEnd = new Set();
  document.addEventListener("htmx:before:swap", () => {
    atEnd = new Set([...root.querySelectorAll("[data-follow]")].filter((one) => one.scrollHeight - one.scrollTop - one.clientHeight < 8).map((one) => one.id));
  });
  document.addEventListener("htmx:after:swap", () => { for (const id of atEnd) { const one = at(id); if (one) one.scrollTop = one.scrollHeight; } });

  /* Keys: none of them changes anything */
  const on = at("oq-keys");
  on.checked = kept("openqueue.keys", "on") === "on";
  on.addEventListener("change", () => keep("openqueue.keys", on.checked ? "on" : "off"));
  let place = false, current = -1;
  const rows = () => [...root.querySelectorAll("[data-row]")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const focused = all.indexOf(document.activeElement?.closest("[data-row]"));
    current = Math.max(0, Math.min(all.length - 1, (focused >= 0 ? focused : current) + by));
    all[current].querySelector("a")?.focus();
  };
  const row = () => document.activeElement?.closest("[data-row]");
  const keys = {
    "/": () => root.querySelector("[data-search]")?.focus(),
    j: () => move(1), k: () => move(-1),
    x: () => row()?.querySelector("input[type=checkbox]")?.click(),
    "[": () => root.querySelector("[data-newer]")?.click(), "]": () => root.querySelector("[data-older]")?.click(),
    ".": () => tick(true), p: () => pause.click(), "?": () => at("oq-help").showModal(),
    u: () => document.querySelector(".breadcrumbs li:nth-last-child(2) a, [data-up]")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    if (place) { place = false; root.querySelector(`.oq-tabs [data-key="${CSS.escape(event.key)}"]`)?.click(); return; }
    if (event.key === "g") { place = true; setTimeout(() => { place = false; }, 1500); return; }
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
})();
