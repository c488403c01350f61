// Figures as people read them.

/** A bit rate, in bit/s. */
export function rate(bits: number): string {
  if (bits >= 1e9) return `${short(bits / 1e9)} Gbit/s`
  if (bits >= 1e6) return `${short(bits / 1e6)} Mbit/s`
  return `${Math.round(bits / 1e3)} kbit/s`
}

export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000
    unit++
  }
  return `${unit === 0 ? n : short(n)} ${units[unit]}`
}

function short(n: number): string {
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)
}

/** A time span in seconds, by its two largest parts. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ]
  const first = parts.findIndex(([n]) => n > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ')
}

/** How long ago a time of the server was. */
export function since(time: string, now = Date.now()): string {
  return span((now - Date.parse(time)) / 1000)
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}

const protocols: Record<string, string> = {
  rtmp: 'RTMP',
  rtmps: 'RTMPS',
  'http-flv': 'HTTP-FLV',
  'ws-flv': 'WebSocket-FLV',
  hls: 'HLS',
}

export function protocolName(protocol: string): string {
  return protocols[protocol] ?? protocol
}

/** The app of a stream and its name within. */
export function parts(stream: string): [string, string] {
  const slash = stream.indexOf('/')
  return [stream.slice(0, slash), stream.slice(slash + 1)]
}
