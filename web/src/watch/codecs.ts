import type { Status, Track } from './status'

declare global {
  interface Window {
    ManagedMediaSource?: typeof MediaSource
  }
}

/** Whether scripts can feed media to this browser. */
export function hasMediaSource(): boolean {
  return 'MediaSource' in window || 'ManagedMediaSource' in window
}

/** Whether the browser says that it plays HLS by itself. */
export function playsHLS(): boolean {
  return document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== ''
}

/** Whether this is Safari's engine, whose own HLS player is as good as can be. */
export function isSafari(): boolean {
  return navigator.vendor.startsWith('Apple') && playsHLS()
}

/** Whether the page came over a protocol that Safari's Low-Latency HLS needs. */
export function isMultiplexed(): boolean {
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
  return page?.nextHopProtocol === 'h2' || page?.nextHopProtocol === 'h3'
}

// hls.js feeds these under names of their own where the browser does not know the registered ones.
const aliases: Record<string, string> = { 'mp4a.40.34': 'mp3', Opus: 'opus', fLaC: 'flac' }

const known = new Map<string, boolean>()

/** Whether this browser has a decoder for a track. */
export function canDecode({ kind, codecs }: Track): boolean {
  if (!codecs) return false
  const key = `${kind} ${codecs}`
  const answer = known.get(key) ?? asksFor(kind, codecs)
  known.set(key, answer)
  return answer
}

function asksFor(kind: string, codecs: string): boolean {
  const source = window.MediaSource ?? window.ManagedMediaSource
  const video = document.createElement('video')
  return [codecs, aliases[codecs] ?? codecs].some(name => {
    const type = `${kind}/mp4; codecs="${name}"`
    return (
      source?.isTypeSupported(type) ||
      (name === 'mp3' && source?.isTypeSupported('audio/mpeg')) ||
      video.canPlayType(type) === 'probably'
    )
  })
}

/** What of a stream this browser can play. */
export interface Ability {
  /** Codecs of kinds of which nothing can be decoded. */
  missing: { video?: string; audio?: string }
  /** What is left: the tracks of the kinds that can be decoded. */
  tracks: Track[]
}

export function abilityFor(status: Status): Ability {
  const ability: Ability = { missing: {}, tracks: [] }
  for (const kind of ['video', 'audio'] as const) {
    const tracks = (status.tracks ?? []).filter(track => track.kind === kind)
    const good = tracks.filter(canDecode)
    if (tracks[0] && good.length === 0) ability.missing[kind] = tracks[0].codec
    ability.tracks.push(...good)
  }
  return ability
}

/** The media playlist of a track, relative to the page. */
export function playlistOf(track: Track): string {
  const id = `${track.kind === 'video' ? 'v' : 'a'}${track.id}`
  // Sound of several publications has one playlist.
  const whole = track.kind === 'video' && track.rendition ? `${track.rendition}.${id}` : id
  return `index-${whole}.m3u8`
}

const names: Record<string, string> = { H264: 'H.264', HEVC: 'HEVC (H.265)', VVC: 'VVC (H.266)' }

/** How people call a codec. */
export function codecName(codec: string): string {
  return names[codec] ?? codec
}
