import type { JSX } from 'preact'

// Paths on a grid of 24 by 24, drawn for these pages.
const paths = {
  play: 'M8 5.2v13.6c0 .8.9 1.3 1.6.8l10-6.8c.6-.4.6-1.2 0-1.6l-10-6.8C8.9 3.9 8 4.4 8 5.2z',
  pause: 'M7 5h3.5v14H7zM13.5 5H17v14h-3.5z',
  sound: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM15 8.5a5 5 0 0 1 0 7M17.5 6a8.5 8.5 0 0 1 0 12',
  muted: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  full: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  small: 'M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5',
  pip: 'M3.5 5.5h17v13h-17zM12.5 12h5.5v4h-5.5z',
  quality: 'M4 7h9M17 7h3M4 12h3M11 12h9M4 17h11M19 17h1M13 5v4M7 10v4M15 15v4',
  captions:
    'M3.5 5.5h17v13h-17zM10.5 10.5c-1.5-1.2-3.5-.3-3.5 1.5s2 2.7 3.5 1.5M17 10.5c-1.5-1.2-3.5-.3-3.5 1.5s2 2.7 3.5 1.5',
  share: 'M12 15V4M8 7.5 12 3.5l4 4M6 11H5v9h14v-9h-1',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  done: 'M5 12.5 10 17.5 19.5 7',
  open: 'M14 4h6v6M20 4l-9 9M18 13.5V20H4V6h6.5',
  signal: 'M5 12a10 10 0 0 1 14 0M8 15a5.7 5.7 0 0 1 8 0M12 19h.01M2.5 9a14 14 0 0 1 19 0',
} as const

export type IconName = keyof typeof paths

const filled: IconName[] = ['play', 'pause']

export function Icon({ name }: { name: IconName }): JSX.Element {
  const fill = filled.includes(name)
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      aria-hidden="true"
      fill={fill ? 'currentColor' : 'none'}
      stroke={fill ? 'none' : 'currentColor'}
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      <path d={paths[name]} />
    </svg>
  )
}
