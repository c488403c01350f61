import { useEffect, useReducer } from 'preact/hooks'
import { call, follow, list } from './api'
import type { App, Config, Figures, Listener, Stream, Version } from './types'

/** Figures of the last minutes: one number in each list for each second. */
export interface Series {
  time: number[]
  viewers: number[]
  bitRate: number[]
  out: number[]
}

// How many seconds are kept, and of how many streams.
const kept = 600
const mostSeries = 300
// How often streams are asked for although nothing happened, and how soon after something did, in ms.
const every = 10_000
const soon = 300

const changes = [
  'stream.started',
  'stream.lost',
  'stream.returned',
  'stream.taken_over',
  'stream.ended',
  'rendition.added',
  'rendition.removed',
  'events.missed',
]

const newSeries = (): Series => ({ time: [], viewers: [], bitRate: [], out: [] })

/** What the console knows of the server. It follows the server as long as it runs. */
export class Server {
  streams: Stream[] = []
  /** The first list has come. */
  loaded = false
  connected = true
  figures: Figures | null = null
  readonly totals = newSeries()
  readonly series = new Map<string, Series>()
  config: Config = { file: '', options: [], apps: [] }
  listeners: Listener[] = []
  version: Version | null = null

  private readonly watchers = new Set<(figures: boolean) => void>()
  private readonly over = new AbortController()
  private readonly timer: ReturnType<typeof setInterval>
  private refreshing = 0
  private readonly tokens = new Map<string, Promise<string>>()

  constructor() {
    void this.refresh()
    void this.learn()
    this.timer = setInterval(() => {
      if (!document.hidden) void this.refresh()
    }, every)
    document.addEventListener('visibilitychange', () => this.wake(), { signal: this.over.signal })
    void follow(
      ['figures', ...changes.slice(0, -1)],
      ({ type, data }) => {
        if (type === 'figures') this.note(data as Figures)
        else this.refreshSoon()
      },
      is => {
        if (is && !this.connected) this.refreshSoon()
        this.connected = is
        this.tell()
      },
      this.over.signal,
    )
  }

  destroy() {
    this.over.abort()
    clearInterval(this.timer)
    clearTimeout(this.refreshing)
    this.watchers.clear()
  }

  /** Has a listener hear of what is new, and whether that is figures alone, which come each second. */
  watch(listener: (figures: boolean) => void): () => void {
    this.watchers.add(listener)
    return () => this.watchers.delete(listener)
  }

  /** The apps that encoders may publish to. */
  get apps(): App[] {
    const apps = this.config.apps.filter(app => app.live)
    const plain = { name: 'live', live: true, hls: true, flv: true, static_push: 0 }
    return apps.length > 0 ? apps : [plain]
  }

  option(name: string): string {
    return this.config.options.find(option => option.name === name)?.value ?? ''
  }

  /** A port of this server by the name under which the console was called; empty if there is none. */
  origin(...protocols: string[]): string {
    for (const protocol of protocols) {
      const all = this.listeners.filter(l => l.protocol === protocol)
      const secure = location.protocol === 'https:'
      const listener = all.find(l => /s$/.test(l.scheme) === secure) ?? all[0]
      if (!listener) continue
      const standard = listener.scheme === 'rtmp' && listener.port === 1935
      return `${listener.scheme}://${location.hostname}${standard ? '' : `:${listener.port}`}`
    }
    return ''
  }

  /** The address of a stream's watch page, empty if nothing serves it. */
  pageOf(stream: string, token = ''): string {
    const origin = this.origin('hls')
    const path = stream.split('/').map(encodeURIComponent).join('/')
    return origin && `${origin}/${token && `~${token}/`}${path}/`
  }

  /** The same with a token, where viewers need one. */
  async openPageOf(stream: string): Promise<string> {
    const app = stream.slice(0, stream.indexOf('/'))
    const auth = this.config.apps.find(a => a.name === app)?.viewer_auth
    return this.pageOf(stream, auth === 'token' ? await this.tokenFor(app) : '')
  }

