import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { call, type Refusal, signIn, signOut } from './api'
import { Fault, messageOf } from './parts'

/** Asks for a token, or says why there is nothing to see. */
export function SignIn({ refusal, done }: { refusal: Refusal; done(): void }): JSX.Element {
  const [token, setToken] = useState('')
  const [fault, setFault] = useState('')
  const [busy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  useEffect(() => field.current?.focus(), [])
  const send = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    signIn(token.trim())
    try {
      await call('GET', '/version')
      done()
    } catch (error) {
      signOut()
      setFault(messageOf(error))
    }
    setBusy(false)
  }
  if (refusal.status === 403) return <Closed refusal={refusal} done={done} />
  return (
    <main class="gate">
      <h1>livego</h1>
      <p class="soft">This server asks for a token.</p>
      <form onSubmit={event => void send(event)}>
        <label>
          Token
          <input
            ref={field}
            type="password"
            autocomplete="current-password"
            required
            value={token}
            onInput={event => setToken(event.currentTarget.value)}
          />
        </label>
        <Fault text={fault} />
        <button type="submit" class="button primary" disabled={busy}>
          <Icon name="key" />
          Sign in
        </button>
      </form>
      <p class="hint">
        <code>livego token --api</code> makes one where the server runs. Any JSON Web Token that is
        signed with <code>jwt.secret</code> will do. It is forgotten when this tab is closed.
      </p>
    </main>
  )
}

function Closed({ refusal, done }: { refusal: Refusal; done(): void }): JSX.Element {
  return (
    <main class="gate">
      <h1>livego</h1>
      <p>The server does not let this browser in:</p>
      <Fault text={refusal.message} />
      <button type="button" class="button" onClick={done}>
        <Icon name="again" />
        Try again
      </button>
    </main>
  )
}
