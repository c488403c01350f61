import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { tone } from '../ui/tone'
import { codecName } from '../watch/codecs'
import { count, parts, rate } from './format'
import { hintsFor } from './hints'
import { Empty, Find, Head, Spark, StateBadge } from './parts'
import { linkTo } from './route'
import { type Server, useServer } from './server'
import { Painter, Thumbnail } from './thumbnail'
import type { Stream } from './types'

// From how many streams on a field to search them is worth its place.
const many = 9
// How often figures are drawn anew, of all streams together and of each, in ms: those of fifty
// streams cost a browser more to draw than to learn.
const pace = 3000
const cardPace = 5000

/** What is on air, at a glance. */
export function Overview({ server }: { server: Server }): JSX.Element {
  useServer(server, cardPace)
  const painter = useMemo(() => new Painter(server), [server])
  const [wanted, setWanted] = useState('')
  const { streams } = server
  const found = streams.filter(s => s.name.toLowerCase().includes(wanted.toLowerCase()))
  return (
    <>
      <Head title="Overview">
        <p class="state" role="status">
          <span class={`badge ${streams.length > 0 ? 'live' : 'off'}`}>
            {count(streams.length, 'stream')}
          </span>
        </p>
      </Head>
      <Tiles server={server} />
      {streams.length >= many && <Find label="Find a stream" value={wanted} change={setWanted} />}
      {server.loaded && streams.length === 0 && (
        <Empty icon="signal">
          <p>Nothing is on air now.</p>
          <a class="button primary" href={linkTo('rooms')}>
            <Icon name="key" />
            Set up a stream
          </a>
        </Empty>
      )}
      {streams.length > 0 && found.length === 0 && <p class="soft">No stream has that name.</p>}
      <ul class="cards">
        {found.map(stream => (
          <Card key={stream.name} server={server} painter={painter} stream={stream} />
        ))}
      </ul>
    </>
  )
}

/** What all streams come to. */
function Tiles({ server }: { server: Server }): JSX.Element {
  useServer(server, pace)
  const { figures, totals } = server
  return (
    <div class="tiles">
      <Tile
        label="Viewers"
        value={figures ? figures.viewers.toLocaleString('en') : '–'}
        values={totals.viewers}
      />
      <Tile
        label="From encoders"
        value={figures ? rate(figures.bit_rate_in) : '–'}
        values={totals.bitRate}
      />
      <Tile
        label="To viewers"
        value={figures ? rate(figures.bit_rate_out) : '–'}
        values={totals.out}
      />
    </div>
  )
}

function Tile({
  label,
  value,
  values,
}: {
  label: string
  value: string
  values: number[]
}): JSX.Element {
  return (
    <div class="figure">
      <span class="figure-label">{label}</span>
      <span class="figure-value">{value}</span>
      <Spark values={values} />
    </div>
  )
}

interface CardProps {
  server: Server
  painter: Painter
  stream: Stream
}

function Card({ server, painter, stream }: CardProps): JSX.Element {
  const [app, name] = parts(stream.name)
  const now = server.figures?.streams.find(s => s.name === stream.name)
  const tracks = stream.publications.flatMap(p => p.tracks)
  const height = Math.max(0, ...tracks.map(track => track.height ?? 0))
  const codecs = [...new Set(tracks.map(track => codecName(track.codec)))].join(' · ')
  const faults = hintsFor(stream, []).filter(hint => hint.level === 'bad')
  return (
    <li>
      <a class="card" href={linkTo('stream', stream.name)}>
        <span class={`tile tone-${tone(stream.name)}`}>
          <Icon name={height > 0 ? 'play' : 'sound'} />
          <Thumbnail painter={painter} stream={stream} />
          <StateBadge state={now?.state ?? stream.state} />
          {faults.length > 0 && (
            <span class="alarm" title={faults.map(hint => hint.text).join('\n')}>
              <Icon name="warn" />
              <span class="unseen">Something is to be improved.</span>
            </span>
          )}
          {height > 0 && <span class="size">{height}p</span>}
        </span>
        <span class="card-name">{name}</span>
        <span class="card-facts">
          <span class="card-codecs">
            {app}
            {codecs && ` · ${codecs}`}
            {stream.node && ` · ${stream.node}`}
          </span>
          <span class="card-now">
            {rate(now?.bit_rate ?? stream.bit_rate)}
            <span class="viewers">
              <Icon name="eye" />
              <span class="unseen">Viewers: </span>
              {now?.viewers ?? stream.viewers.total}
            </span>
          </span>
        </span>
      </a>
    </li>
  )
}
