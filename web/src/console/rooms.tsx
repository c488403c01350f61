import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Copy } from '../ui/copy'
import { Icon } from '../ui/icons'
import { answer, call, list } from './api'
import { count } from './format'
import { useLook } from './look'
import { Confirm, Empty, Fault, Head, messageOf, type Question } from './parts'
import { Code } from './qr'
import { linkTo } from './route'
import { type Server, useServer } from './server'
import type { Room } from './types'

const most = 2000
const shown = 200
const every = 10_000

/** Rooms with their keys: what an encoder needs, and what viewers get. */
export function Rooms({ server, open }: { server: Server; open: string }): JSX.Element {
  useServer(server)
  const [rooms, setRooms] = useState<Room[] | null>(null)
  const [name, setName] = useState('')
  const [fault, setFault] = useState('')
  const [question, setQuestion] = useState<Question | null>(null)
  const look = async () => {
    try {
      setRooms(await list<Room>('/rooms', most))
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  useLook(look, every, [server.streams.map(stream => stream.name).join('\n')])

  const make = async (event: Event) => {
    event.preventDefault()
    setFault('')
    try {
      const room = await call<Room>('PUT', `/rooms/${encodeURIComponent(name.trim())}`)
      setName('')
      await look()
      location.hash = linkTo('rooms', room.name)
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  const found = (rooms ?? []).filter(room => room.name.toLowerCase().includes(name.toLowerCase()))
  const [current] = (rooms ?? []).filter(room => room.name === open)
  return (
    <>
      <Head title="Rooms">
        <p class="state">
          {rooms && (
            <span class="badge off">
              {rooms.length >= most ? `more than ${most} rooms` : count(rooms.length, 'room')}
            </span>
          )}
        </p>
      </Head>
      <p class="soft lead">
        A room is a name that everybody may know. Its key is for the encoder alone: who has it can
        publish.
      </p>
      <form class="line make" onSubmit={event => void make(event)}>
        <label>
          <span class="unseen">Name of a room</span>
          <input
            type="text"
            required
            maxLength={200}
            spellcheck={false}
            autocomplete="off"
            placeholder="Find a room, or name a new one"
            value={name}
            onInput={event => setName(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary" disabled={!name.trim()}>
          <Icon name="plus" />
          Make a room
        </button>
      </form>
      <Fault text={fault} />
      {rooms?.length === 0 && (
        <Empty icon="key">
          <p>There is no room yet. Name one to get its key.</p>
        </Empty>
      )}
      <div class={`rooms${current ? ' with-open' : ''}`}>
        <ul class="room-list">
          {found.slice(0, shown).map(room => (
            <li key={room.name}>
              <a
                href={linkTo('rooms', room.name)}
                aria-current={room.name === open ? 'true' : undefined}
              >
                <span class="room-name">{room.name}</span>
                {room.streams.length > 0 && <span class="badge live">Live</span>}
              </a>
            </li>
          ))}
          {found.length > shown && (
            <li class="soft">and {found.length - shown} more: write a part of the name</li>
          )}
        </ul>
        {current && (
          <Details
            key={current.name}
            server={server}
            room={current}
            ask={setQuestion}
            look={look}
          />
        )}
      </div>
      <Confirm question={question} close={() => setQuestion(null)} />
    </>
  )
}

interface DetailsProps {
  server: Server
  room: Room
  ask(question: Question): void
  look(): Promise<void>
}

function Details({ server, room, ask, look }: DetailsProps): JSX.Element {
  const [key, setKey] = useState({ value: '', etag: '' })
  const [fault, setFault] = useState('')
  const [app, setApp] = useState(server.apps[0]?.name ?? 'live')
  const path = `/rooms/${encodeURIComponent(room.name)}/key`
  const read = async (method: string, ifMatch?: string) => {
    const { body, etag } = await answer(method, path, { ifMatch })
    setKey({ value: (body as { key: string }).key, etag })
  }
  useEffect(() => {
    read('GET').catch(error => setFault(messageOf(error)))
  }, [room.name])

  const rtmp = server.origin('rtmp', 'rtmps')
  const page = server.pageOf(`${app}/${room.name}`)
  const reset = () =>
    ask({
      title: `A new key for ${room.name}?`,
      text: 'The old key ends at once, and with it the encoder that is on it.',
      button: 'Reset the key',
      act: () => read('POST', key.etag),
    })
  const remove = () =>
    ask({
      title: `Delete ${room.name}?`,
      text: 'Its key is forgotten, and an encoder on it is disconnected.',
      button: 'Delete the room',
      act: async () => {
        await call('DELETE', `/rooms/${encodeURIComponent(room.name)}`)
        location.hash = linkTo('rooms')
        await look()
      },
    })
  return (
    <section class="box room" aria-labelledby="room">
      <div class="box-head">
        <h2 id="room">{room.name}</h2>
        <span class="gap" />
        {room.streams.map(stream => (
          <a key={stream} class="button" href={linkTo('stream', stream)}>
            <Icon name="play" />
            On air: {stream}
          </a>
        ))}
      </div>
      <Fault text={fault} />
      {server.apps.length > 1 && (
        <label class="choose">
          App
          <select value={app} onChange={event => setApp(event.currentTarget.value)}>
            {server.apps.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      )}
      <div class="room-parts">
        <div class="stack">
          <h3>OBS and other encoders</h3>
          {rtmp && <Copy label="Server" text={`${rtmp}/${app}`} />}
          {key.value && <Copy label="Stream key" text={key.value} secret />}
          <p class="hint">
            In OBS: Settings › Stream › Service <em>Custom…</em>; key frame interval 2 s in Settings
            › Output.
          </p>
          <h3>FFmpeg</h3>
          {rtmp && key.value && (
            <Copy
              label="With H.264 and AAC in a file"
              text={`ffmpeg -re -i movie.mp4 -c copy -f flv ${rtmp}/${app}/${key.value}`}
              shown={`ffmpeg -re -i movie.mp4 -c copy -f flv ${rtmp}/${app}/KEY`}
            />
          )}
        </div>
        {page && (
          <div class="stack">
            <h3>Viewers</h3>
            <Copy label="Watch page" text={page} href={page} />
            <Code text={page} label={`QR code of the watch page of ${room.name}`} />
          </div>
        )}
      </div>
      <div class="buttons">
        <button type="button" class="button" disabled={!key.value} onClick={reset}>
          <Icon name="again" />
          Reset the key
        </button>
        <button type="button" class="button danger" onClick={remove}>
          <Icon name="bin" />
          Delete
        </button>
      </div>
    </section>
  )
}
