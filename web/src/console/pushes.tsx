import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { call, list } from './api'
import { bytes } from './format'
import { useLook } from './look'
import { Box, Fault, messageOf, type Question } from './parts'
import type { Relay } from './types'

const every = 3000

/** Where a stream is sent to, and from where it comes if it is pulled. */
export function Pushes({
  name,
  ask,
}: {
  name: string
  ask(question: Question): void
}): JSX.Element {
  const [relays, setRelays] = useState<Relay[]>([])
  const [url, setURL] = useState('')
  const [fault, setFault] = useState('')
  const path = `/streams/${encodeURIComponent(name)}/pushes`
  const look = async () => {
    try {
      const [pushes, pulls] = await Promise.all([list<Relay>(path), list<Relay>('/pulls')])
      setRelays([...pulls.filter(pull => pull.stream === name), ...pushes])
    } catch {
      // The next look tells.
    }
  }
  useLook(look, every, [name])
  const add = async (event: Event) => {
    event.preventDefault()
    setFault('')
    try {
      await call('POST', path, { body: { url: url.trim() } })
      setURL('')
      await look()
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  const stop = (relay: Relay) =>
    ask({
      title: relay.direction === 'push' ? 'Stop sending?' : 'Stop pulling?',
      text: relay.url,
      button: 'Stop',
      act: async () => {
        const list = relay.direction === 'push' ? path : '/pulls'
        await call('DELETE', `${list}/${relay.id}`)
        await look()
      },
    })
  return (
    <Box title="Relays" note="to and from other servers">
      <ul class="relays">
        {relays.map(relay => (
          <li key={relay.id}>
            <span class={`badge ${relay.state === 'running' ? 'good' : looks[relay.state]}`}>
              {relay.state}
            </span>
            <span class="relay-url" title={relay.url}>
              {relay.direction === 'push' ? '→' : '←'} {relay.url}
            </span>
            <span class="soft">{relay.error || bytes(relay.bytes)}</span>
            {!relay.static && (
              <button
                type="button"
                class="plain"
                aria-label={`Stop ${relay.url}`}
                title="Stop"
                onClick={() => stop(relay)}
              >
                <Icon name="close" />
              </button>
            )}
          </li>
        ))}
      </ul>
      <form class="line" onSubmit={event => void add(event)}>
        <label>
          <span class="unseen">Send it to</span>
          <input
            type="text"
            inputMode="url"
            spellcheck={false}
            autocomplete="off"
            required
            placeholder="rtmp://other.example/live/KEY"
            value={url}
            onInput={event => setURL(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button">
          <Icon name="plus" />
          Send
        </button>
      </form>
      <Fault text={fault} />
    </Box>
  )
}

const looks = { waiting: 'wait', connecting: 'wait', running: 'good', failed: 'bad' }
