import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { codecName } from '../watch/codecs'
import { call, list, Refusal } from './api'
import { Chart } from './chart'
import { bytes, count, parts, protocolName, rate, since, span } from './format'
import { hintsFor } from './hints'
import { Box, Confirm, Empty, Head, type Question, StateBadge } from './parts'
import { Preview } from './preview'
import { Pushes } from './pushes'
import { Recorder } from './recorder'
import { linkTo } from './route'
import { type Server, useServer } from './server'
import type { Publication, Session, Stream, Track } from './types'

// How often the stream is asked for, in ms, and how many rows of viewers are shown.
const every = 2000
const mostRows = 100

interface Samples {
  time: number[]
  frames: (number | null)[]
  lag: (number | null)[]
}

/** Everything about one stream. */
export function StreamPage({ server, name }: { server: Server; name: string }): JSX.Element {
  useServer(server)
  const { stream, sessions, samples, look } = useStream(name)
  const [question, setQuestion] = useState<Question | null>(null)
  const [, short] = parts(name)
  const path = `/streams/${encodeURIComponent(name)}`
  const now = server.figures?.streams.find(s => s.name === name)
  const state = stream ? (now?.state ?? stream.state) : 'offline'
  const page = server.pageOf(name)

  const end = () =>
    setQuestion({
      title: `End ${short}?`,
      text: 'Viewers see the end at once, and the encoder is disconnected. An encoder that connects again by itself begins anew: reset the key of the room to keep it out.',
      button: 'End the stream',
      act: async () => {
        await call('DELETE', `${path}?reason=ended+in+the+console`)
        look()
      },
    })
  return (
    <>
      <Head title={short} back={{ href: linkTo(''), label: 'Overview' }}>
        <p class="state" role="status">
          <StateBadge state={state} />
          {stream && (
            <span class="viewers" title="Viewers">
              <Icon name="eye" />
              <span class="unseen">Viewers: </span>
              {now?.viewers ?? stream.viewers.total}
            </span>
          )}
        </p>
        <span class="gap" />
        {stream && server.recordsOf(name) && <Recorder name={name} />}
        {page && (
          <a class="button" href={page} target="_blank" rel="noopener">
            <Icon name="open" />
            Watch page
          </a>
        )}
        {stream && (
          <button type="button" class="button danger" onClick={end}>
            <Icon name="stop" />
            End
          </button>
        )}
      </Head>
      <div class="stage">
        <Preview key={name} server={server} name={name} />
        <div class="aside">
          <Health stream={stream} sessions={sessions} />
          {stream && <Tracks stream={stream} />}
        </div>
      </div>
      <Charts server={server} name={name} stream={stream} samples={samples} />
      <div class="boxes">
        {stream?.publications.map(publication => (
          <Encoder key={publication.rendition} publication={publication} />
        ))}
        <Pushes name={name} ask={setQuestion} />
      </div>
      <Viewers stream={stream} sessions={sessions} ask={setQuestion} look={look} />
      <Confirm question={question} close={() => setQuestion(null)} />
    </>
  )
}

/** Asks for the stream as long as it is shown. */
function useStream(name: string) {
  const [stream, setStream] = useState<Stream | null>(null)
  const [sessions, setSessions] = useState<Session[]>([])
  const samples = useRef<Samples>({ time: [], frames: [], lag: [] })
  const again = useRef(() => {})
  useEffect(() => {
    samples.current = { time: [], frames: [], lag: [] }
    let over = false
    const look = async () => {
      if (document.hidden) return
      try {
        // A list has no answer of 404, which browsers count as a fault of the page.
        const [streams, sessions] = await Promise.all([
          list<Stream>('/streams'),
          list<Session>(`/sessions?stream=${encodeURIComponent(name)}`),
        ])
        if (over) return
        const stream = streams.find(s => s.name === name) ?? null
        setStream(stream)
        setSessions(sessions)
        note(samples.current, stream, sessions)
      } catch (error) {
        if (error instanceof Refusal) setStream(null)
      }
    }
    again.current = () => void look()
    void look()
    const timer = setInterval(look, every)
    return () => {
      over = true
      clearInterval(timer)
    }
  }, [name])
  return { stream, sessions, samples: samples.current, look: () => again.current() }
}

