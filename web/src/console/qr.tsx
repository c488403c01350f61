import type { JSX } from 'preact'
import { encode } from 'uqr'

/** A QR code with a border of four modules (ISO/IEC 18004 5.3.8). */
export function Code({ text, label }: { text: string; label: string }): JSX.Element {
  const { data, size } = encode(text, { border: 4, ecc: 'M' })
  const dark = data.flatMap((row, y) => row.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])))
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}>
      <rect width={size} height={size} fill="#fff" />
      <path d={dark.join('')} fill="#000" shape-rendering="crispEdges" />
    </svg>
  )
}
