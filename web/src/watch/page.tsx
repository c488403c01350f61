import type { JSX } from 'preact'
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { codecName } from './codecs'
import { Links, linksOf } from './links'
import { describe } from './messages'
import { Player } from './player'
import { Session } from './session'
import type { Status } from './status'

const embedded = new URLSearchParams(location.search).get('embed') === '1'

/** The watch page: the player with a line and some links below it, or the player alone in a frame. */
export function Page({ first }: { first: Status }): JSX.Element {
  const video = useRef<HTMLVideoElement>(null)
  const still = useRef<HTMLCanvasElement>(null)
  const [session, setSession] = useState<Session | null>(null)
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  const [panel, setPanel] = useState(false)

  useLayoutEffect(() => {
    if (video.current && still.current) setSession(new Session(video.current, still.current, first))
  }, [])
  useEffect(() => session?.subscribe(() => redraw(0)), [session])
  useEffect(() => {
    document.documentElement.classList.toggle('embedded', embedded)
    if ('mediaSession' in navigator) {
      navigator.mediaSession.metadata = new MediaMetadata({ title: first.stream })
    }
  }, [])

  const view = session?.view
  const status = view?.status ?? first
  return (
    <>
      {!embedded && (
        <header class="top">
          <h1>{nameOf(first.stream)}</h1>
          {view && <State view={view} />}
        </header>
      )}
      <main>
        <Player
          video={video}
          still={still}
          session={session}
          embedded={embedded}
          openPanel={() => setPanel(true)}
        />
        {!embedded && (
          <div class="below">
            <p class="facts">{view ? factsOf(view.status, view.engine, view.playing) : ''}</p>
            <button type="button" class="button" onClick={() => setPanel(true)}>
              <Icon name="share" />
              Share and links
            </button>
          </div>
        )}
      </main>
      <Links
        open={panel}
        close={() => setPanel(false)}
        links={linksOf(status)}
        stream={first.stream}
      />
    </>
  )
}

function State({ view }: { view: Session['view'] }): JSX.Element {
  const { label, kind } = describe(view)
  const { viewers } = view.status
  return (
    <p class="state">
      <span class={`badge ${kind}`}>{label}</span>
      <span class="viewers" title="Viewers">
        <Icon name="eye" />
        <span class="unseen">Viewers: </span>
        {viewers}
      </span>
    </p>
  )
}

/** The stream without its app, which all of a server's addresses have in common. */
export function nameOf(stream: string): string {
  return stream.slice(stream.indexOf('/') + 1)
}

function factsOf(status: Status, engine: string, playing: string): string {
  const facts: string[] = []
  for (const kind of ['video', 'audio'] as const) {
    const tracks = (status.tracks ?? []).filter(track => track.kind === kind)
    const best = [...tracks].sort((a, b) => (b.height ?? 0) - (a.height ?? 0))[0]
    if (!best) continue
    const size = best.height ? ` ${best.width}×${best.height}` : ''
    const rate = best.frameRate ? `, ${Math.round(best.frameRate)} fps` : ''
    facts.push(`${codecName(best.codec)}${size}${rate}`)
  }
  if (engine) facts.push(engine)
  if (playing && (status.tracks?.filter(track => track.kind === 'video').length ?? 0) > 1) {
    facts.push(`now ${playing}`)
  }
  return facts.join(' · ')
}
