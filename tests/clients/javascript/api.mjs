// What a program in JavaScript does with the API: write, patch, list in pages, watch, be refused.
import assert from 'node:assert/strict'
import * as k8s from '@kubernetes/client-node'
import { apps, config, core, namespace, overConflicts, refusal, test, until } from './cluster.mjs'

const objects = k8s.KubernetesObjectApi.makeApiClient(config)

const container = { name: 'c', image: 'host', env: [{ name: 'A', value: '1' }] }
const set = (name) => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name, namespace },
  spec: {
    serviceName: name,
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [container] } },
  },
})
const map = (name, data, labels) => ({ metadata: { name, labels }, data })
const patched = (strategy) => k8s.setHeaderOptions('Content-Type', strategy)

test('writes, reads, replaces and deletes', async () => {
  const made = await core.createNamespacedConfigMap({ namespace, body: map('a', { k: '1' }) })
  assert.ok(made.metadata.creationTimestamp instanceof Date)
  made.data = { k: '2' }
  const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'a', body: made })
  assert.notEqual(replaced.metadata.resourceVersion, made.metadata.resourceVersion)
  const read = await core.readNamespacedConfigMap({ namespace, name: 'a' })
  assert.deepEqual(read.data, { k: '2' })
  const status = await core.deleteNamespacedConfigMap({ namespace, name: 'a' })
  assert.equal(status.status, 'Success')
})

test('is told why it is refused', async () => {
  const made = await core.createNamespacedConfigMap({ namespace, body: map('b') })
  await core.replaceNamespacedConfigMap({ namespace, name: 'b', body: { ...made, data: { k: '1' } } })
  const stale = await refusal(core.replaceNamespacedConfigMap({ namespace, name: 'b', body: made }))
  assert.deepEqual([stale.code, stale.reason, stale.details.kind], [409, 'Conflict', 'configmaps'])
  const twice = await refusal(core.createNamespacedConfigMap({ namespace, body: map('b') }))
  assert.deepEqual([twice.code, twice.reason], [409, 'AlreadyExists'])
  const missing = await refusal(core.readNamespacedConfigMap({ namespace, name: 'none' }))
  assert.equal(missing.message, 'configmaps "none" not found')
  const bad = await refusal(core.createNamespacedConfigMap({ namespace, body: map('B') }))
  assert.deepEqual([bad.code, bad.details.causes[0].field], [422, 'metadata.name'])
  const strict = { namespace, body: { ...map('c'), date: {} }, fieldValidation: 'Strict' }
  await core.createNamespacedConfigMap(strict) // the client itself leaves out what it does not know
  const unknown = await refusal(
    objects.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'd', namespace }, data: { k: 1 } }),
  )
  assert.equal(unknown.code, 400)
})

test('patches in every way', async () => {
  await apps.createNamespacedStatefulSet({ namespace, body: set('patched') })
  const patch = (strategy, body, more) =>
    apps.patchNamespacedStatefulSet({ namespace, name: 'patched', body, ...more }, patched(strategy))
  const json = await patch(k8s.PatchStrategy.JsonPatch, [{ op: 'replace', path: '/spec/replicas', value: 2 }])
  assert.equal(json.spec.replicas, 2)
  const merge = await patch(k8s.PatchStrategy.MergePatch, { metadata: { labels: { a: 'b' } }, spec: { replicas: 1 } })
  assert.deepEqual([merge.metadata.labels, merge.spec.replicas], [{ a: 'b' }, 1])
  const strategic = await patch(k8s.PatchStrategy.StrategicMergePatch, {
    spec: { template: { spec: { containers: [{ name: 'c', env: [{ name: 'B', value: '2' }] }] } } },
  })
  const [only] = strategic.spec.template.spec.containers
  assert.deepEqual([only.image, only.env.map((one) => one.name).sort()], ['host', ['A', 'B']])
  const applied = await patch(
    k8s.PatchStrategy.ServerSideApply,
    { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { annotations: { by: 'me' } } },
    { fieldManager: 'me' },
  )
  assert.equal(applied.metadata.annotations.by, 'me')
  const wrong = await refusal(patch('application/json', { spec: { replicas: 3 } }))
  assert.deepEqual([wrong.code, wrong.reason], [415, 'UnsupportedMediaType'])
})

