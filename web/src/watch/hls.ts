import Hls, { ErrorTypes, Events as HlsEvents, type Level } from 'hls.js'
import type { Choice, Engine, Events, Span } from './engine'

// How much faster a player that is behind may play: more is heard in music.
const maxRate = 1.25
// Seconds of what was seen that are kept, for small steps back without the network.
const backBuffer = 60

/** Plays HLS with hls.js. */
export function startHLS(video: HTMLVideoElement, url: string, events: Events): Engine {
  const hls = new Hls({
    // Parts need no remuxing worth a worker, and a worker of its own needs a looser policy of the page.
    enableWorker: false,
    lowLatencyMode: true,
    maxLiveSyncPlaybackRate: maxRate,
    backBufferLength: backBuffer,
    capLevelToPlayerSize: true,
    startFragPrefetch: true,
    abrEwmaDefaultEstimate: 4_000_000,
    // A rendition that was away and is back may be chosen again.
    errorPenaltyExpireMs: 30_000,
  })
  let recovered = false
  hls.on(HlsEvents.ERROR, (_, data) => {
    if (!data.fatal) return
    if (data.type === ErrorTypes.MEDIA_ERROR && !recovered) {
      recovered = true
      hls.recoverMediaError()
      return
    }
    events.failed(data.details)
  })
  for (const event of [
    HlsEvents.MANIFEST_PARSED,
    HlsEvents.LEVELS_UPDATED,
    HlsEvents.LEVEL_SWITCHED,
    HlsEvents.AUDIO_TRACKS_UPDATED,
    HlsEvents.AUDIO_TRACK_SWITCHED,
  ] as const) {
    hls.on(event, () => events.changed())
  }
  hls.loadSource(url)
  hls.attachMedia(video)
  return new HLSEngine(hls)
}

class HLSEngine implements Engine {
  constructor(private readonly hls: Hls) {}

  get name(): string {
    const parts = this.hls.latestLevelDetails?.partList?.length
    return parts ? 'Low-Latency HLS' : 'HLS'
  }

  destroy() {
    this.hls.destroy()
  }

  seen(): number | null {
    return this.hls.playingDate?.getTime() ?? null
  }

  behind(): number {
    return this.hls.latency
  }

  late(): number {
    const { liveSyncPosition, media } = this.hls
    return liveSyncPosition === null || !media ? 0 : liveSyncPosition - media.currentTime
  }

  span(): Span | null {
    const details = this.hls.latestLevelDetails
    const first = details?.fragments.find(fragment => !fragment.gap)
    if (!details || !first) return null
    const live = details.live ? this.hls.liveSyncPosition : details.edge
    return { start: first.start, live: live ?? details.edge }
  }

  qualities(): Choice[] {
    const { levels } = this.hls
    if (levels.length < 2) return []
    const twice = (level: Level) => levels.filter(other => size(other) === size(level)).length > 1
    return levels
      .map((level, id) => ({
        id,
        label: twice(level) ? `${size(level)}, ${rate(level)}` : size(level),
      }))
      .reverse()
  }

  quality(): number {
    return this.hls.autoLevelEnabled ? -1 : this.hls.currentLevel
  }

  setQuality(id: number) {
    this.hls.nextLevel = id
  }

  playing(): string {
    const level = this.hls.levels[this.hls.currentLevel]
    return level ? size(level) : ''
  }

  sounds(): Choice[] {
    const tracks = this.hls.audioTracks
    return tracks.length < 2 ? [] : tracks.map((track, id) => ({ id, label: track.name }))
  }

  sound(): number {
    return this.hls.audioTrack
  }

  setSound(id: number) {
    this.hls.audioTrack = id
  }
}

function size(level: Level): string {
  return level.height > 0 ? `${level.height}p` : rate(level)
}

function rate(level: Level): string {
  return `${(level.bitrate / 1e6).toFixed(1)} Mbit/s`
}
