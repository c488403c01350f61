import { type Ability, abilityFor } from './codecs'
import { bufferedEnd, type Choice, type Engine } from './engine'
import { Clock, fetchStatus, type Status } from './status'
import { recall, remember } from './store'
import { type Protocol, type Way, waysBy, waysFor } from './ways'

/** What the viewer is told. */
export type Phase =
  | 'waiting' // nobody publishes the stream yet
  | 'starting' // it begins, or the network is slow
  | 'playing'
  | 'interrupted' // the encoder or the server was lost and is waited for
  | 'ended'
  | 'unreachable' // the server does not answer
  | 'undecodable' // this browser has no decoder for the picture, or for all there is
  | 'unplayable' // nothing that was tried plays

/** All that the page shows. It never changes: there is a new one instead. */
export interface View {
  phase: Phase
  status: Status
  /** Something was seen since the page was opened. */
  played: boolean
  /** The viewer has paused, or the browser wants a gesture first. */
  paused: boolean
  muted: boolean
  volume: number
  audioOnly: boolean
  missing: Ability['missing']
  canListen: boolean
  engine: string
  /** Seconds behind live, null if that is not known. */
  latency: number | null
  /** Positions on the video's time, null where one cannot rewind. */
  rewind: { start: number; live: number; position: number } | null
  atLive: boolean
  qualities: Choice[]
  quality: number
  playing: string
  sounds: Choice[]
  sound: number
  captions: boolean
  captionsShown: boolean
}

// All times are in ms.
const tickEvery = 250
// From when on a picture that stands counts as standing. Parts come every 200 ms.
const standing = 700
// How long a picture may stand while the stream is live and nothing more arrives.
const stuckLimit = 2500
// The same for a player that did not notice that the stream is back, which was so recently.
const backLimit = 1200
const recently = 5000
// The same from an engine's start on, for the first time. Doubled with each failure.
const startLimit = 4000
const longestLimit = 30_000
// How long a stuck player may have media ahead before it is moved there.
const jumpAfter = 1000
// How far behind live a viewer may fall that did not want to.
const farBehind = 5
// A player that has run for so long has got over its faults.
const steady = 5000
// A way that failed so often is left for the next one.
const triesPerWay = 2
// After all ways failed.
const giveUpFor = 15_000
// For how long a stream that is gone without an end is expected back.
const hopeFor = 60_000
const slowPoll = 10_000
const fastPoll = 500
// A window of at least so many seconds is worth a bar.
const leastRewind = 20

/** What a session may be told beside the stream. */
export interface Place {
  /** The address of the stream's page, if that is not this one. */
  base?: string
  /** Play by nothing else. */
  protocol?: Protocol
}

/** Keeps a stream playing in a video element, whatever happens to encoder, server and network. */
export class Session {
  view: View
  private status: Status
  private readonly clock = new Clock()
  private readonly listeners = new Set<() => void>()

  private engine: Engine | null = null
  private way: Way | null = null
  private ways: Way[] = []
  private failures = new Map<string, number>()
  private opening = 0
  private startAfter = 0

  private wanted = true
  private rewound = false
  private listenOnly = false
  private played = false
  private moved = false
  private lastMove = 0
  private lastPosition = 0
  private lastFill = 0
  private lastBuffered = 0
  private startedAt = 0
  private liveSince = 0
  private jumpedAt = 0

  private misses = 0
  /** When the stream was last heard of as live or interrupted; 0 once it is known to have ended. */
  private aliveAt = 0
  private polling = false
  private polledAt = performance.now()
  private calmSince = performance.now()

