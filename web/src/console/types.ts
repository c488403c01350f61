// What the API says: internal/api/v1 has the same in Go, and docs/openapi.json describes it.

export interface Track {
  kind: 'video' | 'audio'
  id: number
  codec: string
  profile?: string
  codecs?: string
  width?: number
  height?: number
  frame_rate?: number
  sample_rate?: number
  channels?: number
}

export interface Publication {
  rendition: string
  encoder?: string
  address?: string
  protocol?: string
  session?: string
  uptime?: number
  bytes?: number
  bit_rate: number
  mean_bit_rate: number
  frame_rate?: number
  key_frame_interval?: number
  gop?: number
  time_jumps: number
  clock_drift?: number
  faults?: { what: string; times: number }[]
  tracks: Track[]
}

export interface Stream {
  name: string
  state: 'starting' | 'live' | 'interrupted'
  since: string
  publications: Publication[]
  viewers: { total: number; by_protocol: Record<string, number> }
  bit_rate: number
  /** Where it is published, in a cluster. */
  node?: string
}

export interface Node {
  id: string
  state: 'ready' | 'draining' | 'silent' | 'gone'
  region?: string
  address: string
  version: string
  started: string
  load: number
  viewers: number
  streams: number
  bit_rate_out: number
  self: boolean
}

export interface Session {
  id: string
  stream: string
  rendition: string
  role: 'publisher' | 'viewer'
  protocol: string
  address: string
  agent?: string
  since: string
  bytes: number
  bit_rate: number
  lag: number
  jumps: number
  /** To which it is connected, in a cluster. */
  node?: string
}

export interface Figures {
  time: string
  streams: { name: string; state: Stream['state']; viewers: number; bit_rate: number }[]
  on_air: number
  viewers: number
  bit_rate_in: number
  bit_rate_out: number
}

export interface Relay {
  id: string
  stream: string
  direction: 'push' | 'pull'
  url: string
  state: 'waiting' | 'connecting' | 'running' | 'failed'
  since: string
  error?: string
  bytes: number
  static: boolean
}

export interface Room {
  name: string
  streams: string[]
}

export interface Listener {
  protocol: string
  scheme: string
  port: number
}

export interface Option {
  name: string
  value: string
  default: string
  doc: string
  reload: boolean
}

export interface App {
  name: string
  live: boolean
  hls: boolean
  flv: boolean
  static_push: number
  viewer_auth?: string
  record?: string
}

export interface Config {
  file: string
  options: Option[]
  apps: App[]
}

export interface Version {
  version: string
  go: string
  started: string
}

export interface Recording {
  id: string
  stream: string
  state: 'live' | 'complete' | 'broken'
  reason?: string
  started: string
  duration: number
  bytes: number
  lost: number
  path: string
}
