// Puts sets, lives and claims on the page, and keeps them there.

import {Lives} from "./lives.js";
import {follow, Refused} from "./watch.js";

const REDRAWN_MS = 1000;
const SHORTEST_MS = 10_000;
const STATES = {
  pending: "no node or no container yet", unready: "running, not ready", ready: "ready",
  going: "being stopped", failed: "failed", gone: "gone",
};
const $ = id => document.getElementById(id);

const lives = new Lives();
const sets = new Map(), claims = new Map();
let chosen = null;

// -- who asks

function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);  // it stays in no address and no history
  }
  return sessionStorage.getItem("token");
}

$("login").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim());
  $("token").value = "";
  start();
});

function askForToken(why) {
  sessionStorage.removeItem("token");
  $("refusal").textContent = why;
  $("login").hidden = false;
  $("connection").textContent = "not connected";
  $("token").focus();
}

// -- what there is

let running = new AbortController();

async function start() {
  running.abort();
  running = new AbortController();
  const own = running, key = token();
  if (!key) return askForToken("");
  $("login").hidden = true;
  const keeping = (path, handlers) =>
    follow(path, key, {...handlers, onState: text => { $("connection").textContent = text; }, signal: own.signal});
  try {
    await Promise.all([
      keeping("/apis/apps/v1/statefulsets", kept(sets)),
      keeping("/api/v1/persistentvolumeclaims", kept(claims)),
      keeping("/api/v1/pods", {onList: seeAllPods, onEvent: seePod}),
    ]);
  } catch (error) {
    if (own.signal.aborted) return;
    own.abort();
    if (!(error instanceof Refused)) throw error;
    askForToken(error.message);
  }
}

function kept(objects) {
  const key = object => `${object.metadata.namespace}/${object.metadata.name}`;
  return {
    onList(items) {
      objects.clear();
      for (const item of items) objects.set(key(item), item);
      draw();
    },
    onEvent(type, object) {
      if (type === "DELETED") objects.delete(key(object));
      else objects.set(key(object), object);
      draw();
    },
  };
}

function seeAllPods(items) {
  for (const pod of items) lives.put(pod, Date.now());
  lives.keepOnly(new Set(items.map(pod => pod.metadata.uid)), Date.now());
  draw();
}

function seePod(type, pod) {
  const life = type === "DELETED" ? lives.end(pod, Date.now()) : lives.put(pod, Date.now());
  if (life) $("news").textContent = `${life.name}: ${STATES[life.state]}`;
  draw();
}

// -- how it looks

function draw() {
  const now = Date.now();
  drawNamespaces();
  const shown = [...sets.values()].filter(set => !$("namespace").value || set.metadata.namespace === $("namespace").value);
  shown.sort((one, other) => title(one).localeCompare(title(other)));
  const since = begin(shown, now);
  match($("sets"), shown, set => set.metadata.uid, makeSet, (node, set) => updateSet(node, set, since, now));
  $("nothing").hidden = shown.length > 0 || !$("login").hidden;
  if (chosen) tell(chosen);
}

/** The left end of all lanes. */
function begin(shown, now) {
  const span = $("span").value * 1000;
  return span ? now - span : Math.min(lives.begin(shown, now), now - SHORTEST_MS);
}

const title = set => `${set.metadata.namespace}/${set.metadata.name}`;

function drawNamespaces() {
  const names = [...new Set([...sets.values()].map(set => set.metadata.namespace))].sort();
  const options = [...$("namespace").options].slice(1);
  if (options.map(option => option.value).join() === names.join()) return;
  options.forEach(option => option.remove());
  for (const name of names) $("namespace").add(new Option(name, name));
}

function makeSet(set) {
  const node = element("section");
  const heading = node.appendChild(element("h2"));
  heading.id = `set-${set.metadata.uid}`;
  node.setAttribute("aria-labelledby", heading.id);
  node.append(element("p", "summary"), element("ol", "lanes"));
  return node;
}

function updateSet(node, set, since, now) {
  const [heading, summary, list] = node.children, status = set.status ?? {};
  write(heading, title(set));
  const rolling = status.updateRevision !== status.currentRevision ? `, on its way to ${status.updateRevision}` : "";
  write(summary, `${status.readyReplicas ?? 0} of ${set.spec.replicas} ready, revision ${status.currentRevision ?? "none"}${rolling}`);
  match(list, lives.lanes(set, since), lane => String(lane.ordinal), makeLane, (item, lane) => updateLane(item, set, lane, since, now));
}

function makeLane() {
  const node = element("li", "lane");
  const who = node.appendChild(element("div", "who"));
  who.append(element("span", "name"), " ", element("span", "state"));
  node.append(element("div", "track"), element("ul", "claims"));
  return node;
}

