import '../ui/theme.css'
import '../ui/cards.css'
import './console.css'
import { type JSX, render } from 'preact'
import { useEffect, useMemo, useState } from 'preact/hooks'
import { Icon, type IconName } from '../ui/icons'
import { isSignedIn, onRefusal, Refusal, signOut } from './api'
import { StreamPage } from './lazy'
import { Nodes } from './nodes'
import { Overview } from './overview'
import { Recordings } from './recordings'
import { Reference } from './reference'
import { Rooms } from './rooms'
import { linkTo, useRoute } from './route'
import { Server, useServer } from './server'
import { Settings } from './settings'
import { SignIn } from './signin'

/** The console, or what is in the way. */
function Console({ asksForToken }: { asksForToken: boolean }): JSX.Element {
  const [refusal, setRefusal] = useState(
    asksForToken && !isSignedIn() ? new Refusal(401, '') : null,
  )
  useEffect(() => onRefusal(setRefusal), [])
  if (refusal) return <SignIn refusal={refusal} done={() => setRefusal(null)} />
  return (
    <Inside
      leave={() => {
        signOut()
        setRefusal(new Refusal(401, ''))
      }}
    />
  )
}

function Inside({ leave }: { leave(): void }): JSX.Element {
  const server = useMemo(() => new Server(), [])
  useEffect(() => () => server.destroy(), [server])
  const { page, subject } = useRoute()
  useEffect(() => {
    document.title = `${titles[page] ?? (subject || 'Overview')} – livego`
  }, [page, subject])
  return (
    <div class="console">
      <Navigation server={server} page={page} leave={leave} />
      <main class="content" id="content">
        <Connection server={server} />
        {page === 'stream' && subject ? (
          <StreamPage key={subject} server={server} name={subject} />
        ) : page === 'rooms' ? (
          <Rooms server={server} open={subject} />
        ) : page === 'recordings' ? (
          <Recordings server={server} open={subject} />
        ) : page === 'nodes' ? (
          <Nodes server={server} />
        ) : page === 'settings' ? (
          <Settings server={server} />
        ) : page === 'api' ? (
          <Reference />
        ) : (
          <Overview server={server} />
        )}
      </main>
    </div>
  )
}

const titles: Record<string, string> = {
  rooms: 'Rooms',
  recordings: 'Recordings',
  nodes: 'Nodes',
  settings: 'Settings',
  api: 'API',
}

const places: [string, string, IconName][] = [
  ['', 'Overview', 'grid'],
  ['rooms', 'Rooms', 'key'],
  ['recordings', 'Recordings', 'film'],
  ['nodes', 'Nodes', 'server'],
  ['settings', 'Settings', 'gear'],
  ['api', 'API', 'book'],
]

function Navigation({
  server,
  page,
  leave,
}: {
  server: Server
  page: string
  leave(): void
}): JSX.Element {
  useServer(server)
  const here = page === 'stream' ? '' : page
  const there = (id: string) =>
    (id !== 'recordings' || server.records) && (id !== 'nodes' || server.clustered)
  return (
    <nav class="nav" aria-label="Console">
      <span class="brand">livego</span>
      {places.map(
        ([id, label, icon]) =>
          (there(id) || here === id) && (
            <a key={id} href={linkTo(id)} aria-current={id === here ? 'page' : undefined}>
              <Icon name={icon} />
              {label}
            </a>
          ),
      )}
      <span class="gap" />
      {isSignedIn() && (
        <button type="button" onClick={leave}>
          <Icon name="leave" />
          Sign out
        </button>
      )}
    </nav>
  )
}

/** Says that what is seen is no longer true. */
function Connection({ server }: { server: Server }): JSX.Element | null {
  useServer(server)
  return (
    <p class="lost" role="status" hidden={server.connected}>
      No connection to the server. What you see may be out of date; this page keeps trying.
    </p>
  )
}

const root = document.getElementById('app')
if (root) render(<Console asksForToken={'token' in root.dataset} />, root)
