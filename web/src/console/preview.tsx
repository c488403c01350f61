import type { JSX } from 'preact'
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { Player } from '../watch/player'
import { Session } from '../watch/session'
import { recall, remember } from '../watch/store'
import type { Protocol } from '../watch/ways'
import type { Server } from './server'

const protocols: [Protocol | '', string][] = [
  ['', 'Automatic'],
  ['ll-hls', 'LL-HLS'],
  ['hls', 'HLS'],
  ['http-flv', 'HTTP-FLV'],
  ['ws-flv', 'WebSocket-FLV'],
]

/** The stream in a player of the watch page, by the protocol that is chosen. */
export function Preview({ server, name }: { server: Server; name: string }): JSX.Element {
  const [protocol, setProtocol] = useState<Protocol | ''>(
    () => (protocols.find(([id]) => id === recall('protocol'))?.[0] ?? '') as Protocol | '',
  )
  const [base, setBase] = useState<string | null>(null)
  const known = server.listeners.length > 0
  useEffect(() => {
    if (!known) return
    let over = false
    server.openPageOf(name).then(
      address => !over && setBase(address),
      () => !over && setBase(''),
    )
    return () => {
      over = true
    }
  }, [known, name])
  const choose = (id: Protocol | '') => {
    remember('protocol', id)
    setProtocol(id)
  }
  return (
    <div class="preview">
      {base ? (
        <Screen key={`${protocol} ${base}`} name={name} base={base} protocol={protocol} />
      ) : (
        <div class="player">
          {base === '' && (
            <div class="message">
              <h2>No picture here</h2>
              <p>The server has no HLS port, from which the player learns how to play.</p>
            </div>
          )}
        </div>
      )}
      <fieldset class="switch">
        <legend class="unseen">Play by</legend>
        {protocols.map(([id, label]) => (
          <label key={id}>
            <input
              type="radio"
              name="protocol"
              checked={id === protocol}
              onChange={() => choose(id)}
            />
            <span>{label}</span>
          </label>
        ))}
      </fieldset>
    </div>
  )
}

function Screen({
  name,
  base,
  protocol,
}: {
  name: string
  base: string
  protocol: Protocol | ''
}): JSX.Element {
  const video = useRef<HTMLVideoElement>(null)
  const still = useRef<HTMLCanvasElement>(null)
  const [session, setSession] = useState<Session | null>(null)
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  useEffect(() => {
    if (!video.current || !still.current) return
    const first = { stream: name, state: 'offline', time: 0, viewers: 0 } as const
    const session = new Session(video.current, still.current, first, {
      base,
      protocol: protocol || undefined,
    })
    session.subscribe(() => redraw(0))
    setSession(session)
    return () => session.destroy()
  }, [])
  const view = session?.view
  return (
    <>
      <Player
        video={video}
        still={still}
        session={session}
        embedded={false}
        beside
        openPanel={() => window.open(base, '_blank', 'noopener')}
      />
      <p class="latency" role="status">
        {view?.phase === 'playing' && (
          <>
            <b>{view.engine}</b>
            {view.latency !== null && (
              <span>
                {view.latency.toFixed(1)} s{' '}
                {view.engine.endsWith('FLV') ? 'in the player' : 'behind live'}
              </span>
            )}
            {view.playing && <span>{view.playing}</span>}
          </>
        )}
      </p>
    </>
  )
}