function updateLane(node, set, {ordinal, lives: those}, since, now) {
  const [who, track, list] = node.children, name = `${set.metadata.name}-${ordinal}`;
  const present = those.find(life => life.end === null);
  write(who.querySelector(".name"), name);
  write(who.querySelector(".state"), present ? STATES[present.state] : "no pod");
  match(track, those, life => life.uid, makeLife, (bar, life) => updateLife(bar, life, since, now));
  const own = (set.spec.volumeClaimTemplates ?? []).map(template => `${template.metadata.name}-${name}`);
  match(list, own, claim => claim, () => element("li"), (item, claim) => write(item, claimText(set, claim)));
}

function claimText(set, name) {
  const claim = claims.get(`${set.metadata.namespace}/${name}`);
  if (!claim) return `${name}: no claim`;
  const {phase, capacity} = claim.status ?? {}, size = capacity?.storage ?? claim.spec.resources.requests.storage;
  const volume = claim.spec.volumeName ? ` on ${claim.spec.volumeName}` : "";
  return `${name}: ${claim.metadata.deletionTimestamp ? "to be deleted" : phase}, ${size}${volume}`;
}

function makeLife(life) {
  const node = element("button", "life");
  node.type = "button";
  node.append(element("span", "segments"), element("span", "revision"));
  node.addEventListener("focus", () => choose(life));
  node.addEventListener("click", () => choose(life));
  return node;
}

function updateLife(node, life, since, now) {
  const [segments, revision] = node.children, place = at => 100 * (Math.max(at, since) - since) / (now - since);
  const left = place(life.begin), width = place(life.end ?? now) - left;
  node.style.left = `${left}%`;
  node.style.width = `${width}%`;
  node.setAttribute("aria-label", spoken(life));
  write(revision, life.revision.split("-").at(-1));
  const parts = life.segments(now).filter(part => part.to > since);
  match(segments, parts, part => String(part.from) + part.state, part => element("span", `segment ${part.state}`), (bar, part) => {
    bar.style.left = `${100 * (place(part.from) - left) / width}%`;
    bar.style.width = `${100 * (place(part.to) - place(part.from)) / width}%`;
  });
}

const clock = at => new Date(at).toLocaleTimeString();

function spoken(life) {
  const steps = life.steps.map(step => `${STATES[step.state]} from ${clock(step.at)}`);
  if (life.end !== null) steps.push(`gone at ${clock(life.end)}`);
  return `${life.name}, revision ${life.revision}: ${steps.join(", ")}`;
}

function choose(life) {
  chosen = life;
  tell(life);
}

function tell(life) {
  const {metadata, spec, status = {}} = life.pod;
  const facts = {
    Pod: `${metadata.namespace}/${life.name}`, State: STATES[life.state], Revision: life.revision,
    Node: spec.nodeName ?? "none", Address: status.podIP ?? "none",
    Restarts: (status.containerStatuses ?? []).reduce((sum, one) => sum + one.restartCount, 0),
    Created: clock(life.begin), ...Object.fromEntries(life.steps.slice(1).map(step => [STATES[step.state], clock(step.at)])),
  };
  if (life.end !== null) facts.Gone = clock(life.end);
  const list = element("dl");
  for (const [name, value] of Object.entries(facts)) {
    const pair = list.appendChild(element("div"));
    write(pair.appendChild(element("dt")), name);
    write(pair.appendChild(element("dd")), String(value));
  }
  if ($("details").textContent !== list.textContent) $("details").replaceChildren(list);
}

// -- arrow keys: along a lane, and from lane to lane

document.addEventListener("keydown", event => {
  const from = document.activeElement;
  if (!from?.classList.contains("life")) return;
  const lane = [...from.parentElement.children], tracks = [...document.querySelectorAll(".track")].filter(one => one.children.length);
  const at = tracks.indexOf(from.parentElement);
  const to = {
    ArrowLeft: lane[lane.indexOf(from) - 1], ArrowRight: lane[lane.indexOf(from) + 1],
    ArrowUp: tracks[at - 1]?.lastElementChild, ArrowDown: tracks[at + 1]?.lastElementChild,
  }[event.key];
  if (to) {
    event.preventDefault();
    to.focus();
  }
});

// -- small things

function element(name, classes = "") {
  const node = document.createElement(name);
  node.className = classes;
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Makes the children of `parent` match `items`, one each and in order; those that stay keep their focus. */
function match(parent, items, key, make, update) {
  const before = new Map([...parent.children].map(child => [child.dataset.key, child]));
  items.forEach((item, i) => {
    const node = before.get(key(item)) ?? make(item);
    node.dataset.key = key(item);
    before.delete(key(item));
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
    update(node, item);
  });
  before.forEach(child => child.remove());
}

for (const id of ["span", "namespace"]) $(id).addEventListener("change", draw);
setInterval(draw, REDRAWN_MS);
start();
