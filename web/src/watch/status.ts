// What the server says of a stream: internal/watch/status.go has the same in Go.

export type State = 'offline' | 'starting' | 'live' | 'interrupted' | 'ended'

export interface Track {
  kind: 'video' | 'audio'
  id: number
  rendition?: string
  codec: string
  codecs?: string
  width?: number
  height?: number
  frameRate?: number
  channels?: number
}

export interface Status {
  stream: string
  state: State
  /** The server's clock, in ms since 1970. */
  time: number
  viewers: number
  tracks?: Track[]
  playlists?: string[]
  /** The playlists are there, or will be as soon as somebody asks. Until then a request for one waits. */
  packaged?: boolean
  /** The last key frame is at poster.mp4. */
  still?: boolean
  /** A picture of the stream, relative to the page. */
  poster?: string
  rewind?: number
  urls?: Record<string, string>
}

// Longer than an answer takes over the worst network with which a live stream can be watched.
const patience = 4000

/** Asks the server, past the browser's own cache. base is where its page is, if that is not this one. */
export async function fetchStatus<T>(base = ''): Promise<T> {
  const answer = await fetchWithin(patience, `${base}status.json`, { cache: 'no-store' })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  return (await answer.json()) as T
}

/** Is fetch with a bound in ms, in browsers too that know no AbortSignal.timeout. */
export async function fetchWithin(time: number, url: string, init: RequestInit): Promise<Response> {
  const end = new AbortController()
  const timer = setTimeout(() => end.abort(), time)
  try {
    return await fetch(url, { ...init, signal: end.signal })
  } finally {
    clearTimeout(timer)
  }
}

/** Reads what the server wrote into the page. */
export function firstStatus<T>(): T {
  return JSON.parse(document.getElementById('app')?.dataset.status ?? '{}') as T
}

/** Keeps the difference of the server's clock to ours. */
export class Clock {
  private differences: number[] = []

  /** A status came that was asked for at sent, by performance.now(). */
  note(status: Status, sent: number) {
    const middle = performance.timeOrigin + (sent + performance.now()) / 2
    // A cache on the way makes an answer older, never younger: the greatest of some is the truest.
    this.differences = [...this.differences.slice(-9), status.time - middle]
  }

  /** The server's time now, in ms since 1970; null if it was never heard. */
  now(): number | null {
    if (this.differences.length === 0) return null
    return performance.timeOrigin + performance.now() + Math.max(...this.differences)
  }
}
