import '../ui/theme.css'
import '../ui/cards.css'
import { type JSX, render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { tone } from '../ui/tone'
import { codecName } from '../watch/codecs'
import { fetchStatus, firstStatus, type Status } from '../watch/status'

interface List {
  streams: Status[]
}

// How often the list is asked for, and how long a picture stays, in ms.
const every = 3000
const pictureFor = 10_000

function Page({ first }: { first: List }): JSX.Element {
  const [streams, setStreams] = useState(first.streams)
  const [lost, setLost] = useState(false)
  useEffect(() => {
    const look = async () => {
      if (document.hidden) return
      try {
        setStreams((await fetchStatus<List>()).streams)
        setLost(false)
      } catch {
        setLost(true)
      }
    }
    const timer = setInterval(look, every)
    document.addEventListener('visibilitychange', look)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', look)
    }
  }, [])
  return (
    <>
      <header class="top">
        <h1>On air</h1>
        <p class="state" role="status">
          <span class={`badge ${lost ? 'bad' : streams.length > 0 ? 'live' : 'off'}`}>
            {lost
              ? 'No connection'
              : streams.length === 1
                ? '1 stream'
                : `${streams.length} streams`}
          </span>
        </p>
      </header>
      <main>
        {streams.length === 0 && (
          <div class="nothing">
            <Icon name="signal" />
            <p>Nothing is on air now.</p>
          </div>
        )}
        <ul class="cards">
          {streams.map(status => (
            <Card key={status.stream} status={status} />
          ))}
        </ul>
      </main>
    </>
  )
}

function Card({ status }: { status: Status }): JSX.Element {
  const slash = status.stream.indexOf('/')
  const [app, name] = [status.stream.slice(0, slash), status.stream.slice(slash + 1)]
  const tracks = status.tracks ?? []
  const height = Math.max(0, ...tracks.map(track => track.height ?? 0))
  const codecs = [...new Set(tracks.map(track => codecName(track.codec)))].join(' · ')
  const page = `./${status.stream.split('/').map(encodeURIComponent).join('/')}/`
  const turn = Math.floor(Date.now() / pictureFor)
  return (
    <li>
      <a class="card" href={page}>
        <span class={`tile tone-${tone(status.stream)}`}>
          <Icon name={height > 0 ? 'play' : 'sound'} />
          {status.poster && (
            <img class="picture" src={`${page}${status.poster}?at=${turn}`} alt="" />
          )}
          <span class={`badge ${status.state === 'live' ? 'live' : 'wait'}`}>
            {status.state === 'live'
              ? 'Live'
              : status.state === 'starting'
                ? 'Starting'
                : 'Interrupted'}
          </span>
          {height > 0 && <span class="size">{height}p</span>}
        </span>
        <span class="card-name">{name}</span>
        <span class="card-facts">
          <span>
            {app}
            {codecs && ` · ${codecs}`}
          </span>
          <span class="viewers">
            <Icon name="eye" />
            <span class="unseen">Viewers: </span>
            {status.viewers}
          </span>
        </span>
      </a>
    </li>
  )
}

const root = document.getElementById('app')
if (root) render(<Page first={firstStatus<List>()} />, root)
