import type { Choice, Engine, Events, Span } from './engine'

interface DatedVideo extends HTMLVideoElement {
  getStartDate?(): Date
}

/** Lets the browser play HLS by itself. */
export function startNative(video: DatedVideo, url: string, events: Events): Engine {
  const failed = () => events.failed(video.error?.message || 'the browser gave up')
  const changed = () => events.changed()
  video.addEventListener('error', failed)
  video.addEventListener('loadedmetadata', changed)
  video.src = url
  const none: Choice[] = []
  return {
    name: 'HLS',
    destroy() {
      video.removeEventListener('error', failed)
      video.removeEventListener('loadedmetadata', changed)
      video.removeAttribute('src')
      video.load()
    },
    seen() {
      const start = video.getStartDate?.().getTime() ?? Number.NaN
      return Number.isNaN(start) ? null : start + video.currentTime * 1000
    },
    behind: () => (span()?.live ?? video.currentTime) - video.currentTime,
    span,
    late: () => 0,
    qualities: () => none,
    quality: () => -1,
    setQuality() {},
    playing: () => (video.videoHeight > 0 ? `${video.videoHeight}p` : ''),
    sounds: () => none,
    sound: () => -1,
    setSound() {},
  }

  function span(): Span | null {
    const { seekable } = video
    if (seekable.length === 0) return null
    return { start: seekable.start(0), live: seekable.end(seekable.length - 1) }
  }
}
