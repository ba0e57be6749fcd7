// Keeps a page up to date without a reload: asks for it again, and puts each part that says something else in its place.
// A form that somebody has begun to fill, what is open, and where the reader is stay as they are. If control does not
// answer, the page says that it is old. Without this script the page is loaded anew.
"use strict";

const main = document.querySelector("main");
const old = main.querySelector(".old");
const shownTitle = document.title;
const said = new WeakMap();  // what control said of each part: forms are changed by a script after that
let asking = false;

const panelsOf = (page) => [...page.children].filter((one) => !one.classList.contains("old"));
const nameOf = (part) => part.tagName + " " + (part.getAttribute("aria-labelledby") || part.className);
for (const one of panelsOf(main)) said.set(one, one.outerHTML);

function changed(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (!field.options) return field.value !== field.defaultValue;
  const first = Math.max([...field.options].findIndex((one) => one.defaultSelected), 0);
  return [...field.options].some((one, place) => one.selected !== (place === first));
}

// The name and the token are filled by themselves, so they do not count.
function begun(part) {
  const fields = [...part.querySelectorAll("input:not([type=hidden], [name=actor], [name=token]), select")];
  return fields.some(changed) || Boolean(document.activeElement.closest("form") && part.contains(document.activeElement));
}

function adopt(fresh) {
  const adopted = document.importNode(fresh, true);
  said.set(adopted, fresh.outerHTML);
  prepare(adopted);
  return adopted;
}

function replace(part, fresh) {
  const places = "a, summary, [tabindex]";
  const focused = [...part.querySelectorAll(places)].indexOf(document.activeElement);
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  const adopted = adopt(fresh);
  part.replaceWith(adopted);
  const details = adopted.querySelectorAll("details");
  if (details.length === open.length) details.forEach((one, place) => { one.open = open[place]; });
  if (focused >= 0) adopted.querySelectorAll(places)[focused]?.focus({ preventScroll: true });
}

function update(fresh) {
  const now = panelsOf(main), next = panelsOf(fresh.querySelector("main"));
  const alike = now.length === next.length && now.every((one, place) => nameOf(one) === nameOf(next[place]));
  if (alike) {
    now.forEach((one, place) => {
      if (said.get(one) !== next[place].outerHTML && !begun(one)) replace(one, next[place]);
    });
  } else if (now.some(begun)) {
    warn("This has changed since the page was loaded. Your form is kept: reload the page once you have done with it.");
    return;
  } else {
    main.replaceChildren(old, ...next.map(adopt));
  }
  document.title = fresh.title;
  document.querySelector(".clock").replaceWith(document.importNode(fresh.querySelector(".clock"), true));
  old.hidden = true;
}

function warn(words) {
  old.textContent = words;
  old.hidden = false;
}

async function refresh() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch(location.pathname, { headers: { "accept": "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    update(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    const since = document.querySelector(".clock time").textContent;
    warn(`Control does not answer: this is how it was on ${since}. Gateways answer callers without it.`);
    document.title = "? " + shownTitle;
  } finally {
    asking = false;
  }
}

const everyMs = 1000 * Number(document.body.dataset.refresh);  // none where the answer is worked out anew each time
if (everyMs) {
  setInterval(refresh, everyMs);
  document.addEventListener("visibilitychange", refresh);
}