function note(samples: Samples, stream: Stream | null, sessions: Session[]) {
  const viewers = sessions.filter(s => s.role === 'viewer')
  samples.time.push(Date.now() / 1000)
  samples.frames.push(stream?.publications[0]?.frame_rate ?? null)
  samples.lag.push(viewers.length > 0 ? Math.max(...viewers.map(s => s.lag)) : null)
  for (const numbers of Object.values(samples)) if (numbers.length > 300) numbers.shift()
}

function Health({ stream, sessions }: { stream: Stream | null; sessions: Session[] }): JSX.Element {
  const icons = { good: 'done', note: 'info', bad: 'warn' } as const
  const hints = stream ? hintsFor(stream, sessions) : []
  return (
    <Box title="Health">
      {!stream && <p class="soft">Nobody publishes this stream now.</p>}
      <ul class="hints">
        {hints.map(({ level, text }) => (
          <li key={text} class={`hint-${level}`}>
            <Icon name={icons[level]} />
            <span>{text}</span>
          </li>
        ))}
      </ul>
    </Box>
  )
}

function Tracks({ stream }: { stream: Stream }): JSX.Element {
  const several = stream.publications.length > 1
  return (
    <Box title="Tracks">
      <ul class="tracks">
        {stream.publications.flatMap(p =>
          p.tracks.map(track => (
            <li key={`${p.rendition} ${track.kind} ${track.id}`}>
              <Icon name={track.kind === 'video' ? 'film' : 'sound'} />
              <span>
                {several && <b>{p.rendition || 'main'} </b>}
                {describe(track)}
              </span>
            </li>
          )),
        )}
      </ul>
    </Box>
  )
}

function describe(track: Track): string {
  const facts = [codecName(track.codec) + (track.profile ? ` ${track.profile}` : '')]
  if (track.height) facts.push(`${track.width}×${track.height}`)
  if (track.frame_rate) facts.push(`${Number(track.frame_rate.toFixed(2))} fps`)
  if (track.sample_rate) facts.push(`${track.sample_rate / 1000} kHz`)
  if (track.channels) facts.push(channels(track.channels))
  return facts.join(' · ')
}

function channels(n: number): string {
  return { 1: 'mono', 2: 'stereo', 6: '5.1', 8: '7.1' }[n] ?? `${n} channels`
}

interface ChartsProps {
  server: Server
  name: string
  stream: Stream | null
  samples: Samples
}

function Charts({ server, name, stream, samples }: ChartsProps): JSX.Element {
  const series = server.series.get(name) ?? { time: [], viewers: [], bitRate: [] }
  const frames = stream?.publications[0]?.frame_rate
  const lag = samples.lag.at(-1)
  return (
    <section class="charts" aria-label="The last minutes">
      <Chart
        title="Bit rate"
        value={stream ? rate(stream.bit_rate) : '–'}
        times={series.time}
        values={series.bitRate}
        format={rate}
        least={100_000}
      />
      <Chart
        title="Frame rate"
        value={frames ? `${frames.toFixed(1)} fps` : '–'}
        times={samples.time}
        values={samples.frames}
        format={value => `${value} fps`}
        least={10}
      />
      <Chart
        title="Viewers"
        value={stream ? String(series.viewers.at(-1) ?? stream.viewers.total) : '–'}
        times={series.time}
        values={series.viewers}
        format={value => (Number.isInteger(value) ? String(value) : '')}
        least={4}
      />
      <Chart
        title="Largest lag of a connection"
        value={lag === null || lag === undefined ? '–' : `${lag.toFixed(1)} s`}
        times={samples.time}
        values={samples.lag}
        format={value => `${value} s`}
        least={1}
      />
    </section>
  )
}

