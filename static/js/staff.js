// Staff pages. Enhancement only: without it every unit opens its own page and every list is a plain page.
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const desk = matchMedia("(min-width: 64rem)");

// wide screens: a unit opens beside the grid; phones follow the link to its own page
for (const unit of $$(".unit[data-panel]"))
  unit.addEventListener("click", (event) => {
    if (!desk.matches || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.href = unit.dataset.panel;
  });

// week grid: one tab stop, arrow keys move; Escape leaves the editor
const grid = $("[data-grid]");
if (grid) {
  const rows = [];
  for (const tr of $$("tbody tr", grid)) {
    const cells = [...tr.cells].slice(1).map((td) => [...td.children]);
    const deep = Math.max(0, ...cells.map((cell) => cell.length));
    for (let i = 0; i < deep; i++) rows.push(cells.map((cell) => cell[i]?.matches("a.unit") ? cell[i] : null));
  }
  const all = $$("a.unit", grid), first = $("a.unit[aria-current]", grid) || all[0];
  for (const unit of all) unit.tabIndex = unit === first ? 0 : -1;
  grid.closest(".grid-wrap")?.removeAttribute("tabindex");
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  grid.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || !event.target.matches("a.unit")) return;
    let r = rows.findIndex((row) => row.includes(event.target)), c = rows[r].indexOf(event.target);
    do { r += step[0]; c += step[1]; } while (rows[r] && c >= 0 && c < rows[r].length && (!rows[r][c] || !rows[r][c].offsetParent));
    const next = rows[r]?.[c];
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "PageUp" || event.key === "PageDown") {
      const link = $(`[data-key="${event.key}"]`);
      if (link && event.target.closest("[data-grid]")) { event.preventDefault(); location.href = link.href; }
    }
  });
  $("#edit")?.addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("a.unit[aria-current]", grid)?.focus();
  });
  if (desk.matches && new URLSearchParams(location.search).get("session")) $("#edit #h-edit")?.focus();
}

// fields that only matter for one choice of another field
for (const part of $$("[data-when]")) {
  const [name, value] = part.dataset.when.split("="), control = part.closest("form")?.elements[name];
  const fit = () => { part.hidden = control.value !== value; };
  if (control) { control.addEventListener("change", fit); fit(); }
}

// 「保存后会发生什么」: asked again whenever a field changes
const form = $("form[data-preview]");
if (form) {
  let asked = 0, timer;
  form.addEventListener("change", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const turn = ++asked, body = new FormData(form);
      body.set("act", "preview");
      $("#impact")?.classList.add("impact--busy");
      try {
        const answer = await fetch(form.action, { method: "POST", body, credentials: "same-origin" });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = $("#impact", page), old = $("#impact");
        if (turn === asked && fresh && old) { old.className = fresh.className; old.innerHTML = fresh.innerHTML; }
      } catch { /* the button still asks */ }
      $("#impact")?.classList.remove("impact--busy");
    }, 400);
  });
}

// day list: read again every 30 s unless paused or somebody is working in it
const list = $("[data-refresh]"), pause = $("[data-refresh-toggle]");
if (list && pause) {
  let on = true;
  pause.hidden = false;
  pause.addEventListener("click", () => { on = !on; pause.textContent = on ? pause.dataset.on : pause.dataset.off; });
  setInterval(async () => {
    if (!on || document.hidden || list.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const fresh = $("[data-refresh]", new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (!fresh || list.contains(document.activeElement)) return;
      const open = new Map($$("details", list).map((one) => [one.id, one.open]));
      list.innerHTML = fresh.innerHTML;
      for (const one of $$("details", list)) one.open = open.get(one.id) ?? one.open;
    } catch { /* next time */ }
  }, Number(list.dataset.refresh) * 1000);
}

// on paper nothing stays folded
addEventListener("beforeprint", () => { for (const one of $$(".day-list details")) one.open = true; });