test('applies on the server, and is told of conflicts', async () => {
  const apply = (spec, manager, force) =>
    objects.patch(spec, undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply)
  const applied = await apply(set('applied'), 'me')
  assert.equal(applied.metadata.managedFields.find((one) => one.operation === 'Apply').manager, 'me')
  const other = set('applied')
  other.spec.replicas = 1
  const conflict = await refusal(apply(other, 'you'))
  assert.deepEqual([conflict.code, conflict.details.causes.map((cause) => cause.field)], [409, ['.spec.replicas']])
  const forced = await apply(other, 'you', true)
  assert.equal(forced.spec.replicas, 1)
})

test('lists in pages and by labels and fields', async () => {
  for (const name of 'abcde') {
    const labels = { page: name < 'c' ? 'first' : 'second' }
    const body = { metadata: { name: `page-${name}`, labels }, stringData: { k: name } }
    await core.createNamespacedSecret({ namespace, body })
  }
  const names = []
  let _continue
  do {
    const page = await core.listNamespacedSecret({ namespace, limit: 2, labelSelector: 'page', _continue })
    names.push(...page.items.map((one) => one.metadata.name))
    _continue = page.metadata._continue
  } while (_continue)
  assert.deepEqual(names, ['page-a', 'page-b', 'page-c', 'page-d', 'page-e'])
  const first = await core.listNamespacedSecret({ namespace, labelSelector: 'page in (first)' })
  assert.equal(first.items.length, 2)
  const one = await core.listNamespacedSecret({ namespace, fieldSelector: 'metadata.name=page-c' })
  assert.equal(Buffer.from(one.items[0].data.k, 'base64').toString(), 'c')
})

test('watches from a list until the time is over', async () => {
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const labelSelector = 'watched=yes'
  const list = await core.listNamespacedConfigMap({ namespace, labelSelector })
  const events = []
  const over = new Promise((resolve) => {
    const parameters = { labelSelector, resourceVersion: list.metadata.resourceVersion, timeoutSeconds: 2 }
    const note = (type, object) => events.push([type, object.metadata.name])
    new k8s.Watch(config).watch(path, { ...parameters, allowWatchBookmarks: true }, note, resolve)
  })
  await core.createNamespacedConfigMap({ namespace, body: map('w', {}, { watched: 'yes' }) })
  const no = { metadata: { labels: { watched: 'no' } } }
  const merge = patched(k8s.PatchStrategy.MergePatch)
  await core.patchNamespacedConfigMap({ namespace, name: 'w', body: no }, merge)
  assert.equal(await over, null)
  const named = events.filter(([type]) => type !== 'BOOKMARK')
  assert.deepEqual(named, [['ADDED', 'w'], ['DELETED', 'w']])
})

test('a watch that may not be is refused', async () => {
  const failed = await new Promise((resolve) => {
    new k8s.Watch(config).watch(`/api/v1/namespaces/${namespace}/nones`, {}, () => {}, resolve)
  })
  assert.equal(failed.statusCode, 404)
})

