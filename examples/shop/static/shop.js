// The page's script: sends orders, and puts the fragments that /events brings where they belong.
"use strict";

const orders = document.getElementById("orders");
const cardsShown = 120;

// `html` is one element, made and escaped by the shop; it replaces the element with the same id.
function place(html, isOrder) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const element = template.content.firstElementChild;
  const old = document.getElementById(element.id);
  if (old) {
    old.replaceWith(element);
  } else if (isOrder) {
    orders.prepend(element);
    while (orders.children.length > cardsShown) orders.lastElementChild.remove();
  }
}

const live = document.getElementById("live");
const events = new EventSource("/events");
events.onopen = () => { live.textContent = "live"; live.className = "on"; };
events.onerror = () => { live.textContent = "reconnecting"; live.className = "off"; };
events.addEventListener("order", (event) => place(event.data, true));
events.addEventListener("panel", (event) => place(event.data, false));
window.addEventListener("pagehide", () => events.close());

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return { ok: response.ok, status: response.status, answer: await response.json() };
}

const told = document.getElementById("told");
const form = document.getElementById("order");

// The id is made here, before the first attempt: however often the request is repeated, it is one order.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const order = {
    id: "web-" + Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join(""),
    item: data.get("item"),
    quantity: Number(data.get("quantity")),
    account: data.get("account"),
    mode: data.get("mode"),
  };
  told.textContent = "Ordering …";
  for (let attempt = 0; attempt < 5; ++attempt) {
    try {
      const { ok, status, answer } = await post("/orders", order);
      if (status === 202) continue;
      if (!ok) told.textContent = answer.detail || "The shop refused.";
      else if (answer.status === "succeeded") told.textContent = "Ordered: stock and money have both moved.";
      else told.textContent = "Not ordered; nothing was taken and nothing was paid.";
      return;
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, 300 * (attempt + 1)));
    }
  }
  told.textContent = "No answer yet; the order's card will show how it ends.";
});

const chaos = document.getElementById("chaos-form");
if (chaos) {
  const button = chaos.querySelector("button");
  chaos.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { ok, answer } = await post("/chaos", {
      orders: Number(button.dataset.orders),
      kills: Number(button.dataset.kills),
      mode: new FormData(form).get("mode"),
    });
    if (!ok) told.textContent = answer.detail;
  });
}
