import { codecName } from './codecs'
import type { View } from './session'

/** What the viewer reads, by the phase that a view is in. */
export interface Message {
  /** One or two words for the badge, and the badge's look. */
  label: string
  kind: 'live' | 'wait' | 'bad' | 'off'
  /** What stands on the player; none while there is a picture or a moment's wait for one. */
  title?: string
  text?: string
  /** Something is under way. */
  busy?: boolean
  /** Other players may help. */
  links?: boolean
}

export function describe(view: View): Message {
  switch (view.phase) {
    case 'playing':
      return { label: view.paused ? 'Paused' : 'Live', kind: view.paused ? 'off' : 'live' }
    case 'waiting':
      return {
        label: 'Not live yet',
        kind: 'wait',
        title: 'Not live yet',
        text: 'The picture comes by itself when the stream begins.',
        busy: true,
      }
    case 'starting':
      return { label: view.played ? 'Loading' : 'Starting', kind: 'wait', busy: true }
    case 'interrupted':
      return {
        label: 'Interrupted',
        kind: 'wait',
        title: 'The stream is interrupted',
        text: 'It goes on here as soon as it is back.',
        busy: true,
      }
    case 'ended':
      return {
        label: 'Ended',
        kind: 'off',
        title: 'The stream has ended',
        text: 'If it begins again, it plays here by itself.',
      }
    case 'unreachable':
      return {
        label: 'No connection',
        kind: 'bad',
        title: 'The server does not answer',
        text: 'This page keeps trying.',
        busy: true,
      }
    case 'undecodable':
      return undecodable(view)
    case 'unplayable':
      return {
        label: 'Does not play',
        kind: 'bad',
        title: 'The stream does not play in this browser',
        text: 'This page tries again. Another player may do better:',
        links: true,
      }
  }
}

function undecodable(view: View): Message {
  const { video, audio } = view.missing
  const missing = [video, audio].filter(codec => codec !== undefined)
  const codecs = missing.map(codecName).join(' and ')
  const unknown = view.status.tracks?.some(
    ({ codec, codecs }) => !codecs && missing.includes(codec),
  )
  return {
    label: 'Cannot decode',
    kind: 'bad',
    title: unknown ? `Browsers cannot play ${codecs}` : `This browser cannot decode ${codecs}`,
    text: unknown
      ? 'Open the stream in another player:'
      : 'Open the stream in another browser or player:',
    links: true,
  }
}
