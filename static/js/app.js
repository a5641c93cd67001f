// Enhancement only: every page works without this file.
const $ = (selector, from = document) => from.querySelector(selector);

// bring the chosen day into view without moving the page
const chosen = $(".days:not(.days--list) [aria-current]");
if (chosen) {
  const strip = chosen.closest(".days"), li = chosen.parentElement;
  strip.scrollLeft = li.offsetLeft - strip.offsetLeft - (strip.clientWidth - li.clientWidth) / 2;
}

// errors are read first
$("#errs")?.focus();

// a pressed submit says so, and a second press does nothing; both end after 10 s in case the answer is lost
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.free !== undefined) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  const button = event.submitter, words = button?.textContent;
  const say = setTimeout(() => {
    if (!button) return;
    button.setAttribute("aria-disabled", "true");
    if (form.dataset.once) button.textContent = form.dataset.once;
  }, 300);
  setTimeout(() => settle(form, button, words, say), 10000);
});
const settle = (form, button, words, say) => {
  clearTimeout(say);
  delete form.dataset.sent;
  if (!button) return;
  button.removeAttribute("aria-disabled");
  if (form.dataset.once) button.textContent = words;
};
// coming back with the browser's button must not leave a dead form
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// the hold: two quiet warnings and the end, for those who do not see the clock
const held = $(".held[data-left]"), voice = $("[data-say]");
if (held && voice) {
  const [two, half, over] = voice.dataset.say.split("|"), left = Number(held.dataset.left) * 1000;
  for (const [before, text] of [[120000, two], [30000, half], [0, over]])
    if (left > before) setTimeout(() => { voice.textContent = text; }, left - before);
}

// a release: read the page again once, spread over three seconds
const soonest = [...document.querySelectorAll("[data-release-in]")].map((e) => Number(e.dataset.releaseIn));
if (soonest.length) {
  const wait = Math.min(...soonest) * 1000 + 500 + Math.random() * 3000;
  if (wait < 3600000) setTimeout(() => location.reload(), wait);
}

// share and print where the browser can
for (const link of document.querySelectorAll("[data-share]"))
  if (navigator.share) link.addEventListener("click", (event) => {
    event.preventDefault();
    navigator.share({ text: link.dataset.share }).catch(() => {});
  });
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
