import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon, type IconName } from '../ui/icons'
import { Refusal } from './api'
import type { Stream } from './types'

export function Head({
  title,
  back,
  children,
}: {
  title: string
  back?: { href: string; label: string }
  children?: ComponentChildren
}): JSX.Element {
  return (
    <header class="head">
      {back && (
        <a class="plain" href={back.href} aria-label={back.label} title={back.label}>
          <Icon name="back" />
        </a>
      )}
      <h1>{title}</h1>
      {children}
    </header>
  )
}

/** A field that finds things by their names. */
export function Find({
  label,
  hint = label,
  value,
  change,
}: {
  label: string
  hint?: string
  value: string
  change(value: string): void
}): JSX.Element {
  return (
    <label class="find">
      <Icon name="find" />
      <span class="unseen">{label}</span>
      <input
        type="search"
        placeholder={hint}
        value={value}
        onInput={event => change(event.currentTarget.value)}
      />
    </label>
  )
}

/** A box of a page with a title. */
export function Box({
  title,
  note,
  wide,
  action,
  children,
}: {
  title: string
  note?: string
  wide?: boolean
  action?: ComponentChildren
  children: ComponentChildren
}): JSX.Element {
  return (
    <section class={`box${wide ? ' wide' : ''}`}>
      <div class="box-head">
        <h2>{title}</h2>
        {note && <span class="note-text">{note}</span>}
        {action}
      </div>
      {children}
    </section>
  )
}

export function StateBadge({ state }: { state: Stream['state'] | 'offline' }): JSX.Element {
  const looks = {
    live: ['live', 'Live'],
    starting: ['wait', 'Starting'],
    interrupted: ['wait', 'Interrupted'],
    offline: ['off', 'Off air'],
  } as const
  const [look, label] = looks[state]
  return <span class={`badge ${look}`}>{label}</span>
}

export function Empty({
  icon,
  children,
}: {
  icon: IconName
  children: ComponentChildren
}): JSX.Element {
  return (
    <div class="empty">
      <Icon name={icon} />
      {children}
    </div>
  )
}

/** What to ask before something is done that cannot be undone. */
export interface Question {
  title: string
  text: string
  button: string
  act(): Promise<void>
}

export function Confirm({
  question,
  close,
}: {
  question: Question | null
  close(): void
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [fault, setFault] = useState('')
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    setFault('')
    if (question) dialog.current?.showModal()
    else dialog.current?.close()
  }, [question])
  const act = async () => {
    setBusy(true)
    try {
      await question?.act()
      close()
    } catch (error) {
      setFault(messageOf(error))
    }
    setBusy(false)
  }
  return (
    <dialog ref={dialog} class="panel small" aria-labelledby="question" onClose={close}>
      <div class="panel-inside">
        <h2 id="question">{question?.title}</h2>
        <p>{question?.text}</p>
        <Fault text={fault} />
        <div class="buttons">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="button" class="button danger" disabled={busy} onClick={() => void act()}>
            {question?.button}
          </button>
        </div>
      </div>
    </dialog>
  )
}

export function Fault({ text }: { text: string }): JSX.Element {
  return (
    <p class="fault" role="alert" hidden={!text}>
      {text}
    </p>
  )
}

/** An error in words. */
export function messageOf(error: unknown): string {
  if (error instanceof Refusal) return error.message
  return 'The server does not answer.'
}

/** A line through numbers over time. */
export function Spark({ values }: { values: number[] }): JSX.Element {
  const shown = values.slice(-180)
  const most = Math.max(...shown, 1)
  const x = (i: number) => ((i + 180 - shown.length) / 179) * 100
  const line = shown.map((v, i) => `${x(i).toFixed(2)},${(29 - (v / most) * 27).toFixed(2)}`)
  return (
    <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      {line.length > 1 && (
        <>
          <polygon points={`${x(0).toFixed(2)},30 ${line.join(' ')} 100,30`} />
          <polyline points={line.join(' ')} />
        </>
      )}
    </svg>
  )
}