test('an informer knows what there is', async () => {
  const labelSelector = 'informed=yes'
  const labels = { informed: 'yes' }
  const list = () => core.listNamespacedConfigMap({ namespace, labelSelector })
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  await core.createNamespacedConfigMap({ namespace, body: map('i-1', {}, labels) })
  const informer = k8s.makeInformer(config, path, list, labelSelector)
  const seen = []
  for (const event of ['add', 'update', 'delete', 'error']) {
    informer.on(event, (object) => seen.push(`${event} ${object.metadata?.name ?? object}`))
  }
  await informer.start()
  await core.createNamespacedConfigMap({ namespace, body: map('i-2', {}, labels) })
  await until('i-2 is known', () => informer.get('i-2', namespace))
  const merge = patched(k8s.PatchStrategy.MergePatch)
  await core.patchNamespacedConfigMap({ namespace, name: 'i-1', body: { data: { k: '1' } } }, merge)
  await core.deleteNamespacedConfigMap({ namespace, name: 'i-2' })
  await until('i-2 is gone', () => !informer.get('i-2', namespace))
  await informer.stop()
  const error = 'error AbortError: The user aborted a request.' // of its own being stopped
  assert.deepEqual(seen.filter((one) => one !== error), ['add i-1', 'add i-2', 'update i-1', 'delete i-2'])
  assert.deepEqual(informer.list(namespace).map((one) => one.data), [{ k: '1' }])
})

test('handles objects of any kind, from YAML', async () => {
  const yaml = `
apiVersion: v1
kind: Service
metadata: {name: any, namespace: ${namespace}}
spec: {clusterIP: None, selector: {app: any}, ports: [{name: web, port: 80, targetPort: web}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: any, namespace: ${namespace}}
spec: {minAvailable: 50%, selector: {matchLabels: {app: any}}}
`
  for (const object of k8s.loadAllYaml(yaml)) {
    const made = await objects.create(object)
    assert.equal(made.metadata.name, 'any')
    const read = await objects.read({ ...object, metadata: made.metadata })
    assert.equal(read.metadata.uid, made.metadata.uid)
  }
  const services = await objects.list('v1', 'Service', namespace)
  assert.deepEqual(services.items.map((one) => one.spec.ports[0].targetPort), ['web'])
  const budgets = await objects.list('policy/v1', 'PodDisruptionBudget', namespace)
  assert.deepEqual(budgets.items.map((one) => one.spec.minAvailable), ['50%'])
  const budget = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata: { name: 'any', namespace } }
  const gone = await objects.delete(budget)
  assert.deepEqual([gone.status, gone.details.kind], ['Success', 'poddisruptionbudgets'])
  assert.equal((await refusal(objects.read(budget))).code, 404)
  await assert.rejects(objects.create({ apiVersion: 'v1', kind: 'None', metadata: {} }), /Unrecognized API version/)
})

test('gives back what it has read, whatever the kind of number or time', async () => {
  const coordination = config.makeApiClient(k8s.CoordinationV1Api)
  const now = new k8s.V1MicroTime()
  const body = { metadata: { name: 'lease' }, spec: { holderIdentity: 'me', leaseDurationSeconds: 15, renewTime: now } }
  const lease = await coordination.createNamespacedLease({ namespace, body })
  assert.equal(new Date(lease.spec.renewTime).getTime(), now.getTime())
  const again = await coordination.replaceNamespacedLease({ namespace, name: 'lease', body: lease })
  assert.equal(again.metadata.resourceVersion, lease.metadata.resourceVersion, 'nothing has changed')
  await apps.createNamespacedStatefulSet({ namespace, body: set('round') })
  const back = await overConflicts(async () => {
    const read = await apps.readNamespacedStatefulSet({ namespace, name: 'round' })
    return apps.replaceNamespacedStatefulSet({ namespace, name: 'round', body: read })
  })
  assert.equal(back.metadata.generation, 1, 'what is wanted has not changed')
})

test('scales a set', async () => {
  await apps.createNamespacedStatefulSet({ namespace, body: set('scaled') })
  const scaled = await overConflicts(async () => {
    const scale = await apps.readNamespacedStatefulSetScale({ namespace, name: 'scaled' })
    assert.deepEqual([scale.kind, scale.spec.replicas ?? 0], ['Scale', 0])
    scale.spec.replicas = 2
    return apps.replaceNamespacedStatefulSetScale({ namespace, name: 'scaled', body: scale })
  })
  assert.equal(scaled.spec.replicas, 2)
  const read = await apps.readNamespacedStatefulSet({ namespace, name: 'scaled' })
  assert.equal(read.spec.replicas, 2)
})

