// The players that pages of player.html may have beside hls.js and mpegts.js. Each does over a fault what docs/players.md tells pages to do.

'use strict'

// How long pages wait before they begin anew, in ms.
const pauseBeforeAgain = 2000

/** Loads a script of the site once. */
function need(name) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script')
    script.src = name
    script.onload = resolve
    script.onerror = () => reject(new Error(`no ${name}`))
    document.head.append(script)
  })
}

/** Notes that the player gave up, and begins anew after a pause. */
function again(reason, begin) {
  account.errors.push(reason)
  account.begun++
  setTimeout(begin, pauseBeforeAgain)
}

const others = {
  async shaka(url, config) {
    await need('shaka-player.compiled.js')
    shaka.polyfill.installAll()
    const player = new shaka.Player()
    await player.attach(video)
    const retryParameters = { maxAttempts: 10, baseDelay: 500 }
    player.configure({
      streaming: { lowLatencyMode: true, liveSync: { enabled: true, targetLatency: 2 }, retryParameters },
      manifest: { retryParameters },
      ...config,
    })
    const load = async () => {
      try {
        await player.load(url)
        await video.play()
      } catch (error) {
        again(`shaka ${error.code ?? error}`, load)
      }
    }
    // A live stream is tried again by the player itself: only one that still stands is loaded again.
    let doubt = 0
    player.addEventListener('error', ({ detail }) => {
      account.errors.push(`shaka ${detail.code}`)
      if (doubt) return
      const position = video.currentTime
      doubt = setTimeout(() => {
        doubt = 0
        if (video.currentTime - position < 1) again('shaka stands', load)
      }, 6000)
    })
    await load()
  },

  hlsAgain(url, config) {
    hls = new Hls(config)
    const mine = hls
    mine.on(Hls.Events.MANIFEST_PARSED, () => video.play().catch(() => {}))
    mine.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) return
      mine.destroy()
      again(`hls.js ${error.details}`, () => others.hlsAgain(url, config))
    })
    mine.loadSource(url)
    mine.attachMedia(video)
  },

  async videojs(url, config) {
    await need('video.min.js')
    const player = videojs(video, { autoplay: 'muted', liveui: true, html5: { vhs: { overrideNative: true, llhls: false } }, ...config })
    const source = { src: url, type: 'application/x-mpegURL' }
    player.src(source)
    player.on('error', () =>
      again(`video.js ${player.error()?.code} ${player.error()?.message}`, () => {
        player.error(null)
        player.src(source)
      }),
    )
  },

  native(url) {
    const load = () => {
      video.src = url
      video.play().catch(() => {})
    }
    video.addEventListener('error', () => again(`video ${video.error?.code} ${video.error?.message}`, load))
    load()
  },

  mpegtsAgain(url, config) {
    const { source, ...rest } = config
    mpegts.LoggingControl.enableAll = false
    let player = null
    const load = () => {
      player?.destroy()
      player = mpegts.createPlayer({ type: 'flv', isLive: true, url, ...source }, { liveSync: true, liveSyncTargetLatency: 1, autoCleanupSourceBuffer: true, ...rest })
      const mine = player
      let ended = false
      const over = reason => {
        if (mine === player && !ended) again(reason, load)
        ended = true
      }
      player.on(mpegts.Events.ERROR, (type, detail) => over(`mpegts.js ${type} ${detail}`))
      player.on(mpegts.Events.LOADING_COMPLETE, () => over('mpegts.js complete'))
      player.attachMediaElement(video)
      player.load()
      player.play()?.catch(() => {})
    }
    load()
  },
}
