import { codecName } from '../watch/codecs'
import type { Publication, Session, Stream, Track } from './types'

/** What can be said of a stream's health, and what to do. */
export interface Hint {
  level: 'good' | 'note' | 'bad'
  text: string
}

// From where on people notice, or players have trouble.
const longKeyInterval = 3 // s
const shortKeyInterval = 0.9 // s
const missingFrames = 0.85 // of those that the header announces
const fallenRate = 0.4 // of the mean bit rate
const settledAfter = 20 // s of uptime
const muchDrift = 300 // parts per million
const muchLag = 3 // s

export function hintsFor(stream: Stream, sessions: Session[]): Hint[] {
  const hints: Hint[] = []
  if (stream.state === 'interrupted') {
    hints.push({
      level: 'bad',
      text: 'The encoder is gone. Viewers see the last picture until it is back, or the stream ends.',
    })
  }
  for (const publication of stream.publications) {
    const name = stream.publications.length > 1 ? `${publication.rendition || 'main'}: ` : ''
    hints.push(...publicationHints(publication).map(h => ({ ...h, text: name + h.text })))
  }
  const tracks = stream.publications.flatMap(p => p.tracks)
  hints.push(...trackHints(tracks), ...ladderHints(stream), ...viewerHints(sessions))
  if (hints.length === 0) {
    hints.push({ level: 'good', text: 'All is well: nothing to improve.' })
  }
  return hints
}

function publicationHints(p: Publication): Hint[] {
  const hints: Hint[] = []
  const add = (level: Hint['level'], text: string) => hints.push({ level, text })
  const interval = p.key_frame_interval ?? 0
  if (interval > longKeyInterval) {
    add(
      'bad',
      `Key frames are ${seconds(interval)} apart: viewers wait longer than needed; set 2 s in the encoder.`,
    )
  } else if (interval > 0 && interval < shortKeyInterval) {
    add('note', `Key frames come every ${seconds(interval)}: 2 s look better at the same bit rate.`)
  }
  const settled = (p.uptime ?? 0) > settledAfter
  const announced = p.tracks.find(track => track.kind === 'video')?.frame_rate ?? 0
  if (settled && p.frame_rate && announced && p.frame_rate < announced * missingFrames) {
    add(
      'bad',
      `${Math.round(p.frame_rate)} of ${Math.round(announced)} pictures a second arrive: the encoder, or its network, is too slow.`,
    )
  }
  if (settled && p.bit_rate < p.mean_bit_rate * fallenRate) {
    add('note', 'Much less arrives than usual: a still picture, or a network that is too slow.')
  }
  if (p.time_jumps > 0) {
    const times = p.time_jumps === 1 ? 'once' : `${p.time_jumps} times`
    add('note', `The encoder's clock jumped ${times}: viewers may have noticed a cut.`)
  }
  if (Math.abs(p.clock_drift ?? 0) > muchDrift) {
    const way = (p.clock_drift ?? 0) > 0 ? 'fast' : 'slow'
    add(
      'note',
      `The encoder's clock runs ${Math.round(Math.abs(p.clock_drift ?? 0))} parts per million ${way}: over hours viewers fall behind or wait.`,
    )
  }
  for (const { what, times } of p.faults ?? []) {
    add('note', `The encoder should not send ${what} (${times === 1 ? 'once' : `${times} times`}).`)
  }
  return hints
}

function trackHints(tracks: Track[]): Hint[] {
  const hints: Hint[] = []
  const add = (level: Hint['level'], text: string) => hints.push({ level, text })
  const without = new Set(tracks.filter(t => !t.codecs).map(t => codecName(t.codec)))
  for (const codec of without)
    add('bad', `HLS does not carry ${codec}: it plays over RTMP and FLV.`)
  if (tracks.some(t => t.codec === 'HEVC')) {
    add('note', 'Not all browsers decode HEVC (H.265). H.264 plays everywhere.')
  }
  const rich = tracks.find(t => t.codec === 'H264' && /High (10|4:2:2|4:4:4)/.test(t.profile ?? ''))
  if (rich) {
    add('bad', `Browsers do not decode H.264 ${rich.profile}: set the colour format 4:2:0 (NV12).`)
  }
  if (tracks.length > 0 && !tracks.some(t => t.kind === 'audio')) {
    add('note', 'There is no sound.')
  }
  return hints
}

/** Renditions are aligned by their key frames. */
function ladderHints({ publications }: Stream): Hint[] {
  const intervals = publications.map(p => p.key_frame_interval ?? 0).filter(i => i > 0)
  if (Math.max(...intervals) - Math.min(...intervals) <= 0.1) return []
  if (intervals.length < 2) return []
  return [
    {
      level: 'bad',
      text: 'The renditions have different key frame intervals: give all of them the same, so that players can switch.',
    },
  ]
}

function viewerHints(sessions: Session[]): Hint[] {
  const slow = sessions.filter(s => s.role === 'viewer' && (s.lag > muchLag || s.jumps > 0)).length
  if (slow === 0) return []
  const who = slow === 1 ? 'One viewer has' : `${slow} viewers have`
  return [
    {
      level: 'note',
      text: `${who} a connection that is too slow for this bit rate: a smaller rendition would help.`,
    },
  ]
}

function seconds(n: number): string {
  return `${n >= 10 ? Math.round(n) : Number(n.toFixed(1))} s`
}
