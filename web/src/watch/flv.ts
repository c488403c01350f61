import mpegts from 'mpegts.js'
import { bufferedEnd, type Choice, type Engine, type Events } from './engine'

// Seconds of media that are kept ahead, and from which on the player catches up.
const ahead = 0.5
const tooMuch = 1.2

export const flvSupported = () => mpegts.isSupported()

/** Plays HTTP-FLV or WebSocket-FLV with mpegts.js. */
export function startFLV(
  video: HTMLVideoElement,
  url: string,
  without: { video?: string; audio?: string },
  events: Events,
): Engine {
  mpegts.LoggingControl.enableAll = false
  const player = mpegts.createPlayer(
    {
      type: 'flv',
      isLive: true,
      url,
      // What is not said, the header of the file does.
      ...(without.video && { hasVideo: false }),
      ...(without.audio && { hasAudio: false }),
    },
    {
      enableStashBuffer: false,
      lazyLoad: false,
      autoCleanupSourceBuffer: true,
      liveSync: true,
      liveSyncTargetLatency: ahead,
      liveSyncMaxLatency: tooMuch,
      liveSyncPlaybackRate: 1.2,
    },
  )
  player.on(mpegts.Events.ERROR, (type: string, detail: string) =>
    events.failed(`${type} ${detail}`),
  )
  player.on(mpegts.Events.MEDIA_INFO, () => events.changed())
  player.attachMediaElement(video)
  player.load()
  const none: Choice[] = []
  return {
    name: url.startsWith('ws') ? 'WebSocket-FLV' : 'HTTP-FLV',
    destroy: () => player.destroy(),
    seen: () => null,
    behind: () => Math.max(0, bufferedEnd(video) - video.currentTime),
    span: () => null,
    late: () => 0,
    qualities: () => none,
    quality: () => -1,
    setQuality() {},
    playing: () => (video.videoHeight > 0 ? `${video.videoHeight}p` : ''),
    sounds: () => none,
    sound: () => -1,
    setSound() {},
  }
}