  private readonly over = new AbortController()
  private readonly timer: ReturnType<typeof setInterval>

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly still: HTMLCanvasElement,
    first: Status,
    readonly place: Place = {},
  ) {
    this.status = first
    const { signal } = this.over
    video.muted = recall('sound') !== 'on'
    video.volume = Number(recall('volume') ?? 1)
    this.view = this.look()
    for (const event of ['volumechange', 'play', 'pause', 'seeked', 'playing', 'timeupdate']) {
      video.addEventListener(event, () => this.tick(), { signal })
    }
    video.addEventListener('pause', () => this.pausedFromOutside(), { signal })
    document.addEventListener('visibilitychange', () => this.wake(), { signal })
    window.addEventListener('online', () => this.wake(), { signal })
    this.timer = setInterval(() => this.tick(), tickEvery)
    void this.poll()
    this.tick()
  }

  /** Ends it. The video element may be used again. */
  destroy() {
    this.over.abort()
    clearInterval(this.timer)
    this.listeners.clear()
    this.opening++
    this.engine?.destroy()
    this.engine = null
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  // What viewers do.

  togglePlay() {
    if (this.wanted && !this.video.paused) {
      this.wanted = false
      this.video.pause()
    } else {
      this.wanted = true
      if (!this.canRewind()) this.goLive()
      else if (this.view.phase === 'playing') this.rewound = true
      void this.play()
    }
    this.tick()
  }

  setMuted(muted: boolean) {
    this.video.muted = muted
    if (!muted && this.video.volume === 0) this.video.volume = 1
    remember('sound', muted ? 'off' : 'on')
    if (this.wanted && this.video.paused) void this.play()
    this.tick()
  }

  setVolume(volume: number) {
    this.video.volume = Math.min(1, Math.max(0, volume))
    this.video.muted = this.video.volume === 0
    remember('volume', String(this.video.volume))
    remember('sound', this.video.muted ? 'off' : 'on')
    this.tick()
  }

  seek(position: number) {
    const span = this.engine?.span()
    if (!span) return
    if (position >= span.live - 1) return this.goLive()
    this.rewound = true
    this.moveTo(Math.max(position, span.start + 0.5))
  }

  step(seconds: number) {
    if (this.canRewind()) this.seek(this.video.currentTime + seconds)
  }

  goLive() {
    const span = this.engine?.span()
    this.rewound = false
    if (span && span.live > this.video.currentTime) this.moveTo(span.live)
    this.wanted = true
    void this.play()
    this.tick()
  }

  setQuality(id: number) {
    this.engine?.setQuality(id)
    this.tick()
  }

  setSound(id: number) {
    this.engine?.setSound(id)
    this.tick()
  }

  /** Plays the sound of a stream whose picture this browser cannot decode. */
  listen() {
    this.listenOnly = true
    this.setMuted(false)
  }

  toggleCaptions() {
    const shown = this.view.captionsShown
    for (const track of this.captionTracks()) track.mode = 'hidden'
    const [first] = this.captionTracks()
    if (first && !shown) first.mode = 'showing'
    this.tick()
  }

  // The watch over the player.

  private tick() {
    if (this.over.signal.aborted) return
    const now = performance.now()
    this.observe(now)
    const { state } = this.status
    if (this.engine) {
      if (this.wanted && this.video.paused && !this.video.ended) void this.play()
      if (!this.standsFor(now, standing)) this.settle(now)
      else if (state === 'live' && this.misses === 0) this.help(now)
      else if (state !== 'interrupted' && this.misses === 0 && this.standsFor(now, 1000))
        this.stop()
    } else if (state === 'live' && this.misses === 0 && now >= this.startAfter) {
      void this.start()
    }
    this.pollIfDue(now)
    this.show()
  }

  /** Notes what moved since the last time. */
  private observe(now: number) {
    const position = this.video.currentTime
    if (position !== this.lastPosition) {
      if (position > 0 && this.engine && !this.video.seeking && this.video.readyState > 1) {
        this.lastMove = now
        if (!this.moved) this.unfreeze()
        this.moved = this.played = true
      }
      this.lastPosition = position
    }
    const end = bufferedEnd(this.video)
    if (end !== this.lastBuffered) {
      this.lastBuffered = end
      this.lastFill = now
    }
  }

  /** Whether the picture stands for some time against the viewer's wish. */
  private standsFor(now: number, time: number): boolean {
    if (!this.wanted && this.moved) return false
    return !this.moved || this.video.ended || now - this.lastMove > time
  }

  /** All is well. */
  private settle(now: number) {
    if (now - this.startedAt > steady && this.way) this.failures.delete(this.way.key)
    const late = this.engine?.late() ?? 0
    if (this.wanted && !this.rewound && late > farBehind && now - this.jumpedAt > steady) {
      this.jumpedAt = now
      this.goLive()
    }
  }

  /** The stream is live, and the picture stands. */
  private help(now: number) {
    if (this.video.ended) return this.fail() // what begins after an end is another playlist
    const ahead = this.nextMedia()
    if (
      ahead !== null &&
      this.moved &&
      now - this.lastMove > jumpAfter &&
      now - this.jumpedAt > jumpAfter
    ) {
      this.jumpedAt = now
      this.moveTo(ahead)
      return
    }
    const tries = this.failures.get(this.way?.key ?? '') ?? 0
    const stuck = now - this.liveSince < recently ? backLimit : stuckLimit
    const limit = this.moved ? stuck : startLimit
    const quiet = now - Math.max(this.lastMove, this.lastFill, this.liveSince, this.startedAt)
    const still = now - Math.max(this.lastMove, this.liveSince, this.startedAt)
    const longest = Math.min(longestLimit, limit * 2 ** tries)
    if (quiet > longest || still > 2 * longest + 2000) this.fail()
  }

  /** Where media goes on that the player stands in front of, null if there is none. */
  private nextMedia(): number | null {
    const { buffered, currentTime } = this.video
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.end(i) < currentTime + 0.3) continue
      return Math.max(buffered.start(i) + 0.05, Math.min(currentTime + 0.1, buffered.end(i) - 0.1))
    }
    return null
  }

  private async start() {
    const ability = abilityFor(this.status)
    if (ability.tracks.length === 0 || (ability.missing.video && !this.listenOnly)) return
    const { base, protocol } = this.place
    this.ways = protocol
      ? waysBy(protocol, this.status, ability, base)
      : waysFor(this.status, ability, base)
    const way = this.ways.find(way => (this.failures.get(way.key) ?? 0) < triesPerWay)
    if (!way) {
      this.startAfter = performance.now() + giveUpFor
      this.failures.clear()
      return
    }
    const turn = ++this.opening
    this.way = way
    this.startAfter = Number.POSITIVE_INFINITY
    const engine = await way
      .open(this.video, {
        failed: () => turn === this.opening && this.fail(),
        changed: () => this.show(),
      })
      .catch(() => null)
    if (turn !== this.opening) return engine?.destroy()
    if (!engine) {
      this.failures.set(way.key, triesPerWay)
      this.startAfter = 0
      return
    }
    this.engine = engine
    this.moved = false
    this.startedAt = performance.now()
    this.lastPosition = this.video.currentTime
    if (this.wanted) void this.play()
    this.show()
  }

  /** The engine does not play. It may be the stream that is gone: the server knows. */
  private fail() {
    const key = this.way?.key ?? ''
    this.stop()
    const tries = (this.failures.get(key) ?? 0) + 1
    this.startAfter = Number.POSITIVE_INFINITY
    void this.poll().then(() => {
      if (this.status.state === 'live' && this.misses === 0) this.failures.set(key, tries)
      this.startAfter = performance.now() + (tries - 1) * fastPoll
      this.tick()
    })
  }

  private stop() {
    this.freeze()
    this.opening++
    this.engine?.destroy()
    this.engine = null
    this.moved = false
    this.rewound = false
    this.startAfter = 0
  }

  private async play() {
    try {
      await this.video.play()
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return
      if (this.video.muted) this.wanted = false
      else this.video.muted = true // without sound browsers allow it
    }
    this.show()
  }

  private pausedFromOutside() {
    // Media keys and the browser's own buttons. An end, and a change of the source, are none of these.
    if (this.engine && this.moved && !this.video.ended && !document.hidden) this.wanted = false
  }

  private moveTo(position: number) {
    this.lastMove = performance.now()
    this.video.currentTime = position
    this.tick()
  }

  /** Keeps the last picture while there is no player. */
  private freeze() {
    const { videoWidth, videoHeight } = this.video
    if (!this.moved || videoWidth === 0) return
    this.still.width = videoWidth
    this.still.height = videoHeight
    this.still.getContext('2d')?.drawImage(this.video, 0, 0)
    this.still.hidden = false
  }

  private unfreeze() {
    this.still.hidden = true
  }

  // The server.

  private wake() {
    if (!document.hidden) void this.poll()
  }

  private pollIfDue(now: number) {
    const calm = this.phase() === 'playing'
    if (calm) this.calmSince = now
    const restless = now - this.calmSince
    let every = fastPoll
    if (calm) every = now - this.startedAt < slowPoll ? slowPoll / 3 : slowPoll
    else if (restless > 600_000) every = 6 * fastPoll
    else if (restless > 60_000) every = 2 * fastPoll
    if (document.hidden) every = Math.max(every, 3000)
    if (!this.polling && now - this.polledAt > every) void this.poll()
  }

  private async poll() {
    this.polling = true
    const sent = performance.now()
    try {
      const status = await fetchStatus<Status>(this.place.base)
      this.clock.note(status, sent)
      this.heard(status)
    } catch {
      this.misses++
    }
    // Viewers of one stream must not all ask at the same moment.
    this.polledAt = performance.now() - Math.random() * fastPoll * 0.3
    this.polling = false
    this.show()
  }

  private heard(status: Status) {
    const { state } = status
    if (state === 'live') {
      if (this.status.state !== 'live' || this.misses > 0) {
        this.liveSince = performance.now()
        this.startAfter = Math.min(this.startAfter, this.liveSince)
        this.failures.clear()
      }
    }
    if (state === 'live' || state === 'interrupted') this.aliveAt = performance.now()
    else if (state === 'ended') this.aliveAt = 0
    this.misses = 0
    this.status = status
  }

  // What the page shows.

  private phase(): Phase {
    const now = performance.now()
    if (this.engine && this.moved && !this.standsFor(now, standing)) return 'playing'
    if (this.misses > 1) return 'unreachable'
    switch (this.status.state) {
      case 'interrupted':
        return 'interrupted'
      case 'ended':
        return 'ended'
      case 'starting':
        return this.played ? 'interrupted' : 'starting'
      case 'offline':
        if (!this.played) return 'waiting'
        // An end is told for some seconds. A stream that is gone without one was cut off.
        return this.aliveAt > 0 && now - this.aliveAt < hopeFor ? 'interrupted' : 'ended'
    }
    const { missing, tracks } = abilityFor(this.status)
    if (tracks.length === 0 || (missing.video && !this.listenOnly)) return 'undecodable'
    if (!this.engine && this.startAfter > now && this.startAfter < Number.POSITIVE_INFINITY) {
      return this.failures.size === 0 ? 'unplayable' : 'starting'
    }
    return 'starting'
  }

  private behind(): number | null {
    if (!this.engine || !this.moved) return null
    const seen = this.engine.seen()
    const now = this.clock.now()
    return seen === null || now === null ? this.engine.behind() : Math.max(0, (now - seen) / 1000)
  }

  private canRewind(): boolean {
    const span = this.engine?.span()
    return !!this.status.rewind && !!span && span.live - span.start > leastRewind
  }

  private captionTracks(): TextTrack[] {
    return [...this.video.textTracks].filter(
      ({ kind }) => kind === 'captions' || kind === 'subtitles',
    )
  }

  private look(): View {
    const { engine, video, status } = this
    const { missing, tracks } = abilityFor(status)
    const span = engine && this.canRewind() ? engine.span() : null
    const behind = this.behind()
    const captions = this.captionTracks()
    return {
      phase: this.phase(),
      status,
      played: this.played,
      paused: !this.wanted,
      muted: video.muted,
      volume: video.volume,
      audioOnly: tracks.length > 0 && !tracks.some(track => track.kind === 'video'),
      missing,
      canListen: !!missing.video && tracks.some(track => track.kind === 'audio'),
      engine: engine?.name ?? '',
      latency: behind === null ? null : Math.round(behind * 10) / 10,
      rewind: span && {
        ...span,
        position: this.rewound ? Math.round(video.currentTime * 4) / 4 : span.live,
      },
      atLive: !this.rewound && this.wanted,
      qualities: engine?.qualities() ?? [],
      quality: engine?.quality() ?? -1,
      playing: engine?.playing() ?? '',
      sounds: engine?.sounds() ?? [],
      sound: engine?.sound() ?? -1,
      captions: captions.length > 0,
      captionsShown: captions.some(track => track.mode === 'showing'),
    }
  }

  private show() {
    const view = this.look()
    if (JSON.stringify(view) === JSON.stringify(this.view)) return
    this.view = view
    for (const listener of this.listeners) listener()
  }
}
