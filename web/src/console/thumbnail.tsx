import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { canDecode } from '../watch/codecs'
import { fetchStatus, type Status } from '../watch/status'
import type { Server } from './server'
import type { Stream } from './types'

// Times in ms: until a picture is looked for again, and the rest between two of all streams. The rest
// is a multiple of what the picture took, so that many streams cost no more than few.
const every = 10_000
const notYet = 2000
const afterFault = 30_000
const leastRest = 150
const restPer = 100
const longestRest = 8000
const patience = 6000

interface Wanted {
  stream: Stream
  canvas: HTMLCanvasElement
  shown(): void
  due: number
  /** What is on the canvas. */
  last: string
}

/** Draws small pictures of streams, one after the other: of each the latest key frame. */
export class Painter {
  private readonly wanted = new Set<Wanted>()
  private working = false

  constructor(private readonly server: Server) {
    document.addEventListener('visibilitychange', () => void this.work())
  }

  add(stream: Stream, canvas: HTMLCanvasElement, shown: () => void): () => void {
    const wanted = { stream, canvas, shown, due: 0, last: '' }
    this.wanted.add(wanted)
    void this.work()
    return () => this.wanted.delete(wanted)
  }

  private async work() {
    if (this.working) return
    this.working = true
    for (;;) {
      const next = this.next()
      if (!next || document.hidden) break
      const wait = next.due - performance.now()
      if (wait > 0) {
        await pause(Math.min(wait, 1000))
        continue
      }
      const begin = performance.now()
      const first = next.last === ''
      try {
        const drawn = await this.draw(next)
        next.due = performance.now() + (drawn ? every : notYet)
      } catch {
        next.due = performance.now() + afterFault
      }
      const took = performance.now() - begin
      await pause(first ? leastRest : Math.min(longestRest, leastRest + restPer * took))
    }
    this.working = false
  }

  /** What is due first, and of what is due already, that which has no picture yet. */
  private next(): Wanted | undefined {
    const now = performance.now()
    const order = [...this.wanted].sort((a, b) => a.due - b.due)
    return order.find(wanted => wanted.due <= now && wanted.last === '') ?? order[0]
  }

  /** Draws one, and is false if there is nothing to draw yet. */
  private async draw(wanted: Wanted): Promise<boolean> {
    const { stream, canvas } = wanted
    const type = typeOf(stream)
    if (!type) throw new Error('none')
    const base = await this.server.openPageOf(stream.name)
    if (!base) throw new Error('no HLS')
    // A browser counts an answer of 404 as a fault of the page that asks.
    if (!(await fetchStatus<Status>(base)).still) return false
    const signal = timeout(patience)
    const answer = await get(new URL('poster.mp4', base), signal)
    const picture = await answer.arrayBuffer()
    await show(type, picture, canvas, signal)
    wanted.last = 'drawn'
    wanted.shown()
    return true
  }
}

/** The type of a stream's poster.mp4, its last key frame, if this browser can decode that. */
function typeOf(stream: Stream): string {
  const main = stream.publications.find(p => !p.rendition) ?? stream.publications[0]
  const track = main?.tracks.find(t => t.kind === 'video')
  return track && canDecode(track) ? `video/mp4; codecs="${track.codecs}"` : ''
}

/** Decodes one picture with a video element of its own, and draws it. */
async function show(
  type: string,
  data: ArrayBuffer,
  canvas: HTMLCanvasElement,
  signal: AbortSignal,
) {
  const video = document.createElement('video')
  const source = new (window.ManagedMediaSource ?? window.MediaSource)()
  const url = URL.createObjectURL(source)
  video.muted = true
  video.disableRemotePlayback = true
  video.src = url
  try {
    await happens(source, 'sourceopen', signal)
    const buffer = source.addSourceBuffer(type)
    buffer.mode = 'sequence' // the picture stands at 0 whenever it was
    buffer.appendBuffer(data)
    await happens(buffer, 'updateend', signal)
    const ready = video.readyState >= 2 ? null : happens(video, 'loadeddata', signal)
    source.endOfStream()
    await ready
    canvas.width = 320
    canvas.height = Math.round((320 * video.videoHeight) / video.videoWidth) || 180
    canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height)
  } finally {
    video.removeAttribute('src')
    video.load()
    URL.revokeObjectURL(url)
  }
}

function happens(target: EventTarget, event: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    target.addEventListener(event, () => resolve(), { once: true, signal })
    target.addEventListener('error', () => reject(new Error('no picture')), { once: true, signal })
    signal.addEventListener('abort', () => reject(new Error('too slow')), { once: true })
  })
}

async function get(url: URL, signal: AbortSignal): Promise<Response> {
  const answer = await fetch(url, { signal })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  return answer
}

function timeout(ms: number): AbortSignal {
  const end = new AbortController()
  setTimeout(() => end.abort(), ms)
  return end.signal
}

const pause = (ms: number) => new Promise(done => setTimeout(done, ms))

/** The live picture of a stream while it can be seen on the page. */
export function Thumbnail({ painter, stream }: { painter: Painter; stream: Stream }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null)
  const [drawn, setDrawn] = useState(false)
  // Another encoder may send other tracks.
  const tracks = JSON.stringify(stream.publications.map(p => [p.rendition, p.tracks]))
  useEffect(() => {
    const element = canvas.current
    if (!element || stream.state === 'starting') return
    let remove: (() => void) | null = null
    const seen = new IntersectionObserver(entries => {
      const visible = entries.at(-1)?.isIntersecting
      if (visible) remove ??= painter.add(stream, element, () => setDrawn(true))
      else {
        remove?.()
        remove = null
      }
    })
    seen.observe(element)
    return () => {
      seen.disconnect()
      remove?.()
    }
  }, [painter, stream.name, stream.state, tracks])
  return <canvas ref={canvas} class={`thumbnail${drawn ? ' drawn' : ''}`} />
}
