import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { Copy } from '../ui/copy'
import { Icon } from '../ui/icons'
import type { Status } from './status'

export interface Link {
  label: string
  url: string
}

const protocols: Record<string, string> = {
  'http-flv': 'HTTP-FLV',
  'ws-flv': 'WebSocket-FLV',
  rtmp: 'RTMP',
  rtmps: 'RTMPS',
}

/** All addresses of a stream, those of HLS by the address of its page. */
export function linksOf(status: Status, base = page()): Link[] {
  const links: Link[] = []
  for (const playlist of status.playlists ?? []) {
    const label = playlist === 'index.m3u8' ? 'Low-Latency HLS' : 'HLS (MPEG-TS)'
    links.push({ label, url: new URL(playlist, base).href })
  }
  for (const [protocol, label] of Object.entries(protocols)) {
    const url = status.urls?.[protocol]
    // Behind a proxy that calls the server by another name, nothing is known of its other ports.
    if (url && sameHost(url)) links.push({ label, url })
  }
  return links
}

function sameHost(url: string): boolean {
  return new URL(url.replace(/^(rtmps?|wss?):/, 'http:')).hostname === location.hostname
}

/** This page without query. */
export function page(): string {
  return location.origin + location.pathname
}

/** The address for programs such as VLC: what most of them know. */
export function simplest(links: Link[]): string {
  return (links.find(link => link.label.startsWith('HLS')) ?? links[0])?.url ?? page()
}

interface Props {
  open: boolean
  close(): void
  links: Link[]
  stream: string
}

/** The dialog with all there is to copy. */
export function Links({ open, close, links, stream }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (open) dialog.current?.showModal()
    else dialog.current?.close()
  }, [open])
  const frame =
    `<iframe src="${page()}?embed=1" width="640" height="360" style="border:0" title="${escapeMarkup(stream)}"` +
    ` allow="autoplay; fullscreen; picture-in-picture" allowfullscreen></iframe>`
  return (
    <dialog
      ref={dialog}
      class="panel"
      aria-labelledby="panel-title"
      onClose={close}
      onClick={event => event.target === dialog.current && close()}
    >
      <div class="panel-inside">
        <div class="panel-head">
          <h2 id="panel-title">Share and links</h2>
          <button type="button" class="plain" aria-label="Close" onClick={close}>
            <Icon name="close" />
          </button>
        </div>
        <Copy label="This page" text={page()} href={page()} />
        <Copy label="For a page of yours" text={frame} />
        {'share' in navigator && (
          <button
            type="button"
            class="button"
            onClick={() => void navigator.share({ title: stream, url: page() }).catch(() => {})}
          >
            <Icon name="share" />
            Share…
          </button>
        )}
        {links.length > 0 && <h3>For other players</h3>}
        {links.map(({ label, url }) => (
          <Copy key={url} label={label} text={url} />
        ))}
        {links.length > 0 && (
          <p class="hint">
            VLC: Media › Open Network Stream… FFmpeg: <code>ffplay {simplest(links)}</code>
          </p>
        )}
      </div>
    </dialog>
  )
}

function escapeMarkup(text: string): string {
  const marks: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, mark => marks[mark] ?? mark)
}
