import './player.css'
import type { JSX, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Copy } from '../ui/copy'
import { Icon } from '../ui/icons'
import { Controls, toggleFullscreen } from './controls'
import { linksOf, simplest } from './links'
import { describe } from './messages'
import { nameOf } from './page'
import type { Session, View } from './session'

// How long the controls stay after the last sign of life, in ms.
const idleAfter = 3000

interface Props {
  video: RefObject<HTMLVideoElement | null>
  still: RefObject<HTMLCanvasElement | null>
  session: Session | null
  embedded: boolean
  /** Keys are for the player only while it has the focus. */
  beside?: boolean
  openPanel(): void
}

/** The picture to show before the stream has one. */
function posterOf(session: Session | null): string | undefined {
  const poster = session?.view.status.poster
  return poster ? (session?.place.base ?? '') + poster : undefined
}

/** The picture with what lies on it. */
export function Player({ video, still, session, embedded, beside, openPanel }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [idle, stir] = useIdle()
  const view = session?.view
  useKeys(session, box, !!beside, stir)

  const shape = video.current?.videoWidth ? video.current : null
  useEffect(() => {
    if (shape)
      box.current?.style.setProperty('--shape', String(shape.videoWidth / shape.videoHeight))
  }, [shape?.videoWidth, shape?.videoHeight])

  const soundOnly = view?.audioOnly && hasMedia(view)
  const quiet = idle && view?.phase === 'playing' && !view.paused
  return (
    <div
      ref={box}
      class={`player${quiet ? ' quiet' : ''}${soundOnly ? ' sound-only' : ''}`}
      data-phase={view?.phase}
      onPointerMove={stir}
      onPointerDown={stir}
      onFocusIn={stir}
    >
      <video
        ref={video}
        playsInline
        preload="auto"
        poster={posterOf(session)}
        aria-label={session ? `Live stream ${nameOf(session.view.status.stream)}` : 'Live stream'}
        onClick={event => {
          // A finger shows the controls, a mouse pauses.
          if ((event as unknown as PointerEvent).pointerType === 'mouse') session?.togglePlay()
        }}
        onDblClick={() => toggleFullscreen(box.current, video.current)}
      />
      <canvas ref={still} class="still" hidden />
      {view && soundOnly && (
        <Bars still={view.phase !== 'playing' || view.paused} name={nameOf(view.status.stream)} />
      )}
      {session && view && <Overlay session={session} view={view} openPanel={openPanel} />}
      {session && view && (
        <Controls
          session={session}
          view={view}
          box={box}
          video={video}
          embedded={embedded}
          openPanel={openPanel}
        />
      )}
    </div>
  )
}

/** What stands where there is no picture. */
function Bars({ still, name }: { still: boolean; name: string }): JSX.Element {
  return (
    <div class={`bars${still ? ' at-rest' : ''}`} aria-hidden="true">
      <p>{name}</p>
      <div>
        {Array.from({ length: 24 }, (_, i) => (
          <i key={i} />
        ))}
      </div>
    </div>
  )
}

/** Messages, the sign of waiting, and the two buttons that a first-time viewer needs. */
function Overlay({
  session,
  view,
  openPanel,
}: {
  session: Session
  view: View
  openPanel(): void
}): JSX.Element {
  const message = describe(view)
  const blocked = view.paused && (view.phase === 'playing' || view.phase === 'starting')
  const links = linksOf(view.status, session.place.base)
  return (
    <>
      <div class="unseen" role="status">
        {message.title ? `${message.title}. ${message.text ?? ''}` : message.label}
      </div>
      {view.phase === 'playing' && !view.paused && view.muted && hasSound(view) && (
        <button type="button" class="sound" onClick={() => session.setMuted(false)}>
          <Icon name="muted" />
          Turn on sound
        </button>
      )}
      {view.phase === 'playing' && view.missing.audio && (
        <p class="note">No sound: this browser cannot decode {view.missing.audio}</p>
      )}
      {blocked && (
        <button type="button" class="big" aria-label="Play" onClick={() => session.togglePlay()}>
          <Icon name="play" />
        </button>
      )}
      {!blocked && message.busy && !message.title && <div class="spinner" />}
      {message.title && (
        <div class="message">
          {message.busy && <div class="spinner" />}
          <h2>{message.title}</h2>
          {message.text && <p>{message.text}</p>}
          {message.links && (
            <div class="ways">
              <Copy label="VLC and others" text={simplest(links)} />
              <div class="row">
                {view.canListen && (
                  <button type="button" class="button" onClick={() => session.listen()}>
                    <Icon name="sound" />
                    Listen to the sound
                  </button>
                )}
                <button type="button" class="button" onClick={openPanel}>
                  <Icon name="open" />
                  All links
                </button>
              </div>
            </div>
          )}
        </div>
      )}
    </>
  )
}

/** Whether there is something to play, or will be in a moment. */
export function hasMedia({ phase }: View): boolean {
  return phase === 'playing' || phase === 'starting'
}

export function hasSound(view: View): boolean {
  return (
    view.missing.audio === undefined && !!view.status.tracks?.some(track => track.kind === 'audio')
  )
}

/** Whether nothing was touched for a while, and what to call when something is. */
function useIdle(): [boolean, () => void] {
  const [idle, setIdle] = useState(false)
  const timer = useRef(0)
  const stir = () => {
    setIdle(false)
    clearTimeout(timer.current)
    timer.current = window.setTimeout(() => setIdle(true), idleAfter)
  }
  useEffect(() => {
    stir()
    return () => clearTimeout(timer.current)
  }, [])
  return [idle, stir]
}

/** The keys that players have everywhere. */
function useKeys(
  session: Session | null,
  box: RefObject<HTMLDivElement | null>,
  beside: boolean,
  stir: () => void,
) {
  useEffect(() => {
    if (!session) return
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]'))
        return
      const on = event.target instanceof HTMLElement ? event.target : document.body
      if (beside && !box.current?.contains(on)) return
      if (on.closest('input:not([type=range]), textarea, select, summary, [role=menu]')) return
      const range = on.closest('input[type=range]') !== null
      const button = on.closest('button, a') !== null
      const { view } = session
      const actions: Record<string, (() => void) | false> = {
        ' ': !button && (() => session.togglePlay()),
        k: () => session.togglePlay(),
        m: () => session.setMuted(!view.muted),
        f: () => toggleFullscreen(box.current, box.current?.querySelector('video') ?? null),
        c: () => session.toggleCaptions(),
        j: () => session.step(-10),
        l: () => session.goLive(),
        End: !range && (() => session.goLive()),
        ArrowLeft: !range && (() => session.step(-10)),
        ArrowRight: !range && (() => session.step(10)),
        ArrowUp: !range && (() => session.setVolume((view.muted ? 0 : view.volume) + 0.1)),
        ArrowDown: !range && (() => session.setVolume((view.muted ? 0 : view.volume) - 0.1)),
      }
      const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key]
      if (!action) return
      event.preventDefault()
      action()
      stir()
    }
    document.addEventListener('keydown', pressed)
    return () => document.removeEventListener('keydown', pressed)
  }, [session])
}
