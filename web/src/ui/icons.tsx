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
  grid: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  key: 'M14.5 9.5a4 4 0 1 0-3.4 4L13 15.5h2v2h2v2h3v-3.2l-5.9-5.9M9.5 9h.01',
  film: 'M4 5h16v14H4zM8 5v14M16 5v14M4 9.5h4M4 14.5h4M16 9.5h4M16 14.5h4',
  gear: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM12 2.8v3M12 18.2v3M2.8 12h3M18.2 12h3M5.5 5.5l2.1 2.1M16.4 16.4l2.1 2.1M18.5 5.5l-2.1 2.1M7.6 16.4l-2.1 2.1',
  book: 'M12 6.5C10 5 7 4.5 4 4.5v13c3 0 6 .5 8 2 2-1.5 5-2 8-2v-13c-3 0-6 .5-8 2zM12 6.5v13',
  leave: 'M10 4H5v16h5M15 8l4 4-4 4M19 12H9.5',
  back: 'M14.5 5.5 8 12l6.5 6.5',
  plus: 'M12 5v14M5 12h14',
  bin: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5',
  again: 'M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.5 3.5v4h-4',
  warn: 'M12 4 2.5 20h19zM12 10v4.5M12 17.2h.01',
  info: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 11v5M12 8h.01',
  stop: 'M6 6h12v12H6z',
  record: 'M12 6a6 6 0 1 0 0 12 6 6 0 0 0 0-12z',
  save: 'M12 4v11M8 11.5l4 4 4-4M5 20h14',
  cut: 'M6.5 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM6.5 14.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM8.7 8.4 20 17M8.7 15.6 20 7',
  find: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20.5 20.5',
  server: 'M4 4.5h16v6H4zM4 13.5h16v6H4zM7.5 7.5h.01M7.5 16.5h.01',
} as const

export type IconName = keyof typeof paths

const filled: IconName[] = ['play', 'pause', 'stop', 'record']

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
