// A list that is kept by watch, over fetch.

export class Refused extends Error {}

/** Keeps `onList(items)`, `onEvent(type, object)` and `onState(text)` told, until `signal` aborts. Throws Refused. */
export async function follow(path, token, {onList, onEvent, onState, signal}) {
  let version = null;
  for (let failures = 0; !signal.aborted;) {
    try {
      if (version === null) {
        const list = await (await ask(path, token, signal)).json();
        onList(list.items);
        version = list.metadata.resourceVersion;
      }
      onState("live");
      const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=${version}`;
      for await (const {type, object} of lines(await ask(`${path}?${query}`, token, signal))) {
        if (type === "ERROR") { version = null; break; }
        version = object.metadata.resourceVersion;
        if (type !== "BOOKMARK") onEvent(type, object);
        failures = 0;
      }
    } catch (error) {
      if (error instanceof Refused || signal.aborted) throw error;
      onState("the cluster does not answer, trying again");
      version = null;
      await new Promise(done => setTimeout(done, Math.min(500 * 2 ** failures++, 5000)));
    }
  }
}

async function ask(path, token, signal) {
  const answer = await fetch(path, {headers: {Authorization: `Bearer ${token}`}, signal, cache: "no-store"});
  if (answer.status === 401 || answer.status === 403) throw new Refused((await answer.json()).message);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "";;) {
    const {value, done} = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}
