import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { clock } from '../watch/clock'
import { call, list } from './api'
import { bytes, count, span } from './format'
import { useLook } from './look'
import { Box, Confirm, Empty, Fault, Find, Head, messageOf, type Question } from './parts'
import { type Server, useServer } from './server'
import type { Recording } from './types'

const every = 5000
const shown = 200

/** What was recorded: to play, to cut a clip of, to keep, to delete. */
export function Recordings({ server, open }: { server: Server; open: string }): JSX.Element {
  useServer(server)
  const [recordings, setRecordings] = useState<Recording[] | null>(null)
  const [wanted, setWanted] = useState('')
  const [fault, setFault] = useState('')
  const [question, setQuestion] = useState<Question | null>(null)
  const look = async () => {
    try {
      setRecordings((await list<Recording>('/recordings')).reverse())
      setFault('')
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  useLook(look, every)
  const found = (recordings ?? []).filter(r =>
    r.stream.toLowerCase().includes(wanted.toLowerCase()),
  )
  const current = recordings?.find(r => r.id === open)
  const remove = ({ id, stream }: Recording) =>
    setQuestion({
      title: `Delete this recording of ${stream}?`,
      text: 'Its files are deleted for good.',
      button: 'Delete the recording',
      act: async () => {
        await call('DELETE', `/recordings/${id}`)
        if (id === open) location.hash = '#/recordings'
        await look()
      },
    })
  return (
    <>
      <Head title="Recordings">
        <p class="state">
          {recordings && <span class="badge off">{count(recordings.length, 'recording')}</span>}
        </p>
      </Head>
      <Fault text={fault} />
      {current && <Cinema key={current.id} server={server} recording={current} />}
      {recordings?.length === 0 ? (
        <Empty icon="film">
          <p>Nothing was recorded yet.</p>
        </Empty>
      ) : (
        <Find
          label="Find a recording by its stream"
          hint="Find by the stream"
          value={wanted}
          change={setWanted}
        />
      )}
      <ul class="options recordings">
        {found.slice(0, shown).map(recording => (
          <Row key={recording.id} recording={recording} remove={remove} />
        ))}
      </ul>
      {found.length > shown && <p class="soft">and {found.length - shown} older ones</p>}
      <Confirm question={question} close={() => setQuestion(null)} />
    </>
  )
}

interface RowProps {
  recording: Recording
  remove(recording: Recording): void
}

function Row({ recording: r, remove }: RowProps): JSX.Element {
  const badge = { live: ['live', 'Recording'], complete: ['', ''], broken: ['bad', 'Broken'] }
  const [look, label] = badge[r.state]
  return (
    <li>
      <div class="recording">
        <div class="recording-name">
          <b>{r.stream}</b> {label && <span class={`badge ${look}`}>{label}</span>}
          <span class="soft">
            {new Date(r.started).toLocaleString()} · {span(r.duration)} · {bytes(r.bytes)}
            {r.lost > 0 && ` · ${count(r.lost, 'segment')} lost`}
            {r.reason && ` · ${r.reason}`}
          </span>
        </div>
        {r.state !== 'broken' && (
          <a class="button" href={`#/recordings/${r.id}`} aria-label={`Play ${r.stream}`}>
            <Icon name="play" />
            Play
          </a>
        )}
        {r.state !== 'live' && (
          <button
            type="button"
            class="plain"
            aria-label={`Delete the recording of ${r.stream}`}
            title="Delete"
            onClick={() => remove(r)}
          >
            <Icon name="bin" />
          </button>
        )}
      </div>
    </li>
  )
}

/** Plays a recording, and gives it or a part of it as a file. */
function Cinema({ server, recording }: { server: Server; recording: Recording }): JSX.Element {
  const video = useRef<HTMLVideoElement>(null)
  const [base, setBase] = useState('')
  const [fault, setFault] = useState('')
  const [from, setFrom] = useState<number | null>(null)
  const [to, setTo] = useState<number | null>(null)
  const known = server.listeners.length > 0
  useEffect(() => {
    if (!known) return
    let destroy = () => {}
    let over = false
    const play = async () => {
      const address = await server.mediaOf(recording.stream, recording.path)
      const { startHLS } = await import('../watch/hls')
      if (over || !video.current) return
      setBase(address)
      const engine = startHLS(video.current, address, { failed: setFault, changed() {} })
      destroy = () => engine.destroy()
    }
    play().catch(error => setFault(messageOf(error)))
    return () => {
      over = true
      destroy()
    }
  }, [known])
  const whole = base.replace(/index\.m3u8$/, 'clip.mp4')
  const limits = [from !== null && `from=${from.toFixed(3)}`, to !== null && `to=${to.toFixed(3)}`]
  const query = limits.filter(Boolean).join('&')
  const now = () => video.current?.currentTime ?? 0
  return (
    <Box title={recording.stream} note={new Date(recording.started).toLocaleString()}>
      <video ref={video} class="cinema" controls playsInline />
      <Fault text={fault} />
      <div class="buttons">
        <button type="button" class="button" onClick={() => setFrom(now())}>
          <Icon name="cut" />
          {from === null ? 'Clip from here' : `From ${clock(from)}`}
        </button>
        <button type="button" class="button" onClick={() => setTo(now())}>
          <Icon name="cut" />
          {to === null ? 'Clip to here' : `To ${clock(to)}`}
        </button>
        {query && (
          <a class="button primary" href={`${whole}?${query}`}>
            <Icon name="save" />
            Download the clip
          </a>
        )}
        <a class="button" href={whole}>
          <Icon name="save" />
          Download all
        </a>
      </div>
    </Box>
  )
}
