import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { Server } from './server'

interface Props {
  server: Server
  name: string
}

/** The page of a stream, whose player and charts are loaded when they are wanted first. */
export function StreamPage(props: Props): JSX.Element | null {
  const [Page, setPage] = useState<((props: Props) => JSX.Element) | null>(null)
  useEffect(() => {
    void import('./stream').then(module => setPage(() => module.StreamPage))
  }, [])
  return Page && <Page {...props} />
}