  /** Whether streams of any app are recorded. */
  get records(): boolean {
    return this.config.apps.some(recorded)
  }

  /** Whether that one is, or can be. */
  recordsOf(stream: string): boolean {
    const app = stream.slice(0, stream.indexOf('/'))
    return this.config.apps.some(a => a.name === app && recorded(a))
  }

  /** Whether there are other nodes. */
  get clustered(): boolean {
    return this.option('cluster_addr') !== ''
  }

  /** The address of a path of the HLS port that belongs to a stream, with a token where viewers need one. */
  async mediaOf(stream: string, path: string): Promise<string> {
    const app = stream.slice(0, stream.indexOf('/'))
    const auth = this.config.apps.find(a => a.name === app)?.viewer_auth
    const token = auth === 'token' ? `/~${await this.tokenFor(app)}` : ''
    return this.origin('hls') + token + path
  }

  /** A token for all streams of an app, good for as long as a tab stays open. */
  private tokenFor(app: string): Promise<string> {
    const have = this.tokens.get(app)
    if (have) return have
    const body = { paths: [`${app}/*`], for: 86_400 }
    const made = call<{ token: string }>('POST', '/tokens', { body }).then(({ token }) => token)
    this.tokens.set(app, made)
    made.catch(() => this.tokens.delete(app))
    return made
  }

  refreshSoon() {
    clearTimeout(this.refreshing)
    this.refreshing = window.setTimeout(() => void this.refresh(), soon)
  }

  private wake() {
    if (!document.hidden) {
      void this.refresh()
      this.tell()
    }
  }

  private async learn() {
    try {
      const [config, { items }, version] = await Promise.all([
        call<Config>('GET', '/config'),
        call<{ items: Listener[] }>('GET', '/listeners'),
        call<Version>('GET', '/version'),
      ])
      this.config = config
      this.listeners = items
      this.version = version
      this.tell()
    } catch {
      if (!this.over.signal.aborted) setTimeout(() => void this.learn(), 3000)
    }
  }

  private async refresh() {
    try {
      const streams = await list<Stream>('/streams')
      if (this.over.signal.aborted) return
      this.streams = streams
      this.loaded = true
      this.tell()
    } catch {
      // connected says so.
    }
  }

  private note(figures: Figures) {
    this.figures = figures
    const time = Date.parse(figures.time) / 1000
    append(this.totals, time, figures.viewers, figures.bit_rate_in, figures.bit_rate_out)
    for (const { name, viewers, bit_rate } of figures.streams) {
      const series = this.series.get(name) ?? newSeries()
      // The one that was heard of last stands last.
      this.series.delete(name)
      this.series.set(name, series)
      append(series, time, viewers, bit_rate, 0)
    }
    for (const name of this.series.keys()) {
      if (this.series.size <= mostSeries) break
      this.series.delete(name)
    }
    this.tell(true)
  }

  private tell(figures = false) {
    if (document.hidden) return
    for (const watcher of this.watchers) watcher(figures)
  }
}

function recorded(app: App): boolean {
  return !!app.record && app.record !== 'off'
}

function append(series: Series, time: number, viewers: number, bitRate: number, out: number) {
  series.time.push(time)
  series.viewers.push(viewers)
  series.bitRate.push(bitRate)
  series.out.push(out)
  if (series.time.length <= kept) return
  series.time.shift()
  series.viewers.shift()
  series.bitRate.shift()
  series.out.shift()
}

/** Draws a component again when the server has said something; for figures once in so many ms. */
export function useServer(server: Server, pace = 0) {
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    let last = 0
    return server.watch(figures => {
      // A little less than a whole number of seconds is as good.
      if (figures && performance.now() - last < pace - 200) return
      if (figures) last = performance.now()
      redraw(0)
    })
  }, [server, pace])
}
