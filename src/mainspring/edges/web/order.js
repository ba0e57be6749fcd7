// Sends a person's orders to the control API, through the same verbs as the command line. Without this script the page
// shows the commands instead. The token is in no cookie, so no other site can make a browser send it.
"use strict";

const TOKEN = "mainspring.token";
const ACTOR = "mainspring.actor";

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}

async function send(path, fields, token, actor) {
  const answer = await fetch(path, {
    method: "POST",
    headers: {
      "authorization": "Bearer " + token,
      "content-type": "application/json",
      "x-mainspring-request": "1",
      "x-mainspring-actor": encodeURIComponent(actor),
    },
    body: JSON.stringify(fields),
  });
  const said = await answer.json();
  if (!answer.ok) {
    if (answer.status === 401 || said.field === "authorization") sessionStorage.removeItem(TOKEN);
    throw new Error(said.message || "it was refused");
  }
  return said;
}

for (const form of document.querySelectorAll("form.order")) {
  const told = form.querySelector("output");
  const token = form.elements.namedItem("token");
  const actor = form.elements.namedItem("actor");
  actor.value = localStorage.getItem(ACTOR) || "";
  token.closest("label").hidden = Boolean(sessionStorage.getItem(TOKEN));
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter;
    const fields = {};
    for (const field of form.querySelectorAll("[data-argument]")) fields[field.dataset.argument] = field.value;
    if (token.value) sessionStorage.setItem(TOKEN, token.value.trim());
    localStorage.setItem(ACTOR, actor.value.trim());
    for (const one of form.querySelectorAll("button")) one.disabled = true;
    told.textContent = button.textContent + " …";
    try {
      await send(button.dataset.path, fields, sessionStorage.getItem(TOKEN) || "", actor.value.trim());
      location.reload();
    } catch (error) {
      told.textContent = error.message;
      token.closest("label").hidden = Boolean(sessionStorage.getItem(TOKEN));
      for (const one of form.querySelectorAll("button")) one.disabled = false;
    }
  });
}
