import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { Icon } from './icons'

// How long a button says that it has copied, in ms.
const told = 1600

interface Props {
  label: string
  text: string
  href?: string
  /** What is seen in place of the text. */
  shown?: string
  /** The text is shown only on demand. */
  secret?: boolean
}

/** A text with a button that copies it. */
export function Copy({ label, text, href, shown, secret }: Props): JSX.Element {
  const [done, setDone] = useState(false)
  const [open, setOpen] = useState(false)
  const copy = async () => {
    if (!(await copyText(text))) return
    setDone(true)
    setTimeout(() => setDone(false), told)
  }
  return (
    <div class="copy">
      <span class="copy-label">{label}</span>
      {href ? (
        <a class="copy-text" href={href}>
          {text}
        </a>
      ) : (
        <code class="copy-text">{secret && !open ? '•'.repeat(24) : (shown ?? text)}</code>
      )}
      {secret && (
        <button
          type="button"
          class="plain"
          aria-label={`Show: ${label}`}
          aria-pressed={open}
          title={open ? 'Hide' : 'Show'}
          onClick={() => setOpen(!open)}
        >
          <Icon name="eye" />
        </button>
      )}
      <button type="button" class="plain" aria-label={`Copy: ${label}`} title="Copy" onClick={copy}>
        <Icon name={done ? 'done' : 'copy'} />
      </button>
      <span class="unseen" role="status">
        {done ? 'Copied' : ''}
      </span>
    </div>
  )
}

// Pages that did not come over TLS have no clipboard of the newer kind.
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = document.createElement('textarea')
    field.value = text
    field.className = 'unseen'
    const place = document.querySelector('dialog[open]') ?? document.body
    place.append(field)
    field.select()
    const copied = document.execCommand('copy')
    field.remove()
    return copied
  }
}
