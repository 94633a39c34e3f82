// What becomes of pods: from objects and moments to lanes of lives. Nothing here touches the page or the network.

/** One pod from its creation to its end; `steps` are {state, at}, in order; times in milliseconds. */
class Life {
  constructor(pod, now) {
    this.uid = pod.metadata.uid;
    this.steps = told(pod);
    this.end = null;
    this.see(pod, now);
  }

  see(pod, now) {
    this.pod = pod;
    const state = stateOf(pod);
    if (this.steps.at(-1).state !== state) this.steps.push({state, at: Math.max(now, this.steps.at(-1).at)});
  }

  get name() { return this.pod.metadata.name; }
  get begin() { return this.steps[0].at; }
  get state() { return this.end === null ? this.steps.at(-1).state : "gone"; }
  get revision() { return (this.pod.metadata.labels ?? {})["controller-revision-hash"] ?? ""; }

  /** {state, from, to}, each up to the next one, the last up to the end or `now`. */
  segments(now) {
    const last = this.end ?? now;
    return this.steps.map((step, i) => ({state: step.state, from: step.at, to: this.steps[i + 1]?.at ?? last}));
  }
}

export function stateOf(pod) {
  const status = pod.status ?? {};
  if (pod.metadata.deletionTimestamp) return "going";
  if (status.phase === "Failed" || status.phase === "Succeeded") return "failed";
  if (isTrue(pod, "Ready")) return "ready";
  return (status.containerStatuses ?? []).some(one => one.state?.running) ? "unready" : "pending";
}

/** What the object itself tells of the time before anybody looked. */
function told(pod) {
  const steps = [{state: "pending", at: Date.parse(pod.metadata.creationTimestamp)}];
  const started = (pod.status?.containerStatuses ?? []).map(one => one.state?.running?.startedAt).filter(Boolean);
  if (started.length) steps.push({state: "unready", at: Date.parse(started.sort()[0])});
  const ready = (pod.status?.conditions ?? []).find(one => one.type === "Ready" && one.status === "True");
  if (ready) steps.push({state: "ready", at: Date.parse(ready.lastTransitionTime)});
  return steps;
}

function isTrue(object, type) {
  return (object.status?.conditions ?? []).some(one => one.type === type && one.status === "True");
}

/** All lives of all sets that anybody has seen. */
export class Lives {
  #sets = new Map();  // uid of a set -> ordinal -> lives, in the order of their beginnings

  put(pod, now) {
    const lane = this.#lane(pod);
    if (!lane) return null;
    let life = lane.find(one => one.uid === pod.metadata.uid);
    if (life) life.see(pod, now);
    else {
      life = new Life(pod, now);
      lane.push(life);
      lane.sort((one, other) => one.begin - other.begin);
    }
    return life;
  }

  end(pod, now) {
    const life = this.put(pod, now);
    if (life) life.end ??= now;
    return life;
  }

  /** Ends every life of which there is no pod any more. */
  keepOnly(uids, now) {
    for (const lanes of this.#sets.values())
      for (const lane of lanes.values())
        for (const life of lane) if (!uids.has(life.uid)) life.end ??= now;
  }

  /** When the first life of those that belong to the sets began; `now` if there is none. */
  begin(sets, now) {
    const lanes = sets.flatMap(set => [...(this.#sets.get(set.metadata.uid) ?? new Map()).values()]);
    return lanes.flat().reduce((first, life) => Math.min(first, life.begin), now);
  }

  /** [{ordinal, lives}] of a set, in order: what lives, what is wanted, and what ended after `since`. */
  lanes(set, since) {
    const start = set.spec.ordinals?.start ?? 0;
    const lanes = new Map();
    for (let ordinal = start; ordinal < start + (set.spec.replicas ?? 1); ordinal++) lanes.set(ordinal, []);
    for (const [ordinal, lane] of this.#sets.get(set.metadata.uid) ?? []) {
      const lives = lane.filter(life => life.end === null || life.end > since);
      if (lives.length || lanes.has(ordinal)) lanes.set(ordinal, lives);
    }
    return [...lanes].sort(([one], [other]) => one - other).map(([ordinal, lives]) => ({ordinal, lives}));
  }

  #lane(pod) {
    const owner = (pod.metadata.ownerReferences ?? []).find(one => one.controller && one.kind === "StatefulSet");
    const ordinal = Number(/-(\d+)$/.exec(pod.metadata.name)?.[1] ?? NaN);
    if (!owner || Number.isNaN(ordinal)) return null;
    if (!this.#sets.has(owner.uid)) this.#sets.set(owner.uid, new Map());
    const lanes = this.#sets.get(owner.uid);
    if (!lanes.has(ordinal)) lanes.set(ordinal, []);
    return lanes.get(ordinal);
  }
}
