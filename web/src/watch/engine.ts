// An engine plays one source in the page's video element. There is one for each way in which browsers
// play a live stream.

export interface Choice {
  id: number
  label: string
}

/** What can be seen of the past: positions on the video's own time, in seconds. */
export interface Span {
  start: number
  /** Where live is. */
  live: number
}

export interface Engine {
  /** The protocol, for people. */
  readonly name: string
  destroy(): void
  /** When what is seen now passed the server, in ms since 1970; null if the protocol does not say. */
  seen(): number | null
  /** How far behind the newest media, in seconds, where seen is not known. */
  behind(): number
  span(): Span | null
  /** How far behind where it should be when live, in seconds; 0 where the player sees to that itself. */
  late(): number
  /** Levels of quality, the best first; none if there is no choice. quality is -1 while it is automatic. */
  qualities(): Choice[]
  quality(): number
  setQuality(id: number): void
  /** The label of the level that is played now. */
  playing(): string
  sounds(): Choice[]
  sound(): number
  setSound(id: number): void
}

export interface Events {
  /** The engine gave up. */
  failed(reason: string): void
  /** What the engine offers has changed. */
  changed(): void
}

/** The newest position that is buffered, in seconds; 0 without any. */
export function bufferedEnd(video: HTMLVideoElement): number {
  const { buffered } = video
  return buffered.length > 0 ? buffered.end(buffered.length - 1) : 0
}
