// What a program in JavaScript does inside of running pods: commands, terminals, logs, ports, files, figures.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { before } from 'node:test'
import * as k8s from '@kubernetes/client-node'
import { config, core, namespace, refusal, test, until } from './cluster.mjs'

const SERVER = `
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass
print("listening", flush=True)
threading.Thread(target=http.server.HTTPServer(("", 8080), Handler).serve_forever, daemon=True).start()
for line in sys.stdin:
    print("said", line, end="", flush=True)
`

function pod(name, command, more) {
  const container = { name: 'c', image: 'host', command, ...more }
  return { metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } }
}

/** What was written to it, as `text`. */
class Sink extends Writable {
  text = ''
  _write(chunk, _, done) {
    this.text += chunk
    done()
  }
}

/** The Status with which a command in the pod ends, and what it printed. */
function run(command, stdin = null) {
  const [out, errors] = [new Sink(), new Sink()]
  return new Promise((resolve, reject) => {
    const ended = (status) => resolve({ status, out: out.text, errors: errors.text })
    new k8s.Exec(config).exec(namespace, 'web', 'c', command, out, errors, stdin, false, ended).catch(reject)
  })
}

before(async () => {
  const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 }
  const body = pod('web', ['python3', '-c', SERVER], { readinessProbe, stdin: true })
  const path = `/api/v1/namespaces/${namespace}/pods`
  const informer = k8s.makeInformer(config, path, () => core.listNamespacedPod({ namespace }))
  await informer.start()
  await core.createNamespacedPod({ namespace, body })
  const isReady = (one) => one?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  await until('the pod is ready', () => isReady(informer.get('web', namespace)))
  await informer.stop()
})

test('runs a command and learns its code', async () => {
  const { status, out, errors } = await run(['sh', '-c', 'echo out; echo no >&2; exit 3'])
  assert.deepEqual([out, errors, status.status, status.reason], ['out\n', 'no\n', 'Failure', 'NonZeroExitCode'])
  assert.deepEqual(status.details.causes, [{ reason: 'ExitCode', message: '3' }])
  assert.equal((await run(['true'])).status.status, 'Success')
})

test('gives a command its input, and tells it where that ends', async () => {
  const much = 'x'.repeat(300_000)
  const { status, out } = await run(['wc', '-c'], Readable.from([much]))
  assert.deepEqual([out.trim(), status.status], ['300000', 'Success'])
})

test('a command that is not there, a pod that is not there', async () => {
  const { status } = await run(['/no/such/program'])
  assert.equal(status.status, 'Failure')
  assert.match(status.message, /no such file or directory/i)
  const nowhere = new k8s.Exec(config).exec(namespace, 'none', 'c', ['true'], new Sink(), null, null, false)
  const error = await nowhere.catch((reason) => reason)
  assert.match(String(error.message), /404/)
})

test('works at a terminal, whose size it says', async () => {
  const [out, stdin] = [new Sink(), new PassThrough()]
  Object.assign(out, { rows: 33, columns: 111 })
  let ended
  const over = new Promise((resolve) => (ended = resolve))
  await new k8s.Exec(config).exec(namespace, 'web', 'c', ['sh'], out, null, stdin, true, ended)
  await until('the size has arrived', async () => {
    stdin.write('stty size\n')
    await new Promise((resolve) => setTimeout(resolve, 100))
    return out.text.includes('33 111')
  })
  stdin.write('exit 4\n')
  assert.deepEqual((await over).details.causes, [{ reason: 'ExitCode', message: '4' }])
})

test('attaches to what runs', async () => {
  const [out, stdin] = [new Sink(), new PassThrough()]
  const socket = await new k8s.Attach(config).attach(namespace, 'web', 'c', out, null, stdin, false)
  stdin.write('word\n')
  await until('it has answered', () => out.text.includes('said word\n'))
  socket.close()
})

