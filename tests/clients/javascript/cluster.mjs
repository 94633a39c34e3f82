// What both files of tests need: the cluster that KUBECONFIG names, the namespace of the tests, waiting.
import * as runner from 'node:test'
import * as k8s from '@kubernetes/client-node'

export const config = new k8s.KubeConfig()
config.loadFromDefault()
export const namespace = process.env.NAMESPACE
export const core = config.makeApiClient(k8s.CoreV1Api)
export const apps = config.makeApiClient(k8s.AppsV1Api)

/** As node's own, with an end to it. */
export const test = (name, body) => runner.test(name, { timeout: 40_000 }, body)

// A test that failed may have left a connection open, for which node would wait.
runner.after(() => setTimeout(() => process.exit(), 1_000).unref())

/** The Status of a request that has to be refused. */
export async function refusal(request) {
  const error = await request.then(
    () => new Error('it was not refused'),
    (reason) => reason,
  )
  if (!(error instanceof k8s.ApiException)) throw error
  return typeof error.body === 'string' ? JSON.parse(error.body) : error.body
}

/** What `holds` answers as soon as that is true. */
export async function until(what, holds) {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    const found = await holds()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within 20 s: ${what}`)
}

/** What `change` answers: it reads and replaces, and is asked again while a controller's write comes between. */
export async function overConflicts(change) {
  return until('nobody writes in between', () =>
    change().catch((error) => {
      if (error.code !== 409) throw error
    }),
  )
}
