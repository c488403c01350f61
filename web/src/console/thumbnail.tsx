import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { canDecode, playlistOf } from '../watch/codecs'
import { fetchStatus, type Status } from '../watch/status'
import type { Server } from './server'
import type { Stream } from './types'

// Times in ms: until a picture is looked for again, and the rest between two of all streams. The rest
// is a multiple of what the picture took, so that many streams cost no more than few.
const every = 10_000
const notYet = 2000
const afterFault = 30_000
const leastRest = 150
const restPer = 25
const longestRest = 4000
const patience = 6000

interface Wanted {
  stream: Stream
  canvas: HTMLCanvasElement
  shown(): void
  due: number
  /** There is a playlist: a browser counts an answer of 404 as a fault of the page that asks. */
  packaged: boolean
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
    const wanted = { stream, canvas, shown, due: 0, packaged: false, last: '' }
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
    const playlist = keyFramesOf(stream)
    if (!playlist || this.server.option('hls_on_demand') === 'true') throw new Error('none')
    const base = await this.server.openPageOf(stream.name)
    if (!base) throw new Error('no HLS')
    wanted.packaged ||= !!(await fetchStatus<Status>(base)).packaged
    if (!wanted.packaged) return false
    const signal = timeout(patience)
    const address = new URL(playlist.uri, base)
    const frame = latest(await (await get(address, signal)).text(), address)
    if (!frame) return false
    if (frame.name === wanted.last) return true
    const range = frame.range ? { Range: `bytes=${frame.range}` } : undefined
    const [header, picture] = await Promise.all([
      get(frame.map, signal).then(answer => answer.arrayBuffer()),
      get(frame.uri, signal, range).then(answer => answer.arrayBuffer()),
    ])
    await show(playlist.type, [header, picture], canvas, signal)
    wanted.last = frame.name
    wanted.shown()
    return true
  }
}

/** The smallest picture of a stream that this browser can decode. */
function keyFramesOf(stream: Stream): { uri: string; type: string } | null {
  const tracks = stream.publications.flatMap(p =>
    p.tracks.filter(t => t.kind === 'video').map(t => ({ ...t, rendition: p.rendition })),
  )
  const [track] = tracks.filter(canDecode).sort((a, b) => (a.height ?? 0) - (b.height ?? 0))
  if (!track) return null
  const uri = playlistOf(track).replace('.m3u8', '.iframes.m3u8')
  return { uri, type: `video/mp4; codecs="${track.codecs}"` }
}

interface Frame {
  name: string
  map: URL
  uri: URL
  range: string
}

/** The last key frame of a playlist (RFC 8216 4.3.3.6). */
export function latest(playlist: string, base: URL): Frame | null {
  let map = ''
  let range = ''
  let last: Frame | null = null
  for (const line of playlist.split('\n')) {
    map = /^#EXT-X-MAP:.*URI="([^"]+)"/.exec(line)?.[1] ?? map
    const bytes = /^#EXT-X-BYTERANGE:(\d+)@(\d+)/.exec(line)
    if (bytes) range = `${bytes[2]}-${Number(bytes[1]) + Number(bytes[2]) - 1}`
    if (line === '#EXT-X-GAP') map = ''
    if (!line || line.startsWith('#')) continue
    if (map) last = { name: line + range, map: new URL(map, base), uri: new URL(line, base), range }
    range = ''
  }
  return last
}

/** Decodes one picture with a video element of its own, and draws it. */
async function show(
  type: string,
  data: ArrayBuffer[],
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
    for (const part of data) {
      buffer.appendBuffer(part)
      await happens(buffer, 'updateend', signal)
    }
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

async function get(url: URL, signal: AbortSignal, headers?: HeadersInit): Promise<Response> {
  const answer = await fetch(url, { signal, headers })
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
