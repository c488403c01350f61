import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Icon } from '../ui/icons'
import { call, list } from './api'
import { useLook } from './look'
import { messageOf } from './parts'
import type { Recording } from './types'

const every = 5000

/** Starts and stops the recording of a stream. */
export function Recorder({ name }: { name: string }): JSX.Element {
  const [current, setCurrent] = useState<Recording | null>(null)
  const [fault, setFault] = useState('')
  const path = `/streams/${encodeURIComponent(name)}/recording`
  const look = async () => {
    const all = await list<Recording>(`/recordings?stream=${encodeURIComponent(name)}`)
    setCurrent(all.find(r => r.state === 'live') ?? null)
  }
  useLook(() => look().catch(() => {}), every, [name])
  const change = async () => {
    try {
      await call(current ? 'DELETE' : 'PUT', path)
      setFault('')
      await look()
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  return (
    <>
      <button
        type="button"
        class={`button ${current ? 'recording-now' : ''}`}
        title={fault || undefined}
        aria-pressed={current !== null}
        onClick={() => void change()}
      >
        <Icon name={current ? 'stop' : 'record'} />
        {current ? 'Stop recording' : 'Record'}
      </button>
      {fault && (
        <span class="soft" role="alert">
          {fault}
        </span>
      )}
    </>
  )
}