test('defines a kind and uses it', async () => {
  const [group, version, plural] = ['js.example.com', 'v1', 'tides']
  const extensions = config.makeApiClient(k8s.ApiextensionsV1Api)
  const depth = { type: 'object', properties: { m: { type: 'integer' } } }
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: depth } } }
  const spec = {
    group,
    scope: 'Namespaced',
    names: { kind: 'Tide', plural },
    versions: [{ name: version, served: true, storage: true, schema }],
  }
  const name = `${plural}.${group}`
  await extensions.createCustomResourceDefinition({ body: { metadata: { name }, spec } })
  await until('it is established', async () => {
    const read = await extensions.readCustomResourceDefinition({ name })
    return read.status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True')
  })
  const custom = config.makeApiClient(k8s.CustomObjectsApi)
  const at = { group, version, namespace, plural }
  const body = { apiVersion: `${group}/${version}`, kind: 'Tide', metadata: { name: 'high' }, spec: { m: 3 } }
  await custom.createNamespacedCustomObject({ ...at, body })
  const merge = patched(k8s.PatchStrategy.MergePatch)
  const changed = await custom.patchNamespacedCustomObject({ ...at, name: 'high', body: { spec: { m: 4 } } }, merge)
  assert.equal(changed.spec.m, 4)
  const bad = await refusal(custom.createNamespacedCustomObject({ ...at, body: { ...body, spec: { m: 'deep' } } }))
  assert.equal(bad.code, 422)
  const list = await custom.listNamespacedCustomObject(at)
  assert.deepEqual(list.items.map((one) => one.metadata.name), ['high'])
  await extensions.deleteCustomResourceDefinition({ name })
})

test('an account has its rights and no others', async () => {
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: 'reader' } } })
  const rbac = config.makeApiClient(k8s.RbacAuthorizationV1Api)
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }]
  await rbac.createNamespacedRole({ namespace, body: { metadata: { name: 'reader' }, rules } })
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' }
  const subjects = [{ kind: 'ServiceAccount', name: 'reader', namespace }]
  await rbac.createNamespacedRoleBinding({ namespace, body: { metadata: { name: 'reader' }, roleRef, subjects } })
  const asked = { namespace, name: 'reader', body: { spec: { audiences: [], expirationSeconds: 600 } } }
  const { status } = await core.createNamespacedServiceAccountToken(asked)
  const account = new k8s.KubeConfig()
  account.loadFromClusterAndUser(config.getCurrentCluster(), { name: 'reader', token: status.token })
  const limited = account.makeApiClient(k8s.CoreV1Api)
  assert.ok((await limited.listNamespacedConfigMap({ namespace })).items)
  const denied = await refusal(limited.listNamespacedSecret({ namespace }))
  assert.deepEqual([denied.code, denied.reason], [403, 'Forbidden'])
  assert.match(denied.message, /cannot list resource "secrets" in API group "" in the namespace/)
  const review = { spec: { resourceAttributes: { namespace, verb: 'list', resource: 'secrets' } } }
  const reviews = account.makeApiClient(k8s.AuthorizationV1Api)
  assert.equal((await reviews.createSelfSubjectAccessReview({ body: review })).status.allowed, false)
})

test('asks the server how it is and what it knows', async () => {
  const health = new k8s.Health(config)
  assert.deepEqual([await health.readyz({}), await health.livez({})], [true, true])
  const version = await config.makeApiClient(k8s.VersionApi).getCode()
  assert.match(version.gitVersion, /^v1\.\d+/)
  const groups = await config.makeApiClient(k8s.ApisApi).getAPIVersions()
  assert.ok(groups.groups.some((one) => one.name === 'apps' && one.preferredVersion.version === 'v1'))
  const resources = await apps.getAPIResources()
  assert.ok(resources.resources.some((one) => one.name === 'statefulsets/scale'))
})
