// Speaks to /api/v1 of the server that the console came from. The token goes into the Authorization
// header only, and is forgotten with the tab.

const root = 'api/v1'
const tokenKey = 'livego.token'
// Longer than any answer takes but events, in ms.
const patience = 15_000

/** The server said no. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

interface Problem {
  detail?: string
  title?: string
  errors?: { message?: string }[]
}

let token = recalled()
const refusals = new Set<(refusal: Refusal) => void>()

function recalled(): string {
  try {
    return sessionStorage.getItem(tokenKey) ?? ''
  } catch {
    return ''
  }
}

/** Is called for each answer that nothing can be had without a right that is missing. */
export function onRefusal(listener: (refusal: Refusal) => void): () => void {
  refusals.add(listener)
  return () => refusals.delete(listener)
}

export function signIn(value: string) {
  token = value
  try {
    sessionStorage.setItem(tokenKey, value)
  } catch {
    // Then it is kept as long as the page is.
  }
}

export function signOut() {
  token = ''
  try {
    sessionStorage.removeItem(tokenKey)
  } catch {
    // It was not kept.
  }
}

export const isSignedIn = () => token !== ''

interface Call {
  body?: unknown
  ifMatch?: string
}

/** Calls a path below /api/v1. It fails with a Refusal, or with what the network says. */
export async function call<T>(method: string, path: string, what: Call = {}): Promise<T> {
  return (await answer(method, path, what)).body as T
}

/** Is call with the ETag of what came. */
export async function answer(method: string, path: string, { body, ifMatch }: Call = {}) {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (ifMatch) headers['If-Match'] = ifMatch
  const end = new AbortController()
  const timer = setTimeout(() => end.abort(), patience)
  try {
    const response = await ask(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: end.signal,
    })
    const text = await response.text()
    return { body: text ? JSON.parse(text) : null, etag: response.headers.get('ETag') ?? '' }
  } finally {
    clearTimeout(timer)
  }
}

async function ask(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers)
  if (token) headers.set('Authorization', `Bearer ${token}`)
  const sent = token
  const response = await fetch(root + path, {
    ...init,
    headers,
    cache: 'no-store',
    credentials: 'omit',
  })
  if (response.ok) return response
  const problem = (await response.json().catch(() => ({}))) as Problem
  const reason = problem.errors?.[0]?.message ?? problem.detail ?? problem.title
  const refusal = new Refusal(response.status, reason ?? `status ${response.status}`)
  // What was asked with an older token says nothing of this one.
  if ((response.status === 401 || response.status === 403) && sent === token) {
    for (const listener of refusals) listener(refusal)
  }
  throw refusal
}

export interface Page<T> {
  items: T[]
  next?: string
}

/** All of a list, of which the server gives pages; at most so many. */
export async function list<T>(path: string, most = 2000): Promise<T[]> {
  const all: T[] = []
  let cursor = ''
  do {
    const query = `${path.includes('?') ? '&' : '?'}limit=500${cursor && `&cursor=${cursor}`}`
    const page: Page<T> = await call('GET', path + query)
    all.push(...page.items)
    cursor = page.next ?? ''
  } while (cursor && all.length < most)
  return all
}

export interface Told {
  type: string
  data: unknown
}

// Pauses between two attempts to follow events, in ms.
const firstPause = 1000
const longestPause = 10_000

/** Follows events until signal ends that. EventSource knows no Authorization header. */
export async function follow(
  types: string[],
  told: (event: Told) => void,
  connected: (is: boolean) => void,
  signal: AbortSignal,
) {
  let last = ''
  let pause = firstPause
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (last) headers['Last-Event-ID'] = last
      const response = await ask(`/events?types=${types.join(',')}`, { headers, signal })
      connected(true)
      pause = firstPause
      await read(response, signal, (event, id) => {
        last = id || last
        told(event)
      })
    } catch (error) {
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) return
    }
    if (signal.aborted) return
    connected(false)
    await new Promise(done => setTimeout(done, pause))
    pause = Math.min(2 * pause, longestPause)
  }
}

// The server sends something at least each 15 s.
const silence = 25_000

/** Reads server-sent events (HTML 9.2.6): those that this server sends have lines that end with LF. */
async function read(
  response: Response,
  signal: AbortSignal,
  told: (event: Told, id: string) => void,
) {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  if (!reader) return
  let text = ''
  while (!signal.aborted) {
    const timer = setTimeout(() => void reader.cancel(), silence)
    const { done, value } = await reader.read()
    clearTimeout(timer)
    if (done) return
    text += value
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = parseEvent(text.slice(0, end))
      text = text.slice(end + 2)
      if (event) told(event, event.id)
    }
  }
  await reader.cancel()
}

function parseEvent(block: string): (Told & { id: string }) | null {
  const fields: Record<string, string> = {}
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim()
  }
  if (!fields.event || !fields.data) return null
  return { type: fields.event, id: fields.id ?? '', data: JSON.parse(fields.data) }
}
