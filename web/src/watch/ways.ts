import {
  type Ability,
  hasMediaSource,
  isMultiplexed,
  isSafari,
  playlistOf,
  playsHLS,
} from './codecs'
import type { Engine, Events } from './engine'
import { startNative } from './native'
import { fetchWithin, type Status } from './status'

/** A way to play a stream. open is null if it turns out not to work from here. */
export interface Way {
  key: string
  open(video: HTMLVideoElement, events: Events): Promise<Engine | null>
}

// The playlist of Low-Latency HLS.
const lowLatency = 'index.m3u8'

/** What a viewer may insist on. */
export type Protocol = 'll-hls' | 'hls' | 'http-flv' | 'ws-flv'

/** The ways to play by one protocol. */
export function waysBy(protocol: Protocol, status: Status, ability: Ability, base?: string): Way[] {
  if (protocol === 'http-flv' || protocol === 'ws-flv') {
    const url = status.urls?.[protocol]
    return url && hasMediaSource() ? [byFLV(url, ability)] : []
  }
  return playlistsFor(status, ability, base)
    .filter(url => isLowLatency(url) === (protocol === 'll-hls'))
    .flatMap(url => (hasMediaSource() ? [byScript(url)] : playsHLS() ? [byBrowser(url)] : []))
}

/** The ways in which this browser may play what it can decode of a stream, the best one first. */
export function waysFor(status: Status, ability: Ability, base?: string): Way[] {
  const [best, ...rest] = playlistsFor(status, ability, base)
  const ways: Way[] = []
  if (best && hasMediaSource()) ways.push(byScript(best))
  if (best && playsHLS()) {
    // Safari's own player does more (HDR, AirPlay), and is as close to live if the protocol is right.
    if (isSafari() && (isMultiplexed() || !hasMediaSource())) ways.unshift(byBrowser(best))
    else ways.push(byBrowser(best))
  }
  const flv = hasMediaSource() ? flvWays(status, ability) : []
  // Without parts HLS is some segments behind, and FLV is not. Of a stream that has just begun FLV has
  // a picture before HLS has a playlist.
  const soon = status.packaged || losesByFLV(status)
  if (best && isLowLatency(best) && soon) ways.push(...flv)
  else ways.unshift(...flv)
  if (hasMediaSource()) ways.push(...rest.map(byScript))
  return ways
}

// Whether FLV costs the viewer something: levels, rewinding, or codecs that its players do not know.
function losesByFLV(status: Status): boolean {
  const known = ['H264', 'AAC', 'MP3']
  const tracks = status.tracks ?? []
  const videos = tracks.filter(track => track.kind === 'video').length
  return !!status.rewind || videos > 1 || tracks.some(track => !known.includes(track.codec))
}

function flvWays(status: Status, ability: Ability): Way[] {
  const urls = [status.urls?.['http-flv'], status.urls?.['ws-flv']]
  return urls.flatMap(url => (url && isOpen(url) ? [byFLV(url, ability)] : []))
}

// Where a kind cannot be decoded, players of a multivariant playlist refuse all of it: they get the
// playlist of the other kind.
function playlistsFor(status: Status, ability: Ability, base?: string): string[] {
  const { video, audio } = ability.missing
  const from = (playlist: string) => (base ? new URL(playlist, base).href : playlist)
  if (!video && !audio) return (status.playlists ?? []).map(from)
  const [track] = [...ability.tracks].sort((a, b) => (b.height ?? 0) - (a.height ?? 0))
  return track && status.playlists?.[0] === lowLatency ? [from(playlistOf(track))] : []
}

function isLowLatency(url: string): boolean {
  return /(^|\/)index[^/]*\.m3u8$/.test(url)
}

// A page that came through a proxy under another name, or over TLS, cannot use the plain port.
function isOpen(url: string): boolean {
  const { hostname, protocol } = new URL(url)
  const secure = protocol === 'https:' || protocol === 'wss:'
  return hostname === location.hostname && (secure || location.protocol === 'http:')
}

function byScript(url: string): Way {
  return {
    key: `hls.js ${url}`,
    async open(video, events) {
      const { startHLS } = await import('./hls')
      return startHLS(video, url, events)
    },
  }
}

function byBrowser(url: string): Way {
  return { key: `native ${url}`, open: async (video, events) => startNative(video, url, events) }
}

// How long the other port may take to answer.
const reachable = 2000

function byFLV(url: string, { missing }: Ability): Way {
  return {
    key: `mpegts.js ${url}`,
    async open(video, events) {
      const plain = url.replace(/^ws/, 'http')
      const [answer, { flvSupported, startFLV }] = await Promise.all([
        fetchWithin(reachable, plain, { method: 'HEAD' }).catch(() => null),
        import('./flv'),
      ])
      if (!answer?.ok) return null
      if (!flvSupported()) return null
      return startFLV(video, url, missing, events)
    },
  }
}
