// Attaches a player to the page's video and keeps account of how it plays. Times are seconds unless they say otherwise.

'use strict'

const video = document.querySelector('video')
const account = {
  errors: [], // all, by name
  fatal: [], // those after which the player gives up
  switches: [], // levels in the order in which they were played
  halts: [], // {at, seconds}: the position stood still for longer than haltLimit
  behind: [], // samples of the distance to live
  first: 0, // when the first picture was seen, in ms since 1970, 0: none was
  stamp: null, // {value, at}: the bar code seen last and when, in ms since 1970
  complete: false, // the player says that the stream is over
  begun: 0, // how often the page began anew after the player gave up
  played: 0, // seconds that were played, without jumps
}
// Longer than one picture at 10 pictures a second and what a busy machine's timers add.
const haltLimit = 0.3

let hls = null
let flv = null

/** Begins to play; config goes to the player. */
function begin(player, url, config) {
  video.addEventListener('ended', () => (account.complete = true))
  watchPosition()
  watchPictures()
  if (player === 'hls') return beginHLS(url, config)
  if (player === 'mpegts') return beginFLV(url, config)
  return others[player](url, config)
}

const trace = [] // what hls.js says, if the configuration has trace

// startPart is the index of the part of the newest whole segment in which it is to begin.
function beginHLS(url, { trace: traced, startPart, ...config }) {
  if (traced) {
    const say = (...words) => trace.push(`${(performance.now() / 1000).toFixed(3)} @${video.currentTime.toFixed(3)} ${words.join(' ')}`)
    config.debug = { trace: say, debug: say, log: say, warn: say, info: say, error: say }
  }
  hls = new Hls(config)
  if (startPart !== undefined)
    hls.once(Hls.Events.LEVEL_LOADED, (_, { details }) => {
      hls.stopLoad()
      hls.startLoad(details.partList.findLast(part => part.fragment.sn === details.endSN && part.index === startPart).start + 0.01)
    })
  hls.on(Hls.Events.ERROR, (_, data) => {
    account.errors.push(`${data.details} ${data.error?.message ?? ''}`.trim())
    if (data.fatal) account.fatal.push(data.details)
  })
  hls.on(Hls.Events.LEVEL_SWITCHED, (_, data) => account.switches.push(hls.levels[data.level].height))
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(error => account.errors.push(`play: ${error.message}`)))
  hls.loadSource(url)
  hls.attachMedia(video)
}

function beginFLV(url, config) {
  const { source, ...rest } = config
  mpegts.LoggingControl.enableAll = false
  flv = mpegts.createPlayer({ type: 'flv', isLive: true, url, ...source }, rest)
  flv.on(mpegts.Events.ERROR, (type, detail) => {
    account.errors.push(`${type} ${detail}`)
    account.fatal.push(`${type} ${detail}`)
  })
  flv.on(mpegts.Events.LOADING_COMPLETE, () => (account.complete = true))
  flv.attachMediaElement(video)
  flv.load()
  flv.play()?.catch(error => account.errors.push(`play: ${error.message}`))
}

function watchPosition() {
  let last = -1
  let since = performance.now()
  let seen = since
  let halted = null
  setInterval(() => {
    const now = performance.now()
    const position = video.currentTime
    if (position !== last) {
      // Longer steps are jumps, but for a page whose timers were late.
      if (position > last && last >= 0) account.played += Math.min(position - last, 0.1 + (2 * (now - seen)) / 1000)
      if (halted) halted.seconds = (now - since) / 1000
      halted = null
      last = position
      since = now
    } else if (account.played > 0 && !halted && now - since > haltLimit * 1000) {
      halted = { at: position, seconds: 0 }
      account.halts.push(halted)
    }
    seen = now
    if (halted) halted.seconds = (now - since) / 1000
    const behind = distance()
    if (behind !== null && position > 0) account.behind.push(behind)
  }, 50)
}

/** How far what is seen lies behind the server's clock, by EXT-X-PROGRAM-DATE-TIME; null if it is not known. */
function distance() {
  const date = hls?.playingDate
  return date ? (Date.now() - date.getTime()) / 1000 : null
}

// Pictures may carry a number in their upper quarter: eight bars, black for 0 and white for 1, the lowest bit on the left.
function watchPictures() {
  const canvas = document.createElement('canvas')
  canvas.width = 8
  canvas.height = 1
  const context = canvas.getContext('2d', { willReadFrequently: true })
  const look = () => {
    const at = performance.timeOrigin + performance.now()
    account.first ||= at
    const bar = video.videoWidth / 8
    for (let i = 0; i < 8; i++) context.drawImage(video, (i + 0.5) * bar, video.videoHeight / 8, 1, 1, i, 0, 1, 1)
    const pixels = context.getImageData(0, 0, 8, 1).data
    let value = 0
    for (let i = 0; i < 8; i++) if (pixels[i * 4] > 127) value |= 1 << i
    account.stamp = { value, at }
    video.requestVideoFrameCallback(look)
  }
  video.requestVideoFrameCallback(look)
}

// The longest requests tell what a player waited for. Without parts a reload may take a segment.
performance.setResourceTimingBufferSize(20_000)

function slowest() {
  return performance
    .getEntriesByType('resource')
    .filter(entry => entry.duration > 2000)
    .map(entry => `${entry.name} ${entry.responseStatus} from ${Math.round(entry.startTime)} for ${Math.round(entry.duration)} ms`)
    .slice(-10)
}

/** What the tests ask for. The lists of samples and halts begin anew with forget. */
function report() {
  const quality = video.getVideoPlaybackQuality()
  const buffered = video.buffered.length ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0
  return {
    ...account,
    position: video.currentTime,
    paused: video.paused,
    width: video.videoWidth,
    height: video.videoHeight,
    decoded: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    buffered,
    latency: hls?.latency ?? 0,
    target: hls?.targetLatency ?? 0,
    levels: hls?.levels.map(level => `${level.height} ${level.codecSet ?? ''} ${level.attrs?.CODECS ?? ''}`) ?? [],
    level: hls?.currentLevel ?? -1,
    slowest: slowest(),
    mediaError: video.error?.message ?? '',
  }
}

function forget() {
  account.halts = []
  account.behind = []
  account.errors = []
}