function Encoder({ publication: p }: { publication: Publication }): JSX.Element {
  const facts: [string, ComponentChildren][] = [
    ['Address', p.address],
    ['Over', p.protocol && protocolName(p.protocol)],
    ['For', p.uptime && span(p.uptime)],
    ['Bit rate', `${rate(p.bit_rate)}, mean ${rate(p.mean_bit_rate)}`],
    ['Received', p.bytes && bytes(p.bytes)],
    ['Key frames', p.key_frame_interval && `each ${Number(p.key_frame_interval.toFixed(2))} s`],
    ['Pictures to the next', p.gop],
    ['Clock', p.clock_drift !== undefined && drift(p.clock_drift)],
    ['Jumps of its clock', p.time_jumps],
  ]
  return (
    <Box title={`Encoder${p.rendition && ` of ${p.rendition}`}`} note={p.encoder}>
      <dl class="facts-list">
        {facts.map(
          ([name, value]) =>
            value !== undefined &&
            value !== false &&
            value !== '' && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
    </Box>
  )
}

function drift(ppm: number): string {
  const n = Math.round(ppm)
  if (n === 0) return 'right'
  return `${Math.abs(n)} ppm ${n > 0 ? 'fast' : 'slow'}`
}

interface ViewersProps {
  stream: Stream | null
  sessions: Session[]
  ask(question: Question): void
  look(): void
}

function Viewers({ stream, sessions, ask, look }: ViewersProps): JSX.Element {
  const hls = stream?.viewers.by_protocol.hls ?? 0
  const withNodes = sessions.some(session => session.node)
  const kick = (session: Session) =>
    ask({
      title: session.role === 'publisher' ? 'Disconnect the encoder?' : 'Disconnect this viewer?',
      text:
        session.role === 'publisher'
          ? `${session.address} may come back: the stream waits for it. To end the stream for good, end it and reset the key of the room.`
          : `${session.address} may come back if its player connects again by itself.`,
      button: 'Disconnect',
      act: async () => {
        await call('DELETE', `/sessions/${session.id}?reason=disconnected+in+the+console`)
        look()
      },
    })
  return (
    <Box
      wide
      title="Sessions"
      note={hls > 0 ? `and about ${count(hls, 'viewer')} of HLS, who have none` : undefined}
    >
      {sessions.length === 0 ? (
        <Empty icon="eye">
          <p>Nobody is connected.</p>
        </Empty>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        <section class="scroll" aria-label="Sessions" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Who</th>
                <th scope="col">Over</th>
                <th scope="col">Address</th>
                {withNodes && <th scope="col">Node</th>}
                <th scope="col">Program</th>
                <th scope="col">For</th>
                <th scope="col">Bit rate</th>
                <th scope="col">Lag</th>
                <th scope="col">Jumps</th>
                <th scope="col">
                  <span class="unseen">Disconnect</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {sessions.slice(0, mostRows).map(session => (
                <tr key={session.id}>
                  <td>{session.role === 'publisher' ? 'Encoder' : 'Viewer'}</td>
                  <td>{protocolName(session.protocol)}</td>
                  <td>{session.address}</td>
                  {withNodes && <td>{session.node ?? ''}</td>}
                  <td class="agent" title={session.agent}>
                    {session.agent ?? ''}
                  </td>
                  <td>{since(session.since)}</td>
                  <td>{rate(session.bit_rate)}</td>
                  <td>{session.role === 'viewer' ? `${session.lag.toFixed(1)} s` : ''}</td>
                  <td>{session.role === 'viewer' ? session.jumps : ''}</td>
                  <td>
                    <button
                      type="button"
                      class="plain"
                      aria-label={`Disconnect ${session.address}`}
                      title="Disconnect"
                      onClick={() => kick(session)}
                    >
                      <Icon name="leave" />
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {sessions.length > mostRows && (
            <p class="soft">and {count(sessions.length - mostRows, 'more', 'more')}</p>
          )}
        </section>
      )}
    </Box>
  )
}
