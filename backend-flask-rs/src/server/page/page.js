// The script adds to the page: times in the reader's zone, older messages on scroll, sending without a reload, and new
// messages. The server has escaped all texts.
"use strict";

const $ = (selector) => document.querySelector(selector);
const list = $("#messages");
const group = list?.dataset.group;

// ---- Times --------------------------------------------------------------------------------------------

const day = (date) => date.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const isToday = (date) => date.toDateString() === new Date().toDateString();

function localise(root) {
  for (const time of root.querySelectorAll("time:not([title])")) {
    const date = new Date(time.dateTime);
    time.title = date.toLocaleString();
    const isShort = time.closest(".message") || isToday(date);
    time.textContent = isShort
      ? date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })
      : date.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  }
}

// A line before the first message of each day, and no picture beside consecutive messages of the same user.
function divide() {
  list.querySelectorAll(".day").forEach((line) => line.remove());
  let last = "";
  let previous = null;
  for (const message of [...list.querySelectorAll(".message")]) {
    const today = day(new Date(message.dataset.at));
    if (today !== last) {
      const line = document.createElement("li");
      line.className = "day";
      line.textContent = today;
      message.before(line);
      previous = null;
    }
    message.classList.toggle("follows", previous?.classList.contains("own") === message.classList.contains("own"));
    last = today;
    previous = message;
  }
}

// ---- Parts of the page, one at a time -------------------------------------------------------------------

async function part(path) {
  const response = await fetch(path, { headers: { accept: "text/html" } });
  if (!response.ok) throw new Error((await response.json()).error);
  return response.text();
}

let turn = Promise.resolve();
const inTurn = (work) => (turn = turn.then(work).catch((error) => console.warn(error.message)));

function messagesIn(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localise(template.content);
  return [...template.content.children].filter((message) => !document.getElementById(message.id));
}

const isAtEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 80;
const toEnd = () => (list.scrollTop = list.scrollHeight);

const newer = () =>
  inTurn(async () => {
    for (;;) {
      const last = [...list.querySelectorAll(".message")].at(-1)?.dataset.at ?? "0001-01-01T00:00:00Z";
      const found = messagesIn(await part(`/parts/messages/${group}?after=${encodeURIComponent(last)}`));
      if (found.length === 0) return;
      const follow = isAtEnd() || found.some((message) => message.classList.contains("own"));
      list.append(...found);
      divide();
      if (follow) toEnd();
    }
  });

let hasOlder = true;
const older = () =>
  inTurn(async () => {
    const first = list.querySelector(".message");
    if (!hasOlder || !first || list.scrollTop > 300) return;
    const found = messagesIn(await part(`/parts/messages/${group}?before=${encodeURIComponent(first.dataset.at)}`));
    hasOlder = found.length > 0;
    const below = list.scrollHeight - list.scrollTop;
    list.prepend(...found);
    divide();
    // Keep what was in view in place.
    list.scrollTop = list.scrollHeight - below;
  });

const groups = () =>
  inTurn(async () => {
    const nav = $("#groups");
    const focused = nav.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    nav.innerHTML = await part(`/parts/groups${group ? `?open=${group}` : ""}`);
    localise(nav);
    if (focused) nav.querySelector(`[href="${focused}"]`)?.focus();
  });

// ---- Writing ---------------------------------------------------------------------------------------------

function writing(form) {
  const box = form.elements.message;
  const problem = $("#problem");
  // If an answer was lost, the message is sent again with the same key. Another text gets another key.
  let key = crypto.randomUUID();
  const grow = () => {
    key = crypto.randomUUID();
    box.rows = Math.min(6, box.value.split("\n").length);
    const left = box.dataset.limit - [...box.value].length;
    problem.textContent = left < 100 ? `${left} characters left` : "";
  };
  box.addEventListener("input", grow);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.classList.contains("busy")) return;
    form.classList.add("busy");
    const body = JSON.stringify(Object.fromEntries(new FormData(form)));
    try {
      const response = await fetch("/api/messages", { method: "POST", headers: { "content-type": "application/json", "idempotency-key": key }, body });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      if (!group) return location.assign(`/messages/${answer.message_group_uuid}`);
      box.value = "";
      grow();
      newer();
    } catch (error) {
      problem.textContent = `Not sent: ${error.message}`;
    } finally {
      form.classList.remove("busy");
      box.focus();
    }
  });
}

// ---- News ------------------------------------------------------------------------------------------------

function listen() {
  const news = new EventSource("/api/events");
  const catchUp = () => {
    if (group) newer();
    groups();
  };
  // The first time there is nothing to catch up on; after an interruption there may be.
  news.addEventListener("open", catchUp);
  news.addEventListener("missed", catchUp);
  news.addEventListener("message", (event) => {
    if (JSON.parse(event.data).message_group_uuid === group) newer();
    groups();
  });
  news.addEventListener("error", () => {
    document.body.classList.add("alone");
    // The browser reconnects by itself, except after a refusal.
    if (news.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
  news.addEventListener("open", () => document.body.classList.remove("alone"));
}

localise(document);
$("#user")?.addEventListener("change", () => $("#switch").requestSubmit());
if (list) {
  divide();
  toEnd();
  if (group) list.addEventListener("scroll", older, { passive: true });
  writing($("#write"));
}
if ($("#groups")) listen();
if (list && matchMedia("(min-width: 48rem)").matches) $("#message").focus();
