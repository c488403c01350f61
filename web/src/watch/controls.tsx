import type { JSX, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from '../ui/icons'
import { clock } from './clock'
import type { Choice } from './engine'
import { page } from './links'
import { nameOf } from './page'
import { hasMedia, hasSound } from './player'
import type { Session, View } from './session'

interface Props {
  session: Session
  view: View
  box: RefObject<HTMLDivElement | null>
  video: RefObject<HTMLVideoElement | null>
  embedded: boolean
  openPanel(): void
}

/** The bar at the bottom of the player. */
export function Controls({
  session,
  view,
  box,
  video,
  embedded,
  openPanel,
}: Props): JSX.Element | null {
  const full = useFullscreen()
  const media = hasMedia(view)
  if (!media && !embedded && !full) return null
  return (
    <div class="controls">
      {view.rewind && <Timeline session={session} {...view.rewind} />}
      <div class="row">
        {media && (
          <Button
            icon={view.paused ? 'play' : 'pause'}
            label={view.paused ? 'Play' : 'Pause'}
            keys="k"
            onClick={() => session.togglePlay()}
          />
        )}
        {media && hasSound(view) && (
          <div class="volume">
            <Button
              icon={view.muted ? 'muted' : 'sound'}
              label={view.muted ? 'Turn on sound' : 'Mute'}
              keys="m"
              onClick={() => session.setMuted(!view.muted)}
            />
            <input
              type="range"
              min="0"
              max="1"
              step="0.05"
              aria-label="Volume"
              value={view.muted ? 0 : view.volume}
              onInput={event => session.setVolume(Number(event.currentTarget.value))}
            />
          </div>
        )}
        <LiveBadge session={session} view={view} />
        {embedded && (
          <a class="name" href={page()} target="_blank" rel="noopener">
            {nameOf(view.status.stream)}
          </a>
        )}
        <span class="gap" />
        {embedded && (
          <span class="viewers" title="Viewers">
            <Icon name="eye" />
            <span class="unseen">Viewers: </span>
            {view.status.viewers}
          </span>
        )}
        <Menu
          icon="sound"
          label="Sound track"
          choices={view.sounds}
          chosen={view.sound}
          choose={id => session.setSound(id)}
        />
        <Menu
          icon="quality"
          label="Quality"
          choices={
            view.qualities.length > 0 ? [{ id: -1, label: automatic(view) }, ...view.qualities] : []
          }
          chosen={view.quality}
          choose={id => session.setQuality(id)}
        />
        {view.captions && (
          <Button
            icon="captions"
            label="Captions"
            keys="c"
            pressed={view.captionsShown}
            onClick={() => session.toggleCaptions()}
          />
        )}
        {embedded && <Button icon="share" label="Share and links" onClick={openPanel} />}
        {media && document.pictureInPictureEnabled && !view.audioOnly && (
          <Button
            icon="pip"
            label="Picture in picture"
            onClick={() => togglePictureInPicture(video.current)}
          />
        )}
        {!view.audioOnly && (
          <Button
            icon={full ? 'small' : 'full'}
            label={full ? 'Leave full screen' : 'Full screen'}
            keys="f"
            onClick={() => toggleFullscreen(box.current, video.current)}
          />
        )}
      </div>
    </div>
  )
}

function automatic(view: View): string {
  return view.quality === -1 && view.playing ? `Automatic (${view.playing})` : 'Automatic'
}

interface ButtonProps {
  icon: IconName
  label: string
  keys?: string
  pressed?: boolean
  onClick(): void
}

function Button({ icon, label, keys, pressed, onClick }: ButtonProps): JSX.Element {
  return (
    <button
      type="button"
      class="plain"
      aria-label={label}
      aria-keyshortcuts={keys}
      aria-pressed={pressed}
      title={keys ? `${label} (${keys})` : label}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  )
}

/** How far behind live the viewer is, and the way back there. */
function LiveBadge({ session, view }: { session: Session; view: View }): JSX.Element | null {
  if (view.phase !== 'playing') return null
  const { latency, rewind } = view
  const away = rewind && !view.atLive ? rewind.live - rewind.position : 0
  if (away > 3 || view.paused) {
    return (
      <button type="button" class="to-live" onClick={() => session.goLive()}>
        <b>Go live</b>
        {away > 3 && <span>−{clock(away)}</span>}
      </button>
    )
  }
  return (
    <span class="live-badge">
      <b>Live</b>
      {latency !== null && (
        <span title="How far behind the server">
          {latency.toFixed(1)} s<span class="unseen"> behind live</span>
        </span>
      )}
    </span>
  )
}

function Timeline(props: {
  session: Session
  start: number
  live: number
  position: number
}): JSX.Element {
  const { session, start, live, position } = props
  const behind = Math.max(0, live - position)
  const bar = useRef<HTMLInputElement>(null)
  const share = live > start ? Math.min(1, (position - start) / (live - start)) : 1
  useEffect(() => bar.current?.style.setProperty('--share', String(share)), [share])
  return (
    <div class="timeline">
      <input
        ref={bar}
        type="range"
        min={start}
        max={live}
        step="0.25"
        value={Math.min(position, live)}
        aria-label="Rewind"
        aria-valuetext={behind < 3 ? 'Live' : `${clock(behind)} behind live`}
        onInput={event => session.seek(Number(event.currentTarget.value))}
      />
      <span class="span">{clock(live - start)}</span>
    </div>
  )
}

interface MenuProps {
  icon: IconName
  label: string
  choices: Choice[]
  chosen: number
  choose(id: number): void
}

/** A button with a list; nothing where there is no choice. */
function Menu({ icon, label, choices, chosen, choose }: MenuProps): JSX.Element | null {
  const [open, setOpen] = useState(false)
  const whole = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!open) return
    whole.current?.querySelector<HTMLElement>('[aria-checked=true]')?.focus()
    const outside = (event: Event) => {
      if (!whole.current?.contains(event.target as Node)) setOpen(false)
    }
    document.addEventListener('pointerdown', outside)
    return () => document.removeEventListener('pointerdown', outside)
  }, [open])
  if (choices.length === 0) return null

  const leave = () => {
    setOpen(false)
    whole.current?.querySelector('button')?.focus()
  }
  const pressed = (event: KeyboardEvent) => {
    const items = [...(whole.current?.querySelectorAll<HTMLElement>('[role=menuitemradio]') ?? [])]
    const at = items.indexOf(document.activeElement as HTMLElement)
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step) items[(at + step + items.length) % items.length]?.focus()
    else if (event.key === 'Escape') leave()
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  return (
    <div class="menu" ref={whole} onKeyDown={open ? pressed : undefined}>
      <button
        type="button"
        class="plain"
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name={icon} />
      </button>
      {open && (
        <div class="choices" role="menu" aria-label={label}>
          {choices.map(choice => (
            <button
              key={choice.id}
              type="button"
              role="menuitemradio"
              aria-checked={choice.id === chosen}
              onClick={() => {
                choose(choice.id)
                leave()
              }}
            >
              {choice.label}
            </button>
          ))}
        </div>
      )}
    </div>
  )
}

interface PhoneVideo extends HTMLVideoElement {
  webkitEnterFullscreen?(): void
}

/** Fills the screen with the player; on an iPhone, which shows only videos so, with the video. */
export function toggleFullscreen(box: HTMLElement | null, video: PhoneVideo | null) {
  if (document.fullscreenElement) void document.exitFullscreen()
  else if (box?.requestFullscreen) void box.requestFullscreen().catch(() => {})
  else video?.webkitEnterFullscreen?.()
}

function togglePictureInPicture(video: HTMLVideoElement | null) {
  if (document.pictureInPictureElement) void document.exitPictureInPicture()
  else void video?.requestPictureInPicture().catch(() => {})
}

function useFullscreen(): boolean {
  const [full, setFull] = useState(document.fullscreenElement !== null)
  useEffect(() => {
    const changed = () => setFull(document.fullscreenElement !== null)
    document.addEventListener('fullscreenchange', changed)
    return () => document.removeEventListener('fullscreenchange', changed)
  }, [])
  return full
}
