// Sends a person's orders to the control API, through the same verbs as the command line. Without this script the page
// shows the commands instead. The token is in no cookie, so no other site can make a browser send it.
"use strict";

const TOKEN = "mainspring.token";
const ACTOR = "mainspring.actor";
const FIELDS = { "authorization": "token", "x-mainspring-actor": "actor", "challenger": "version" };  // what the API calls them

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}

class Refused extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

async function send(path, fields, token, actor) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: {
        "authorization": "Bearer " + token,
        "content-type": "application/json",
        "x-mainspring-request": "1",
        "x-mainspring-actor": encodeURIComponent(actor),
      },
      body: JSON.stringify(fields),
    });
  } catch {
    throw new Refused("control does not answer: nothing was changed, as far as this page can tell");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    if (answer.status === 401 || said.field === "authorization") sessionStorage.removeItem(TOKEN);
    throw new Refused(said.message || "it was refused", said.field);
  }
  return said;
}

// Reads one field of a policy. What is not a number is sent as it was written, for the verb to refuse in its words.
function valueOf(field) {
  const text = field.value.trim();
  const number = (one) => (one !== "" && Number.isFinite(Number(one)) ? Number(one) : one);
  const parts = text.split(",").map((one) => one.trim()).filter(Boolean);
  switch (field.dataset.asks) {
    case "number": return text === "" && "optional" in field.dataset ? null : number(text);
    case "numbers": return parts.map(number);
    case "words": return parts;
    case "choice": return text || null;
    case "approval": return text ? partsOf(field.closest(".field")) : null;
    case "json":
      try {
        return text ? JSON.parse(text) : [];
      } catch {
        throw new Refused("is not JSON", field.dataset.policy);
      }
    default: return text === "" && "optional" in field.dataset ? null : text;
  }
}

function partsOf(group) {
  const role = group.querySelector("[data-part=role]").value.trim();
  return { role, not_starter: group.querySelector("[data-part=not_starter]").checked };
}

// Returns the policy that a form asks for: the whole one with its fields written over it, or none if it names none.
function policyOf(form) {
  const chosen = form.querySelector("fieldset[data-strategy]:not([disabled])");
  if (!chosen) return undefined;
  const policy = { ...JSON.parse(form.dataset.whole || "{}"), type: chosen.dataset.strategy };
  for (const field of chosen.querySelectorAll("[data-policy]")) policy[field.dataset.policy] = valueOf(field);
  return policy;
}

function argumentsOf(form, button) {
  const fields = {};
  for (const field of form.querySelectorAll("[data-argument]")) {
    const many = field.multiple ? [...field.selectedOptions].map((one) => one.value).join(",") : field.value;
    fields[field.dataset.argument] = many;
  }
  fields.challenger = fields.version;  // as a rehearsal calls it
  const policy = policyOf(form);
  if (policy !== undefined) fields.policy = policy;
  const takes = button.dataset.takes ? button.dataset.takes.split(" ") : Object.keys(fields).filter((name) => name !== "challenger");
  return Object.fromEntries(Object.entries(fields).filter(([name]) => takes.includes(name)));
}

// Shows a refusal beside the field that it is about, or under the form.
function tell(form, error) {
  const name = (FIELDS[error.field] || error.field || "").replace(/^policy\./, "").split(/[.[]/)[0];
  const about = name && form.querySelector(
    `fieldset:not([disabled]) [data-policy="${CSS.escape(name)}"], ` +
    `[data-argument="${CSS.escape(name)}"]:not([type=hidden]), [name="${CSS.escape(name)}"]`);
  const prefix = error.field + ": ";
  const message = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
  if (!about || about.closest("[hidden]")) {
    form.querySelector("output").textContent = error.message;
    return;
  }
  const fault = document.createElement("small");
  fault.className = "fault";
  fault.setAttribute("role", "alert");
  fault.id = "fault-" + name;
  fault.textContent = message;
  about.setAttribute("aria-invalid", "true");
  about.setAttribute("aria-describedby", fault.id);
  about.closest("label").append(fault);
  about.focus();
}

function clear(form) {
  form.querySelector("output").textContent = "";
  for (const one of form.querySelectorAll(".fault")) one.remove();
  for (const one of form.querySelectorAll("[aria-invalid]")) {
    one.removeAttribute("aria-invalid");
    one.removeAttribute("aria-describedby");
  }
}

// Shows the fields of the policy that is chosen, and lets several versions be chosen where it compares several.
function choose(form) {
  const select = form.elements.namedItem("policy");
  for (const one of form.querySelectorAll("fieldset[data-strategy]")) {
    one.hidden = one.disabled = one.dataset.strategy !== select.value;
  }
  const several = "several" in select.selectedOptions[0].dataset;
  form.elements.namedItem("version").multiple = several;
}

// Makes the forms of a part of the page ready to be used.
function prepare(part) {
  for (const form of part.querySelectorAll("form.order")) prepareOrder(form);
  for (const form of part.querySelectorAll("form.find")) prepareFinding(form);
}

// A form that leads to a page: what is written becomes the end of its address.
function prepareFinding(form) {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = form.elements.namedItem("text").value.trim();
    const escaped = encodeURIComponent(text).replace(/[!'()*]/g, (one) => "%" + one.charCodeAt(0).toString(16));
    if (text) location.assign(form.dataset.path.replace("{}", escaped));
  });
}

function prepareOrder(form) {
  const told = form.querySelector("output");
  const token = form.elements.namedItem("token");
  const actor = form.elements.namedItem("actor");
  const known = () => { token.closest("label").hidden = Boolean(sessionStorage.getItem(TOKEN)); };
  actor.value = localStorage.getItem(ACTOR) || "";
  known();
  if (form.elements.namedItem("policy")) {
    form.elements.namedItem("policy").addEventListener("change", () => choose(form));
    choose(form);
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    clear(form);
    if (token.value) sessionStorage.setItem(TOKEN, token.value.trim());
    localStorage.setItem(ACTOR, actor.value.trim());
    for (const one of form.querySelectorAll("button")) one.disabled = true;
    told.textContent = button.textContent + " …";
    try {
      await send(button.dataset.path, argumentsOf(form, button), sessionStorage.getItem(TOKEN) || "", actor.value.trim());
      location.reload();
    } catch (error) {
      told.textContent = "";
      known();
      tell(form, error);
      for (const one of form.querySelectorAll("button")) one.disabled = false;
    }
  });
}

prepare(document);