test('reads logs and follows them', async () => {
  const all = await core.readNamespacedPodLog({ namespace, name: 'web' })
  assert.match(all, /^listening\n/)
  const first = await core.readNamespacedPodLog({ namespace, name: 'web', timestamps: true, limitBytes: 20 })
  assert.match(first, /^\d{4}-\d\d-\d\dT/)
  const command = ['sh', '-c', 'for n in 1 2 3; do echo $n; sleep 0.5; done']
  await core.createNamespacedPod({ namespace, body: pod('count', command) })
  const phase = async () => (await core.readNamespacedPod({ namespace, name: 'count' })).status.phase
  await until('it has begun', async () => (await phase()) !== 'Pending')
  const log = new k8s.Log(config)
  const out = new PassThrough()
  await log.log(namespace, 'count', 'c', out, { follow: true })
  assert.equal((await out.toArray()).join(''), '1\n2\n3\n')
  const none = await log.log(namespace, 'none', 'c', new Sink(), {}).catch((reason) => reason)
  assert.equal(none.code, 404)
})

test('reaches a port', async () => {
  const [out, errors, input] = [new Sink(), new Sink(), new PassThrough()]
  const socket = await new k8s.PortForward(config).portForward(namespace, 'web', [8080], out, errors, input)
  input.write('GET / HTTP/1.0\r\n\r\n')
  await until('it has answered', () => out.text.endsWith('\r\n\r\nhello'))
  assert.match(out.text, /^HTTP\/1.0 200 OK/)
  assert.equal(errors.text, '')
  socket.close()
})

test('copies files into a pod', async () => {
  const here = await mkdtemp(join(tmpdir(), 'hf-js-'))
  try {
    await writeFile(join(here, 'tide'), 'high')
    await new k8s.Cp(config).cpToPod(namespace, 'web', 'c', here, '/tmp')
    await until('it is there', async () => (await run(['cat', '/tmp/tide'])).out === 'high')
  } finally {
    await rm(here, { recursive: true })
  }
})

test('asks what pods and nodes use', async () => {
  const metrics = new k8s.Metrics(config)
  const used = await until('there are figures', async () => {
    const { items } = await metrics.getPodMetrics(namespace)
    return items.find((one) => one.metadata.name === 'web')
  })
  assert.deepEqual(used.containers.map((one) => one.name), ['c'])
  const [node] = await k8s.topNodes(core)
  assert.ok(node.CPU.Capacity > 0 && node.Memory.Capacity > 0)
  const pods = await k8s.topPods(core, metrics, namespace)
  assert.ok(pods.some(({ Pod, Memory }) => Pod.metadata.name === 'web' && Memory.CurrentUsage > 1_000_000n))
})

test('evicts a pod, unless a budget is against it', async () => {
  const metadata = { name: 'kept', labels: { app: 'kept' } }
  await core.createNamespacedPod({ namespace, body: { ...pod('kept', ['sleep', '60']), metadata } })
  const policy = config.makeApiClient(k8s.PolicyV1Api)
  const spec = { minAvailable: 1, selector: { matchLabels: { app: 'kept' } } }
  await policy.createNamespacedPodDisruptionBudget({ namespace, body: { metadata: { name: 'kept' }, spec } })
  await until('the budget counts', async () => {
    const { status } = await policy.readNamespacedPodDisruptionBudget({ namespace, name: 'kept' })
    return status?.currentHealthy === 1
  })
  const evict = () => core.createNamespacedPodEviction({ namespace, name: 'kept', body: { metadata } })
  const refused = await refusal(evict())
  assert.deepEqual([refused.code, refused.reason], [429, 'TooManyRequests'])
  await policy.deleteNamespacedPodDisruptionBudget({ namespace, name: 'kept' })
  await evict()
  const left = async () => (await core.listNamespacedPod({ namespace, labelSelector: 'app=kept' })).items
  await until('it is gone', async () => (await left()).length === 0)
})
